"""Everything that can happen to one account, in any order, told to a house and to a plain book; both must agree."""

import itertools
from dataclasses import dataclass

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tallybook.core.desk import Desk
from tallybook.core.errors import Conflict, Unavailable
from tallybook.core.hold import Standing, Wanted
from tallybook.core.ids import AccountId
from tallybook.core.instant import instant_text
from tallybook.core.key import Caller
from tallybook.core.limit import LimitState
from tallybook.core.number import NANOS
from tallybook.flows.admit import EventReused
from tallybook.flows.lease import LeaseLost
from tests.sim.admission.book import CALL_S, HOUR_US, MINUTE_US, SECOND_US, Book, Held, Slot, Spent, month_of
from tests.sim.admission.floor import NOW_US, OPERATOR, Floor

DAY_US = 24 * HOUR_US
LATE_US = 35 * DAY_US
"""How far back an event may lie; leases are remembered a day longer."""
KEPT_US = 6 * DAY_US
"""For how long after its expiry a reservation is settled here; a day later it may have been forgotten."""
UNITS = st.integers(1, 60)
AGENTS = st.sampled_from([None, None, "a", "b"])
TTL_S = st.sampled_from([1, 60, 3600])
PICK = st.integers(0, 1_000)


@dataclass(slots=True)
class Stage:
    """The house that the machines of one test play in, one account each."""

    floor: Floor
    url: str
    numbers: "itertools.count[int]"

    def reopen(self) -> None:
        """Close the house and open it again."""
        self.floor.close()
        self.floor = Floor(self.url, self.floor.clock)


class Machine(RuleBasedStateMachine):
    """See the module; a subclass sets the *stage*."""

    stage: Stage

    def __init__(self) -> None:
        super().__init__()
        self.account = f"acct-{next(self.stage.numbers)}"
        self.events: list[dict[str, object]] = []
        self.numbers = itertools.count(1)
        self.book = Book(NOW_US, {})
        self.stage.floor.clock.set(NOW_US)

    @property
    def floor(self) -> Floor:
        """The house."""
        return self.stage.floor

    # --- plans and time ------------------------------------------------------------------------------------------

    @initialize(big=st.booleans())
    def begin(self, *, big: bool) -> None:
        """An account has a plan."""
        self.change_plan(200 if big else 60, 80, 40, 2)

    @rule(month=st.integers(0, 200), hour=st.integers(0, 200), agent=st.integers(0, 100), calls=st.integers(0, 3))
    def change_plan(self, month: int, hour: int, agent: int, calls: int) -> None:
        """Another plan is in force at once."""
        credit = {"meter": "credits"}
        self.floor.allow(
            self.account,
            {"name": "month", "kind": "period", **credit, "quantity": str(month)},
            {"name": "hour", "kind": "rolling", **credit, "quantity": str(hour), "window": "PT1H"},
            {"name": "ever", "kind": "lifetime", "mode": "overage", **credit, "quantity": "100"},
            {"name": "agent", "kind": "period", **credit, "per": "agent_id", "quantity": str(agent)},
            {"name": "calls", "kind": "concurrent", "quantity": str(calls)},
            {"name": "length", "kind": "duration", "seconds": CALL_S},
        )
        self.book.allowed = {"month": month, "hour": hour, "ever": 100, "agent": agent, "calls": calls}

    @rule(
        by_us=st.sampled_from([1, SECOND_US, 30 * SECOND_US, MINUTE_US, 7 * MINUTE_US, HOUR_US, HOUR_US + MINUTE_US])
        | st.integers(1, 2 * HOUR_US)
    )
    def pass_time(self, by_us: int) -> None:
        """The clock goes on."""
        self.book.now_us = self.floor.clock.advance(by_us)

    @rule(before_us=st.sampled_from([0, 0, 1, MINUTE_US]))
    def pass_to_next_month(self, before_us: int) -> None:
        """The clock goes to where the billing period ends, or just before."""
        there_us = month_of(self.book.now_us)[1] - before_us
        if there_us > self.book.now_us:
            self.floor.clock.set(there_us)
            self.book.now_us = there_us

    @rule()
    def sweep(self) -> None:
        """What happens by itself, happens."""
        self.floor.sweep()
        self.book.sweep()

    @rule()
    def reopen(self) -> None:
        """The server is stopped and started."""
        self.stage.reopen()

    @rule(units=UNITS)
    def crash(self, units: int) -> None:
        """A commit dies after all was written, but for the last word; nothing of it is true."""
        account = self.floor.accounts.get(AccountId(self.account))
        event = self._event(f"lost-{next(self.numbers)}", units, None, 0)
        (pending,) = self.floor.ingest.prepare([event], OPERATOR).pending

        def action(desk: Desk) -> None:
            desk.write([pending])
            raise RuntimeError("the power is gone")

        failure = self.floor.limits.run(account, action).exception()
        assert isinstance(failure, Unavailable)
        self.stage.reopen()

    # --- events --------------------------------------------------------------------------------------------------

    def _event(self, event_id: str, units: int, agent: str | None, offset_us: int) -> dict[str, object]:
        time = instant_text(self.book.now_us + offset_us)
        data: dict[str, object] = {"amount": units} | ({} if agent is None else {"agent_id": agent})
        return {"id": event_id, "type": "credit.spend", "subject": self.account, "time": time, "data": data}

    def _note(self, event: dict[str, object], units: int, agent: str | None, offset_us: int) -> None:
        self.events.append(event)
        self.book.spent[str(event["id"])] = Spent(self.book.now_us + offset_us, units, agent)

    @rule(
        units=UNITS,
        agent=AGENTS,
        offset_us=st.sampled_from([0, 0, -1, -MINUTE_US, -HOUR_US, -DAY_US, -34 * DAY_US, 5 * MINUTE_US]),
    )
    def ingest(self, units: int, agent: str | None, offset_us: int) -> None:
        """Usage happened, now, late or by a clock ahead of ours; it is never refused."""
        event = self._event(f"e{next(self.numbers)}", units, agent, offset_us)
        receipt = self.floor.write([event])
        assert (1, 0) == (receipt.accepted, receipt.rejected)
        self._note(event, units, agent, offset_us)

    @rule(pick=PICK, same=st.booleans())
    def ingest_again(self, pick: int, *, same: bool) -> None:
        """An event that was counted comes again, as it was or otherwise."""
        if not self.events:
            return
        event = self.events[pick % len(self.events)]
        if self.book.spent[str(event["id"])].time_us < self.book.now_us - LATE_US:
            return
        receipt = self.floor.write([event if same else event | {"data": {"amount": 61}}])
        assert (0, int(same), int(not same), 0) == (
            receipt.accepted,
            receipt.duplicate,
            receipt.conflict,
            receipt.rejected,
        )

    # --- reservations --------------------------------------------------------------------------------------------

    def _wanted(self, units: int, agent: str | None) -> tuple[Wanted, ...]:
        if agent is None:
            return (Wanted("month", units * NANOS),)
        return (Wanted("agent", units * NANOS, agent, "agent_id"),)

    def _check_standing(self, standing: Standing, agent: str | None) -> None:
        state = standing.state
        name = state.limit.name
        assert (self.book.used(name, agent) * NANOS, self.book.held(name, agent) * NANOS) == (state.used, state.held)

    @rule(units=st.integers(0, 100), agent=AGENTS)
    def check(self, units: int, agent: str | None) -> None:
        """May it go on? And when does each limit free something?"""
        account = self.floor.accounts.get(AccountId(self.account))
        decision = self.floor.limits.check(account, self._wanted(units, agent), self.book.now_us)
        assert self.book.violated(units, agent) == set(decision.violated)
        assert set(self.book.asked(agent)) == {standing.state.limit.name for standing in decision.standings}
        for standing in decision.standings:
            self._check_standing(standing, agent)
            assert self.book.frees_at_us(standing.state.limit.name, agent) == standing.frees_at_us

    @rule(units=UNITS, agent=AGENTS, ttl_s=TTL_S)
    def reserve(self, units: int, agent: str | None, ttl_s: int) -> None:
        """Units are held, or the limits that say no are named."""
        account = self.floor.accounts.get(AccountId(self.account))
        action = self.floor.limits.reserve(account, self._wanted(units, agent), ttl_s, self.book.now_us)
        decision, hold = self.floor.limits.run(account, action).result()
        violated = self.book.violated(units, agent)
        assert (violated, hold is None) == (set(decision.violated), bool(violated))
        for standing in decision.standings:
            self._check_standing(standing, agent)
        if hold is not None:
            assert self.book.now_us + ttl_s * SECOND_US == hold.expires_us
            self.book.holds[hold.hold_id] = Held(units, agent, hold.expires_us)

    def _pick_hold(self, pick: int) -> tuple[str, Held] | None:
        kept = [one for one in self.book.holds.items() if self.book.now_us < one[1].expires_us + KEPT_US]
        return kept[pick % len(kept)] if kept else None

    @rule(pick=PICK, units=st.integers(0, 70))
    def commit(self, pick: int, units: int) -> None:
        """A reservation is settled with any quantity, once, in time or late."""
        picked = self._pick_hold(pick)
        if picked is None:
            return
        hold_id, held = picked
        account = self.floor.accounts.get(AccountId(self.account))
        action = self.floor.limits.commit(account, hold_id, self._wanted(units, held.agent), None, self.book.now_us)
        future = self.floor.limits.run(account, action)
        if held.state != "held":
            assert isinstance(future.exception(), Conflict)
            return
        held.state = "committed"
        if units:
            self.book.spent[f"commit {hold_id}"] = Spent(self.book.now_us, units, held.agent)
        settled = future.result()
        assert self.book.exceeded(held.agent) == set(settled.passed)
        for item in settled.items:
            self._check_standing(item.standing, held.agent)
            assert max(0, units - held.units) * NANOS == item.overage

    @rule(pick=PICK, units=UNITS, agent=AGENTS, again=st.booleans())
    def commit_with_event(self, pick: int, units: int, agent: str | None, *, again: bool) -> None:
        """What the event says is counted; if it was counted before, it is not counted again."""
        picked = self._pick_hold(pick)
        if picked is None or picked[1].state != "held":
            return
        hold_id, held = picked
        known = again and bool(self.events)
        event = (
            self.events[pick % len(self.events)] if known else self._event(f"e{next(self.numbers)}", units, agent, 0)
        )
        (pending,) = self.floor.ingest.prepare([event], Caller("key", self.account, OPERATOR.scopes)).pending or (None,)
        if pending is None:
            return  # too old by now to be sent at all
        account = self.floor.accounts.get(AccountId(self.account))
        wanted = self._wanted(units, held.agent)
        action = self.floor.limits.commit(account, hold_id, wanted, pending, self.book.now_us)
        assert known == self.floor.limits.run(account, action).result().duplicate
        held.state = "committed"
        if not known:
            self._note(event, units, agent, 0)

    @rule(pick=PICK)
    def commit_with_a_reused_event(self, pick: int) -> None:
        """An event with the id of another settles nothing."""
        picked = self._pick_hold(pick)
        if picked is None or picked[1].state != "held" or not self.events:
            return
        event = self._event(str(self.events[pick % len(self.events)]["id"]), 61, None, 0)
        (pending,) = self.floor.ingest.prepare([event], OPERATOR).pending
        account = self.floor.accounts.get(AccountId(self.account))
        action = self.floor.limits.commit(account, picked[0], self._wanted(1, None), pending, self.book.now_us)
        assert isinstance(self.floor.limits.run(account, action).exception(), EventReused)

    @rule(pick=PICK)
    def release(self, pick: int) -> None:
        """A reservation is given back; twice is harmless, after its commit it is refused."""
        picked = self._pick_hold(pick)
        if picked is None:
            return
        hold_id, held = picked
        account = self.floor.accounts.get(AccountId(self.account))
        failure = self.floor.limits.run(account, self.floor.limits.release(account, hold_id)).exception()
        assert (held.state == "committed") == isinstance(failure, Conflict)
        if held.state == "held":
            held.state = "released"

    # --- slots ---------------------------------------------------------------------------------------------------

    @rule(ttl_s=st.sampled_from([30, 400, 3600]))
    def grant(self, ttl_s: int) -> None:
        """A slot is taken if one is free."""
        call_id = f"call-{next(self.numbers)}"
        live = len(self.book.live())
        granted = self.floor.grant(self.account, "calls", ttl_s, call_id)
        assert (live < self.book.allowed["calls"]) == (granted.lease is not None)
        lease = granted.lease
        if lease is not None:
            deadline_us = self.book.now_us + CALL_S * SECOND_US
            assert deadline_us == lease.deadline_us
            ttl_us = ttl_s * SECOND_US
            slot = Slot(lease.token, call_id, ttl_us, self.book.now_us + ttl_us, deadline_us)
            self.book.slots[lease.lease_id] = slot

    def _pick_slot(self, pick: int) -> tuple[str, Slot] | None:
        slots = [one for one in self.book.slots.items() if self.book.now_us < one[1].runs_out_us + LATE_US]
        return slots[pick % len(slots)] if slots else None

    @rule(pick=PICK)
    def heartbeat(self, pick: int) -> None:
        """A slot is kept, unless it was lost."""
        picked = self._pick_slot(pick)
        if picked is None:
            return
        lease_id, slot = picked
        if slot in self.book.live():
            self.floor.heartbeat(self.account, lease_id, slot.token)
            slot.expires_us = self.book.now_us + slot.ttl_us
            return
        try:
            self.floor.heartbeat(self.account, lease_id, slot.token)
        except LeaseLost:
            return
        raise AssertionError("a lost slot was kept")

    @rule(pick=PICK, stale=st.booleans())
    def let_go(self, pick: int, *, stale: bool) -> None:
        """A slot is freed, as often as one likes; a wrong token frees nothing."""
        picked = self._pick_slot(pick)
        if picked is None:
            return
        lease_id, slot = picked
        if stale:
            try:
                self.floor.let_go(self.account, lease_id, f"1{slot.token}")
            except LeaseLost:
                return
            raise AssertionError("a stale token was good")
        self.floor.let_go(self.account, lease_id, slot.token)
        if slot.ended:
            return
        if slot in self.book.live():
            slot.ended = True
        else:
            self.book.end_slot(slot)

    @rule(pick=PICK, seconds=st.integers(0, 900))
    def report_call(self, pick: int, seconds: int) -> None:
        """A call is reported, once; later than its deadline it takes the place of what was billed."""
        picked = self._pick_slot(pick)
        if picked is None or picked[1].call_id in self.book.calls:
            return
        call_id = picked[1].call_id
        data = {"channel": "voice", "direction": "outbound", "duration_s": seconds, "call_id": call_id}
        event = {"id": f"e-{call_id}", "type": "call", "subject": self.account, "data": data}
        receipt = self.floor.write([event | {"time": instant_text(self.book.now_us)}])
        assert 1 == receipt.accepted
        self.book.report(call_id, seconds)

    # --- what must always be true --------------------------------------------------------------------------------

    @invariant()
    def agrees(self) -> None:
        """The limits stand as the book says, and so do the meters."""
        if not self.book.allowed:
            return
        account = self.floor.accounts.get(AccountId(self.account))
        for state in self.floor.limits.states(account, self.book.now_us):
            self._agrees(state)
        seconds = self.book.call_seconds() * NANOS
        assert seconds == self.floor.total(self.account, "call_seconds")

    def _agrees(self, state: LimitState) -> None:
        name = state.limit.name
        if name == "calls":
            assert len(self.book.live()) * NANOS == state.used
        elif name != "length" and (name != "agent" or state.value is not None):
            used, held = self.book.used(name, state.value), self.book.held(name, state.value)
            assert (used * NANOS, held * NANOS) == (state.used, state.held)
            assert self.book.allowed[name] * NANOS == state.quantity
