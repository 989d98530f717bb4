"""Things over a limit: creating one by the API is refused, one that was created is recorded, and limits tell."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tallybook.core.hold import QuotaExceeded
from tallybook.core.instant import instant_text
from tallybook.core.number import NANOS
from tests.support.admission import Gate, limited
from tests.support.rooms import OPERATOR, Flows

NOW = {"name": "now", "kind": "stock", "resource": "agent", "quantity": "2"}
EVER = {"name": "ever", "kind": "lifetime", "resource": "agent", "quantity": "3"}


def release(gate: Gate, resource_id: str) -> None:
    """Give a thing up."""
    gate.flows.clock.advance(1)
    gate.flows.inventory.release(OPERATOR, gate.account, "agent", resource_id)
    gate.flows.clock.advance(1)


def test_a_thing_over_the_stock_is_refused(flows: Flows) -> None:
    """Giving one up makes room; other kinds have their own."""
    gate = limited(flows, NOW)
    for name in "ab":
        gate.create("agent", name)
    with pytest.raises(QuotaExceeded, match="the limit now allows 2: 2 used, 0 held, 1 asked") as refused:
        gate.create("agent", "c")
    assert ["now"] == refused.value.decision.violated
    gate.create("seat", "c")
    release(gate, "a")
    gate.create("agent", "c")
    assert "2" == gate.used("now")


def test_a_thing_that_exists_is_not_a_new_one(flows: Flows) -> None:
    """It can be renamed when there is no room, and even above the limit."""
    gate = limited(flows, NOW, EVER)
    for name in "ab":
        gate.create("agent", name)
    limited(flows, NOW | {"quantity": "1"}, EVER | {"quantity": "1"})
    gate.create("agent", "a", name="Front desk")
    assert ["Front desk", None] == [thing.name for thing in flows.inventory.resources(gate.account)]


def test_releasing_does_not_give_back_what_counts_for_ever(flows: Flows) -> None:
    """A released thing that comes again is none of those that are new for ever, but one of those that are now."""
    gate = limited(flows, NOW | {"quantity": "9"}, EVER)
    for name in "abc":
        gate.create("agent", name)
        release(gate, name)
    with pytest.raises(QuotaExceeded) as refused:
        gate.create("agent", "d")
    assert ["ever"] == refused.value.decision.violated
    gate.create("agent", "a")
    limited(flows, NOW | {"quantity": "1"}, EVER)
    with pytest.raises(QuotaExceeded) as full:
        gate.create("agent", "b")
    assert ["now"] == full.value.decision.violated
    assert ("1", "3") == (gate.used("now"), gate.used("ever"))


def test_what_is_reserved_takes_room(flows: Flows) -> None:
    """Until the reservation is settled by the event of the thing, or given back."""
    gate = limited(flows, NOW)
    hold = gate.reserve(("now", 2))
    with pytest.raises(QuotaExceeded, match="0 used, 2 held, 1 asked"):
        gate.create("agent", "a")
    data = {"kind": "agent", "resource_id": "a"}
    gate.commit(hold, ("now", 1), event={"id": "a", "type": "resource.created", "data": data})
    gate.create("agent", "b")
    assert ("2", "0") == (gate.used("now"), gate.held("now"))


def test_what_was_created_already_is_recorded(flows: Flows) -> None:
    """An event is no question: it counts above the limit, and the limit tells."""
    gate = limited(flows, NOW)
    for name in "abc":
        data = {"kind": "agent", "resource_id": name}
        time = instant_text(flows.clock.now_us())
        flows.write({"type": "resource.created", "subject": "acme", "time": time, "data": data})
    state = gate.standings()["now"].state
    assert (3 * NANOS, True, 0) == (state.used, state.over, state.remaining)


def test_an_overage_limit_lets_things_in(flows: Flows) -> None:
    """It is passed and told, not refused."""
    gate = limited(flows, NOW | {"mode": "overage"})
    for name in "abc":
        gate.create("agent", name)
    assert gate.standings()["now"].state.over


def test_of_two_that_want_the_last_place_one_gets_it(flows: Flows) -> None:
    """The place is decided on where nobody else takes it meanwhile."""
    gate = limited(flows, NOW)

    def attempt(number: int) -> bool:
        try:
            gate.create("agent", f"a{number}")
        except QuotaExceeded:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert 2 == sum(pool.map(attempt, range(20)))
    assert "2" == gate.used("now")
