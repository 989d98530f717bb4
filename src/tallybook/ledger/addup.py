"""Adding a tally to the rollups: one statement a table, whatever the number of rows, at all four levels at once."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, text
from sqlalchemy.sql.elements import TextClause

from tallybook.core.aggregate import Tally
from tallybook.core.ids import AccountId
from tallybook.core.instant import MINUTE_US
from tallybook.core.number import NANOS
from tallybook.core.window import month_bucket
from tallybook.ledger.rows import to_json, unfold
from tallybook.ledger.series import SeriesNumbers
from tallybook.ledger.tables import SLOTS

_SLOT = ("count", "giga", "unit", "nano")
_LEVELS = ((0, "minute"), (1, "minute / 60"), (2, "minute / 1440"), (3, "month"))
_BIGINT = "bigint"
_PLACE = [(name, _BIGINT) for name in ("account_no", "type_no", "series_no", "minute", "month")]


class AddUp:
    """Writes tallies inside the caller's transaction, which holds the lane of their accounts."""

    def __init__(self, *, sqlite: bool) -> None:
        self._rollups = [_rollups_sql(slots, sqlite=sqlite) for slots in range(SLOTS + 1)]
        self._marks = _by_level(
            "marks",
            [("place", _BIGINT), ("mark", "text")],
            sums={"mark": "max(mark)"},
            update="mark = CASE WHEN excluded.mark > marks.mark THEN excluded.mark ELSE marks.mark END",
            sqlite=sqlite,
        )
        columns = [(name, _BIGINT) for name in ("place", "value_hi", "value_lo")]
        self._uniques = _by_level("uniques", columns, sums={}, update="", sqlite=sqlite)

    def write(
        self, connection: Connection, tally: Tally, accounts: Mapping[AccountId, int], numbers: SeriesNumbers
    ) -> None:
        """Add *tally* to the rollups; its series have been resolved in *numbers*."""
        months: dict[int, int] = {}
        places = numbers.places(tally.series(), accounts)
        rows: list[list[list[int]]] = [[] for _ in range(SLOTS + 1)]
        for (key, minute), row in tally.rows.items():
            day = minute // 1440
            month = months.get(day)
            if month is None:
                month = months[day] = month_bucket(minute * MINUTE_US)
            _lay_out((*places[key], minute, month), row, rows)
        for slots, of_slots in enumerate(rows):
            if of_slots:
                of_slots.sort()
                connection.execute(self._rollups[slots], {"rows": to_json(of_slots)})
        if tally.marks:
            marks = [
                (*places[key], minute, month_bucket(minute * MINUTE_US), place, mark)
                for (key, minute, place), mark in tally.marks.items()
            ]
            connection.execute(self._marks, {"rows": to_json(sorted(marks))})
        if tally.uniques:
            uniques = [
                (*places[key], minute, month_bucket(minute * MINUTE_US), *rest) for key, minute, *rest in tally.uniques
            ]
            connection.execute(self._uniques, {"rows": to_json(sorted(uniques))})


def _lay_out(where: tuple[int, ...], row: list[int], rows: list[list[list[int]]]) -> None:
    """Add a tally's row to *rows*, by how many slots it fills, as parts of at most SLOTS; the first part says how many
    events there were.
    """
    fields = len(row) // 2
    for part in range(max(1, -(-fields // SLOTS))):
        first, end = part * SLOTS, min(fields, (part + 1) * SLOTS)
        flat = [*where, part, 0 if part else row[0]]
        for place in range(2 * first + 1, 2 * end + 1, 2):
            whole, nano = divmod(row[place + 1], NANOS)  # `to_limbs`, without a call for each
            flat += (row[place], *divmod(whole, NANOS), nano)
        rows[end - first].append(flat)


def _rollups_sql(slots: int, *, sqlite: bool) -> TextClause:
    """Return the statement for rows that fill that many slots; the others stay as they are, in new rows zero."""
    filled = [f"{name}_{n}" for n in range(1, slots + 1) for name in _SLOT]
    empty = [f"{name}_{n}" for n in range(slots + 1, SLOTS + 1) for name in _SLOT]
    sums = {name: f"sum({name})" for name in ("events", *filled)}
    update = ", ".join(f"{name} = rollups.{name} + excluded.{name}" for name in sums)
    columns = [("part", _BIGINT), *((name, _BIGINT) for name in sums)]
    return _by_level("rollups", columns, sums=sums, zeros=empty, update=update, sqlite=sqlite)


def _by_level(
    table: str,
    columns: Sequence[tuple[str, str]],
    *,
    sums: Mapping[str, str],
    zeros: Sequence[str] = (),
    update: str,
    sqlite: bool,
) -> TextClause:
    """Return the statement that adds minute rows to all four levels of *table*.

    SQLite adds rows of one bucket one after the other, and is quicker if it need not group them first; PostgreSQL
    refuses to change a row twice in one statement.
    """
    keys = tuple(name for name, _ in columns if name not in sums)
    key = ("account_no", "type_no", "level", "bucket", "series_no", *keys)
    values = sums if not sqlite else {name: name for name in sums}
    selects = " UNION ALL ".join(
        f"SELECT account_no, type_no, {level} AS level, {bucket} AS bucket, series_no, "
        + ", ".join(
            (*keys, *(f"{formula} AS {name}" for name, formula in values.items()), *(f"0 AS {n}" for n in zeros))
        )
        + " FROM s"
        + ("" if sqlite else f" GROUP BY account_no, type_no, {bucket}, series_no, {', '.join(keys)}")
        for level, bucket in _LEVELS
    )
    action = f"({', '.join(key)}) DO UPDATE SET {update}" if update else "DO NOTHING"
    source = unfold("rows", (*_PLACE, *columns), sqlite=sqlite)
    return text(
        f"WITH s AS MATERIALIZED ({source}) INSERT INTO {table} ({', '.join((*key, *sums, *zeros))})"
        f" SELECT * FROM ({selects}) l WHERE true ON CONFLICT {action}"
    )
