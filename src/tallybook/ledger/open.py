"""Opening a ledger: the engine for its URL, the checks before the first statement, and transactions.

SQLite comes from the pysqlite3 wheel and must be 3.51.3 or newer: older ones can corrupt a WAL database that two
connections write to (sqlite.org/wal.html, "The WAL-Reset Bug"). PostgreSQL is reached through psycopg 3.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pysqlite3.dbapi2 as sqlite
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from tallybook.core.changes import Changes
from tallybook.core.errors import StartRefused, Unavailable
from tallybook.ledger.readers import SqliteReaders

SQLITE_FLOOR = (3, 51, 3)
READERS_MAX = 8
BUSY_TIMEOUT_MS = 10_000
POOL_TIMEOUT_S = 30.0
WRITER_CACHE_KIB = 65_536
READER_CACHE_KIB = 8_192
WAL_CHECKPOINT_PAGES = 8_192


def sqlite_url(data_dir: Path) -> str:
    """Return the URL of the ledger file in *data_dir*."""
    return f"sqlite+pysqlite:///{data_dir / 'ledger.db'}"


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
        if self.is_sqlite:
            check_sqlite()
            self._reader = _sqlite_engine(str(parsed), READER_CACHE_KIB, pool_size=READERS_MAX, query_only=True)
            self._readers = SqliteReaders(self._reader, READERS_MAX)
            self.changes: Changes | None = Changes()
            self._writer = _sqlite_engine(str(parsed), WRITER_CACHE_KIB, pool_size=1, query_only=False)
        else:
            self.changes = None
            self._reader = self._writer = _postgres_engine(parsed.set(drivername="postgresql+psycopg"))

    @property
    def engine(self) -> Engine:
        """The engine that writes, for migrations."""
        return self._writer

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent snapshot; nothing can be written through it.

        Raises:
            Unavailable: If the store cannot be reached.
        """
        with _translated():
            if self.is_sqlite:
                with self._readers.lend() as connection:
                    yield connection
                return
            with self._reader.connect() as connection:
                connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                yield connection

    @contextmanager
    def writing(self, touched: Collection[str] | None = None) -> Iterator[Connection]:
        """One transaction, committed at the end of the block and rolled back by any exception.

        Args:
            touched: The accounts of which anything that answers are made of may change; None for any account.

        Raises:
            Unavailable: If the store is full, locked or away; nothing was written.
        """
        with _translated(), self._writer.connect() as connection:
            if self.is_sqlite:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                connection.begin()  # or SQLAlchemy would not know of statements that go to the driver as they are
            yield connection
            try:
                connection.commit()
            finally:  # also where it is not known whether it was
                if self.changes is not None:
                    self.changes.note(touched)

    def close(self) -> None:
        """Close every connection; on SQLite this folds the WAL back into the file."""
        if self.is_sqlite:
            self._readers.close()
        self._reader.dispose()
        self._writer.dispose()


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
    engine = create_engine(
        url, hide_parameters=True, module=sqlite, pool_size=pool_size, max_overflow=0, pool_timeout=POOL_TIMEOUT_S
    )

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


def _postgres_engine(url: URL) -> Engine:
    pool = {"pool_size": READERS_MAX, "max_overflow": READERS_MAX, "pool_timeout": POOL_TIMEOUT_S}
    return create_engine(url, hide_parameters=True, pool_pre_ping=True, **pool)
