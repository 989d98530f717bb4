"""May this go on? Where an account stands against its limits; quantities checked, held, settled and given back.

Decisions that hold something are made inside the account's lane, where nobody else changes the account; a check only
looks. Not for what limits are (see `core.limit`) nor for concurrency slots (see `flows.lease`).
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Protocol, TypeVar

from tallybook.core.clock import US_PER_S
from tallybook.core.desk import Answered, Desk
from tallybook.core.errors import Conflict, NotFound
from tallybook.core.event import FUTURE_US
from tallybook.core.hold import (
    HOLDS_LIVE_MAX,
    Decision,
    Hold,
    HoldState,
    Standing,
    Wanted,
    expand,
    overage,
    refusal_of,
)
from tallybook.core.ids import new_id
from tallybook.core.instant import MINUTE_US
from tallybook.core.limit import Limit, LimitKind, LimitState
from tallybook.core.meter import Answer, Question
from tallybook.core.number import NANOS
from tallybook.core.plan import Account
from tallybook.core.ports import Pending, PlanSource, UsageReader, UsageSnapshot, UsageStore
from tallybook.core.resource import NO_RESOURCES, ResourceCount
from tallybook.core.window import Span, all_time, billing_period, floor_minute, zone

if TYPE_CHECKING:
    from concurrent.futures import Future

VALUES_MAX = 100
"""Most values of a limit's *per* dimension that are told, those with most usage first."""

REFUSED_STATUS = 400
_T = TypeVar("_T")


class KeyReused(Conflict):
    """An Idempotency-Key came a second time, with another request."""

    code = "idempotency-key-reused"


class Lanes(Protocol):
    """Runs decisions inside lanes: `flows.ingest`."""

    def act(self, account_id: str, action: Callable[[Desk], _T]) -> "Future[_T]":
        """Run *action* inside the next transaction of the account's lane."""
        ...


class Holds(Protocol):
    """What is reserved and leased, seen from outside a lane or from inside one."""

    def held(self, account_no: int, now_us: int) -> Mapping[tuple[str, str], int]:
        """Return what live reservations hold, in nanos, by (limit, value)."""
        ...

    def hold_ends_us(self, account_no: int, limit: str, value: str, now_us: int) -> int | None:
        """Return when the first live reservation on a limit expires."""
        ...

    def leases_live(self, account_no: int, limit: str, now_us: int) -> Sequence[object]:
        """Return the live leases of a limit."""
        ...


class Limits:
    """Reads limits and decides by them; every figure is exact and holds all that was acknowledged before."""

    def __init__(self, usage: UsageReader, store: UsageStore, plans: PlanSource, holds: Holds, lanes: Lanes) -> None:
        self._usage = usage
        self._store = store
        self._plans = plans
        self._holds = holds
        self._lanes = lanes

    def states(self, account: Account, now_us: int) -> list[LimitState]:
        """Return where the account stands against each of its limits, in the plan's order.

        All usage is read from one snapshot. A limit with *per* has one state for each value that has usage and is not
        the subject of a limit of its own, most used first; while there is none, one state without a value.
        """
        return [standing.state for standing in self.standings(account, now_us)]

    def standings(self, account: Account, now_us: int) -> list[Standing]:
        """Return `states`, each with the instant when it next frees something."""
        limits = self._plans.limits_of(account, now_us)
        with self._store.snapshot() as snapshot:
            look = _Look(self._usage, snapshot, self._holds, account, now_us)
            return [look.standing(state, 0) for state in look.states(limits)]

    def check(self, account: Account, wanted: Sequence[Wanted], now_us: int) -> Decision:
        """Say whether all of *wanted* may go on now; nothing is held.

        Raises:
            NotFound: For a limit that the account does not have.
            FieldInvalid: For a limit that holds no quantities.
        """
        with self._store.snapshot() as snapshot:
            return self._decide(_Look(self._usage, snapshot, self._holds, account, now_us), wanted)

    def _decide(self, look: "_Look", wanted: Sequence[Wanted]) -> Decision:
        asked = expand(self._plans.limits_of(look.account, look.now_us), wanted)
        standings = [look.standing(look.state(limit, value), nanos) for (_, value), (limit, nanos) in asked.items()]
        return Decision(standings, refusal_of(look.account.billing_status))

    # --- reservations ------------------------------------------------------------------------------------------------

    def reserve(
        self, account: Account, wanted: Sequence[Wanted], ttl_s: int, now_us: int
    ) -> Callable[[Desk], tuple[Decision, Hold | None]]:
        """Return the action that holds all of *wanted* for *ttl_s*, or nothing if any does not fit."""

        def action(desk: Desk) -> tuple[Decision, Hold | None]:
            decision = self._decide(_Look(self._usage, desk.snapshot, desk, account, now_us), wanted)
            if not decision.allowed:
                return decision, None
            if desk.holds_live(account.no, now_us) >= HOLDS_LIVE_MAX:
                raise Conflict(f"an account has at most {HOLDS_LIVE_MAX} live reservations")
            items = tuple(Wanted(s.state.limit.name, s.wanted, s.state.value or "") for s in decision.standings)
            hold = Hold(new_id("rsv"), HoldState.HELD, now_us + ttl_s * US_PER_S, items)
            desk.put_hold(account.no, hold, now_us)
            return decision, hold

        return action

    def commit(
        self, account: Account, hold_id: str, real: Sequence[Wanted], pending: Sequence[Pending], now_us: int
    ) -> Callable[[Desk], tuple[Hold, Mapping[str, int]]]:
        """Return the action that settles a reservation with the *real* quantities and counts its events with it.

        Usage that happened is never refused: what passes a limit is written, told in the answer and put in the
        outbox. A reservation that expired may still be committed.

        Returns:
            The settled hold, and by how much (nanos) each limit is passed now.
        """

        def action(desk: Desk) -> tuple[Hold, Mapping[str, int]]:
            hold = desk.find_hold(account.no, hold_id)
            if hold is None:
                raise NotFound("there is no such reservation")
            if hold.state is not HoldState.HELD:
                raise Conflict(f"the reservation is {hold.state} already")
            asked = expand(self._plans.limits_of(account, now_us), real)
            settled = Hold(hold.hold_id, HoldState.COMMITTED, hold.expires_us, hold.items)
            desk.settle_hold(account.no, settled)
            look = _Look(self._usage, desk.snapshot, desk, account, now_us)
            standings = [look.standing(look.state(limit, value), n) for (_, value), (limit, n) in asked.items()]
            passed = overage(standings)
            if pending:
                desk.write(pending)
            if passed:
                body = {"account": account.id, "reservation": hold_id, "limits": sorted(passed)}
                desk.tell(account.no, "reservation.overage", body, now_us)
            return settled, passed

        return action

    def release(self, account: Account, hold_id: str) -> Callable[[Desk], Hold]:
        """Return the action that gives a reservation back; doing so twice is harmless."""

        def action(desk: Desk) -> Hold:
            hold = desk.find_hold(account.no, hold_id)
            if hold is None:
                raise NotFound("there is no such reservation")
            if hold.state is HoldState.COMMITTED:
                raise Conflict("the reservation is committed already")
            if hold.state is HoldState.RELEASED:
                return hold
            released = Hold(hold.hold_id, HoldState.RELEASED, hold.expires_us, hold.items)
            desk.settle_hold(account.no, released)
            return released

        return action

    def once(
        self, account: Account, key: str | None, digest: str, action: Callable[[Desk], Answered], now_us: int
    ) -> Callable[[Desk], Answered]:
        """Return an action that does *action* once for an Idempotency-Key and gives its answer again after that.

        Answers below status 400 are kept; a refusal is not, for it may be another one next time. The lane does one
        request of an account at a time, so a repeated key waits for the first to end.

        It raises KeyReused where the key came with another request before.
        """
        if key is None:
            return action

        def repeated(desk: Desk) -> Answered:
            known = desk.answered(account.no, key)
            if known is not None:
                if known.digest != digest:
                    raise KeyReused("the Idempotency-Key was used for another request")
                return known
            answer = action(desk)
            if answer.status < REFUSED_STATUS:
                desk.remember(account.no, key, answer, now_us)
            return answer

        return repeated

    def run(self, account: Account, action: Callable[[Desk], _T]) -> "Future[_T]":
        """Queue *action* for the account's lane; the future is done when what it wrote is durable."""
        return self._lanes.act(account.id, action)


class _Look:
    """One account's limits at one instant, from one snapshot."""

    def __init__(
        self, usage: UsageReader, snapshot: UsageSnapshot, holds: Holds, account: Account, now_us: int
    ) -> None:
        self._usage = usage
        self._snapshot = snapshot
        self._holds = holds
        self.account = account
        self.now_us = now_us
        self._things: Mapping[str, ResourceCount] | None = None
        self._held: Mapping[tuple[str, str], int] | None = None

    def states(self, limits: Sequence[Limit]) -> Iterator[LimitState]:
        """Return the states of all *limits*, their usage asked at once."""
        counted = [limit for limit in limits if limit.meter is not None]
        questions = [self._question(limit) for limit in counted]
        answers = self._usage.ask_in(self._snapshot, self.account, questions) if questions else []
        by_name = {limit.name: answer for limit, answer in zip(counted, answers, strict=True)}
        for limit in limits:
            if limit.meter is None:
                yield self._uncounted(limit)
            elif limit.per is None:
                yield self._state(limit, by_name[limit.name].value)
            else:
                for value, used in _by_value(limit, by_name[limit.name], limits):
                    yield self._state(limit, used, value)

    def state(self, limit: Limit, value: str) -> LimitState:
        """Return the state of one limit, for one value of its *per* dimension."""
        if limit.meter is None:
            return self._uncounted(limit)
        question = self._question(limit, value)
        (answer,) = self._usage.ask_in(self._snapshot, self.account, [question])
        return self._state(limit, answer.value, value or None)

    def _state(self, limit: Limit, used: int, value: str | None = None) -> LimitState:
        return LimitState(
            limit, used, shown_period(limit, self.account, self.now_us), value, self._holding(limit, value)
        )

    def _uncounted(self, limit: Limit) -> LimitState:
        """Return the state of a limit on things or leases, or on the length of one item."""
        if limit.kind is LimitKind.CONCURRENT:
            live = len(self._holds.leases_live(self.account.no, limit.name, self.now_us))
            return LimitState(limit, live * NANOS)
        if limit.resource is None:
            return LimitState(limit, 0)
        if self._things is None:
            self._things = self._snapshot.resource_counts(self.account.no)
        count = self._things.get(limit.resource, NO_RESOURCES)
        used = NANOS * (count.lifetime if limit.kind is LimitKind.LIFETIME else count.live)
        return LimitState(limit, used, held=self._holding(limit, None))

    def _holding(self, limit: Limit, value: str | None) -> int:
        if self._held is None:
            self._held = self._holds.held(self.account.no, self.now_us)
        return self._held.get((limit.name, value or ""), 0)

    def _question(self, limit: Limit, value: str = "") -> Question:
        assert limit.meter is not None  # only counted limits are asked
        filters = {dimension: (wanted,) for dimension, wanted in limit.filter.items()}
        if limit.per is not None and value:
            filters[limit.per] = (value,)
        groups = (limit.per,) if limit.per is not None and not value else ()
        return Question(limit.meter, (counting_span(limit, self.account, self.now_us),), groups, filters)

    def standing(self, state: LimitState, wanted: int) -> Standing:
        """Return how a limit stands against *wanted*, and when it next frees something."""
        return Standing(state, wanted, self._frees_at_us(state))

    def _frees_at_us(self, state: LimitState) -> int | None:
        limit, now_us = state.limit, self.now_us
        times = []
        if state.held:
            ends_us = self._holds.hold_ends_us(self.account.no, limit.name, state.value or "", now_us)
            times += [] if ends_us is None else [ends_us]
        if limit.kind is LimitKind.PERIOD and state.period is not None:
            times.append(state.period.end_us)
        elif limit.kind is LimitKind.ROLLING and state.used:
            question = self._question(limit, state.value or "")
            first_us = self._usage.first_use_us(self._snapshot, self.account, question)
            times += [] if first_us is None else [first_us + limit.window_us + MINUTE_US]
        return min(times, default=None)


def counting_span(limit: Limit, account: Account, now_us: int) -> Span:
    """Return the span whose usage counts against *limit*.

    A rolling window begins at a whole minute and ends after the last instant at which an event may lie, so that an
    event that was sent with a clock slightly ahead counts at once.
    """
    if limit.kind is LimitKind.PERIOD:
        return billing_period(now_us, account.anchor_day, zone(account.timezone))
    if limit.kind is LimitKind.ROLLING:
        minute_us = floor_minute(now_us)
        return Span(max(0, minute_us - limit.window_us), minute_us + MINUTE_US + FUTURE_US)
    return all_time()


def shown_period(limit: Limit, account: Account, now_us: int) -> Span | None:
    """Return the span that people are told *limit* counts over; None where it counts what there ever was, or is."""
    if limit.kind is LimitKind.PERIOD:
        return counting_span(limit, account, now_us)
    if limit.kind is LimitKind.ROLLING:
        return Span(counting_span(limit, account, now_us).start_us, floor_minute(now_us) + MINUTE_US)
    return None


def _by_value(limit: Limit, answer: Answer, limits: Sequence[Limit]) -> Iterator[tuple[str | None, int]]:
    """Return (value, used) of a limit by dimension, most used first; one without a value while there is no usage."""
    per = limit.per
    assert per is not None  # or it would not have been grouped
    used = {
        value: nanos
        for (value,), (nanos,) in answer.groups.items()
        if value is not None and not any(other.names(per, value, beside=limit) for other in limits)
    }
    if not used:
        yield None, 0
    yield from islice(sorted(used.items(), key=lambda item: (-item[1], item[0])), VALUES_MAX)
