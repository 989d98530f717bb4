"""Adding events up: rows of rollups, marks for extremes and last values, and merging both.

Everything here merges in any order and any grouping to the same result; that is what makes rollups exact.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Protocol

import msgspec

from tallybook.core.ids import AccountId
from tallybook.core.instant import MINUTE_US
from tallybook.core.number import NANOS_MAX

Dimensions = tuple[str | None, ...]

_OFFSET = 10 * NANOS_MAX
_DIGITS = 26
_MASK = (1 << 64) - 1
_first: Callable[[tuple["SeriesKey", int]], "SeriesKey"] = itemgetter(0)


class Reading(msgspec.Struct, frozen=True, gc=False):
    """What one event says to the meters of its type.

    Attributes:
        type_no: The generation of the event type whose rollups it goes to.
        dimensions: Values in the order of the shape's dimensions.
        values: Nanos in the order of the shape's fields; None where the event does not carry the field.
        marks: (meter number, mark) for extremes and last values.
        uniques: (meter number, value_hi, value_lo) for distinct values.
    """

    type_no: int
    dimensions: Dimensions
    values: tuple[int | None, ...]
    marks: tuple[tuple[int, str], ...] = ()
    uniques: tuple[tuple[int, int, int], ...] = ()

    def adds(self) -> list[int]:
        """Return what it adds to a row: an event, then, per field, how many carry it and their sum."""
        adds = [1]
        for value in self.values:
            adds += (0, 0) if value is None else (1, value)
        return adds


SeriesKey = tuple[AccountId, int, Dimensions]


def add_to_row(row: list[int], other: Sequence[int], start: int = 0) -> None:
    """Add the numbers of another row from *start* on."""
    for place in range(start, len(row)):
        row[place] += other[place]


@dataclass(slots=True)
class Tally:
    """Aggregates of any number of readings, by series and minute.

    *rows* hold, per (series, minute), the number of events and then, per field, how many carried it and their sum.
    """

    rows: dict[tuple[SeriesKey, int], list[int]] = field(default_factory=dict)
    marks: dict[tuple[SeriesKey, int, int], str] = field(default_factory=dict)
    uniques: set[tuple[SeriesKey, int, int, int, int]] = field(default_factory=set)

    def add(self, account_id: AccountId, time_us: int, reading: Reading) -> None:
        """Count one event."""
        key = (account_id, reading.type_no, reading.dimensions)
        minute = time_us // MINUTE_US
        adds = reading.adds()
        row = self.rows.setdefault((key, minute), adds)
        if row is not adds:
            add_to_row(row, adds)
        for meter_no, mark in reading.marks:
            known = self.marks.get((key, minute, meter_no))
            if known is None or mark > known:
                self.marks[key, minute, meter_no] = mark
        for meter_no, value_hi, value_lo in reading.uniques:
            self.uniques.add((key, minute, meter_no, value_hi, value_lo))

    def take(self, account_id: AccountId, time_us: int, reading: Reading) -> None:
        """Take one event back that was counted before; what it made extreme or last stays."""
        key = ((account_id, reading.type_no, reading.dimensions), time_us // MINUTE_US)
        takes = [-number for number in reading.adds()]
        row = self.rows.setdefault(key, takes)
        if row is not takes:
            add_to_row(row, takes)

    def series(self) -> set[SeriesKey]:
        """Return every series that has a row."""
        return set(map(_first, self.rows))


Head = tuple[int, int, int]
"""Account, type and series, all by number: what a `PlacedRow` begins with."""
Where = tuple[int, int, int, int]
"""Account, type, minute and series, all by number."""


class NumberOfSeries(Protocol):
    """Which number a series has."""

    def get(self, key: SeriesKey) -> int | None:
        """Return the number of a series, None if it has none yet."""
        ...


PlacedRow = tuple[int, ...]
"""Account, type and series by number, one number without meaning, then minute, events and, per field, count and sum."""


@dataclass(slots=True)
class Placed:
    """Aggregates of any number of readings, by where the ledger keeps them; *marks* and *uniques* as a `Tally`.

    Several rows may be of one place: the ledger adds them up, which costs it less than it would cost to do so here.

    Attributes:
        rows: Those of which every number is at least 0 and below 2^63.
        wide: The others, of which some may be.
    """

    rows: list[PlacedRow] = field(default_factory=list)
    wide: list[PlacedRow] = field(default_factory=list)
    marks: dict[tuple[Where, int], str] = field(default_factory=dict)
    uniques: set[tuple[Where, int, int, int]] = field(default_factory=set)

    def add_mark(self, where: Where, place: int, mark: str) -> None:
        """Take a mark, if it is the greatest so far."""
        known = self.marks.get((where, place))
        if known is None or mark > known:
            self.marks[where, place] = mark

    def add_tally(self, tally: Tally, accounts: Mapping[AccountId, int], series: NumberOfSeries) -> None:
        """Add a tally whose accounts and series have these numbers."""

        def head(key: SeriesKey) -> Head:
            number = series.get(key)
            assert number is not None  # whoever adds a tally has seen to that
            return accounts[key[0]], key[1], number

        def where(key: SeriesKey, minute: int) -> Where:
            account_no, type_no, series_no = head(key)
            return account_no, type_no, minute, series_no

        self.wide += [(*head(key), 0, minute, *row) for (key, minute), row in tally.rows.items()]
        for (key, minute, place), mark in tally.marks.items():
            self.add_mark(where(key, minute), place, mark)
        self.uniques.update((where(key, minute), *rest) for key, minute, *rest in tally.uniques)  # type: ignore[misc]


# --- marks: text that sorts like the value --------------------------------------------------------------------------


def mark_max(nanos: int) -> str:
    """Return the mark of which the greatest belongs to the greatest value."""
    return f"{nanos + _OFFSET:0{_DIGITS}d}"


def mark_min(nanos: int) -> str:
    """Return the mark of which the greatest belongs to the smallest value."""
    return f"{_OFFSET - nanos:0{_DIGITS}d}"


def mark_last(nanos: int, time_us: int, tie: int) -> str:
    """Return the mark of which the greatest belongs to the latest event; *tie* (64 bits) decides among equals."""
    return f"{time_us:017d}{tie & _MASK:016x}{nanos + _OFFSET:0{_DIGITS}d}"


def value_of_max(mark: str) -> int:
    """Return the nanos that `mark_max` or `mark_last` wrote."""
    return int(mark[-_DIGITS:]) - _OFFSET


def value_of_min(mark: str) -> int:
    """Return the nanos that `mark_min` wrote."""
    return _OFFSET - int(mark)


def greatest(marks: Iterable[str]) -> str | None:
    """Return the mark that wins, None of none."""
    return max(marks, default=None)
