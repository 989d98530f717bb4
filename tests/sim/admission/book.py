"""What admission must answer, told by plain loops over plain lists and dicts: slow, short and obviously right.

Quantities are whole units and instants microseconds. It knows the limits of `machine` by heart, and shares no code
with what it judges.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
AHEAD_US = 5 * MINUTE_US
CALL_S = 600
ONE_EACH = ("month", "hour", "ever")
HARD = {"month", "hour", "agent"}


@dataclass(slots=True)
class Spent:
    """A counted event of credits."""

    time_us: int
    units: int
    agent: str | None


@dataclass(slots=True)
class Held:
    """A reservation: *units* of credits, of an agent or of nobody in particular."""

    units: int
    agent: str | None
    expires_us: int
    state: str = "held"


@dataclass(slots=True)
class Slot:
    """A lease; *billed* is whether its deadline wrote the call that nobody had reported."""

    token: str
    call_id: str
    ttl_us: int
    expires_us: int
    deadline_us: int
    ended: bool = False
    billed: bool = False

    @property
    def runs_out_us(self) -> int:
        """When it ends if nothing more is heard of it."""
        return min(self.expires_us, self.deadline_us)


@dataclass(slots=True)
class Book:
    """Everything that is true of one account."""

    now_us: int
    allowed: dict[str, int]
    spent: dict[str, Spent] = field(default_factory=dict)
    holds: dict[str, Held] = field(default_factory=dict)
    slots: dict[str, Slot] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    """Seconds of the calls that were reported, by call."""

    # --- credits -------------------------------------------------------------------------------------------------

    def window(self, limit: str) -> tuple[int, int]:
        """The span whose usage counts against a limit now."""
        if limit in {"month", "agent"}:
            return month_of(self.now_us)
        if limit == "hour":
            minute_us = self.now_us // MINUTE_US * MINUTE_US
            return minute_us - HOUR_US, minute_us + MINUTE_US + AHEAD_US
        return 0, 10**18

    def counted(self, limit: str, agent: str | None) -> list[Spent]:
        """The events that count against a limit now; *agent* is asked of the limit by agent only."""
        start_us, end_us = self.window(limit)
        inside = [one for one in self.spent.values() if start_us <= one.time_us < end_us]
        return [one for one in inside if limit != "agent" or one.agent == agent]

    def holding(self, limit: str, agent: str | None) -> list[Held]:
        """The live reservations that count against a limit now."""
        live = [one for one in self.holds.values() if one.state == "held" and self.now_us < one.expires_us]
        return [one for one in live if limit != "agent" or one.agent == agent]

    def used(self, limit: str, agent: str | None = None) -> int:
        """Units used of a limit."""
        return sum(one.units for one in self.counted(limit, agent))

    def held(self, limit: str, agent: str | None = None) -> int:
        """Units held of a limit."""
        return sum(one.units for one in self.holding(limit, agent))

    def asked(self, agent: str | None) -> tuple[str, ...]:
        """The limits that usage counts against: those of everybody, and that by agent where the agent is known."""
        return ONE_EACH if agent is None else (*ONE_EACH, "agent")

    def passed(self, units: int, agent: str | None) -> set[str]:
        """The limits that so many units more would pass."""
        return {
            limit
            for limit in self.asked(agent)
            if self.used(limit, agent) + self.held(limit, agent) + units > self.allowed[limit]
        }

    def exceeded(self, agent: str | None) -> set[str]:
        """The limits of which more was used than they allow: what is only held was not used."""
        return {limit for limit in self.asked(agent) if self.used(limit, agent) > self.allowed[limit]}

    def violated(self, units: int, agent: str | None) -> set[str]:
        """The hard ones of those."""
        return self.passed(units, agent) & HARD

    def frees_at_us(self, limit: str, agent: str | None) -> int | None:
        """When a limit next frees something."""
        times = [one.expires_us for one in self.holding(limit, agent)]
        if limit in {"month", "agent"}:
            times.append(month_of(self.now_us)[1])
        counted = self.counted(limit, agent)
        if limit == "hour" and counted:
            first_us = min(one.time_us for one in counted)
            times.append(first_us // MINUTE_US * MINUTE_US + HOUR_US + MINUTE_US)
        return min(times, default=None)

    # --- slots ---------------------------------------------------------------------------------------------------

    def live(self) -> list[Slot]:
        """The leases that take a slot now."""
        return [one for one in self.slots.values() if not one.ended and self.now_us < one.runs_out_us]

    def end_slot(self, slot: Slot) -> None:
        """A lease that ran out is ended; at its deadline the call is billed, unless it was reported."""
        slot.ended = True
        slot.billed = slot.deadline_us <= slot.expires_us and slot.call_id not in self.calls

    def sweep(self) -> None:
        """Every lease that ran out is ended."""
        for slot in self.slots.values():
            if not slot.ended and self.now_us >= slot.runs_out_us:
                self.end_slot(slot)

    def report(self, call_id: str, seconds: int) -> None:
        """A call is over: its lease ends, and what its deadline billed is taken back."""
        self.calls[call_id] = seconds
        for slot in self.slots.values():
            if slot.call_id == call_id:
                slot.ended, slot.billed = True, False

    def call_seconds(self) -> int:
        """All seconds of calls, reported or billed."""
        return sum(self.calls.values()) + CALL_S * sum(slot.billed for slot in self.slots.values())


def month_of(now_us: int) -> tuple[int, int]:
    """The calendar month, UTC, that holds an instant."""
    now = datetime.fromtimestamp(now_us // SECOND_US, UTC)
    start = datetime(now.year, now.month, 1, tzinfo=UTC)
    end = datetime(now.year + now.month // 12, now.month % 12 + 1, 1, tzinfo=UTC)
    return int(start.timestamp()) * SECOND_US, int(end.timestamp()) * SECOND_US
