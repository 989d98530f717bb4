"""Crossings: told once, in the transaction of their usage, by the figures that questions show."""

import json

from sqlalchemy import text

from tallybook.core.desk import Desk
from tallybook.core.instant import DAY_US, MINUTE_US, instant_text, parse_instant
from tallybook.flows.alerting import Alerting, Rechecks
from tallybook.flows.foresee import Forecasts
from tallybook.ledger.alert_history import LedgerAlerts
from tallybook.ledger.alert_rules import LedgerAlertRules
from tests.support.admission import Gate
from tests.support.rooms import OPERATOR, Flows

LIMIT = {"name": "messages", "kind": "period", "meter": "messages", "quantity": "100"}


def put_account(flows: Flows, *limits: dict[str, object], account: str = "acme", **plan: object) -> Gate:
    """Put the account on a plan of its own with these limits."""
    flows.accounts.put_plan(f"of-{account}", {"limits": list(limits), **plan})
    flows.accounts.put(account, plan=f"of-{account}", starts_us=0)
    return Gate(flows, account)


def message(account: str = "acme", **fields: object) -> dict[str, object]:
    """Return the body of one message."""
    return {"type": "message", "subject": account, "data": {"direction": "inbound"}, **fields}


def said(gate: Gate) -> list[tuple[str, int]]:
    """Return event and threshold of everything that was told about limits, in order."""
    return [
        (kind, json.loads(body)["threshold"])
        for kind, body in gate.told()
        if kind.startswith(("usage.", "budget.")) and kind != "usage.forecast"
    ]


def test_each_threshold_is_told_once(flows: Flows) -> None:
    """At the event that reaches it, not before, and never again in the period."""
    gate = put_account(flows, LIMIT)
    flows.write(*[message() for _ in range(79)])
    assert [] == said(gate)
    flows.write(message())
    assert [("usage.warning", 80)] == said(gate)
    flows.write(message())
    flows.write(*[message() for _ in range(14)])
    flows.write(*[message() for _ in range(5)])
    flows.write(*[message() for _ in range(50)])
    assert [("usage.warning", 80), ("usage.critical", 95), ("usage.overage", 100)] == said(gate)


def test_several_thresholds_at_once_are_told_one_by_one_the_highest_last(flows: Flows) -> None:
    """One commit, three messages."""
    gate = put_account(flows, LIMIT)
    flows.write(*[message() for _ in range(130)])
    assert [("usage.warning", 80), ("usage.critical", 95), ("usage.overage", 100)] == said(gate)
    body = json.loads(gate.told()[-1][1])
    assert ("130", "100", "0", True) == (body["used"], body["quantity"], body["remaining"], body["exceeded"])
    assert {"start": "2026-03-01T00:00:00Z", "end": "2026-04-01T00:00:00Z"} == body["period"]


def test_a_new_period_arms_again_and_late_events_tell_nobody(flows: Flows) -> None:
    """What comes late into the closed period is listed without a message."""
    gate = put_account(flows, LIMIT)
    flows.write(*[message() for _ in range(85)])
    march = instant_text(flows.clock.now_us())
    flows.clock.advance(31 * DAY_US)
    flows.write(*[message(time=march) for _ in range(10)])
    assert [("usage.warning", 80)] == said(gate)
    assert [(80, 0), (95, 1)] == rows(flows, "percent, late")
    flows.write(*[message() for _ in range(80)])
    assert [("usage.warning", 80), ("usage.warning", 80)] == said(gate)


def rows(flows: Flows, columns: str) -> list[tuple[object, ...]]:
    """Return columns of the history."""
    with flows.ledger.reading() as connection:
        return [tuple(row) for row in connection.execute(text(f"SELECT {columns} FROM alerts ORDER BY alert_no"))]


def test_a_raised_limit_arms_what_is_no_longer_reached(flows: Flows) -> None:
    """Also when the next events jump over the new threshold at once."""
    gate = put_account(flows, LIMIT)
    flows.write(*[message() for _ in range(85)])
    put_account(flows, {**LIMIT, "quantity": "200"})
    flows.accounts.put("acme", plan="of-acme")
    flows.write(*[message() for _ in range(80)])
    assert [("usage.warning", 80), ("usage.warning", 80)] == said(gate)


def test_an_exception_is_looked_at_when_it_is_given(flows: Flows) -> None:
    """A lowered limit tells at once what is reached by it."""
    gate = put_account(flows, LIMIT)
    flows.write(*[message() for _ in range(70)])
    body = {name: value for name, value in LIMIT.items() if name != "name"}
    action = flows.exceptions.put_limit(gate.account, "messages", {**body, "quantity": "50"})
    flows.limits.run(gate.account, action).result()
    assert [("usage.warning", 80), ("usage.critical", 95), ("usage.overage", 100)] == said(gate)


def test_each_value_of_a_dimension_is_told_for_itself(flows: Flows) -> None:
    """WontoPos: usage.limit_reached at 80 % of the plan limit of an API."""
    limit = {"name": "requests", "kind": "period", "mode": "overage", "meter": "requests", "per": "api_id"}
    gate = put_account(flows, {**limit, "quantity": "10"}, alerts=[80])

    def call(api: str, count: int) -> None:
        data = {"api_id": api, "status": 200}
        flows.write(*[{"type": "api.request", "subject": "acme", "data": data} for _ in range(count)])

    call("a", 7)
    call("b", 7)
    assert [] == said(gate)
    call("a", 1)
    call("a", 9)
    call("b", 1)
    told = [json.loads(body)["value"] for _, body in gate.told()]
    assert ["a", "b"] == told
    assert [("usage.limit_reached", 80)] * 2 == said(gate)


def test_a_filter_counts_only_what_it_lets_pass(flows: Flows) -> None:
    """Other calls bring nobody nearer."""
    limit = {"name": "voice", "kind": "period", "meter": "call_seconds", "filter": {"channel": "voice"}}
    gate = put_account(flows, {**limit, "quantity": "1000"})

    def call(channel: str, seconds: str) -> None:
        data = {"channel": channel, "direction": "inbound", "duration_s": seconds}
        flows.write({"type": "call", "subject": "acme", "data": data})

    for _ in range(20):
        call("chat", "500.5")
        call("voice", "39.999999999")
    assert [] == said(gate)
    call("voice", "0.00000002")
    assert [("usage.warning", 80)] == said(gate)


def test_things_storage_and_slots_are_watched_too(flows: Flows) -> None:
    """Stocks of things, last values and live leases."""
    gate = put_account(
        flows,
        {"name": "seats", "kind": "stock", "resource": "seat", "quantity": "4"},
        {"name": "storage", "kind": "stock", "meter": "storage_mb", "quantity": "1000"},
        {"name": "calls", "kind": "concurrent", "quantity": "2"},
        alerts=[80, 100],
    )
    for number in range(4):
        gate.create("seat", f"s{number}")
    assert [("usage.warning", 80), ("usage.overage", 100)] == said(gate)
    flows.write({"type": "storage.snapshot", "subject": "acme", "data": {"megabytes": 900}})
    assert [("usage.warning", 80)] == said(gate)[2:]
    gate.lease()
    assert [("usage.warning", 80)] == said(gate)[2:]
    gate.lease()
    assert [("usage.warning", 80), ("usage.overage", 100)] == said(gate)[3:]


def test_a_stock_recovers_when_it_falls_clearly(flows: Flows) -> None:
    """Hysteresis: a little below the threshold is not recovered."""
    gate = put_account(flows, {"name": "storage", "kind": "stock", "meter": "storage_mb", "quantity": "1000"})

    def snapshot(megabytes: int) -> None:
        flows.write({"type": "storage.snapshot", "subject": "acme", "data": {"megabytes": megabytes}})

    for megabytes in (810, 790, 810, 740, 810):
        snapshot(megabytes)
    assert [("usage.warning", 80), ("usage.recovered", 80), ("usage.warning", 80)] == said(gate)


def test_an_account_on_the_default_plan_follows_its_new_version(flows: Flows) -> None:
    """Nobody put it on a plan, so the newest version of the default one counts."""
    gate = Gate(flows)
    flows.write(*[message() for _ in range(50)])
    flows.accounts.put_plan("default", {"limits": [{**LIMIT, "quantity": "60"}]})
    flows.write(message())
    assert [("usage.warning", 80)] == said(gate)


def test_a_duplicate_crosses_nothing(flows: Flows) -> None:
    """What does not count does not tell."""
    gate = put_account(flows, {**LIMIT, "quantity": "2"}, alerts=[100])
    event = message(id="same")
    for _ in range(3):
        flows.ingest.write([event], OPERATOR)
    assert [] == said(gate)


def test_what_falls_by_itself_recovers_in_a_sweep(flows: Flows) -> None:
    """A rolling window moves on, nobody sends anything, and it is told once."""
    limit = {"name": "credits", "kind": "rolling", "meter": "credits", "window": "PT1H", "quantity": "10"}
    gate = put_account(flows, limit, alerts=[80])
    rechecks = Rechecks(LedgerAlerts(flows.ledger), flows.ingest, flows.clock.now_us)
    flows.write({"type": "credit.spend", "subject": "acme", "data": {"amount": 9}})
    assert 0 == rechecks.step()
    flows.clock.advance(30 * MINUTE_US)
    assert [1, 0] == [rechecks.step(), rechecks.step()]
    assert [("usage.warning", 80)] == said(gate)
    flows.clock.advance(40 * MINUTE_US)
    assert [1, 0] == [rechecks.step(), rechecks.step()]
    assert [("usage.warning", 80), ("usage.recovered", 80)] == said(gate)
    flows.write({"type": "credit.spend", "subject": "acme", "data": {"amount": 9}})
    assert ("usage.warning", 80) == said(gate)[-1]


def test_an_alert_on_concurrency_stands_for_an_hour(flows: Flows) -> None:
    """Calls come and go; nobody wants to hear of each."""
    gate = put_account(flows, {"name": "calls", "kind": "concurrent", "quantity": "2"}, alerts=[100])
    rechecks = Rechecks(LedgerAlerts(flows.ledger), flows.ingest, flows.clock.now_us)
    for _ in range(3):
        held = [gate.lease(ttl_s=3600), gate.lease(ttl_s=3600)]
        for lease in held:
            gate.free(lease)
    assert [("usage.overage", 100)] == said(gate)
    flows.clock.advance(61 * MINUTE_US)
    rechecks.step()
    assert [("usage.overage", 100), ("usage.recovered", 100)] == said(gate)


def test_a_plan_that_begins_later_counts_when_it_begins(flows: Flows) -> None:
    """By the limits of that instant, whoever remembered the old ones."""
    gate = put_account(flows, LIMIT)
    flows.accounts.put_plan("small", {"limits": [{**LIMIT, "quantity": "20"}]})
    flows.accounts.put("acme", plan="small", starts_us=flows.clock.now_us() + DAY_US)
    flows.write(*[message() for _ in range(18)])
    assert [] == said(gate)
    flows.clock.advance(DAY_US)
    flows.write(message())
    assert [("usage.warning", 80), ("usage.critical", 95)] == said(gate)


def test_an_add_on_makes_room_until_it_ends(flows: Flows) -> None:
    """What it covered is told when it is over and the account is touched again."""
    gate = put_account(flows, LIMIT)
    ends = instant_text(flows.clock.now_us() + DAY_US)
    action = flows.exceptions.put_add_on(
        gate.account, {"limit": "messages", "quantity": "100", "ends_at": ends}, gate.now_us
    )
    flows.limits.run(gate.account, action).result()
    flows.write(*[message() for _ in range(90)])
    assert [] == said(gate)
    flows.clock.advance(DAY_US)
    flows.write(message())
    assert [("usage.warning", 80)] == said(gate)


def test_a_forecast_is_told_once_a_period(flows: Flows) -> None:
    """From the third day on, at the pace of the last days."""
    gate = put_account(flows, {**LIMIT, "quantity": "1000"})
    forecasts = forecasting(flows)
    flows.write(*[message() for _ in range(60)])
    forecasts.step()
    flows.clock.set(parse_instant("2026-03-04T12:00:00Z", "now")[0])
    flows.write(*[message() for _ in range(60)])
    forecasts.step()
    assert [] == gate.told()
    flows.write(*[message() for _ in range(60)])
    flows.clock.set(parse_instant("2026-03-04T13:30:00Z", "now")[0])
    for _ in range(4):
        forecasts.step()
        flows.clock.advance(60 * MINUTE_US)
    ((kind, body),) = gate.told()
    told = json.loads(body)
    assert ("usage.forecast", "180", "1000") == (kind, told["used"], told["quantity"])
    assert "2026-03-20" == told["expected_at"][:10]
    assert [(0, 0)] == rows(flows, "percent, late")


def test_a_pace_that_is_slow_enough_is_not_told(flows: Flows) -> None:
    """Nor one whose account does not want to hear it."""
    for account, count in (("slow", 30), ("deaf", 90)):
        gate = put_account(flows, {**LIMIT, "quantity": "500"}, account=account)
        action = Alerting(LedgerAlertRules(flows.ledger), LedgerAlerts(flows.ledger), Currency()).put_rules(
            gate.account, {"forecast": account == "slow"}
        )
        flows.ingest.act(account, action).result()
        flows.write(*[message(account) for _ in range(count)])
    flows.clock.set(parse_instant("2026-03-05T00:00:00Z", "now")[0])
    forecasting(flows).step()
    assert [] == rows(flows, "percent")


class Currency:
    """Says that everybody pays in dollars."""

    def currency(self, _account: object) -> str:
        """Return it."""
        return "USD"


def forecasting(flows: Flows) -> Forecasts:
    """Return forecasts over the flows."""
    return Forecasts(
        LedgerAlerts(flows.ledger),
        flows.accounts,
        flows.accounts,
        flows.measure,
        rules=LedgerAlertRules(flows.ledger),
        lanes=flows.ingest,
        clock=flows.clock,
    )


def test_old_notes_and_watches_are_pruned_and_found_again(flows: Flows) -> None:
    """A watch that is gone is made again by looking; a crossing that was told is not told again."""
    gate = put_account(flows, LIMIT)
    flows.write(*[message() for _ in range(85)])
    flows.clock.advance(500 * DAY_US)
    assert LedgerAlerts(flows.ledger).prune(flows.clock.now_us()) > 0
    assert [] == rows(flows, "percent")
    flows.write(*[message() for _ in range(85)])
    assert [("usage.warning", 80)] * 2 == said(gate)


def test_a_meter_that_keeps_the_greatest_value_is_watched(flows: Flows) -> None:
    """At the value that reaches a threshold."""
    flows.metering.put("job_peak", {"event": "job", "aggregation": "max", "field": "size"})
    gate = put_account(flows, {"name": "peak", "kind": "period", "meter": "job_peak", "quantity": "100"})
    for size in (50, 79, 10, 85, 90, 99):
        flows.write({"type": "job", "subject": "acme", "data": {"size": size}})
    assert [("usage.warning", 80), ("usage.critical", 95)] == said(gate)


def test_a_limit_that_was_changed_in_the_same_transaction_counts_for_its_usage(flows: Flows) -> None:
    """What was raised before the usage is written tells nothing by the old quantity."""
    gate = put_account(flows, LIMIT)
    flows.write(*[message() for _ in range(70)])
    body = {name: value for name, value in LIMIT.items() if name != "name"}
    raise_limit = flows.exceptions.put_limit(gate.account, "messages", {**body, "quantity": "1000"})
    prepared = flows.ingest.prepare([{"id": f"x{n}", **message()} for n in range(20)], OPERATOR)

    def action(desk: Desk) -> None:
        raise_limit(desk)
        desk.write(prepared.pending)

    flows.ingest.act("acme", action).result()
    assert [] == said(gate)
    assert "90" == gate.used("messages")
