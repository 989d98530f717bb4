"""Checks that are remembered: whatever is written, and however time goes, the answer is the one that is read anew."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tallybook.core.arrears import Invoice
from tallybook.core.hold import Decision, Wanted
from tallybook.core.instant import DAY_US, HOUR_US, MINUTE_US, instant_text
from tallybook.core.number import NANOS
from tallybook.core.plan import Account
from tallybook.flows.admit import Limits
from tallybook.ledger.holds import LedgerHolds
from tallybook.ledger.usage import Usage
from tests.support.admission import Gate, limited
from tests.support.rooms import Flows

PLAN = (
    {"name": "month", "kind": "period", "meter": "credits", "quantity": "100"},
    {"name": "day", "kind": "rolling", "meter": "credits", "quantity": "50", "window": "P1D"},
    {"name": "agents", "kind": "stock", "resource": "agent", "quantity": "3"},
    {"name": "calls", "kind": "concurrent", "quantity": "2"},
)
ITEMS = {name: (Wanted(name, NANOS),) for name in ("month", "day", "agents", "calls")}


def spent(flows: Flows, amount: str, account: str = "acme") -> None:
    """Spend credits now."""
    event = {"type": "credit.spend", "subject": account, "time": instant_text(flows.clock.now_us())}
    flows.write(event | {"data": {"amount": amount}})


def act(gate: Gate, action: Callable[..., object]) -> None:
    """Do something in the account's lane."""
    gate.flows.limits.run(gate.account, action).result()


def own(gate: Gate) -> None:
    """Give the account a limit of its own."""
    body = {"kind": "period", "meter": "credits", "quantity": "5"}
    act(gate, gate.flows.exceptions.put_limit(gate.account, "month", body))


def add_on(gate: Gate) -> None:
    """Add to a limit from an hour on, for an hour."""
    now_us = gate.flows.clock.now_us()
    span = {"starts_at": instant_text(now_us + HOUR_US), "ends_at": instant_text(now_us + 2 * HOUR_US)}
    act(gate, gate.flows.exceptions.put_add_on(gate.account, {"limit": "month", "quantity": "7"} | span, now_us))


def fail_invoice(gate: Gate) -> None:
    """Begin the days of grace."""
    now_us = gate.flows.clock.now_us()
    act(gate, gate.flows.billing.invoice(gate.account, Invoice.FAILED, now_us, now_us))


def create_agent(gate: Gate) -> None:
    """Create a thing."""
    data = {"kind": "agent", "resource_id": f"agent-{gate.flows.clock.now_us()}"}
    gate.flows.write({"type": "resource.created", "subject": "acme", "data": data})


def next_plan(gate: Gate) -> None:
    """Schedule another plan."""
    gate.flows.accounts.put_plan("other-plan", {"limits": [limit | {"quantity": "1"} for limit in PLAN]})
    gate.flows.accounts.put(gate.account.id, plan="other-plan", starts_us=gate.flows.clock.now_us() + HOUR_US)


STEPS: dict[str, Callable[[Gate], object]] = {
    "spend": lambda gate: spent(gate.flows, "3"),
    "another account spends": lambda gate: spent(gate.flows, "3", "other"),
    "hold": lambda gate: gate.ask(("month", 2), ttl_s=30),
    "lease": lambda gate: gate.ask_lease(),
    "own limit": own,
    "add-on": add_on,
    "invoice fails": fail_invoice,
    "agent": create_agent,
    "scheduled plan": next_plan,
    "same plan, lower": lambda gate: limited(gate.flows, *[limit | {"quantity": "2"} for limit in PLAN]),
    "zone": lambda gate: gate.flows.accounts.put(gate.account.id, timezone="Asia/Tokyo", anchor_day=2),
    "a second": lambda gate: gate.flows.clock.advance(1_000_000),
    "a minute": lambda gate: gate.flows.clock.advance(MINUTE_US),
    "an hour": lambda gate: gate.flows.clock.advance(HOUR_US),
    "a day": lambda gate: gate.flows.clock.advance(DAY_US),
    "eight days": lambda gate: gate.flows.clock.advance(8 * DAY_US),
    "a month": lambda gate: gate.flows.clock.advance(31 * DAY_US),
}


def shown(decision: Decision) -> object:
    """All that a client is told."""
    return decision.allowed, decision.violated, decision.reason, list(decision.standings)


def read_anew(flows: Flows, account: Account, items: tuple[Wanted, ...]) -> object:
    """The answer of somebody who remembers nothing."""
    limits = Limits(flows.measure, Usage(flows.ledger), flows.accounts, LedgerHolds(flows.ledger), flows.ingest)
    return shown(limits.check(account, items, flows.clock.now_us()))


@pytest.mark.parametrize("first", STEPS)
def test_a_check_that_is_repeated_is_the_one_that_is_read_anew(flows: Flows, first: str) -> None:
    """After each thing that can happen, and after anything else that follows it."""
    gate = limited(flows, *PLAN)
    for name in (first, *STEPS):
        for items in ITEMS.values():  # so that there is something to remember
            flows.limits.check(flows.accounts.get(gate.account.id), items, flows.clock.now_us())
        STEPS[name](gate)
        account = flows.accounts.get(gate.account.id)
        assert account == flows.accounts._accounts.get(account.id, flows.clock.now_us())
        for items in ITEMS.values():
            told = shown(flows.limits.check(account, items, flows.clock.now_us()))
            assert read_anew(flows, replace(account), items) == told, f"{name} after {first}"


def test_a_check_is_remembered_while_nothing_happens(flows: Flows) -> None:
    """Where no other process writes; elsewhere each one is read."""
    gate = limited(flows, *PLAN)
    first, second = (
        flows.limits.check(flows.accounts.get(gate.account.id), ITEMS["month"], flows.clock.now_us()) for _ in range(2)
    )
    assert (first is second) is flows.ledger.is_sqlite


@pytest.mark.parametrize("first", STEPS)
def test_what_a_lane_decides_by_is_what_is_read_anew(flows: Flows, first: str) -> None:
    """A reservation sees the account, its usage and what is held as somebody does who remembers nothing."""
    gate = limited(flows, *PLAN)
    for name in (first, *STEPS):
        gate.ask(("month", 1), ("agents", 1), ttl_s=90)  # so that there is something to remember
        STEPS[name](gate)
        items = (*ITEMS["month"], *ITEMS["agents"])
        anew = Limits(flows.measure, Usage(flows.ledger), flows.accounts, LedgerHolds(flows.ledger), flows.ingest)
        expected = anew.check(replace(gate.account), items, gate.now_us)
        decision, hold = gate.ask(("month", 1), ("agents", 1), ttl_s=90)
        assert (expected.allowed, expected.reason) == (hold is not None, decision.reason), f"{name} after {first}"
        seen = [(one.state, one.wanted) for one in decision.standings]
        assert [(one.state, one.wanted) for one in expected.standings] == seen, f"{name} after {first}"
        told = [one.frees_at_us for one in expected.standings if not one.fits]
        assert told == [one.frees_at_us for one in decision.standings if not one.fits]
        if hold is not None and name != "hold":
            gate.release(hold)


def test_a_plan_or_usage_that_changes_under_a_reservation_is_seen_by_the_next(flows: Flows) -> None:
    """Both are remembered by the lane only until then."""
    gate = limited(flows, {"name": "month", "kind": "period", "meter": "credits", "quantity": "10"})
    gate.reserve(("month", 4))
    spent(flows, "4")
    assert gate.ask(("month", 3))[1] is None
    limited(flows, {"name": "month", "kind": "period", "meter": "credits", "quantity": "11"})
    gate.reserve(("month", 3))
    act(gate, flows.exceptions.put_limit(gate.account, "month", {"kind": "period", "meter": "credits", "quantity": 12}))
    gate.reserve(("month", 1))
    assert gate.ask(("month", 1))[1] is None
