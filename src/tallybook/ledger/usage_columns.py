"""Rows of sums as statements fold them, one JSON text a column, read into columns of integers.

Not for the statements (see `usage_sql`).
"""

from collections.abc import Sequence

import msgspec

from tallybook.core.number import NANOS, from_limbs
from tallybook.core.sums import SumRows, Wanted
from tallybook.ledger.rows import from_column
from tallybook.ledger.tables import SLOTS
from tallybook.ledger.usage_sql import Form

_QUOTE = '"'


def columns_of(wanted: Wanted) -> tuple[str, ...]:
    """Return the columns that are wanted of one part of rollup rows, in the order that `read_sums` reads them."""
    counts = [f"count_{slot % SLOTS + 1}" for slot in wanted.counts]
    return (*(("events",) if wanted.events else ()), *counts)


def read_sums(row: Sequence[str], wanted: Wanted, form: Form) -> SumRows:
    """Read a row of a statement of *form* that was to tell what is *wanted*."""
    columns = iter(row)
    windows = from_column(next(columns))
    groups = from_column(next(columns)) if form.groups.told else None
    events = from_column(next(columns)) if wanted.events else None
    counts = {slot: from_column(next(columns)) for slot in wanted.counts}
    sums = {slot: _nanos(next(columns)) for slot in form.sums}
    wholes = {}
    for slot in form.wholes:
        folded = next(columns)
        if _QUOTE in folded:
            sums[slot] = _nanos(folded, unit=NANOS)
        else:
            wholes[slot] = from_column(folded)
    return SumRows(windows, groups, events, counts, sums, wholes)


def _nanos(folded: str, *, unit: int = 1) -> list[int]:
    """Read a column of numbers, of so many nanos each, and of limbs that are a text, once in a blue moon."""
    if _QUOTE not in folded:
        return from_column(folded)
    read = msgspec.json.decode(folded, type=list[int | str])
    return [one * unit if isinstance(one, int) else from_limbs(*map(int, one.split())) for one in read]
