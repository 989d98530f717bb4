"""One statement over many rows that costs little a row: for what every commit writes.

SQLite takes three times as long to get numbers out of JSON as to be given them, so there rows are bound to
``VALUES (?, ?), ...`` as they are, in steps of a few fixed sizes, so that each statement is prepared once. PostgreSQL
gets JSON (see `rows`), in one round trip.
"""

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import Any

from sqlalchemy import Connection

from tallybook.ledger.hot import Hot
from tallybook.ledger.rows import to_json, unfold

STEPS = (256, 32, 4, 1)
"""Rows of one SQLite statement, which takes 32,766 parameters at most."""

Row = Sequence[object]


class Bulk:
    """A statement that reads rows where it says ``{rows}``, as a SELECT of *columns*."""

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

    def each(self, connection: Connection, rows: Sequence[Row]) -> Iterator[tuple[Any, ...]]:
        """Yield every row that the statement finds; on SQLite one at a time, as they may be large."""
        if connection.dialect.name != "sqlite":
            yield from self._whole.rows(connection, {"rows": to_json(rows)})
            return
        for cursor in self._run(connection, rows):
            yield from cursor

    def _run(self, connection: Connection, rows: Sequence[Row]) -> Iterator[Any]:
        driver: Any = connection.connection.driver_connection
        values = list(chain.from_iterable(rows))
        at = 0
        for step, sql in self._steps:
            size = step * self._width
            for _ in range((len(values) - at) // size):
                yield driver.execute(sql, values[at : at + size])
                at += size


def _values(columns: Sequence[tuple[str, str]], count: int) -> str:
    names = ", ".join(f"column{place} AS {name}" for place, (name, _) in enumerate(columns, start=1))
    row = f"({', '.join('?' * len(columns))})"
    return f"SELECT {names} FROM (VALUES {', '.join([row] * count)})"
