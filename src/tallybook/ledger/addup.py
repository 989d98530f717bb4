"""Adding a tally to the rollups: one statement a table, whatever the number of rows, at all four levels at once."""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, text
from sqlalchemy.sql.elements import TextClause

from tallybook.core.aggregate import Tally
from tallybook.core.ids import AccountId
from tallybook.core.instant import MINUTE_US
from tallybook.core.number import to_limbs
from tallybook.core.window import month_bucket
from tallybook.ledger.rows import to_json, unfold
from tallybook.ledger.series import SeriesNumbers
from tallybook.ledger.tables import SLOTS

_SLOT_COLUMNS = tuple(f"{name}_{n}" for n in range(1, SLOTS + 1) for name in ("count", "giga", "unit", "nano"))
_LEVELS = ((0, "minute"), (1, "minute / 60"), (2, "minute / 1440"), (3, "month"))
_BIGINT = "bigint"
_PLACE = [(name, _BIGINT) for name in ("account_no", "type_no", "series_no", "minute", "month")]


class AddUp:
    """Writes tallies inside the caller's transaction, which holds the lane of their accounts."""

    def __init__(self, *, sqlite: bool) -> None:
        def source(*columns: tuple[str, str]) -> str:
            return unfold("rows", (*_PLACE, *columns), sqlite=sqlite)

        counts = ("part", "events", *_SLOT_COLUMNS)
        self._rollups = _by_level(
            "rollups",
            source(*[(n, _BIGINT) for n in counts]),
            keys=("part",),
            sums={n: f"sum({n})" for n in counts[1:]},
            update=", ".join(f"{n} = rollups.{n} + excluded.{n}" for n in counts[1:]),
        )
        self._marks = _by_level(
            "marks",
            source(("place", _BIGINT), ("mark", "text")),
            keys=("place",),
            sums={"mark": "max(mark)"},
            update="mark = CASE WHEN excluded.mark > marks.mark THEN excluded.mark ELSE marks.mark END",
        )
        self._uniques = _by_level(
            "uniques",
            source(*[(n, _BIGINT) for n in ("place", "value_hi", "value_lo")]),
            keys=("place", "value_hi", "value_lo"),
            sums={},
            update="",
        )

    def write(
        self, connection: Connection, tally: Tally, accounts: Mapping[AccountId, int], numbers: SeriesNumbers
    ) -> None:
        """Add *tally* to the rollups; its series have been resolved in *numbers*."""
        months: dict[int, int] = {}
        places = {key: (accounts[key[0]], key[1], numbers[key]) for key in tally.series()}
        rows: list[Sequence[int]] = []
        for (key, minute), row in tally.rows.items():
            day = minute // 1440
            month = months.get(day)
            if month is None:
                month = months[day] = month_bucket(minute * MINUTE_US)
            where = (*places[key], minute, month)
            rows.extend(_parts(where, row))
        rows.sort()
        if rows:
            connection.execute(self._rollups, {"rows": to_json(rows)})
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


def _parts(where: tuple[int, ...], row: list[int]) -> list[list[int]]:
    """Lay a tally's row out as rollup rows of SLOTS fields each; the event count stands in the first."""
    parts = []
    events, values = row[0], row[1:]
    for part in range(max(1, -(-len(values) // (2 * SLOTS)))):
        flat = [*where, part, events if part == 0 else 0]
        for place in range(part * 2 * SLOTS, (part + 1) * 2 * SLOTS, 2):
            flat += (values[place], *to_limbs(values[place + 1])) if place < len(values) else (0, 0, 0, 0)
        parts.append(flat)
    return parts


def _by_level(table: str, source: str, *, keys: tuple[str, ...], sums: dict[str, str], update: str) -> TextClause:
    """Return the statement that adds minute rows to all four levels of *table*."""
    key = ("account_no", "type_no", "level", "bucket", "series_no", *keys)
    selects = " UNION ALL ".join(
        f"SELECT account_no, type_no, {level} AS level, {bucket} AS bucket, series_no, "
        + ", ".join((*keys, *(f"{formula} AS {name}" for name, formula in sums.items())))
        + f" FROM s GROUP BY account_no, type_no, {bucket}, series_no, {', '.join(keys)}"
        for level, bucket in _LEVELS
    )
    action = f"({', '.join(key)}) DO UPDATE SET {update}" if update else "DO NOTHING"
    return text(
        f"WITH s AS MATERIALIZED ({source}) INSERT INTO {table} ({', '.join((*key, *sums))})"
        f" SELECT * FROM ({selects}) l WHERE true ON CONFLICT {action}"
    )
