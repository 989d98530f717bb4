"""Sums of usage as the ledger adds them up, column by column, and which of them somebody wants.

A year of days is some thousand numbers: as lists of integers, a list for each of the few columns that are wanted, they
are written, read and added up in a fraction of the time that as many small rows take.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, compress

import msgspec


class Wanted(msgspec.Struct, frozen=True):
    """What is added up: how many *events*, in which slots how many carried the field, and in which its sum."""

    events: bool = False
    counts: tuple[int, ...] = ()
    sums: tuple[int, ...] = ()

    @property
    def slots(self) -> frozenset[int]:
        """The slots of which anything is wanted."""
        return frozenset(self.counts + self.sums)

    def within(self, slots: range) -> "Wanted":
        """Return what is wanted of some slots; events are counted beside the first of all."""
        counts = tuple([slot for slot in self.counts if slot in slots])
        return Wanted(self.events and 0 in slots, counts, tuple([slot for slot in self.sums if slot in slots]))


NOTHING_WANTED = Wanted()


def join_wanted(several: Sequence[Wanted]) -> Wanted:
    """Return all that one or another wants."""
    if len(several) == 1:
        return several[0]
    counts = {*chain.from_iterable(one.counts for one in several)}
    sums = {*chain.from_iterable(one.sums for one in several)}
    return Wanted(any(one.events for one in several), tuple(sorted(counts)), tuple(sorted(sums)))


class Place(msgspec.Struct, frozen=True):
    """Where a question's numbers lie.

    Attributes:
        wanted: Sums, by slots from 0.
        place: Which mark or unique, where it is about those.
        summary: Whether days and months may be read from summaries, which do not tell free text apart.
        summaries: How many summaries a day may well have; 0 where nobody knows.
        fields: How many fields of the type are added up; None where nobody knows.
    """

    account_no: int
    type_no: int
    wanted: Wanted = NOTHING_WANTED
    place: int = 0
    summary: bool = False
    summaries: int = 0
    fields: int | None = None


class SumRows(msgspec.Struct, frozen=True):
    """Rows of sums, some of which may be of the same window and group; each column has one value a row.

    Attributes:
        windows: Which window a row is of.
        groups: Which group; None where all are of group 0.
        events: How many events; None where that is not told here.
        counts: By slot, how many events carried the field.
        sums: By slot, the sum of the field in nanos.
        wholes: By slot, the sum in units, where there are no fractions in any row; it is not among *sums* then.
    """

    windows: Sequence[int]
    groups: Sequence[int] | None = None
    events: Sequence[int] | None = None
    counts: Mapping[int, Sequence[int]] = {}
    sums: Mapping[int, Sequence[int]] = {}
    wholes: Mapping[int, Sequence[int]] = {}

    def numbers(self) -> Sequence[int]:
        """Return the groups that there are rows of, each once."""
        if self.groups is None:
            return (0,) if self.windows else ()
        return tuple(dict.fromkeys(self.groups))

    def between(self, first: int, end: int) -> "SumRows":
        """Return the rows of windows from *first* to before *end*, which is window 0 and so on there."""
        inside = [first <= window < end for window in self.windows]

        def pick(column: Iterable[int] | None) -> list[int] | None:
            return None if column is None else list(compress(column, inside))

        return SumRows(
            [window - first for window in compress(self.windows, inside)],
            pick(self.groups),
            pick(self.events),
            {slot: list(compress(column, inside)) for slot, column in self.counts.items()},
            {slot: list(compress(column, inside)) for slot, column in self.sums.items()},
            {slot: list(compress(column, inside)) for slot, column in self.wholes.items()},
        )

    def at(self, places: Sequence[int]) -> "SumRows":
        """Return the same rows, where window 0 is the first of *places* and so on."""
        windows = [places[window] for window in self.windows]
        return SumRows(windows, self.groups, self.events, self.counts, self.sums, self.wholes)
