"""Opening a ledger: the engine for its URL, the checks before the first statement, and transactions.

SQLite comes from the pysqlite3 wheel and must be 3.51.3 or newer: older ones can corrupt a WAL database that two
connections write to (sqlite.org/wal.html, "The WAL-Reset Bug"). PostgreSQL is reached through psycopg 3.
"""

import select
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psycopg
import pysqlite3.dbapi2 as sqlite
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from tallybook.core.changes import Changes, Changing
from tallybook.core.errors import StartRefused, Unavailable
from tallybook.core.figures import Figures
from tallybook.ledger.lending import PostgresLending, SqliteLending

LEDGER_FILE = "ledger.db"
"""The ledger on SQLite, in the data directory."""

SQLITE_FLOOR = (3, 51, 3)
READERS_MAX, WRITERS_MAX = 8, 8
"""Connections of one process: those that read, and on PostgreSQL those that write."""
BUSY_TIMEOUT_MS = 10_000
POOL_TIMEOUT_S = 30.0
PING_AFTER_S = 5.0
"""A connection that lay idle so long is asked whether it is still there; one that did not is only looked at."""
_IDLE_SINCE = "idle_since_s"
WRITER_CACHE_KIB = 24_576
READER_CACHE_KIB = 8_192
WAL_CHECKPOINT_PAGES = 8_192
STATEMENTS_PREPARED = 256
"""Of one SQLite connection: all that commits and admissions run (see `bulk`)."""


def sqlite_url(data_dir: Path) -> str:
    """Return the URL of the ledger file in *data_dir*."""
    return f"sqlite+pysqlite:///{data_dir / LEDGER_FILE}"


def check_sqlite(version: tuple[int, ...] = sqlite.sqlite_version_info) -> None:
    """Refuse an SQLite that can corrupt its WAL.

    Raises:
        StartRefused: Below SQLITE_FLOOR.
    """
    if version < SQLITE_FLOOR:
        found, floor = ".".join(map(str, version)), ".".join(map(str, SQLITE_FLOOR))
        raise StartRefused(f"SQLite {found} can corrupt a ledger; install pysqlite3 with SQLite {floor} or newer")


class Ledger:
    """An open ledger: *reading()* gives one snapshot, *writing()* one transaction.

    Attributes:
        changes: What was committed; None on PostgreSQL, where other processes write as well.
        figures: What is remembered of usage.
    """

    def __init__(self, url: str) -> None:
        try:
            parsed = make_url(url)
        except ArgumentError:
            raise StartRefused(
                "the ledger URL must look like sqlite+pysqlite:///FILE or postgresql://HOST/DB"
            ) from None
        backend = parsed.get_backend_name()
        if backend not in {"sqlite", "postgresql"}:
            raise StartRefused(f"a ledger lives on SQLite or PostgreSQL, not on {backend}")
        self.is_sqlite = backend == "sqlite"
        self._threads = _Threads()
        self.changes: Changes | None = Changes() if self.is_sqlite else None
        self.figures = Figures(None if self.changes is None else self.changes.figures)
        if self.is_sqlite:
            check_sqlite()
            self._reader = _sqlite_engine(str(parsed), READER_CACHE_KIB, pool_size=READERS_MAX, query_only=True)
            self._readers: SqliteLending | PostgresLending = SqliteLending(self._reader, READERS_MAX)
            self._writer = _sqlite_engine(str(parsed), WRITER_CACHE_KIB, pool_size=1, query_only=False)
            self._writers: SqliteLending | PostgresLending = SqliteLending(self._writer, 1, writing=True)
        else:
            psycopg_url = parsed.set(drivername="postgresql+psycopg")
            # Apart, because who writes may wait for a lane while it has a connection, and the lane has to read.
            self._reader = _postgres_engine(psycopg_url, READERS_MAX, read_only=True)
            self._writer = _postgres_engine(psycopg_url, WRITERS_MAX, read_only=False)
            self._readers, self._writers = PostgresLending(self._reader), PostgresLending(self._writer)

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent snapshot; nothing can be written through it.

        Inside of another one of the same thread it is that one: who looks twice for one answer sees the same, and
        nobody who has a connection waits for a second.

        Raises:
            Unavailable: If the store cannot be reached.
        """
        with _translated():
            shared = self._threads.shared
            if shared is None:
                shared = self._threads.shared = _Shared(self._readers.lend())
            try:
                yield shared.enter()
            finally:
                if shared.leave() and self._threads.shared is shared:
                    self._threads.shared = None

    @contextmanager
    def writing(self, changing: Changing | None = None) -> Iterator[Connection]:
        """One transaction, committed at the end of the block and rolled back by any exception.

        Args:
            changing: What may change of all that answers are made of; None for anything.

        Raises:
            Unavailable: If the store is full, locked or away; nothing was written.
        """
        with _translated(), self._writers.lend() as connection:
            yield connection
            if self.changes is None:
                connection.commit()
                return
            self.changes.begin(changing)
            is_done = False
            try:
                connection.commit()
                is_done = True
            finally:  # also where it is not known whether it was
                self.changes.note(changing, is_done=is_done)

    def close(self) -> None:
        """Close every connection; on SQLite this folds the WAL back into the file."""
        self._readers.close()
        self._writers.close()
        self._reader.dispose()
        self._writer.dispose()


class _Shared:
    """A snapshot that everything in one thread shares while anybody has it."""

    def __init__(self, lent: AbstractContextManager[Connection]) -> None:
        self._lent = lent
        self._connection: Connection | None = None
        self._users = 0

    def enter(self) -> Connection:
        """Have it, too; the first one opens it."""
        self._users += 1
        if self._connection is None:
            self._connection = self._lent.__enter__()
        return self._connection

    def leave(self) -> bool:
        """Have it no more; the last one closes it, and is told so."""
        self._users -= 1
        if self._users:
            return False
        if self._connection is not None:
            self._lent.__exit__(None, None, None)
        return True


class _Threads(threading.local):
    """What each thread has open."""

    shared: _Shared | None = None


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except PoolTimeout as error:
        raise Unavailable("the ledger is busy just now", retry_after_s=1, cause=str(error)) from error
    except (sqlite.Error, psycopg.Error) as error:  # of a statement that was given to the driver as it is
        if isinstance(error, sqlite.IntegrityError | sqlite.ProgrammingError | sqlite.InterfaceError):
            raise
        if not isinstance(error, sqlite.Error | psycopg.OperationalError):
            raise
        raise Unavailable("the ledger cannot be reached just now", retry_after_s=1, cause=str(error)) from error
    except DBAPIError as error:
        if isinstance(error.orig, sqlite.IntegrityError | sqlite.ProgrammingError | sqlite.InterfaceError):
            raise
        if not isinstance(error.orig, sqlite.Error | psycopg.OperationalError) and not error.connection_invalidated:
            raise
        raise Unavailable("the ledger cannot be reached just now", retry_after_s=1, cause=str(error.orig)) from error


def _sqlite_engine(url: str, cache_kib: int, *, pool_size: int, query_only: bool) -> Engine:
    pool = {"pool_size": pool_size, "max_overflow": 0, "pool_timeout": POOL_TIMEOUT_S}
    arguments = {"cached_statements": STATEMENTS_PREPARED}
    engine = create_engine(url, hide_parameters=True, module=sqlite, connect_args=arguments, **pool)

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite.Connection, _entry: ConnectionPoolEntry) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves
        for pragma in (
            f"busy_timeout = {BUSY_TIMEOUT_MS}",
            "journal_mode = WAL",
            "synchronous = FULL",
            f"cache_size = -{cache_kib}",
            f"wal_autocheckpoint = {WAL_CHECKPOINT_PAGES}",
            "temp_store = MEMORY",
            "foreign_keys = ON",
            f"query_only = {query_only:d}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def _postgres_engine(url: URL, most: int, *, read_only: bool) -> Engine:
    pool = {"pool_size": most // 2, "max_overflow": most - most // 2, "pool_timeout": POOL_TIMEOUT_S}
    engine = create_engine(url, hide_parameters=True, **pool)

    @event.listens_for(engine, "connect")
    def _configure(connection: psycopg.Connection, _entry: ConnectionPoolEntry) -> None:
        if read_only:  # said with each BEGIN: a snapshot needs no statement of its own
            connection.isolation_level, connection.read_only = psycopg.IsolationLevel.REPEATABLE_READ, True

    @event.listens_for(engine, "checkin")
    def _note(_connection: psycopg.Connection | None, entry: ConnectionPoolEntry) -> None:
        entry.info[_IDLE_SINCE] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _look(connection: psycopg.Connection, entry: ConnectionPoolEntry, _proxy: PoolProxiedConnection) -> None:
        since_s = entry.info.get(_IDLE_SINCE)
        if since_s is None or (time.monotonic() - since_s < PING_AFTER_S and not _has_news(connection)):
            return
        try:
            engine.dialect.do_ping(connection)  # type: ignore[arg-type]  # it is one of the driver's
        except psycopg.Error as error:
            raise DisconnectionError from error

    return engine


def _has_news(connection: psycopg.Connection) -> bool:
    """Whether the server said something unasked, as it does when it ends a connection."""
    socket = select.poll()
    socket.register(connection.fileno(), select.POLLIN)
    return bool(socket.poll(0))
