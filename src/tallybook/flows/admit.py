"""May this go on? Where an account stands against its limits; quantities checked, held, settled and given back.

Decisions that hold something are made inside the account's lane, where nobody else changes the account; a check only
looks. Not for what limits are (see `core.limit`) nor for concurrency slots (see `flows.lease`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from tallybook.core.changes import Changes, Count, Memory
from tallybook.core.clock import US_PER_S
from tallybook.core.demand import Demand, expand
from tallybook.core.desk import Desk
from tallybook.core.errors import Conflict, FieldInvalid, NotFound
from tallybook.core.event import Outcome
from tallybook.core.figures import Figures
from tallybook.core.hold import (
    HOLDS_LIVE_MAX,
    Decision,
    Hold,
    HoldState,
    Standing,
    Wanted,
    refusal_of,
)
from tallybook.core.ids import new_id
from tallybook.core.intake import OwnEvent, read_own
from tallybook.core.limit import LimitKind, LimitState
from tallybook.core.number import NANOS
from tallybook.core.pending import Pending, read_again
from tallybook.core.plan import Account
from tallybook.core.ports import PlanSource, UsageReader, UsageSnapshot, UsageStore
from tallybook.core.recall import NO_HOLDS, NO_SNAPSHOT, NO_USAGE, Holds, Known, NotRemembered, Recall
from tallybook.core.settle import plain_events
from tallybook.core.standing import Look, same_until_us

if TYPE_CHECKING:
    from concurrent.futures import Future

SOURCE = "tallybook/reservations"
CHECKS_KNOWN_MAX = 20_000
"""Most answers to checks remembered while nothing of their account changes."""
DEMANDS_KNOWN_MAX = 10_000
"""Most requests of which it is remembered what they ask of the limits of a plan's version."""
_T = TypeVar("_T")


class EventReused(Conflict):
    """The event of a commit has the id of another one that was counted before; nothing was settled."""

    code = "event-id-reused"


class HoldSource(Protocol):
    """Where it is read what is held."""

    def within(self, snapshot: UsageSnapshot) -> Holds:
        """Return what is held as *snapshot* sees it."""
        ...


class Lanes(Protocol):
    """Runs decisions inside lanes: `flows.ingest`."""

    def act(self, account_id: str, action: Callable[[Desk], _T]) -> "Future[_T]":
        """Run *action* inside the next transaction of the account's lane."""
        ...

    def now_us(self) -> int:
        """Return the time by the clock that the lanes go by."""
        ...


@dataclass(frozen=True, slots=True)
class SettledItem:
    """What became of one limit of a reservation, in nanos: what was held, what it was really, how it stands now."""

    standing: Standing
    held: int
    real: int

    @property
    def overage(self) -> int:
        """What was used beyond what was held."""
        return max(0, self.real - self.held)


@dataclass(frozen=True, slots=True)
class Settled:
    """A committed reservation; *duplicate* where its event had been counted before."""

    hold: Hold
    items: Sequence[SettledItem]
    duplicate: bool = False

    @property
    def passed(self) -> list[str]:
        """The limits whose quantity is passed now."""
        return list(dict.fromkeys(i.standing.state.limit.name for i in self.items if i.standing.state.over))


class Limits:
    """Reads limits and decides by them; every figure is exact and holds all that was acknowledged before."""

    def __init__(
        self,
        usage: UsageReader,
        store: UsageStore,
        plans: PlanSource,
        holds: HoldSource,
        lanes: Lanes,
        *,
        changes: Changes | None = None,
        figures: Figures | None = None,
    ) -> None:
        anything = None if changes is None else changes.anything
        self._checked: Memory[tuple[Account, Decision]] = Memory(anything, CHECKS_KNOWN_MAX)
        self._recall = Recall(changes, figures or Figures(None))
        self._demands: dict[tuple[tuple[str, int], tuple[Wanted, ...], bool], Demand] = {}
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
        limits = self._plans.limits_of(account, now_us)
        known = self._recall.beside_snapshot(account)
        with self._store.snapshot() as snapshot:
            return list(self._look_from(snapshot, known, now_us).states(limits))

    def standings(self, account: Account, now_us: int) -> list[Standing]:
        """Return `states`, each with the instant when it next frees something."""
        limits = self._plans.limits_of(account, now_us)
        known = self._recall.beside_snapshot(account)
        with self._store.snapshot() as snapshot:
            look = self._look_from(snapshot, known, now_us)
            return [look.with_end(Standing(state, 0)) for state in look.states(limits)]

    def recall(self, account: Account, wanted: Sequence[Wanted], now_us: int) -> Decision | None:
        """Return what `check` would say if that is known without asking the store, None otherwise; never waits."""
        question, count = (account.id, tuple(wanted)), self._checked.count(account.id)
        known = self._checked.find(question, count, now_us)
        if known is not None and known[0] is account:
            return known[1]
        asked = None if account.has_own_limits else self._demands.get((_plan_of(account), question[1], True))
        remembered = self._recall.alone(account)
        if asked is None or remembered is None:
            return None
        look = Look(NO_USAGE, NO_SNAPSHOT, NO_HOLDS, account, now_us, known=remembered)
        try:
            return self._keep(account, wanted, count, look, asked)
        except NotRemembered:
            return None

    def check(self, account: Account, wanted: Sequence[Wanted], now_us: int) -> Decision:
        """Say whether all of *wanted* may go on now; nothing is held.

        Raises:
            NotFound: For a limit that the account does not have.
            FieldInvalid: For a wrong dimension.
        """
        remembered = self.recall(account, wanted, now_us)
        if remembered is not None:
            return remembered
        count = self._checked.count(account.id)
        asked = self._expanded(account, wanted, now_us, peek=True)
        known = self._recall.beside_snapshot(account)
        with self._store.snapshot() as snapshot:
            decision = self._keep(account, wanted, count, self._look_from(snapshot, known, now_us), asked)
        self._recall.settle(known)
        return decision

    def _keep(
        self, account: Account, wanted: Sequence[Wanted], count: Count | None, look: Look, asked: Demand
    ) -> Decision:
        """Decide, and remember it."""
        standings = [look.with_end(standing) for standing in look.standings(asked)]
        decision = Decision(standings, refusal_of(account.billing_status))
        until_us = same_until_us(decision, account, look.now_us)
        self._checked.keep((account.id, tuple(wanted)), count, (look.now_us, until_us), (account, decision))
        return decision

    def _look_from(self, snapshot: UsageSnapshot, known: Known, now_us: int) -> Look:
        return Look(self._usage, snapshot, self._holds.within(snapshot), known.account, now_us, known=known)

    # --- reservations ------------------------------------------------------------------------------------------------

    def reserve(
        self, account: Account, wanted: Sequence[Wanted], ttl_s: int, now_us: int
    ) -> Callable[[Desk], tuple[Decision, Hold | None]]:
        """Return the action that holds all of *wanted* for *ttl_s*, or nothing if any does not fit.

        It raises NotFound and FieldInvalid as `check` does, and Conflict beyond the bound on live reservations.
        """

        def action(desk: Desk) -> tuple[Decision, Hold | None]:
            # Others may have been admitted by a later time while this waited: what it was by then would not count them.
            at_us = max(now_us, self._lanes.now_us())
            look = self._look(desk, account, at_us)
            decision = _decide(look, self._expanded(look.account, wanted, at_us, desk))
            if not decision.allowed:
                return decision, None
            if desk.holds_live(account.no, at_us) >= HOLDS_LIVE_MAX:
                raise Conflict(f"a limit of an account has at most {HOLDS_LIVE_MAX} live reservations")
            items = tuple(Wanted(s.state.limit.name, s.wanted, s.state.value or "") for s in decision.standings)
            hold = Hold(new_id("rsv"), HoldState.HELD, at_us + ttl_s * US_PER_S, items)
            desk.put_hold(account.no, hold, at_us)
            return decision, hold

        return action

    def commit(
        self, account: Account, hold_id: str, real: Sequence[Wanted], event: Pending | None, now_us: int
    ) -> Callable[[Desk], Settled]:
        """Return the action that settles a reservation with the *real* quantities and counts the usage.

        The usage is what *event* says; without one, the plainest events that count the quantities are written. Usage
        that happened is never refused: what passes a limit or the reservation is written, told in the answer and put
        into the outbox. A reservation that expired may still be committed.

        It raises NotFound for no such reservation or limit, Conflict for one that ended, EventReused, and FieldInvalid
        where the quantities alone do not tell what to count.
        """

        def action(desk: Desk) -> Settled:
            hold = _find(desk, account, hold_id)
            if hold.state is not HoldState.HELD:
                raise Conflict(f"the reservation is {hold.state} already")
            limits = self._plans.limits_of(desk.account(account, now_us), now_us, desk)
            asked = expand(limits, real)
            scheme = desk.scheme
            if event is None:
                plain = enumerate(plain_events(scheme.catalogue, limits, real))
                own = (OwnEvent(SOURCE, f"{hold_id}.{n}", e.type, account.id, now_us, e.data) for n, e in plain)
                events = [read_own(one, scheme) for one in own]
            else:
                events = [read_again(event, scheme)]
            duplicate = _count(desk, events)
            settled = replace(hold, state=HoldState.COMMITTED)
            desk.settle_hold(account.no, settled)
            answer = Settled(settled, self._settled(desk, account, settled, asked, now_us), duplicate)
            if answer.passed or any(item.overage for item in answer.items):
                body = {"account": account.id, "reservation": hold_id, "limits": answer.passed}
                desk.tell(account.no, "reservation.overage", body, now_us)
            return answer

        return action

    def _settled(self, desk: Desk, account: Account, hold: Hold, asked: Demand, now_us: int) -> list[SettledItem]:
        look = self._look(desk, account, now_us)
        standings = look.standings({key: (limit, 0) for key, (limit, _) in asked.items()})
        return [
            SettledItem(standing, hold.held(*key), nanos)
            for standing, (key, (_, nanos)) in zip(standings, asked.items(), strict=True)
        ]

    def release(self, account: Account, hold_id: str) -> Callable[[Desk], Hold]:
        """Return the action that gives a reservation back; doing so twice is harmless."""

        def action(desk: Desk) -> Hold:
            hold = _find(desk, account, hold_id)
            if hold.state is HoldState.COMMITTED:
                raise Conflict("the reservation is committed already")
            if hold.state is HoldState.RELEASED:
                return hold
            released = replace(hold, state=HoldState.RELEASED)
            desk.settle_hold(account.no, released)
            return released

        return action

    def _expanded(
        self, account: Account, wanted: Sequence[Wanted], now_us: int, desk: Desk | None = None, *, peek: bool = False
    ) -> Demand:
        """Return what is asked of which limits; a plan's version never changes, so neither does what it asks."""
        if account.has_own_limits:
            return expand(self._plans.limits_of(account, now_us, desk), wanted, peek=peek)
        key = _plan_of(account), tuple(wanted), peek
        known = self._demands.get(key)
        if known is None:
            if len(self._demands) >= DEMANDS_KNOWN_MAX:
                self._demands.clear()
            known = self._demands[key] = expand(self._plans.limits_of(account, now_us, desk), wanted, peek=peek)
        return known

    def room_for(self, desk: Desk, account: Account, kind: str, resource_id: str, now_us: int) -> Decision:
        """Say, inside the lane, whether a thing may be created; one that exists already needs no room.

        A thing that was released and comes again needs room among those that exist, not among those there ever were.
        """
        look, thing = self._look(desk, account, now_us), desk.thing(account.no, kind, resource_id)
        asked = {
            (limit.name, ""): (limit, NANOS)
            for limit in self._plans.limits_of(look.account, now_us, desk)
            if limit.resource == kind and not (thing.ever if limit.kind is LimitKind.LIFETIME else thing.live)
        }
        return Decision([s if s.fits else look.with_end(s) for s in look.standings(asked)])

    def _look(self, desk: Desk, account: Account, now_us: int) -> Look:
        """Return what is true now, inside the lane; the account may have changed while the request waited."""
        fresh = desk.account(account, now_us)
        known = self._recall.in_lane(fresh, desk.figures_count(fresh), desk.figures)
        return Look(self._usage, desk.snapshot, desk, fresh, now_us, known=known)

    # --- lanes -------------------------------------------------------------------------------------------------------

    def run(self, account: Account, action: Callable[[Desk], _T]) -> "Future[_T]":
        """Queue *action* for the account's lane; the future is done when what it wrote is durable."""
        return self._lanes.act(account.id, action)


def _plan_of(account: Account) -> tuple[str, int]:
    return account.plan_name, account.plan_version


def _decide(look: Look, asked: Demand) -> Decision:
    decision = Decision(look.standings(asked), refusal_of(look.account.billing_status))
    if not decision.violated:
        return decision
    return replace(decision, standings=[look.with_end(standing) for standing in decision.standings])


def _find(desk: Desk, account: Account, hold_id: str) -> Hold:
    hold = desk.find_hold(account.no, hold_id)
    if hold is None:
        raise NotFound("there is no such reservation")
    return hold


def _count(desk: Desk, events: Sequence[Pending]) -> bool:
    """Count *events*, or refuse before anything is settled; return whether any was counted before."""
    if not events:
        return False
    outcomes = {verdict.outcome for verdict in desk.write(events)}
    if Outcome.CONFLICT in outcomes:
        raise EventReused("an event with this id and another payload was counted before", pointer="/event/id")
    if Outcome.REJECTED in outcomes:
        raise FieldInvalid("there is no such account", pointer="/event/subject")
    return Outcome.DUPLICATE in outcomes
