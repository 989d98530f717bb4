"""One statement over many rows that costs little a row: for what every commit writes.

SQLite takes three times as long to get numbers out of JSON as to be given them, so there rows are bound to
``VALUES (?, ?), ...`` as they are. Its statements are made for a few numbers of rows only, so that each is prepared
once; what is left of a step is filled up with rows that the statement passes over. PostgreSQL gets JSON (see `rows`),
in one round trip.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from sqlalchemy import Connection

from tallybook.ledger.hot import Hot
from tallybook.ledger.rows import to_json, unfold

STEPS = (256, 32)
"""Rows of one SQLite statement; a column of the widest table times this stays below its 32,766 parameters."""

Row = Sequence[object]


class Bulk:
    """A statement that reads rows where it says ``{rows}``: a SELECT of *columns*, the first of which is never null."""

    def __init__(self, sql: str, columns: Sequence[tuple[str, str]], *, sqlite: bool) -> None:
        self._width = len(columns)
        if sqlite:
            self._steps = [(step, sql.format(rows=_values(columns, step))) for step in STEPS]
        else:
            self._whole = Hot(sql.format(rows=unfold("rows", columns, sqlite=False)))

    def change(self, connection: Connection, rows: Sequence[Row]) -> int:
        """Write, and return how many rows were changed."""
        if connection.dialect.name != "sqlite":
            return self._whole.change(connection, {"rows": to_json(rows)})
        return sum(cursor.rowcount for cursor in self._run(connection, rows))

    def rows(self, connection: Connection, rows: Sequence[Row]) -> list[tuple[Any, ...]]:
        """Return every row that the statement finds."""
        if connection.dialect.name != "sqlite":
            return self._whole.rows(connection, {"rows": to_json(rows)})
        return [found for cursor in self._run(connection, rows) for found in cursor.fetchall()]

    def _run(self, connection: Connection, rows: Sequence[Row]) -> Iterator[Any]:
        driver: Any = connection.connection.driver_connection
        values = list(chain.from_iterable(rows))
        at = 0
        for step, sql in self._steps:
            size, is_last = step * self._width, step == STEPS[-1]
            while len(values) - at >= size or (is_last and at < len(values)):
                given = values[at : at + size]
                given += [None] * (size - len(given))
                yield driver.execute(sql, given)
                at += size


def _values(columns: Sequence[tuple[str, str]], count: int) -> str:
    names = ", ".join(f"column{place} AS {name}" for place, (name, _) in enumerate(columns, start=1))
    row = f"({', '.join('?' * len(columns))})"
    return f"SELECT {names} FROM (VALUES {', '.join([row] * count)}) WHERE column1 IS NOT NULL"
