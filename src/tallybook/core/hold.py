"""Asking before going on: what is asked of limits, what the answer is, and quantities held until it is settled.

A "no" is a `Decision`, not an error. Not for concurrency slots (see `lease`), nor for counting usage (see
`flows.admit`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from tallybook.core.errors import FieldInvalid, NotFound
from tallybook.core.limit import Limit, LimitKind, LimitState, Mode, matches
from tallybook.core.plan import BillingStatus

ITEMS_MAX = 20
TTL_S_DEFAULT, TTL_S_MAX = 60, 24 * 3600
HOLDS_LIVE_MAX = 10_000
"""Most live reservations of one account."""
SUSPENDED = "suspended"

_COUNTED = frozenset({LimitKind.PERIOD, LimitKind.ROLLING, LimitKind.LIFETIME, LimitKind.STOCK})


@dataclass(frozen=True, slots=True)
class Wanted:
    """A quantity that is asked of one limit.

    Attributes:
        limit: Name of the limit.
        quantity: In nanos of the limit's unit.
        value: For a limit with *per*: the value of that dimension; "" otherwise.
    """

    limit: str
    quantity: int
    value: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """A limit as it stands against what is asked of it.

    Attributes:
        state: Used and held before this request.
        wanted: What is asked, in nanos; 0 for a limit that is only looked at.
        frees_at_us: When the next unit comes free (a period's end, the oldest usage leaving a rolling window, a hold
            or lease ending), None if nothing that is known will free it.
    """

    state: LimitState
    wanted: int
    frees_at_us: int | None = None

    @property
    def fits(self) -> bool:
        """Whether the request may go on as far as this limit is concerned."""
        limit = self.state.limit
        if limit.mode is Mode.OVERAGE or limit.quantity is None:
            return True
        return self.state.used + self.state.held + self.wanted <= limit.quantity

    @property
    def over(self) -> bool:
        """Whether usage passes the limit's quantity with this request, allowed or not."""
        quantity = self.state.limit.quantity
        return quantity is not None and self.state.used + self.state.held + self.wanted > quantity


@dataclass(frozen=True, slots=True)
class Decision:
    """May this go on? All items or none; *violated* names the limits that say no."""

    standings: Sequence[Standing]
    reason: str | None = None

    @property
    def violated(self) -> list[str]:
        """Names of the limits that refuse, without repeats."""
        return list(dict.fromkeys(s.state.limit.name for s in self.standings if not s.fits))

    @property
    def allowed(self) -> bool:
        """Whether everything fits and the account is served at all."""
        return self.reason is None and all(standing.fits for standing in self.standings)

    @property
    def frees_at_us(self) -> int | None:
        """When trying again makes sense: all that refuse have freed something by then."""
        times = [s.frees_at_us for s in self.standings if not s.fits]
        known = [t for t in times if t is not None]
        return max(known) if known and len(known) == len(times) else None


class HoldState(StrEnum):
    """The life of a reservation; expiry is told by its time."""

    HELD = "held"
    COMMITTED = "committed"
    RELEASED = "released"


@dataclass(frozen=True, slots=True)
class Hold:
    """A reservation: quantities held until it is committed, released or expires."""

    hold_id: str
    state: HoldState
    expires_us: int
    items: Sequence[Wanted] = field(default_factory=tuple)

    def is_live(self, now_us: int) -> bool:
        """Whether its quantities count as held."""
        return self.state is HoldState.HELD and now_us < self.expires_us


def siblings(limits: Iterable[Limit], asked: Limit) -> list[Limit]:
    """Return *asked* and every other limit of its meter that the same usage counts against: the tightest decides.

    Those are the limits whose filter is part of the filter of *asked*; limits by dimension are only asked by name.
    """
    if asked.meter is None:
        return [asked]
    return [
        limit
        for limit in limits
        if limit is asked or (limit.meter == asked.meter and limit.per is None and matches(limit.filter, asked.filter))
    ]


def expand(limits: Sequence[Limit], wanted: Sequence[Wanted]) -> dict[tuple[str, str], tuple[Limit, int]]:
    """Return (limit, value) -> (limit, nanos) for all that *wanted* counts against, siblings included.

    Raises:
        NotFound: For a limit that the account does not have.
        FieldInvalid: For a limit that holds no quantities, or a missing or needless dimension.
    """
    by_name = {limit.name: limit for limit in limits}
    found: dict[tuple[str, str], tuple[Limit, int]] = {}
    for index, item in enumerate(wanted):
        asked = by_name.get(item.limit)
        if asked is None:
            raise NotFound(f"the account has no limit called {item.limit[:64]!r}", pointer=f"/items/{index}/limit")
        if asked.kind not in _COUNTED:
            raise FieldInvalid(f"is a {asked.kind} limit; ask for a lease", pointer=f"/items/{index}/limit")
        if bool(asked.per) != bool(item.value):
            say = f"must give the {asked.per}" if asked.per else "has no dimensions"
            raise FieldInvalid(f"the limit {asked.name} {say}", pointer=f"/items/{index}/dimensions")
        for limit in siblings(limits, asked):
            key = (limit.name, item.value if limit.per else "")
            known = found.get(key)
            found[key] = (limit, item.quantity + (0 if known is None else known[1]))
    return found


def refusal_of(status: str) -> str | None:
    """Return why an account with this billing status is not served, None if it is."""
    return SUSPENDED if status == BillingStatus.SUSPENDED else None


def overage(standings: Iterable[Standing]) -> Mapping[str, int]:
    """Return by how much, in nanos, each limit is passed by what was just committed."""
    passed = {}
    for standing in standings:
        quantity = standing.state.limit.quantity
        total = standing.state.used + standing.state.held + standing.wanted
        if quantity is not None and total > quantity:
            passed[standing.state.limit.name] = total - quantity
    return passed
