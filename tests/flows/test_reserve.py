"""Checks and reservations: what is held counts, what is settled is usage, what is given back is free again."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tallybook.core.errors import Conflict, FieldInvalid, NotFound
from tallybook.core.hold import HoldState
from tallybook.core.instant import DAY_US, HOUR_US, MINUTE_US, instant_text
from tallybook.core.number import NANOS, to_text
from tallybook.flows import admit
from tallybook.flows.admit import EventReused
from tests.support.admission import Gate, limited
from tests.support.rooms import NOW_US, Flows

MONTH = {"name": "month", "kind": "period", "meter": "credits", "quantity": "100"}
SECOND_US = 1_000_000


def spend(amount: str, event_id: str = "e", **more: object) -> dict[str, object]:
    """An event of credits."""
    return {"id": event_id, "type": "credit.spend", "data": {"amount": amount}, **more}


def test_a_check_holds_nothing(flows: Flows) -> None:
    """Asked twice, answered twice the same; the state before is told, and what was asked."""
    gate = limited(flows, MONTH)
    for _ in range(2):
        decision = gate.check(("month", "100"))
        (standing,) = decision.standings
        assert (True, [], 0, 0, 100 * NANOS) == (
            decision.allowed,
            decision.violated,
            standing.state.used,
            standing.state.held,
            standing.wanted,
        )
    assert (False, ["month"]) == (gate.check(("month", "100.000000001")).allowed, gate.check(("month", "101")).violated)


def test_what_is_held_counts_until_it_is_given_back(flows: Flows) -> None:
    """A hard limit is filled to the last unit and not beyond; a refusal holds nothing."""
    gate = limited(flows, MONTH)
    first = gate.reserve(("month", "60"))
    refused, hold = gate.ask(("month", "40.5"))
    assert (False, None, ["month"]) == (refused.allowed, hold, refused.violated)
    second = gate.reserve(("month", 40))
    assert ("0", "100") == (gate.used("month"), gate.held("month"))
    assert (HoldState.RELEASED, HoldState.RELEASED) == (gate.release(first).state, gate.release(first).state)
    assert "40" == gate.held("month")
    gate.release(second)
    assert "0" == gate.held("month")


def test_all_items_are_held_or_none(flows: Flows) -> None:
    """One limit that says no refuses the others too."""
    messages = {"name": "messages", "kind": "period", "meter": "messages", "quantity": "1"}
    gate = limited(flows, MONTH, messages)
    decision, hold = gate.ask(("month", 5), ("messages", 2))
    assert (None, ["messages"], "0") == (hold, decision.violated, gate.held("month"))
    gate.reserve(("month", 5), ("messages", 1))
    assert ("5", "1") == (gate.held("month"), gate.held("messages"))


def test_a_hold_expires_by_itself(flows: Flows) -> None:
    """At the instant, for checks and for those who reserve."""
    gate = limited(flows, MONTH)
    gate.reserve(("month", 100), ttl_s=10)
    flows.clock.advance(10 * SECOND_US - 1)
    assert not gate.check(("month", 1)).allowed
    assert NOW_US + 10 * SECOND_US == gate.check(("month", 1)).frees_at_us
    flows.clock.advance(1)
    assert gate.check(("month", 100)).allowed
    gate.reserve(("month", 100))


def test_a_commit_counts_its_event_and_gives_the_hold_back(flows: Flows) -> None:
    """In one transaction: nobody sees both, or neither."""
    gate = limited(flows, MONTH)
    hold = gate.reserve(("month", 60))
    settled = gate.commit(hold, ("month", "12.5"), event=spend("12.5"))
    (item,) = settled.items
    assert (HoldState.COMMITTED, 0, [], False) == (settled.hold.state, item.overage, settled.passed, settled.duplicate)
    assert ("12.5", "0") == (gate.used("month"), gate.held("month"))
    assert [] == gate.told()


def test_a_commit_without_an_event_counts_the_quantity(flows: Flows) -> None:
    """By the plainest event of the meter; usage, dialects and limits all know it."""
    calls = {"name": "voice", "kind": "period", "meter": "call_seconds", "filter": {"channel": "voice"}, "quantity": 99}
    messages = {"name": "messages", "kind": "period", "meter": "messages", "quantity": "10"}
    gate = limited(flows, MONTH, calls, messages)
    hold = gate.reserve(("month", 60), ("voice", 60), ("messages", 3))
    gate.commit(hold, ("month", "3.2"), ("voice", "42.5"), ("messages", 2))
    assert ("3.2", "42.5", "2") == (gate.used("month"), gate.used("voice"), gate.used("messages"))
    assert ("0", "0", "0") == (gate.held("month"), gate.held("voice"), gate.held("messages"))


def test_a_commit_of_nothing_counts_nothing(flows: Flows) -> None:
    """Zero is a quantity like any other."""
    gate = limited(flows, MONTH)
    gate.commit(gate.reserve(("month", 60)), ("month", 0))
    assert ("0", "0") == (gate.used("month"), gate.held("month"))


def test_what_only_an_event_can_tell_needs_one(flows: Flows) -> None:
    """Which thing, which half of a message, which of two meters of one type: refused, and the hold stays."""
    gate = limited(
        flows,
        {"name": "numbers", "kind": "lifetime", "resource": "phone_number", "quantity": "5"},
        {"name": "messages", "kind": "period", "meter": "messages", "quantity": "2000"},
        {"name": "calls", "kind": "period", "meter": "calls", "quantity": "10"},
        {"name": "seconds", "kind": "period", "meter": "call_seconds", "quantity": "100"},
    )
    hold = gate.reserve(("numbers", 1), ("messages", "2000"), ("calls", 1), ("seconds", 10))
    for items, pointer in (
        ([("numbers", 1)], "/event"),
        ([("messages", "1.5")], "/items/0/quantity"),
        ([("messages", "1001")], "/event"),
        ([("calls", 1), ("seconds", 10)], "/event"),
    ):
        with pytest.raises(FieldInvalid) as refused:
            gate.commit(hold, *items)
        assert pointer == refused.value.pointer
    assert "1" == gate.held("numbers")
    number = {"id": "n", "type": "resource.created", "data": {"kind": "phone_number", "resource_id": "+1"}}
    gate.commit(hold, ("numbers", 1), event=number)
    assert ("1", "0") == (gate.used("numbers"), gate.held("numbers"))


def test_more_than_was_held_is_recorded_and_told(flows: Flows) -> None:
    """Usage that happened is never refused: it is counted, told in the answer and put into the outbox."""
    gate = limited(flows, MONTH)
    settled = gate.commit(gate.reserve(("month", 10)), ("month", "11"), event=spend("11"))
    assert (1 * NANOS, []) == (settled.items[0].overage, settled.passed)
    settled = gate.commit(gate.reserve(("month", 89)), ("month", "90"), event=spend("90", "f"))
    assert (1 * NANOS, ["month"]) == (settled.items[0].overage, settled.passed)
    standing = gate.standings()["month"]
    assert ("101", 0, True) == (to_text(standing.state.used), standing.state.remaining, standing.state.over)
    assert ["reservation.overage"] * 2 == [kind for kind, _ in gate.told() if kind.startswith("reservation.")]


def test_less_than_was_held_leaves_the_rest_free(flows: Flows) -> None:
    """At once."""
    gate = limited(flows, MONTH)
    gate.commit(gate.reserve(("month", 100)), ("month", 1))
    gate.reserve(("month", 99))


def test_an_expired_hold_may_be_committed(flows: Flows) -> None:
    """What was used was used; it may pass the limit, if others took the room meanwhile."""
    gate = limited(flows, MONTH)
    late = gate.reserve(("month", 60), ttl_s=1)
    flows.clock.advance(2 * SECOND_US)
    gate.reserve(("month", 100))
    settled = gate.commit(late, ("month", 60))
    assert ("60", "100", HoldState.COMMITTED) == (gate.used("month"), gate.held("month"), settled.hold.state)


def test_a_reservation_ends_once(flows: Flows) -> None:
    """Committed twice, released after, committed after a release: each says what it was."""
    gate = limited(flows, MONTH)
    done, back = gate.reserve(("month", 1)), gate.reserve(("month", 1))
    gate.commit(done, ("month", 1))
    gate.release(back)
    for again in (lambda: gate.commit(done, ("month", 1)), lambda: gate.release(done)):
        with pytest.raises(Conflict, match="committed already"):
            again()
    with pytest.raises(Conflict, match="released already"):
        gate.commit(back, ("month", 1))
    with pytest.raises(NotFound, match="no such reservation"):
        Gate(flows, limited(flows, MONTH, account_id="other").account_id).release(done)
    assert "1" == gate.used("month")


def test_an_event_of_another_payload_settles_nothing(flows: Flows) -> None:
    """The hold stays as it was; an event that was counted before is fine and counts once."""
    gate = limited(flows, MONTH)
    flows.write({"id": "e", "type": "credit.spend", "subject": "acme", "data": {"amount": "5"}})
    hold = gate.reserve(("month", 10))
    with pytest.raises(EventReused) as refused:
        gate.commit(hold, ("month", 6), event=spend("6"))
    assert ("/event/id", "10", "5") == (refused.value.pointer, gate.held("month"), gate.used("month"))
    assert gate.commit(hold, ("month", 5), event=spend("5")).duplicate
    assert ("0", "5") == (gate.held("month"), gate.used("month"))


def test_an_overage_limit_goes_on(flows: Flows) -> None:
    """It is told to be passed, and nothing is refused."""
    gate = limited(flows, MONTH | {"mode": "overage"})
    hold = gate.reserve(("month", 150))
    decision = gate.check(("month", 1))
    assert (True, 51 * NANOS) == (decision.allowed, decision.standings[0].passed_by)
    assert ["month"] == gate.commit(hold, ("month", 150)).passed


def test_the_tightest_of_several_limits_decides(flows: Flows) -> None:
    """Whichever of them is asked."""
    hour = {"name": "hour", "kind": "rolling", "meter": "credits", "window": "PT1H", "quantity": "10"}
    part = {"name": "part", "kind": "period", "meter": "credits", "filter": {"agent_id": "a"}, "quantity": "4"}
    gate = limited(flows, MONTH, hour, part)
    assert ["hour"] == gate.ask(("month", 11))[0].violated
    assert ["part"] == gate.ask(("part", 5))[0].violated
    gate.reserve(("part", 4))
    assert ("4", "4", "4") == (gate.held("month"), gate.held("hour"), gate.held("part"))
    assert ["hour"] == gate.ask(("month", 7))[0].violated
    assert ["month", "hour", "part"] == gate.ask(("part", 97))[0].violated


def test_a_limit_with_a_filter_lets_other_usage_pass(flows: Flows) -> None:
    """One API used up leaves the others free."""
    one = {"name": "one", "kind": "period", "meter": "requests", "filter": {"api_id": "api_1a2b"}, "quantity": "2"}
    gate = limited(flows, one, {"name": "all", "kind": "period", "meter": "requests", "quantity": "5"})
    gate.reserve(("one", 2))
    assert not gate.check(("one", 1)).allowed
    assert gate.check(("all", 3)).allowed


def test_each_value_has_its_own_budget(flows: Flows) -> None:
    """Of a limit by dimension; what is held for a value is told for it, before there was any usage."""
    gate = limited(flows, {"name": "each", "kind": "period", "meter": "credits", "per": "agent_id", "quantity": "5"})
    gate.reserve(("each", 5, {"agent_id": "a"}))
    assert not gate.check(("each", 1, {"agent_id": "a"})).allowed
    hold = gate.reserve(("each", 5, {"agent_id": "b"}))
    assert ("5", "5") == (gate.held("each/a"), gate.held("each/b"))
    gate.commit(hold, ("each", 2, {"agent_id": "b"}))
    assert ("2", "0") == (gate.used("each/b"), gate.held("each/b"))
    assert gate.check(("each", 3, {"agent_id": "b"})).allowed


def test_a_rolling_limit_says_when_the_next_unit_comes_free(flows: Flows) -> None:
    """To the microsecond: a moment before nothing is free, at it the oldest minute is."""
    gate = limited(flows, {"name": "hour", "kind": "rolling", "meter": "credits", "window": "PT1H", "quantity": "10"})
    used_us = NOW_US - 30 * MINUTE_US + 7
    flows.write({"type": "credit.spend", "subject": "acme", "time": instant_text(used_us), "data": {"amount": "10"}})
    frees_us = gate.check(("hour", 1)).frees_at_us
    assert NOW_US + 31 * MINUTE_US == frees_us == gate.standings()["hour"].frees_at_us
    flows.clock.set(frees_us - 1)
    assert not gate.check(("hour", 1)).allowed
    flows.clock.set(frees_us)
    assert gate.check(("hour", 10)).allowed


def test_a_period_limit_frees_at_the_end_of_the_period(flows: Flows) -> None:
    """Of the account's anchor and zone; holds that end sooner free sooner."""
    gate = limited(flows, MONTH, timezone="America/New_York", anchor_day=31)
    flows.write({"type": "credit.spend", "subject": "acme", "data": {"amount": "100"}})
    refused, _ = gate.ask(("month", 1))
    assert "2026-03-31T04:00:00Z" == instant_text(refused.frees_at_us or 0)
    flows.clock.set(refused.frees_at_us or 0)
    hold = gate.reserve(("month", 100), ttl_s=5)
    assert hold.expires_us == gate.check(("month", 1)).frees_at_us


def test_the_number_of_live_reservations_is_bounded(flows: Flows, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account that only reserves does not fill the ledger; expired ones make room."""
    monkeypatch.setattr(admit, "HOLDS_LIVE_MAX", 2)
    gate = limited(flows, MONTH)
    for _ in range(2):
        gate.reserve(("month", 1), ttl_s=1)
    with pytest.raises(Conflict, match="at most 2 live reservations"):
        gate.ask(("month", 1))
    flows.clock.advance(SECOND_US)
    gate.reserve(("month", 1))


def test_a_plan_change_counts_on_and_holds_at_once(flows: Flows) -> None:
    """Mid-period: usage and holds stay, the new quantity decides the next request; a lower one refuses, no more."""
    gate = limited(flows, MONTH)
    gate.commit(gate.reserve(("month", 50)), ("month", 50))
    gate.reserve(("month", 30))
    limited(flows, MONTH | {"quantity": "200"})
    gate.reserve(("month", 120))
    limited(flows, MONTH | {"quantity": "60"})
    standing = gate.standings()["month"]
    assert ("50", "150", 0) == (gate.used("month"), gate.held("month"), standing.state.remaining)
    assert ["month"] == gate.ask(("month", 1))[0].violated


def test_a_scheduled_plan_begins_at_its_instant(flows: Flows) -> None:
    """Not a microsecond before; until then it is told as what comes next."""
    gate = limited(flows, MONTH)
    flows.accounts.put_plan("later", {"limits": [MONTH | {"quantity": "1"}]})
    flows.accounts.put(gate.account.id, plan="later", starts_us=NOW_US + HOUR_US)
    following = gate.account.next_plan
    assert following is not None
    assert ("later", NOW_US + HOUR_US) == (following.plan_name, following.starts_us)
    flows.clock.set(NOW_US + HOUR_US - 1)
    assert gate.check(("month", 100)).allowed
    flows.clock.set(NOW_US + HOUR_US)
    assert not gate.check(("month", 2)).allowed
    assert gate.account.next_plan is None


def test_usage_by_events_alone_is_counted_and_flagged(flows: Flows) -> None:
    """Ingest refuses nothing that happened; the next request is refused."""
    gate = limited(flows, MONTH)
    gate.reserve(("month", 100))
    flows.write({"type": "credit.spend", "subject": "acme", "data": {"amount": "130"}})
    standing = gate.standings()["month"]
    assert ("130", True, 0) == (gate.used("month"), standing.state.over, standing.state.remaining)
    assert ["month"] == gate.ask(("month", 1))[0].violated


def test_many_at_once_never_pass_the_limit_and_never_refuse_what_fits(flows: Flows) -> None:
    """Fifty threads ask for one unit of ten: ten hear yes."""
    gate = limited(flows, MONTH | {"quantity": "10"})
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: gate.ask(("month", 1))[1], range(50)))
    assert 10 == sum(hold is not None for hold in answers)
    assert "10" == gate.held("month")


def test_what_is_old_is_forgotten_and_nothing_else(flows: Flows) -> None:
    """A reservation may be committed for seven days; then it is as if it never was. Usage stays."""
    gate = limited(flows, MONTH)
    old = gate.reserve(("month", 1))
    gate.commit(gate.reserve(("month", 2)), ("month", 2))
    flows.clock.advance(7 * DAY_US)  # days: a bound on age
    assert 1 == flows.sweeper.run()["prune"]  # what the expired one held
    young = gate.reserve(("month", 1))
    flows.clock.advance(2 * MINUTE_US)
    assert 2 == flows.sweeper.run()["prune"]
    assert 0 == flows.sweeper.run()["prune"]
    with pytest.raises(NotFound):
        gate.commit(old, ("month", 1))
    gate.commit(young, ("month", 1))


def test_a_refusal_tells_of_all_its_limits_when_they_free_something(flows: Flows) -> None:
    """Also of those that would have let it pass, as a check does."""
    gate = limited(flows, MONTH, {"name": "few", "kind": "period", "meter": "messages", "quantity": "1"})
    items = [("month", 1), ("few", 2)]
    decision, hold = gate.ask(*items)
    assert (None, ["few"]) == (hold, decision.violated)
    assert [one.frees_at_us for one in gate.check(*items).standings] == [one.frees_at_us for one in decision.standings]
    assert all(one.frees_at_us for one in decision.standings)
