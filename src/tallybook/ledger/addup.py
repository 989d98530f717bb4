"""Adding events up: one statement a table, whatever the number of rows.

Sums go to `recent` and move on from there (see `recent`); marks and distinct values, of which there are few, go to all
four levels at once.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter

from sqlalchemy import Connection, text
from sqlalchemy.sql.elements import TextClause

from tallybook.core.aggregate import Head, Placed, Where
from tallybook.core.instant import MINUTE_US
from tallybook.core.number import NANOS, to_limbs
from tallybook.core.window import month_bucket
from tallybook.ledger.bulk import Bulk
from tallybook.ledger.recent import Recent
from tallybook.ledger.rows import to_json, unfold
from tallybook.ledger.tables import SLOT, SLOTS, SUMS

_Form = tuple[int, bool]
"""How many slots a row fills, and whether all its sums are whole numbers below 10^9: most are, and cost less."""
_FORMS: tuple[_Form, ...] = ((0, True), *((slots, plain) for slots in range(1, SLOTS + 1) for plain in (True, False)))
_LEVELS = ((0, "minute"), (1, "minute / 60"), (2, "minute / 1440"), (3, "month"))
_BIGINT = "bigint"
_PLACE = ("account_no", "type_no", "minute", "series_no")
_GIVEN = ("account_no", "type_no", "series_no", "minute", "part")
"""Where a row goes, as it is given."""
_account_no = itemgetter(0)


class AddUp:
    """Writes aggregates inside the caller's transaction, which holds the lane of their accounts.

    `forget` follows where that transaction is rolled back.
    """

    def __init__(self, *, sqlite: bool) -> None:
        self._recent = Recent(sqlite=sqlite)
        self._add = {form: _recent_sql(form, sqlite=sqlite) for form in _FORMS}
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
        for form, of_form in _laid_out(placed.rows).items():
            of_form.sort()
            self._add[form].change(connection, of_form)
            added.update(map(_account_no, of_form))
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


def _laid_out(placed: Iterable[tuple[Head, Sequence[int]]]) -> dict[_Form, list[list[int]]]:
    """Return the rows by their form."""
    rows: dict[_Form, list[list[int]]] = {}
    plain: list[list[list[int]]] = [[] for _ in range(SLOTS + 1)]
    for head, row in placed:
        if len(row) > _PLAIN_MAX or not _lay_plain(head, row, plain):
            _lay_out(head, row, rows)
    for slots, of_form in enumerate(plain):
        if of_form:
            rows.setdefault((slots, True), []).extend(of_form)
    return rows


_PLAIN_MAX = 2 * SLOTS + 3


def _lay_plain(head: Head, row: Sequence[int], plain: list[list[list[int]]]) -> bool:
    """Add a row of one part whose sums are all whole numbers below 10^9 to *plain*, by its slots; False for others."""
    flat = [*head, row[1], 0, row[2]]
    for place in range(4, len(row), 2):
        unit, nano = divmod(row[place], NANOS)
        if nano or not 0 <= unit < NANOS:
            return False
        flat += (row[place - 1], unit)
    plain[len(row) // 2 - 1].append(flat)
    return True


def _lay_out(head: Head, row: Sequence[int], rows: dict[_Form, list[list[int]]]) -> None:
    """Add any row to *rows*, by its form, as parts of at most SLOTS; the first part says how many events there were."""
    fields = len(row) // 2 - 1
    for part in range(max(1, -(-fields // SLOTS))):
        first, end = part * SLOTS, min(fields, (part + 1) * SLOTS)
        flat = [*head, row[1], part, 0 if part else row[2]]
        for place in range(2 * first + 3, 2 * end + 3, 2):
            flat += (row[place], *to_limbs(row[place + 1]))
        rows.setdefault((end - first, end == first), []).append(flat)


def _recent_sql(form: _Form, *, sqlite: bool) -> Bulk:
    """Return the statement for rows of that form; other slots and limbs stay as they are, in new rows zero.

    SQLite adds rows of one key one after the other, and is quicker if it need not group them first; PostgreSQL refuses
    to change a row twice in one statement.
    """
    slots, is_plain = form
    parts = ("count", "unit") if is_plain else SLOT
    filled = ("events", *(f"{name}_{n}" for n in range(1, slots + 1) for name in parts))
    key = (*_PLACE, "part")
    picks = filled if sqlite else tuple(f"sum({name})" for name in filled)
    empty = tuple(name for name in SUMS if name not in filled)
    grouped = "" if sqlite else f" GROUP BY {', '.join(key)}"
    update = ", ".join(f"{name} = recent.{name} + excluded.{name}" for name in filled)
    return Bulk(
        f"INSERT INTO recent ({', '.join((*key, *filled, *empty))})"
        f" SELECT {', '.join((*key, *picks, *('0' for _ in empty)))} FROM ({{rows}}) s WHERE true{grouped}"
        f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {update}",
        [(name, _BIGINT) for name in (*_GIVEN, *filled)],
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
