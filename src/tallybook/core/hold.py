"""Asking before going on: what the answer is, and quantities held until it is settled.

A "no" is a `Decision`, not an error; the two refusals here are how a surface says it where nothing was granted. Not for
what a request asks of which limits (see `demand`), nor for concurrency slots (see `lease`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from tallybook.core.errors import TallybookError
from tallybook.core.limit import LimitState, Mode
from tallybook.core.number import to_text
from tallybook.core.plan import BillingStatus

TTL_S_DEFAULT, TTL_S_MAX = 60, 24 * 3600
HOLDS_LIVE_MAX = 10_000
"""Most live reservations on one limit of an account."""
HOLDS_KEPT_DAYS = 7
"""How long a reservation is remembered after it ended or expired; it may be committed late until then."""
SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A quantity that is asked of one limit.

    Attributes:
        limit: Name of the limit.
        quantity: In nanos of the limit's unit.
        value: For a limit with *per*: the value of that dimension; "" otherwise.
        dimension: The name of that dimension, as the caller gave it.
    """

    limit: str
    quantity: int
    value: str = ""
    dimension: str = ""


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
        return self.state.limit.mode is Mode.OVERAGE or not self.passed_by

    @property
    def passed_by(self) -> int:
        """By how much, in nanos, the limit's quantity is passed with this request, allowed or not; 0 if it is not."""
        quantity = self.state.limit.quantity
        if quantity is None:
            return 0
        return max(0, self.state.used + self.state.held + self.wanted - quantity)


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

    def require(self, now_us: int) -> None:
        """Refuse unless it is a yes.

        Raises:
            AccountSuspended: If the account is not served.
            QuotaExceeded: If a hard limit says no.
        """
        if self.reason is not None:
            raise AccountSuspended("the account is suspended: its invoice is unpaid and the days of grace are over")
        if not self.allowed:
            raise QuotaExceeded(self, now_us)


class QuotaExceeded(TallybookError):
    """A hard limit says no; *decision* tells which and where each stands, *now_us* is when that was decided."""

    code = "quota-exceeded"

    def __init__(self, decision: Decision, now_us: int) -> None:
        super().__init__(_refusal(decision))
        self.decision = decision
        self.now_us = now_us


class AccountSuspended(TallybookError):
    """The account did not pay: nothing is granted, while events are still counted and everything may be read."""

    code = "account-suspended"


def _refusal(decision: Decision) -> str:
    first = next(standing for standing in decision.standings if not standing.fits)
    state = first.state
    about = f" for {state.value[:64]!r}" if state.value else ""
    allowed = to_text(state.quantity or 0)
    taken = f"{to_text(state.used)} used, {to_text(state.held)} held"
    return f"the limit {state.limit.name}{about} allows {allowed}: {taken}, {to_text(first.wanted)} asked"


@dataclass(frozen=True, slots=True)
class Held:
    """What live reservations hold of a limit, in nanos, and when the first of them expires."""

    nanos: int
    ends_us: int


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

    def held(self, limit: str, value: str) -> int:
        """Return what it was made to hold of a limit, in nanos."""
        return sum(item.quantity for item in self.items if (item.limit, item.value) == (limit, value))


def refusal_of(status: str) -> str | None:
    """Return why an account with this billing status is not served, None if it is."""
    return SUSPENDED if status == BillingStatus.SUSPENDED else None
