"""Checks that are remembered: whatever is written, and however time goes, the answer is the one that is read anew."""

import threading
from collections.abc import Callable
from dataclasses import replace

import pytest
from sqlalchemy import Connection, select

from tallybook.core.arrears import Invoice
from tallybook.core.changes import NOTHING
from tallybook.core.hold import Decision, Wanted
from tallybook.core.ids import AccountId
from tallybook.core.instant import DAY_US, HOUR_US, MINUTE_US, instant_text
from tallybook.core.number import NANOS
from tallybook.core.plan import Account
from tallybook.flows.admit import Limits
from tallybook.ledger.holds import LedgerHolds
from tallybook.ledger.hot import Hot, Values
from tallybook.ledger.tables import lanes
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


def at_once(gate: Gate, *actions: Callable[..., object]) -> list[object]:
    """Have *actions* run in one transaction: they queue while the one before is not over."""
    goes_on, begun = threading.Event(), threading.Event()

    def wait(_: object) -> None:
        begun.set()
        goes_on.wait()

    account = gate.account
    first = gate.flows.limits.run(account, wait)
    begun.wait()
    futures = [gate.flows.limits.run(account, action) for action in actions]
    goes_on.set()
    first.result()
    return [future.result() for future in futures]


def reserving(gate: Gate, units: int, ttl_s: int = 60) -> Callable[..., object]:
    """The action that holds so many credits and says whether it could."""
    action = gate.flows.limits.reserve(gate.account, (Wanted("month", units * NANOS),), ttl_s, gate.now_us)
    return lambda desk: action(desk)[1] is not None


def test_reservations_of_one_transaction_see_each_other(flows: Flows) -> None:
    """And what was settled, given back and used in it; each is decided as if it came alone."""
    gate = limited(flows, {"name": "month", "kind": "period", "meter": "credits", "quantity": "10"})
    first, second = gate.reserve(("month", 4)), gate.reserve(("month", 4), ttl_s=600)
    settle = flows.limits.commit(gate.account, first.hold_id, (Wanted("month", 1 * NANOS),), None, gate.now_us)
    seen = at_once(
        gate,
        reserving(gate, 3),  # 8 are held
        reserving(gate, 2),
        reserving(gate, 1),  # 10
        settle,  # 6 are held, 1 is used
        reserving(gate, 4),
        reserving(gate, 3),
        flows.limits.release(gate.account, second.hold_id),
        reserving(gate, 5),
        reserving(gate, 4),
        reserving(gate, 1),
    )
    assert [False, True, False, False, True, False, True, False] == [one for one in seen if isinstance(one, bool)]
    assert ("1", "9") == (gate.used("month"), gate.held("month"))


def test_many_reservations_of_one_transaction_read_no_more_than_two(
    flows: Flows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The account, its usage and what is held are read once, and nothing at all is written for refusals."""
    gate = limited(flows, {"name": "month", "kind": "period", "meter": "credits", "quantity": "10"})
    run, statements = Hot._run, list[Hot]()

    def counting(hot: Hot, connection: Connection, values: Values) -> object:
        statements.append(hot)
        return run(hot, connection, values)

    monkeypatch.setattr(Hot, "_run", counting)
    counts = []
    for many in (2, 20, 2, 20):
        actions = [reserving(gate, 11) for _ in range(many)]
        statements.clear()
        at_once(gate, *actions)
        counts.append(len(statements))
    assert counts[2] == counts[3] <= counts[1] <= counts[0]


def test_a_decision_in_the_lane_takes_the_account_as_it_is_then(flows: Flows) -> None:
    """It is enough to have met it before, on whatever plan it was."""
    month = {"name": "month", "kind": "period", "meter": "credits", "quantity": "10"}
    gate = limited(flows, month)
    met = flows.accounts.met(gate.account.id)
    assert met is not None
    limited(flows, month | {"quantity": "2"})
    (could,) = at_once(gate, lambda desk: flows.limits.reserve(met, (Wanted("month", 3 * NANOS),), 60, 0)(desk)[1])
    assert could is None
    assert flows.accounts.met(AccountId("nobody")) is None


def test_whoever_finds_no_meter_to_fill_disturbs_nobody(flows: Flows) -> None:
    """Servers look every other moment: it needs no lane, and all that is remembered stays."""
    gate = limited(flows, *PLAN)
    known = flows.accounts.get(gate.account.id)
    with flows.ledger.writing(NOTHING) as connection:
        connection.execute(select(lanes.c.lane).with_for_update())
        flows.fill.run()
    assert (flows.accounts.remembered(gate.account.id) is known) is flows.ledger.is_sqlite
