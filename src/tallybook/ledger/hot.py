"""Statements that run thousands of times a second: given to the driver as they are, within SQLAlchemy's transaction.

SQLAlchemy spends several times as long on a small statement as SQLite does. Only for statements whose answer is read
at once and whose values are plain; everything else goes through SQLAlchemy. Errors of the driver reach `open`, which
knows them.
"""

import re
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

_PARAMETER = re.compile(r"(?<![:\w]):(\w+)")

Values = Mapping[str, object]
"""The drivers take real dicts only."""


class Hot:
    """One statement with parameters written as ``:name``."""

    __slots__ = ("_postgresql", "_sqlite")

    def __init__(self, sql: str) -> None:
        self._sqlite = sql
        self._postgresql = _PARAMETER.sub(r"%(\1)s", sql.replace("%", "%%"))

    def rows(self, connection: Connection, values: Values) -> list[tuple[Any, ...]]:
        """Return every row."""
        rows: list[tuple[Any, ...]] = self._run(connection, values).fetchall()
        return rows

    def first(self, connection: Connection, values: Values) -> tuple[Any, ...] | None:
        """Return the first row, None where there is none."""
        row: tuple[Any, ...] | None = self._run(connection, values).fetchone()
        return row

    def scalar(self, connection: Connection, values: Values) -> Any:
        """Return the first value of the first row, None where there is none."""
        row = self.first(connection, values)
        return None if row is None else row[0]

    def change(self, connection: Connection, values: Values) -> int:
        """Write, and return how many rows were changed."""
        count: int = self._run(connection, values).rowcount
        return count

    def _run(self, connection: Connection, values: Values) -> Any:
        driver: Any = connection.connection.driver_connection
        if connection.dialect.name == "sqlite":
            return driver.execute(self._sqlite, values)
        return driver.execute(self._postgresql, values)
