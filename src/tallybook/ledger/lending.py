"""Connections, each lent to one snapshot, or to one transaction that writes, at a time.

On SQLite the pool is ours, the connection that was used last first: SQLAlchemy's pool and transactions cost as much as
the small questions that are asked ten thousand times a second. PostgreSQL is reached through SQLAlchemy's pool, which
notices when the server was restarted.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from queue import Empty, LifoQueue
from types import TracebackType
from typing import Any

from sqlalchemy import Connection, Engine

from tallybook.core.errors import Unavailable

LEND_TIMEOUT_S = 30.0


class SqliteLending:
    """At most *most* connections of *engine*, opened when they are first needed and kept."""

    def __init__(self, engine: Engine, most: int, *, writing: bool = False) -> None:
        self._engine = engine
        self._writing = writing
        self._idle: LifoQueue[Connection | None] = LifoQueue()
        for _ in range(most):
            self._idle.put(None)

    def lend(self) -> AbstractContextManager[Connection]:
        """Return a snapshot, or a transaction that whoever has it commits, to be used as a context.

        Entering it raises Unavailable if every connection is busy for LEND_TIMEOUT_S.
        """
        return _Lent(self._engine, self._idle, writing=self._writing)

    def close(self) -> None:
        """Close the connections that are not lent."""
        while True:
            try:
                connection = self._idle.get_nowait()
            except Empty:
                return
            if connection is not None:
                connection.close()


class PostgresLending:
    """The connections of *engine*."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def lend(self) -> Iterator[Connection]:
        """Return the same as `SqliteLending` does."""
        with self._engine.connect() as connection:
            connection.begin()  # or SQLAlchemy would not know of statements that go to the driver as they are
            yield connection

    def close(self) -> None:
        """Nothing is kept here."""


class _Lent:
    """One transaction on one connection; it goes back when the block ends, however it ends."""

    __slots__ = ("_connection", "_driver", "_engine", "_idle", "_writing")
    _connection: Connection
    _driver: Any

    def __init__(self, engine: Engine, idle: "LifoQueue[Connection | None]", *, writing: bool) -> None:
        self._engine = engine
        self._idle = idle
        self._writing = writing

    def __enter__(self) -> Connection:
        try:
            connection = self._idle.get(timeout=LEND_TIMEOUT_S)
        except Empty:
            raise Unavailable("the ledger is busy just now", retry_after_s=1) from None
        try:
            connection = connection or self._engine.connect()
            driver: Any = connection.connection.driver_connection
            if self._writing:
                connection.begin()  # only for SQLAlchemy to know: it says nothing to the driver
            driver.execute("BEGIN IMMEDIATE" if self._writing else "BEGIN")
        except BaseException:
            if connection is not None:
                connection.close()
            self._idle.put(None)
            raise
        self._connection, self._driver = connection, driver
        return connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        back: Connection | None = None
        try:
            if self._writing or self._connection.in_transaction():
                self._connection.rollback()  # also one that could not be committed, which counts as none
            self._driver.rollback()
            back = self._connection
        finally:
            if back is None:
                self._connection.close()
            self._idle.put(back)
