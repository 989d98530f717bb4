"""Leases: slots with a token, kept by heartbeats, ended by release, time, a deadline or the call's own report."""

from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from tallybook.core.errors import FieldInvalid, NotFound
from tallybook.core.instant import DAY_US, HOUR_US, MINUTE_US, instant_text
from tallybook.core.lease import Ending
from tallybook.core.meter import Question
from tallybook.core.number import NANOS, to_text
from tallybook.core.window import Span
from tallybook.flows.lease import LeaseLost
from tests.support.admission import Gate, limited
from tests.support.rooms import NOW_US, OPERATOR, Flows

SECOND_US = 1_000_000
CALLS = {"name": "calls", "kind": "concurrent", "quantity": "2"}
LENGTH = {"name": "length", "kind": "duration", "seconds": 600}
VOICE = {"name": "voice", "kind": "period", "meter": "call_seconds", "quantity": "5000"}


def call(call_id: str, seconds: str, at_us: int, event_id: str = "real") -> dict[str, object]:
    """The platform's word on a call."""
    data = {"channel": "voice", "direction": "inbound", "duration_s": seconds, "call_id": call_id}
    return {"id": event_id, "type": "call", "subject": "acme", "time": instant_text(at_us), "data": data}


def seconds(flows: Flows, span: Span, **filters: str) -> str:
    """Call seconds in a span."""
    question = Question("call_seconds", (span,), (), {name: (value,) for name, value in filters.items()})
    (answer,) = flows.measure.ask(Gate(flows).account, [question])
    return to_text(answer.value)


def test_slots_are_given_out_up_to_the_limit(flows: Flows) -> None:
    """The third of two is refused, and told when the first may come free."""
    gate = limited(flows, CALLS)
    gate.lease(ttl_s=20)
    flows.clock.advance(SECOND_US)
    gate.lease(ttl_s=30)
    refused = gate.ask_lease()
    assert (None, ["calls"], NOW_US + 20 * SECOND_US) == (
        refused.lease,
        refused.decision.violated,
        refused.decision.frees_at_us,
    )
    assert ("2", NOW_US + 20 * SECOND_US) == (gate.used("calls"), gate.standings()["calls"].frees_at_us)
    assert not gate.check(("calls", 1)).allowed


def test_a_released_slot_is_free_at_once_and_stays_released(flows: Flows) -> None:
    """Twice is harmless: it does not free another's slot."""
    gate = limited(flows, CALLS)
    first, second = gate.lease(), gate.lease()
    assert (Ending.RELEASED, Ending.RELEASED) == (gate.free(first).ending, gate.free(first).ending)
    gate.lease()
    gate.free(first)
    assert "2" == gate.used("calls")
    gate.free(second)
    assert "1" == gate.used("calls")


def test_a_slot_runs_out_without_a_heartbeat(flows: Flows) -> None:
    """At its instant, whether anybody swept or not; a heartbeat gives it its whole time again."""
    gate = limited(flows, CALLS)
    silent, kept = gate.lease(ttl_s=10), gate.lease(ttl_s=10)
    flows.clock.advance(10 * SECOND_US - 1)
    assert NOW_US + 20 * SECOND_US - 1 == gate.beat(kept).expires_us
    flows.clock.advance(1)
    assert "1" == gate.used("calls")
    gate.lease()
    with pytest.raises(LeaseLost, match="has ended"):
        gate.beat(silent)
    assert 1 == flows.sweeper.run()["leases"]
    assert 0 == flows.sweeper.run()["leases"]
    assert (Ending.EXPIRED, NOW_US + 10 * SECOND_US) == (gate.free(silent).ending, gate.free(silent).ended_us)


def test_another_token_neither_keeps_nor_frees(flows: Flows) -> None:
    """Whoever lost the slot can do nothing to it."""
    gate = limited(flows, CALLS)
    lease, other = gate.lease(), gate.lease()
    for ask in (gate.beat, gate.free):
        with pytest.raises(LeaseLost, match="not the one that holds"):
            ask(lease, other.token)
    assert "2" == gate.used("calls")


def test_tokens_begin_with_a_number_that_only_rises(flows: Flows) -> None:
    """Also within one instant, and if the clock goes back: a resource can refuse the late holder."""
    gate = limited(flows, CALLS | {"quantity": "unlimited"})
    fences = [gate.lease().fence for _ in range(3)]
    flows.clock.set(NOW_US - HOUR_US)
    fences += [gate.lease().fence for _ in range(3)]
    assert sorted(set(fences)) == fences


def test_only_slots_can_be_leased(flows: Flows) -> None:
    """Another kind of limit and an unknown one are told apart; a foreign lease does not exist."""
    gate = limited(flows, CALLS, VOICE)
    with pytest.raises(FieldInvalid, match="is a period limit"):
        gate.ask_lease("voice")
    with pytest.raises(NotFound, match="no limit called"):
        gate.ask_lease("nope")
    lease = gate.lease()
    other = limited(flows, CALLS, account_id="other")
    for ask in (other.beat, other.free):
        with pytest.raises(NotFound, match="no such lease"):
            ask(lease)


def test_slots_are_counted_over_all_that_ask_at_once(flows: Flows) -> None:
    """Forty threads want a slot of two."""
    gate = limited(flows, CALLS)
    with ThreadPoolExecutor(16) as pool:
        granted = list(pool.map(lambda _: gate.ask_lease().lease, range(40)))
    assert 2 == sum(lease is not None for lease in granted)


def test_the_peak_of_slots_is_a_meter(flows: Flows) -> None:
    """The most that were live at once, by day and limit; refusals do not raise it."""
    gate = limited(flows, CALLS, {"name": "chats", "kind": "concurrent", "quantity": "9"})
    gate.free(gate.lease())
    flows.clock.set(NOW_US + DAY_US)
    for _ in range(2):
        gate.lease()
    gate.ask_lease()
    for _ in range(3):
        gate.lease("chats")
    midnight_us = NOW_US - 12 * HOUR_US
    days = tuple(Span(midnight_us + n * DAY_US, midnight_us + (n + 1) * DAY_US) for n in range(3))
    question = Question("concurrent_calls_peak", days, ("limit",))
    (answer,) = flows.measure.ask(gate.account, [question])
    assert {("calls",): [NANOS, 2 * NANOS, 0], ("chats",): [0, 3 * NANOS, 0]} == {
        group: list(values) for group, values in answer.groups.items()
    }


# --- deadlines ----------------------------------------------------------------------------------------------------


def test_a_duration_limit_ends_the_lease_whatever_the_heartbeats(flows: Flows) -> None:
    """The deadline is told with the lease; at it the slot is free, the platform is told once, the call is billed."""
    gate = limited(flows, CALLS, LENGTH, VOICE)
    lease = gate.lease(ttl_s=400, call_id="c1")
    deadline_us = NOW_US + 600 * SECOND_US
    assert deadline_us == lease.deadline_us
    flows.clock.advance(399 * SECOND_US)
    assert deadline_us == gate.beat(lease).runs_out_us
    flows.clock.set(deadline_us - 1)
    assert ("1", 0) == (gate.used("calls"), flows.sweeper.run()["leases"])
    flows.clock.set(deadline_us)
    assert "0" == gate.used("calls")
    with pytest.raises(LeaseLost):
        gate.beat(lease)
    assert [1, 0] == [flows.sweeper.run()["leases"] for _ in range(2)]
    assert "600" == gate.used("voice")
    body = {"account": "acme", "lease": lease.lease_id, "limit": "calls", "call_id": "c1"}
    ended = body | {"ended_at": instant_text(deadline_us)}
    assert [("lease.terminated", ended)] == [(kind, msgspec.json.decode(said)) for kind, said in gate.told()]


def test_it_does_not_matter_who_finds_that_a_deadline_passed(flows: Flows) -> None:
    """A late release ends the lease as the sweep would have: told, billed, once."""
    gate = limited(flows, CALLS, LENGTH, VOICE)
    lease = gate.lease(ttl_s=3600, call_id="c1")
    flows.clock.advance(601 * SECOND_US)
    ended = gate.free(lease)
    assert (Ending.TERMINATED, NOW_US + 600 * SECOND_US) == (ended.ending, ended.ended_us)
    assert 0 == flows.sweeper.run()["leases"]
    assert ("600", ["lease.terminated"]) == (gate.used("voice"), [kind for kind, _ in gate.told()])


def test_the_tightest_duration_limit_sets_the_deadline(flows: Flows) -> None:
    """As everywhere, the tightest decides; without one there is no deadline and nothing is billed."""
    gate = limited(flows, CALLS, LENGTH, LENGTH | {"name": "shorter", "seconds": 60}, VOICE)
    assert NOW_US + 60 * SECOND_US == gate.lease().deadline_us
    free = limited(flows, CALLS, VOICE, account_id="free")
    assert free.lease(ttl_s=60).deadline_us is None
    flows.clock.advance(HOUR_US)
    flows.sweeper.run()
    assert ("0", []) == (free.used("voice"), free.told())


def test_a_lease_that_expires_first_bills_nothing(flows: Flows) -> None:
    """Nobody knows how long that call was."""
    gate = limited(flows, CALLS, LENGTH, VOICE)
    gate.lease(ttl_s=599, call_id="c1")
    flows.clock.advance(HOUR_US)
    flows.sweeper.run()
    assert ("0", []) == (gate.used("voice"), gate.told())


def test_a_call_that_is_reported_ends_its_lease(flows: Flows) -> None:
    """The platform need not release what it reported."""
    gate = limited(flows, CALLS, LENGTH, VOICE)
    lease = gate.lease(call_id="c1")
    flows.clock.advance(5 * SECOND_US)
    flows.write(call("c1", "5", flows.clock.now_us()))
    assert ("0", "5") == (gate.used("calls"), gate.used("voice"))
    assert Ending.RELEASED == gate.free(lease).ending
    flows.clock.advance(HOUR_US)
    assert (0, []) == (flows.sweeper.run()["leases"], gate.told())


@pytest.mark.parametrize("real", ["600.5", "598", "600", "0"])
def test_a_later_call_event_settles_the_billed_call(flows: Flows, real: str) -> None:
    """It takes the place of what was billed: in totals, by dimension, in any window and to the microsecond."""
    gate = limited(flows, CALLS, LENGTH, VOICE)
    gate.lease(ttl_s=3600, call_id="c1")
    deadline_us = NOW_US + 600 * SECOND_US
    flows.clock.set(deadline_us)
    flows.sweeper.run()
    edges = [Span(deadline_us, deadline_us + 1), Span(deadline_us - 1, deadline_us), Span(0, deadline_us + HOUR_US)]
    assert ["600", "0", "600"] == [seconds(flows, span) for span in edges]
    flows.clock.advance(3 * MINUTE_US)
    real_us = flows.clock.now_us()
    flows.write(call("c1", real, real_us))
    assert ["0", "0", real] == [seconds(flows, span) for span in edges]
    assert (real, "0") == (
        seconds(flows, edges[2], direction="inbound"),
        seconds(flows, edges[2], direction="outbound"),
    )
    assert real == seconds(flows, Span(real_us, real_us + 1))
    assert real == gate.used("voice")


def test_settling_happens_once(flows: Flows) -> None:
    """The same event again is a duplicate; a second call event of the same call is another event and counts."""
    gate = limited(flows, CALLS, LENGTH, VOICE)
    gate.lease(ttl_s=3600, call_id="c1")
    flows.clock.advance(600 * SECOND_US)
    flows.sweeper.run()
    event = call("c1", "550", flows.clock.now_us())
    for accepted in (1, 0):
        assert accepted == flows.ingest.write([event], OPERATOR).accepted
    assert "550" == gate.used("voice")
    flows.write(call("c1", "1", flows.clock.now_us(), "second"))
    assert "551" == gate.used("voice")


def test_a_call_of_another_account_settles_nothing_here(flows: Flows) -> None:
    """Ids of calls are an account's own."""
    gate = limited(flows, CALLS, LENGTH, VOICE)
    gate.lease(ttl_s=3600, call_id="c1")
    flows.clock.advance(600 * SECOND_US)
    flows.sweeper.run()
    flows.write(call("c1", "7", flows.clock.now_us()) | {"subject": "other"})
    assert "600" == gate.used("voice")


def test_a_call_reported_before_anybody_swept_is_not_billed_twice(flows: Flows) -> None:
    """The deadline passed and the report came first: the platform is told all the same, the report counts alone."""
    gate = limited(flows, CALLS, LENGTH, VOICE)
    lease = gate.lease(ttl_s=3600, call_id="c1")
    flows.clock.advance(601 * SECOND_US)
    flows.write(call("c1", "601", flows.clock.now_us()))
    assert 0 == flows.sweeper.run()["leases"]
    assert ("601", ["lease.terminated"]) == (gate.used("voice"), [kind for kind, _ in gate.told()])
    assert (Ending.TERMINATED, NOW_US + 600 * SECOND_US) == (gate.free(lease).ending, gate.free(lease).ended_us)


def test_what_was_taken_back_stays_so_when_meters_are_rebuilt(flows: Flows) -> None:
    """The raw bytes of the billed event are still there; counting all anew passes them over."""
    gate = limited(flows, CALLS, LENGTH, VOICE)
    gate.lease(ttl_s=3600, call_id="c1")
    gate.lease(ttl_s=3600, call_id="c2")
    flows.clock.advance(600 * SECOND_US)
    flows.sweeper.run()
    flows.write(call("c1", "42", flows.clock.now_us()))
    assert "642" == gate.used("voice")
    flows.metering.rebuild("call_seconds")
    flows.fill.run()
    assert "642" == gate.used("voice")
    assert "642" == seconds(flows, Span(NOW_US + 1, NOW_US + HOUR_US + 1))


def test_ended_leases_are_forgotten_once_no_call_event_can_come(flows: Flows) -> None:
    """A call may be reported 35 days late and still settle; a day later the lease is gone."""
    gate = limited(flows, CALLS, LENGTH, VOICE)
    for call_id in ("c1", "c2"):
        gate.lease(ttl_s=3600, call_id=call_id)
    flows.clock.advance(600 * SECOND_US)
    ended_us = flows.clock.now_us()
    flows.sweeper.run()
    flows.clock.advance(35 * DAY_US)  # days: a bound on age
    assert 0 == flows.sweeper.run()["prune"]
    flows.write(call("c1", "42", ended_us))
    assert "642" == seconds(flows, Span(NOW_US, NOW_US + 40 * DAY_US))
    flows.clock.advance(DAY_US + 1)
    assert 2 == flows.sweeper.run()["prune"]
