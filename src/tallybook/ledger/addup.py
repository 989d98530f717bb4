"""Adding events up: one statement a table, whatever the number of rows.

Sums go to `recent` and move on from there (see `recent`); marks and distinct values, of which there are few, go to all
four levels at once.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from operator import itemgetter

from sqlalchemy import Connection, text
from sqlalchemy.sql.elements import TextClause

from tallybook.core.aggregate import Placed, PlacedRow, Where
from tallybook.core.instant import MINUTE_US
from tallybook.core.number import NANOS, to_limbs
from tallybook.core.window import month_bucket
from tallybook.ledger.bulk import Bulk
from tallybook.ledger.recent import Recent
from tallybook.ledger.rows import to_json, unfold
from tallybook.ledger.tables import SLOT, SLOTS, SUMS

_LEVELS = ((0, "minute"), (1, "minute / 60"), (2, "minute / 1440"), (3, "month"))
_BIGINT = "bigint"
_PLACE = ("account_no", "type_no", "minute", "series_no")
_FIRST_SLOT = 6
"""Where the fields of a `PlacedRow` begin."""
_ROW_MAX = _FIRST_SLOT + 2 * SLOTS
"""Longest one that is of one part."""
_account_no: Callable[[Sequence[int]], int] = itemgetter(0)


class AddUp:
    """Writes aggregates inside the caller's transaction, which holds the lane of their accounts.

    `forget` follows where that transaction is rolled back.
    """

    def __init__(self, *, sqlite: bool) -> None:
        self._recent = Recent(sqlite=sqlite)
        self._add = [_recent_sql(slots, _SPLIT, sqlite=sqlite) for slots in range(SLOTS + 1)]
        self._add_parts = [_recent_sql(slots, _GIVEN, sqlite=sqlite) for slots in range(SLOTS + 1)]
        self._marks = _by_level(
            "marks",
            [("place", _BIGINT), ("mark", "text")],
            sums={"mark": "max(mark)"},
            update="mark = CASE WHEN excluded.mark > marks.mark THEN excluded.mark ELSE marks.mark END",
            sqlite=sqlite,
        )
        columns = [(name, _BIGINT) for name in ("place", "value_hi", "value_lo")]
        self._uniques = _by_level("uniques", columns, sums={}, update="", sqlite=sqlite)

    def forget(self) -> None:
        """The transaction was rolled back."""
        self._recent.forget()

    def write(self, connection: Connection, placed: Placed) -> None:
        """Add *placed* up."""
        added: Counter[int] = Counter()
        for statements, by_slots in ((self._add, _by_slots(placed)), (self._add_parts, _in_parts(placed))):
            for statement, rows in zip(statements, by_slots, strict=True):
                if rows:
                    rows.sort()
                    statement.change(connection, rows)
                    added.update(map(_account_no, rows))
        if placed.marks:
            marks = [(*where, _month(where), place, mark) for (where, place), mark in placed.marks.items()]
            connection.execute(self._marks, {"rows": to_json(sorted(marks))})
        if placed.uniques:
            uniques = [(*where, _month(where), *rest) for where, *rest in placed.uniques]
            connection.execute(self._uniques, {"rows": to_json(sorted(uniques))})
        if added:
            self._recent.make_room(connection, added)


def _month(where: Where) -> int:
    return month_bucket(where[2] * MINUTE_US)


def _by_slots(placed: Placed) -> list[list[PlacedRow]]:
    """Return the rows of one part as they are, by how many slots they fill."""
    by_length: dict[int, list[PlacedRow]] = {_FIRST_SLOT + 2 * slots: [] for slots in range(SLOTS + 1)}
    longer: list[PlacedRow] = []
    for row in placed.rows:
        by_length.get(len(row), longer).append(row)
    return list(by_length.values())


def _in_parts(placed: Placed) -> list[list[tuple[int, ...]]]:
    """Return the other rows as parts of at most SLOTS whose sums are split already; the first has the events."""
    parts: list[list[tuple[int, ...]]] = [[] for _ in range(SLOTS + 1)]
    for row in chain(placed.wide, (row for row in placed.rows if len(row) > _ROW_MAX)):
        fields = (len(row) - _FIRST_SLOT) // 2
        for part in range(max(1, -(-fields // SLOTS))):
            first, end = part * SLOTS, min(fields, (part + 1) * SLOTS)
            flat = [*row[:3], part, row[4], 0 if part else row[5]]
            for place in range(_FIRST_SLOT + 2 * first, _FIRST_SLOT + 2 * end, 2):
                flat += (row[place], *to_limbs(row[place + 1]))
            parts[end - first].append(tuple(flat))
    return parts


_SPLIT = (
    ("count", "nanos"),
    ("count_{}", f"nanos_{{}} / {NANOS * NANOS}", f"nanos_{{}} / {NANOS} % {NANOS}", f"nanos_{{}} % {NANOS}"),
)
"""What a slot is given, and what is stored of it: the sum is split by the store, which takes it nothing."""
_GIVEN = SLOT, tuple(f"{name}_{{}}" for name in SLOT)


def _recent_sql(slots: int, kind: tuple[Sequence[str], Sequence[str]], *, sqlite: bool) -> Bulk:
    """Return the statement for rows of so many slots; other slots stay as they are, in new rows zero.

    SQLite adds rows of one key one after the other, and is quicker if it need not group them first; PostgreSQL refuses
    to change a row twice in one statement.
    """
    named, stored = kind
    numbers = range(1, slots + 1)
    given = ("events", *(f"{name}_{n}" for n in numbers for name in named))
    filled = ("events", *(f"{name}_{n}" for n in numbers for name in SLOT))
    values = ("events", *(formula.format(n) for n in numbers for formula in stored))
    key = (*_PLACE, "part")
    part, groups = ("part", key) if named is SLOT else ("0", _PLACE)
    picks = values if sqlite else tuple(f"sum({value})" for value in values)
    empty = tuple(name for name in SUMS if name not in filled)
    grouped = "" if sqlite else f" GROUP BY {', '.join(groups)}"
    update = ", ".join(f"{name} = recent.{name} + excluded.{name}" for name in filled)
    return Bulk(
        f"INSERT INTO recent ({', '.join((*key, *filled, *empty))})"
        f" SELECT {', '.join((*_PLACE, part, *picks, *('0' for _ in empty)))} FROM ({{rows}}) s WHERE true{grouped}"
        f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {update}",
        [(name, _BIGINT) for name in ("account_no", "type_no", "series_no", "part", "minute", *given)],
        sqlite=sqlite,
    )


def _by_level(
    table: str, columns: Sequence[tuple[str, str]], *, sums: Mapping[str, str], update: str, sqlite: bool
) -> TextClause:
    """Return the statement that adds minute rows to all four levels of *table*; see `_recent_sql` for the stores."""
    keys = tuple(name for name, _ in columns if name not in sums)
    key = ("account_no", "type_no", "level", "bucket", "series_no", *keys)
    picks = ", ".join((*keys, *(name if sqlite else f"{formula} AS {name}" for name, formula in sums.items())))
    if sqlite:
        levels = ", ".join(f"({level})" for level, _ in _LEVELS)
        buckets = " ".join(f"WHEN {level} THEN {bucket}" for level, bucket in _LEVELS)
        selects = (
            f"SELECT account_no, type_no, column1 AS level, CASE column1 {buckets} END AS bucket, series_no, {picks}"
            f" FROM (VALUES {levels}) CROSS JOIN s"
        )
    else:
        selects = " UNION ALL ".join(
            f"SELECT account_no, type_no, {level} AS level, {bucket} AS bucket, series_no, {picks} FROM s"
            f" GROUP BY account_no, type_no, {bucket}, series_no, {', '.join(keys)}"
            for level, bucket in _LEVELS
        )
    action = f"({', '.join(key)}) DO UPDATE SET {update}" if update else "DO NOTHING"
    source = unfold("rows", [*((name, _BIGINT) for name in (*_PLACE, "month")), *columns], sqlite=sqlite)
    return text(
        f"WITH s AS MATERIALIZED ({source}) INSERT INTO {table} ({', '.join((*key, *sums))})"
        f" SELECT * FROM ({selects}) l WHERE true ON CONFLICT {action}"
    )
