"""Meters and the questions asked of them: a named aggregation over the events of one type.

Not for where meters come from (see `catalogue`) nor for adding numbers up (see `aggregate`).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from itertools import repeat
from operator import floordiv, mul
from types import MappingProxyType

from tallybook.core.number import NANOS
from tallybook.core.window import Span

GROUP_DIMENSIONS_MAX = 4
"""Most dimensions of one ``group_by``."""

INCREMENT_S_MAX = 3_600
"""Most seconds that a duration is rounded up to at a time."""

FLAGS_KEPT_MAX = 1_000
"""Most conditions of which is remembered what their flag is called: every question asks."""

_NO_FILTERS: Mapping[str, tuple[str, ...]] = MappingProxyType({})


class Aggregation(StrEnum):
    """How a meter makes one number of many events.

    ``count`` counts events (those that carry *field*, where one is named); ``sum``, ``min`` and ``max`` work on a
    quantity field, ``last`` takes it from the event with the latest time, ``unique`` counts its distinct values
    exactly.
    """

    COUNT = "count"
    SUM = "sum"
    MIN = "min"
    MAX = "max"
    LAST = "last"
    UNIQUE = "unique"


class Share(StrEnum):
    """Which share of a money meter is meant.

    ``all``: what events carry themselves, and the price of the others. ``carried``: only the former. ``uncarried``: how
    many events do not carry an amount, so that a rate card can price them.
    """

    ALL = "all"
    CARRIED = "carried"
    UNCARRIED = "uncarried"


class Operator(StrEnum):
    """How a condition compares a field of the event."""

    IN = "in"
    GTE = "gte"
    LT = "lt"


@dataclass(frozen=True, slots=True)
class Increments:
    """How a duration is rounded up before it is added up: *first* at least, then by *next*; none at all stays none.

    Calls are billed like this: 60/60 is by the started minute, 60/6 is a minute at least and then by six seconds.
    """

    first: int
    next: int

    @property
    def suffix(self) -> str:
        """What the meter of rounded values is called after the plain one: ``60_60``."""
        return f"{self.first}_{self.next}"

    def field(self, name: str) -> str:
        """Return what rollups call the rounded values of a field."""
        return f"^{self.first}/{self.next} {name}"

    def rounded(self, nanos: int) -> int:
        """Return a duration, rounded up."""
        if nanos <= 0:
            return 0
        beyond = max(0, nanos - self.first * NANOS)
        return (self.first + -(-beyond // (self.next * NANOS)) * self.next) * NANOS


def plain_field(name: str) -> tuple[str, Increments | None]:
    """Return the field of the event that *name* comes from, and how it is rounded."""
    if not name.startswith("^"):
        return name, None
    told, _, field_name = name[1:].partition(" ")
    first, _, following = told.partition("/")
    return field_name, Increments(int(first), int(following))


@dataclass(frozen=True, slots=True)
class Condition:
    """An event counts for a meter only if *field* passes; *values* are texts for ``in``, one number otherwise."""

    field: str
    operator: Operator
    values: tuple[str, ...]

    @property
    def flag(self) -> str:
        """Name of the hidden dimension that remembers the outcome in a series."""
        return _flag(self.field, self.operator, self.values)


@lru_cache(maxsize=FLAGS_KEPT_MAX)
def _flag(name: str, operator: Operator, values: tuple[str, ...]) -> str:
    return f"?{name} {operator} {json.dumps(values, ensure_ascii=False)}"


@dataclass(frozen=True, slots=True)
class Meter:
    """A named aggregation over the events of one type.

    Attributes:
        event_types: The types it reads; one, except for sums over several fields.
        fields: Quantity fields that are added up (several only for ``sum``); empty for a plain ``count``. One that
            begins with ``^`` is rounded up first (see `plain_field`).
        dimensions: What it can be grouped and filtered by.
        conditions: All must hold for an event to count.
        priced_by: For a money meter: name of the count meter whose events cost the account's unit price where
            they do not carry the field themselves; None for every other meter.
    """

    name: str
    event_type: str
    aggregation: Aggregation
    fields: tuple[str, ...] = ()
    dimensions: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    unit: str = ""
    description: str = ""
    priced_by: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of one meter.

    Attributes:
        meter: Name of the meter.
        windows: Ascending, disjoint spans; the answer has one value for each.
        group_by: Dimensions of the meter; empty for one group of everything.
        filters: Dimension -> accepted values.
        share: Of a money meter.
    """

    meter: str
    windows: Sequence[Span]
    group_by: tuple[str, ...] = ()
    filters: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _NO_FILTERS)
    share: Share = Share.ALL


class Counted(Mapping[tuple[str | None, ...], Sequence[int]]):
    """The values in nanos of groups that were counted, or had no fractions, made when somebody asks for them.

    Attributes:
        counts: The same in units.
    """

    __slots__ = ("_nanos", "counts")

    def __init__(self, counts: Mapping[tuple[str | None, ...], Sequence[int]]) -> None:
        self.counts = counts
        self._nanos: dict[tuple[str | None, ...], Sequence[int]] = {}

    def __getitem__(self, key: tuple[str | None, ...]) -> Sequence[int]:
        nanos = self._nanos.get(key)
        if nanos is None:
            nanos = self._nanos[key] = list(map(mul, self.counts[key], repeat(NANOS)))
        return nanos

    def __iter__(self) -> Iterator[tuple[str | None, ...]]:
        return iter(self.counts)

    def __len__(self) -> int:
        return len(self.counts)


@dataclass(frozen=True, slots=True)
class Answer:
    """One value in nanos per window and group.

    Ungrouped, the only group is ``()`` and it is always there, zeros included. Grouped, a group is the tuple of its
    dimension values (None where events did not say) and exists if it has any usage in any window.
    """

    question: Question
    groups: Mapping[tuple[str | None, ...], Sequence[int]]

    @property
    def values(self) -> Sequence[int]:
        """The values of an ungrouped answer, one per window."""
        return self.groups[()]

    @property
    def is_whole(self) -> bool:
        """Whether *counts* are the values, of which nothing is cut off."""
        return isinstance(self.groups, Counted)

    @property
    def counts(self) -> Sequence[int]:
        """The values of an ungrouped answer in units, whatever is beyond the point cut off."""
        if isinstance(self.groups, Counted):
            return self.groups.counts[()]
        return list(map(floordiv, self.groups[()], repeat(NANOS)))

    @property
    def total(self) -> int:
        """The sum of all values of an ungrouped answer."""
        if isinstance(self.groups, Counted):
            return sum(self.groups.counts[()]) * NANOS
        return sum(self.groups[()])

    @property
    def value(self) -> int:
        """The value of an ungrouped answer over a single window."""
        (only,) = self.groups[()]
        return only
