"""The statements that add usage up: rollups by segments, and beside them the rows of `recent`, by spans of minutes.

What both say of a window and group adds up to the truth (see `recent`); each is a row of the statement, of columns that
are folded, and whoever reads them adds them. Segments and spans are unfolded from JSON, each one range of the table's
key.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.sql.elements import TextClause

from tallybook.core.number import NANOS
from tallybook.ledger.hot import Hot
from tallybook.ledger.rows import fold_columns, once
from tallybook.ledger.tables import LIMBS, SLOT, SLOTS
from tallybook.ledger.usage_groups import GroupForm, Groups

UNITS_JOINED_MAX, NANOS_JOINED_MAX = 4 * 10**9, 4 * 10**18
"""Up to which units and nanos make one number of 64 bits together."""

_SEGMENT = [(name, "bigint") for name in ("level", "low", "high", "window_no", "stride")]
_MINUTES = [(name, "bigint") for name in ("low", "high", "window_no", "stride", "size")]
_MINE = "r.account_no = :account_no AND r.type_no = :type_no"
_OF_ROLLUPS = "s.window_no + s.stride * (r.bucket - s.low)"
_OF_RUN = "r.bucket + :shift"
_OF_RECENT = "s.window_no + s.stride * ((r.minute - s.low) / s.size)"
_IN_SEGMENT = "r.level = s.level AND r.bucket >= s.low AND r.bucket < s.high"
_IN_MINUTES = "r.minute >= s.low AND r.minute < s.high"


def _names(slots: Sequence[int]) -> list[str]:
    return [f"{name}_{slot % SLOTS + 1}" for slot in slots for name in SLOT]


def _columns(slots: Sequence[int]) -> str:
    return "".join(f", sum(r.{name}) AS {name}" for name in _names(slots))


class Form(NamedTuple):
    """How a statement looks that adds sums up.

    Attributes:
        columns: Which of SUMS it adds up.
        sums: Of which slots it adds up the limbs, and joins them (see `joined`).
        wholes: Of which it adds them up and takes the units (see `whole`).
        groups: Which series count, and in which groups.
        most: How many rollups it may read one by one where nobody knows how many there are.
        sqlite: For which store it is.
        parted: Whether there are several parts of a row, so that it has to say which.
    """

    columns: tuple[str, ...]
    sums: tuple[int, ...]
    wholes: tuple[int, ...]
    groups: GroupForm
    most: int
    sqlite: bool
    parted: bool = True


def joined(row: str, slot: int, *, sqlite: bool) -> str:
    """Return the nanos of one sum, as one number: fewer numbers to write and to read than three limbs are.

    SQLite would make a float of what is beyond 64 bits, so what might be is the limbs as a text there (see `Usage`).
    """
    giga, unit, nano = (f"{row}.{limb}_{slot % SLOTS + 1}" for limb in LIMBS)
    fits = (
        f"{giga} = 0 AND {unit} BETWEEN -{UNITS_JOINED_MAX} AND {UNITS_JOINED_MAX}"
        f" AND {nano} BETWEEN -{NANOS_JOINED_MAX} AND {NANOS_JOINED_MAX}"
    )
    if sqlite:
        beyond = f"{giga} || ' ' || {unit} || ' ' || {nano}"
    else:
        beyond = f"{giga}::numeric * {NANOS * NANOS} + {unit}::numeric * {NANOS} + {nano}"
    return f"CASE WHEN {fits} THEN {unit} * {NANOS} + {nano} ELSE {beyond} END"


def whole(row: str, slot: int, *, sqlite: bool) -> str:
    """Return the units of one sum that has no fraction, which are shorter than nanos; or its limbs, as a text."""
    giga, unit, nano = (f"{row}.{limb}_{slot % SLOTS + 1}" for limb in LIMBS)
    limbs = f"{giga} || ' ' || {unit} || ' ' || {nano}"
    if not sqlite:
        unit, limbs = f"to_jsonb({unit})", f"to_jsonb({limbs})"  # both in one column
    return f"CASE WHEN {giga} = 0 AND {nano} = 0 THEN {unit} ELSE {limbs} END"


def _sums(row: str, form: Form) -> list[str]:
    """Return what is told of the limbs of *row*."""
    joint = [joined(row, slot, sqlite=form.sqlite) for slot in form.sums]
    return joint + [whole(row, slot, sqlite=form.sqlite) for slot in form.wholes]


@lru_cache(maxsize=256)
def rows_sql(form: Form) -> Hot:
    """Return the rows of one run of buckets as they are: adding them up costs more, unless they are very many."""
    return _rows_sql(form, None)


@lru_cache(maxsize=256)
def some_rows_sql(form: Form) -> Hot:
    """Return the same, of no more than *most* rollups."""
    return _rows_sql(form, form.most)


def _rows_sql(form: Form, most: int | None) -> Hot:
    groups = Groups(form.groups, sqlite=form.sqlite)
    columns = [groups.number] if form.groups.told else []
    columns += [f"r.{name}" for name in form.columns]
    columns += _sums("r", form)
    names, run = [_OF_RUN, *columns], _run_source(groups, form)
    if most is not None:
        picks = ", ".join(f"{column} AS c{place}" for place, column in enumerate(names))
        names = [f"c{place}" for place in range(len(names))]
        run = f"FROM (SELECT {picks} {run} LIMIT {most}) x"  # no parameter: SQLite would plan anew each time
    recent = fold_columns((_OF_RECENT, *columns), _recent_source(groups, form), sqlite=form.sqlite)
    return Hot(f"{groups.list}{fold_columns(names, run, sqlite=form.sqlite)} UNION ALL {recent}")


@lru_cache(maxsize=256)
def run_sql(form: Form) -> Hot:
    """Return the sums of one run of buckets, bucket by bucket: the order of the key, so nothing is sorted."""
    groups = Groups(form.groups, sqlite=form.sqlite)
    recent = _recent_source(groups, form)
    return _added_up(form, groups, ((_OF_RUN, _run_source(groups, form), "r.bucket"), (_OF_RECENT, recent, "1")))


@lru_cache(maxsize=256)
def sums_sql(form: Form) -> Hot:
    """Return the sums of any segments by window."""
    groups = Groups(form.groups, sqlite=form.sqlite)
    rollups = (
        f"FROM ({once('rows', _SEGMENT, sqlite=form.sqlite)}) s CROSS JOIN rollups r{groups.join}"
        f" WHERE {_MINE} AND {_IN_SEGMENT}{_part(form)}{groups.match}"
    )
    recent = _recent_source(groups, form)
    return _added_up(form, groups, ((_OF_ROLLUPS, rollups, "1"), (_OF_RECENT, recent, "1")))


def _added_up(form: Form, groups: Groups, arms: Sequence[tuple[str, str, str]]) -> Hot:
    """Return the statement that adds up each of *arms*: a window, its source, and what tells windows apart there."""
    limbs = [f"{limb}_{slot % SLOTS + 1}" for slot in form.sums + form.wholes for limb in LIMBS]
    sums = "".join(f", sum(r.{name}) AS {name}" for name in (*form.columns, *limbs))
    totals = _sums("x", form)
    grp, told, by_group = (
        (f", {groups.number} AS grp", ("grp",), f", {groups.number}") if form.groups.told else ("", (), "")
    )
    folded = [
        fold_columns(
            ("w", *told, *form.columns, *totals),
            f"FROM (SELECT {window} AS w{grp}{sums} {source} GROUP BY {by}{by_group}) x",
            sqlite=form.sqlite,
        )
        for window, source, by in arms
    ]
    return Hot(groups.list + " UNION ALL ".join(folded))


def _run_source(groups: Groups, form: Form) -> str:
    return (
        f"FROM rollups r{groups.join} WHERE {_MINE} AND r.level = :level AND r.bucket >= :low AND r.bucket < :high"
        f"{_part(form)}{groups.match}"
    )


def _recent_source(groups: Groups, form: Form) -> str:
    return (
        f"FROM ({once('minutes', _MINUTES, sqlite=form.sqlite)}) s CROSS JOIN recent r{groups.join}"
        f" WHERE {_MINE} AND {_IN_MINUTES}{_part(form)}{groups.match}"
    )


def _part(form: Form) -> str:
    return " AND r.part = :part" if form.parted else ""


@lru_cache(maxsize=16)
def by_place_sql(table: str, wanted: str, *, grouped: bool, sqlite: bool) -> Hot:
    """Return the greatest mark, or the distinct values, of any segments by window: these are in one place only."""
    groups = Groups(GroupForm(picked=grouped, told=grouped), sqlite=sqlite)
    source = (
        f"FROM ({once('rows', _SEGMENT, sqlite=sqlite)}) s CROSS JOIN {table} r{groups.join}"
        f" WHERE {_MINE} AND {_IN_SEGMENT}{groups.match} AND r.place = :place"
    )
    picks = f"{_OF_ROLLUPS} AS w, {groups.number} AS grp, {wanted}"
    if table == "marks":
        return Hot(f"{groups.list}SELECT {picks} {source} GROUP BY 1, 2")
    return Hot(f"{groups.list}SELECT DISTINCT {picks} {source}")


@lru_cache(maxsize=64)
def ranking_sql(slots: tuple[int, ...], *, by_series: bool, sqlite: bool) -> TextClause:
    """Return the sums of any segments by account, and by series if asked."""
    dims = "x.dims" if by_series else "'{}'"
    join = " JOIN series x ON x.account_no = r.account_no AND x.series_no = r.series_no" if by_series else ""
    return text(
        " UNION ALL ".join(
            f"SELECT a.account_id, {dims} AS dims, sum(r.events){_columns(slots)} FROM accounts a"
            f" CROSS JOIN ({once(parameter, columns, sqlite=sqlite)}) s JOIN {table} r"
            f" ON r.account_no = a.account_no AND r.type_no = :type_no AND {inside} AND r.part = :part{join}"
            " GROUP BY a.account_id, dims"
            for parameter, columns, table, inside in (
                ("rows", _SEGMENT, "rollups", _IN_SEGMENT),
                ("minutes", _MINUTES, "recent", _IN_MINUTES),
            )
        )
    )


_SAME = "o.account_no = r.account_no AND o.type_no = r.type_no AND o.series_no = r.series_no AND o.part = r.part"
_TAKEN_BACK = "coalesce((SELECT o.events FROM {} o WHERE {} AND {}), 0)"


@lru_cache(maxsize=4)
def first_minute_sql(*, grouped: bool, sqlite: bool) -> Hot:
    """Return the first minute in which a series has events that were not all taken back."""
    groups = Groups(GroupForm(picked=grouped, told=grouped), sqlite=sqlite)
    firsts = []
    for table, at, level, other, same in (
        ("rollups", "bucket", "r.level = 0 AND ", "recent", "o.minute = r.bucket"),
        ("recent", "minute", "", "rollups", "o.level = 0 AND o.bucket = r.minute"),
    ):
        rest = _TAKEN_BACK.format(other, _SAME, same)
        wanted = " AND r.series_no IN (SELECT series_no FROM g)" if grouped else ""
        firsts.append(
            f"SELECT * FROM (SELECT r.{at} AS at FROM {table} r WHERE {_MINE} AND {level}r.part = 0"
            f" AND r.{at} >= :low AND r.{at} < :high AND r.events + {rest} <> 0"
            f"{wanted} ORDER BY r.{at} LIMIT 1) {table}_first"
        )
    return Hot(f"{groups.list}SELECT min(at) FROM ({' UNION ALL '.join(firsts)}) x")


SPAN = Hot(
    "SELECT (SELECT min(minute) FROM recent WHERE account_no = :account_no AND type_no = :type_no),"
    " (SELECT max(minute) FROM recent WHERE account_no = :account_no AND type_no = :type_no)"
)
"""The first and the last minute of a type of which `recent` has anything."""
