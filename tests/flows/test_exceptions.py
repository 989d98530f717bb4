"""Exceptions from plans: limits of an account's own, add-ons for a time; they decide from their answer on."""

from collections.abc import Callable
from typing import TypeVar

import pytest

from tallybook.core.desk import Desk
from tallybook.core.errors import Conflict, FieldInvalid, NotFound
from tallybook.core.instant import HOUR_US, instant_text
from tallybook.core.number import NANOS
from tallybook.flows import exceptions
from tests.support.admission import Gate, limited
from tests.support.rooms import NOW_US, Flows

MONTH = {"name": "month", "kind": "period", "meter": "credits", "quantity": "100"}
OWN = {"kind": "period", "meter": "credits", "quantity": "10"}

_T = TypeVar("_T")


def do(gate: Gate, action: Callable[[Desk], _T]) -> _T:
    """Run an action in the account's lane."""
    return gate.flows.limits.run(gate.account, action).result()


def put(gate: Gate, name: str, body: dict[str, object]) -> None:
    """Give the account a limit of its own."""
    do(gate, gate.flows.exceptions.put_limit(gate.account, name, body))


def test_an_own_limit_takes_the_place_of_the_plans(flows: Flows) -> None:
    """Of that name, for that account, from now on; without it the plan's holds again."""
    gate, other = limited(flows, MONTH), limited(flows, MONTH, account_id="other")
    put(gate, "month", OWN)
    assert (["month"], []) == (gate.ask(("month", 11))[0].violated, other.ask(("month", 11))[0].violated)
    put(gate, "month", OWN | {"quantity": "12"})
    hold = gate.reserve(("month", 11))
    do(gate, flows.exceptions.drop_limit(gate.account, "month"))
    do(gate, flows.exceptions.drop_limit(gate.account, "month"))
    assert ("11", 89 * NANOS) == (gate.held("month"), gate.standings()["month"].state.remaining)
    gate.release(hold)


def test_an_own_limit_stands_beside_the_plans(flows: Flows) -> None:
    """Under a name that the plan does not have; the tightest decides. It survives a change of plan."""
    gate = limited(flows, MONTH)
    put(gate, "hour", {"kind": "rolling", "meter": "credits", "quantity": "5", "window": "PT1H"})
    assert (["month", "hour"], ["hour"]) == (list(gate.standings()), gate.ask(("month", 6))[0].violated)
    limited(flows, MONTH | {"quantity": "200"})
    assert ["month", "hour"] == list(gate.standings())


def test_an_own_limit_counts_what_a_meter_measures(flows: Flows) -> None:
    """Or it is refused, with all that is wrong."""
    gate = limited(flows, MONTH)
    for body, pointer in (
        (OWN | {"meter": "nope"}, "/meter"),
        (OWN | {"per": "colour"}, "/per"),
        (OWN | {"name": "month"}, "/name"),
        (OWN | {"kind": "weekly"}, "/kind"),
        (OWN | {"quantity": "-1"}, "/quantity"),
        ({"kind": "stock", "meter": "credits", "quantity": "1"}, "/meter"),
        ([], ""),
    ):
        with pytest.raises(FieldInvalid) as refused:
            flows.exceptions.put_limit(gate.account, "month", body)
        assert pointer == refused.value.pointer
    with pytest.raises(FieldInvalid) as named:
        flows.exceptions.put_limit(gate.account, "Not a name", OWN)
    assert "/name" == named.value.pointer


def test_add_ons_raise_a_limit_while_they_last(flows: Flows) -> None:
    """From their first instant up to their last, several at once, until they are taken back."""
    gate = limited(flows, MONTH)
    ends = {"ends_at": instant_text(NOW_US + 2 * HOUR_US)}
    first = do(gate, flows.exceptions.put_add_on(gate.account, {"limit": "month", "quantity": "20", **ends}, NOW_US))
    later = {"limit": "month", "quantity": "3", "starts_at": instant_text(NOW_US + HOUR_US)}
    do(gate, flows.exceptions.put_add_on(gate.account, later, NOW_US))
    found = []
    for now_us in (NOW_US, NOW_US + HOUR_US - 1, NOW_US + HOUR_US, NOW_US + 2 * HOUR_US):
        flows.clock.set(now_us)
        found.append((gate.standings()["month"].state.remaining or 0) // NANOS)
    assert [120, 120, 123, 103] == found
    flows.clock.set(NOW_US)
    gate.reserve(("month", 120))
    do(gate, flows.exceptions.drop_add_on(gate.account, first.add_on_id))
    assert 0 == gate.standings()["month"].state.remaining
    assert ["3"] == [str(add_on.quantity // NANOS) for add_on in flows.exceptions.of(gate.account).add_ons]
    with pytest.raises(NotFound, match="no such add-on"):
        do(gate, flows.exceptions.drop_add_on(gate.account, first.add_on_id))


def test_add_ons_are_of_limits_that_have_a_quantity(flows: Flows) -> None:
    """An unknown limit and a length are refused."""
    gate = limited(flows, MONTH, {"name": "length", "kind": "duration", "seconds": 60})
    for limit, kind in (("nope", NotFound), ("length", FieldInvalid)):
        with pytest.raises(kind) as refused:
            do(gate, flows.exceptions.put_add_on(gate.account, {"limit": limit, "quantity": 1}, NOW_US))
        assert "/limit" == refused.value.pointer


def test_exceptions_are_bounded(flows: Flows, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replacing is no new one, and what has ended makes room."""
    monkeypatch.setattr(exceptions, "OVERRIDES_MAX", 1)
    monkeypatch.setattr(exceptions, "ADD_ONS_MAX", 1)
    gate = limited(flows, MONTH)
    for _ in range(2):
        put(gate, "a", OWN)
    with pytest.raises(Conflict, match="at most 1 limits of its own"):
        put(gate, "b", OWN)
    body = {"limit": "month", "quantity": "1", "ends_at": instant_text(NOW_US + 1_000_000)}
    do(gate, flows.exceptions.put_add_on(gate.account, body, NOW_US))
    with pytest.raises(Conflict, match="at most 1 add-ons"):
        do(gate, flows.exceptions.put_add_on(gate.account, body, NOW_US))
    later = body | {"ends_at": instant_text(NOW_US + 3_000_000)}
    do(gate, flows.exceptions.put_add_on(gate.account, later, NOW_US + 1_000_000))


def test_an_own_limit_ends_leases_and_lengths(flows: Flows) -> None:
    """Every kind may be an exception."""
    gate = limited(flows, {"name": "calls", "kind": "concurrent", "quantity": "1"})
    put(gate, "length", {"kind": "duration", "seconds": 60})
    put(gate, "calls", {"kind": "concurrent", "quantity": "2"})
    assert NOW_US + 60_000_000 == gate.lease("calls", ttl_s=600).deadline_us
    gate.lease("calls")
    assert ["calls"] == gate.ask_lease("calls").decision.violated
