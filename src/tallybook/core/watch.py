"""Watching accounts from inside ingest: what the ledger asks of whoever knows limits, and what it offers for that.

The ledger counts down how much is left until the next threshold (a *watch*); only where nothing may be left is the
account looked at exactly. Not for when a threshold is crossed (see `alert`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from tallybook.core.alert import Told
from tallybook.core.crossing import Crossing
from tallybook.core.desk import Desk
from tallybook.core.limit import Limit
from tallybook.core.plan import Account
from tallybook.core.ports import UsageSnapshot
from tallybook.core.rules import NO_RULES, Budget, Own, Rules
from tallybook.core.scheme import Scheme
from tallybook.core.threshold import Threshold
from tallybook.core.window import Span

LATE_DAYS = 35
"""How far back a closed period may end to be looked at still: as far as events are accepted."""


@dataclass(frozen=True, slots=True)
class Gauge:
    """How events of one type lower what is left of a subject: at most by what this says.

    Attributes:
        by_period: Whether each billing period is counted on its own.
        slots: Which summed fields count; none where the events do.
        price: What one unit costs at most, in nanos of money, for budgets; 0 where units are counted themselves.
        mark: For last and extreme values: their place among the marks of the shape. They are not counted down: what is
            *left* is the value from which on to look, 0 while something stands.
        is_least: Whether it is a smallest value.
        always: Whether nothing can be said beforehand, so that every touch is looked at.
        least: The usage, in nanos, below which no threshold is reached; None where the sum of all usage of the type
            says nothing about that.
    """

    subject: str
    type_no: int
    by_period: bool
    slots: tuple[int, ...] = ()
    price: int = 0
    mark: int | None = None
    is_least: bool = False
    always: bool = False
    least: int | None = None


_NO_GAUGES: Mapping[int, tuple[Gauge, ...]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Watched:
    """What is watched of an account; the same object for all accounts of a plan version that have nothing of their own.

    Attributes:
        gauges: By the type number of rollups.
        things: Kinds of resources -> the limits on them.
        slots: Limits on concurrency.
        limits: All limits with a quantity and thresholds, by name; *budgets* by subject.
        all_limits: All that are in force, for limits that speak for a value of another one's dimension.
        marked: The limits on last and extreme values.
        bounds: The gauges with *least*, by subject.
        until_us: When limits change by themselves, because an add-on or a plan begins or ends; 0 for never.
    """

    gauges: Mapping[int, tuple[Gauge, ...]] = field(default_factory=lambda: _NO_GAUGES)
    things: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    slots: tuple[str, ...] = ()
    limits: Mapping[str, tuple[Limit, tuple[Threshold, ...]]] = field(default_factory=lambda: MappingProxyType({}))
    all_limits: tuple[Limit, ...] = ()
    budgets: Mapping[str, Budget] = field(default_factory=lambda: MappingProxyType({}))
    marked: frozenset[str] = frozenset()
    bounds: Mapping[str, Gauge] = field(default_factory=lambda: MappingProxyType({}))
    rules: Rules = NO_RULES
    until_us: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing can ever be crossed."""
        return not (self.limits or self.budgets)


NOTHING_WATCHED = Watched()


@dataclass(frozen=True, slots=True)
class Left:
    """How much more may be used, in nanos, before a subject has to be looked at again; None for as much as you like.

    Of a last or extreme value: from which value on.
    """

    subject: str
    period_us: int
    left: int | None


ToldBefore = Mapping[tuple[str, int], Mapping[str, Mapping[int, Told]]]
"""(subject, period) -> value -> percent -> what was told."""


class WatchDesk(Protocol):
    """A lane's transaction, as those see it who watch."""

    @property
    def lane(self) -> Desk:
        """All else that is true in it."""
        ...

    def told(self, account_no: int, periods_us: Sequence[int]) -> ToldBefore:
        """Return what was told of an account in these periods."""
        ...

    def cross(self, account_no: int, crossing: Crossing, now_us: int) -> bool:
        """Write a crossing and, unless it is late, its message; False if it was there already."""
        ...

    def rearm(
        self, account_no: int, subject: str, value: str, period_us: int, percents: Sequence[int], *, now_us: int
    ) -> None:
        """Note that these thresholds stand no longer."""
        ...

    def look_again(self, account_no: int, subject: str, recheck_us: int) -> None:
        """Put off the next look at what stands of a subject."""
        ...


class Watcher(Protocol):
    """Knows limits and figures: `flows.watch`."""

    def watched(self, desk: Desk, account: Account, own: Own, scheme: Scheme, now_us: int) -> Watched:
        """Return what is to be watched of an account."""
        ...

    def look(
        self, desk: WatchDesk, account: Account, watched: Watched, due: Sequence[tuple[str, int]], now_us: int
    ) -> list[Left]:
        """Look at (subject, period) exactly, tell what was crossed, and return what is left of each."""
        ...


class SpentReader(Protocol):
    """What the usage of an account costs."""

    def spent(self, snapshot: UsageSnapshot, account: Account, span: Span) -> int:
        """Return the cost of *span*, in nanos of the plan's currency, as *snapshot* sees it."""
        ...

    def dearest(self, account: Account) -> Mapping[str, int] | None:
        """Return what one more unit of each priced meter can cost at most, in nanos of money for each unit.

        None where that cannot be told: budgets are then looked at whenever the account is touched.
        """
        ...

    def currency(self, account: Account) -> str:
        """Return the currency of the account's prices."""
        ...
