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
_Form = tuple[int, bool]
"""How many slots a row fills, and whether all its sums are whole numbers below 10^9: most are, and cost less."""
_FORMS: tuple[_Form, ...] = ((0, True), *((slots, plain) for slots in range(1, SLOTS + 1) for plain in (True, False)))
_LEVELS = ((0, "minute"), (1, "minute / 60"), (2, "minute / 1440"), (3, "month"))
_BIGINT = "bigint"
_PLACE = [(name, _BIGINT) for name in ("account_no", "type_no", "series_no", "minute", "month")]


class AddUp:
    """Writes tallies inside the caller's transaction, which holds the lane of their accounts."""

    def __init__(self, *, sqlite: bool) -> None:
        self._rollups = {form: _rollups_sql(form, sqlite=sqlite) for form in _FORMS}
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
        rows: dict[_Form, list[list[int]]] = {form: [] for form in _FORMS}
        for (key, minute), row in tally.rows.items():
            day = minute // 1440
            month = months.get(day)
            if month is None:
                month = months[day] = month_bucket(minute * MINUTE_US)
            _lay_out((*places[key], minute, month), row, rows)
        for form, of_form in rows.items():
            if of_form:
                of_form.sort()
                connection.execute(self._rollups[form], {"rows": to_json(of_form)})
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


def _lay_out(where: tuple[int, ...], row: list[int], rows: dict[_Form, list[list[int]]]) -> None:
    """Add a tally's row to *rows*, by its form, as parts of at most SLOTS; the first part says how many events there
    were.
    """
    fields = len(row) // 2
    for part in range(max(1, -(-fields // SLOTS))):
        first, end = part * SLOTS, min(fields, (part + 1) * SLOTS)
        flat = [*where, part, 0 if part else row[0]]
        units: list[int] = []
        limbs: list[int] = []
        is_plain = True
        for place in range(2 * first + 1, 2 * end + 1, 2):
            whole, nano = divmod(row[place + 1], NANOS)  # `to_limbs`, without a call for each
            giga, unit = divmod(whole, NANOS)
            is_plain = is_plain and not giga and not nano
            units += (row[place], unit)
            limbs += (row[place], giga, unit, nano)
        flat += units if is_plain else limbs
        rows[end - first, is_plain].append(flat)


def _rollups_sql(form: _Form, *, sqlite: bool) -> TextClause:
    """Return the statement for rows of that form; other slots and limbs stay as they are, in new rows zero."""
    slots, is_plain = form
    parts = ("count", "unit") if is_plain else _SLOT
    filled = [f"{name}_{n}" for n in range(1, slots + 1) for name in parts]
    empty = [f"{name}_{n}" for n in range(1, SLOTS + 1) for name in _SLOT if f"{name}_{n}" not in filled]
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
    picks = ", ".join((*keys, *(name if sqlite else f"{formula} AS {name}" for name, formula in sums.items())))
    picks += "".join(f", 0 AS {name}" for name in zeros)
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
    source = unfold("rows", (*_PLACE, *columns), sqlite=sqlite)
    return text(
        f"WITH s AS MATERIALIZED ({source}) INSERT INTO {table} ({', '.join((*key, *sums, *zeros))})"
        f" SELECT * FROM ({selects}) l WHERE true ON CONFLICT {action}"
    )
