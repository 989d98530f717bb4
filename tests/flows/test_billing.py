"""Billing status: past due is served for seven days, suspended is refused, paying ends it; each change is told once."""

import msgspec
import pytest

from tallybook.core.arrears import Billed, Invoice
from tallybook.core.hold import SUSPENDED, AccountSuspended
from tallybook.core.instant import DAY_US, HOUR_US
from tallybook.core.plan import BillingStatus
from tests.support.admission import Gate, limited
from tests.support.rooms import NOW_US, Flows, open_flows

LIMITS = (
    {"name": "credits", "kind": "period", "meter": "credits", "quantity": "100"},
    {"name": "calls", "kind": "concurrent", "quantity": "2"},
)
GRACE_US = 7 * DAY_US  # days: 7 times 24 hours


def changes(gate: Gate) -> list[tuple[str, str, str]]:
    """What was told: from, to, at."""
    told = [msgspec.json.decode(body) for kind, body in gate.told() if kind == "billing.status_changed"]
    return [(body["from"], body["to"], body["at"]) for body in told]


def test_an_account_pays_until_somebody_says_otherwise(flows: Flows) -> None:
    """Active, without grace; paying what was paid is no change."""
    gate = limited(flows, *LIMITS)
    assert ("active", None) == (gate.account.billing_status, gate.account.grace_ends_us)
    assert Billed(BillingStatus.ACTIVE) == gate.invoice(Invoice.PAID)
    assert [] == gate.told()


def test_a_failed_invoice_leaves_seven_days(flows: Flows) -> None:
    """Still served to the last microsecond; then refused, by itself, while events and reads go on."""
    gate = limited(flows, *LIMITS)
    assert Billed(BillingStatus.PAST_DUE, NOW_US + GRACE_US) == gate.invoice(Invoice.FAILED)
    flows.clock.set(NOW_US + GRACE_US - 1)
    assert "past_due" == gate.account.billing_status
    hold = gate.reserve(("credits", 1), ttl_s=3600)
    lease = gate.lease(ttl_s=3600)
    flows.clock.advance(1)
    assert "suspended" == gate.account.billing_status
    decision = gate.check(("credits", 1))
    assert (False, SUSPENDED, []) == (decision.allowed, decision.reason, decision.violated)
    refused, none = gate.ask(("credits", 1))
    assert (SUSPENDED, None, SUSPENDED) == (refused.reason, none, gate.ask_lease().decision.reason)
    with pytest.raises(AccountSuspended):
        refused.require(flows.clock.now_us())
    flows.write({"type": "credit.spend", "subject": "acme", "data": {"amount": "7"}})
    gate.commit(hold, ("credits", 1))
    gate.beat(lease)
    gate.free(lease)
    assert "8" == gate.used("credits")


def test_paying_serves_again_at_once(flows: Flows) -> None:
    """From past due and from suspended; the next failure has seven days of its own."""
    gate = limited(flows, *LIMITS)
    for _ in range(2):
        gate.invoice(Invoice.FAILED)
        flows.clock.advance(GRACE_US)
        assert not gate.check(("credits", 1)).allowed
        assert Billed(BillingStatus.ACTIVE) == gate.invoice(Invoice.PAID)
        assert gate.check(("credits", 1)).allowed
    gate.invoice(Invoice.FAILED)
    gate.invoice(Invoice.PAID)
    assert "active" == gate.account.billing_status


def test_a_second_failure_does_not_prolong_the_grace(flows: Flows) -> None:
    """Nor does it shorten it."""
    gate = limited(flows, *LIMITS)
    first = gate.invoice(Invoice.FAILED)
    flows.clock.advance(3 * DAY_US)
    assert first == gate.invoice(Invoice.FAILED)
    assert first == gate.invoice(Invoice.FAILED, NOW_US - 5 * DAY_US)


def test_the_grace_counts_from_the_instant_that_was_said(flows: Flows) -> None:
    """An invoice that failed eight days ago suspends now, and both changes are told."""
    gate = limited(flows, *LIMITS)
    failed_us = NOW_US - GRACE_US - DAY_US
    assert Billed(BillingStatus.SUSPENDED, NOW_US - DAY_US) == gate.invoice(Invoice.FAILED, failed_us)
    assert [
        ("active", "past_due", "2026-02-21T12:00:00Z"),
        ("past_due", "suspended", "2026-02-28T12:00:00Z"),
    ] == changes(gate)


def test_each_change_is_told_once(flows: Flows) -> None:
    """Also the one that nobody made: whoever sweeps first tells it, with the instant at which it happened."""
    gate = limited(flows, *LIMITS)
    for _ in range(2):
        gate.invoice(Invoice.FAILED)
    flows.clock.advance(GRACE_US + HOUR_US)
    assert [1, 0] == [flows.sweeper.run()["suspensions"] for _ in range(2)]
    gate.invoice(Invoice.FAILED)
    for _ in range(2):
        gate.invoice(Invoice.PAID)
    assert [
        ("active", "past_due", "2026-03-01T12:00:00Z"),
        ("past_due", "suspended", "2026-03-08T12:00:00Z"),
        ("suspended", "active", "2026-03-08T13:00:00Z"),
    ] == changes(gate)


def test_paying_before_anybody_swept_tells_the_suspension_too(flows: Flows) -> None:
    """It held for an hour, so it is told, before the payment that ended it."""
    gate = limited(flows, *LIMITS)
    gate.invoice(Invoice.FAILED)
    flows.clock.advance(GRACE_US + HOUR_US)
    gate.invoice(Invoice.PAID)
    assert ["past_due", "suspended", "active"] == [to for _, to, _ in changes(gate)]
    assert 0 == flows.sweeper.run()["suspensions"]


def test_two_processes_tell_it_once(flows: Flows) -> None:
    """Both find the account; its lane lets one of them."""
    gate = limited(flows, *LIMITS)
    gate.invoice(Invoice.FAILED)
    with open_flows(flows.ledger) as other:
        for one in (flows, other):
            one.clock.set(NOW_US + GRACE_US)
        action = other.billing.suspend(gate.account, NOW_US + GRACE_US)
        again = flows.billing.suspend(gate.account, NOW_US + GRACE_US)
        told = [other.billing.run(gate.account, action), flows.billing.run(gate.account, again)]
        assert [False, True] == sorted(future.result() for future in told)
    assert 2 == len(changes(gate))


def test_accounts_pay_for_themselves(flows: Flows) -> None:
    """Another's failure suspends nobody else."""
    gate, other = limited(flows, *LIMITS), limited(flows, *LIMITS, account_id="other")
    gate.invoice(Invoice.FAILED, NOW_US - 2 * GRACE_US)
    assert ("suspended", "active") == (gate.account.billing_status, other.account.billing_status)
    listed = {account.id: account.billing_status for account in flows.accounts.list()}
    assert {"acme": "suspended", "other": "active"} == listed
