"""Costs over real ledgers, on both stores: what is asked adds up, and says what the card says."""

import random
from typing import Any

import pytest

from tallybook.core.errors import Conflict, FieldInvalid
from tallybook.core.fields import errors_of
from tallybook.core.ids import AccountId
from tallybook.core.instant import DAY_US, HOUR_US, instant_text, parse_instant
from tallybook.core.meter import Question
from tallybook.core.number import NANOS, parse_nanos
from tallybook.core.plan import Account
from tallybook.core.reckon import Grouping
from tallybook.core.window import Granularity, Span, tile, zone
from tests.support.rooms import NOW_US, OPERATOR, Flows

ACME = AccountId("acme")
MARCH = Span(1_772_323_200_000_000, 1_775_001_600_000_000)


def on_card(flows: Flows, *prices: dict[str, object], currency: str = "USD", **more: Any) -> Account:
    """Put acme on a plan of its own."""
    flows.accounts.put_plan("card", {"currency": currency, "prices": list(prices)})
    return flows.accounts.put(ACME, plan="card", **more)


def request(number: int, at_us: int, **data: object) -> dict[str, object]:
    """One request to an API."""
    return {
        "id": f"r{number}",
        "type": "api.request",
        "subject": ACME,
        "time": instant_text(at_us),
        "data": {"api_id": "a", "status": 200, **data},
    }


def call(number: int, seconds: object, **more: object) -> dict[str, object]:
    """One call that ended."""
    data = {"channel": "voice", "direction": "inbound", "duration_s": seconds}
    return {"id": f"c{number}", "type": "call", "subject": ACME, "data": data, **more}


def send(flows: Flows, *events: dict[str, object]) -> None:
    """Count events, once all of them have happened."""
    last = max((str(event["time"]) for event in events if "time" in event), default="")
    if last and (ahead_us := parse_instant(last, "time")[0] - flows.clock.now_us()) > 0:
        flows.clock.advance(ahead_us)
    receipt = flows.ingest.write(list(events), OPERATOR, backfill=True)
    assert (len(events), ()) == (receipt.accepted, tuple(receipt.errors))


RICH: list[dict[str, object]] = [
    {"meter": "requests", "graduated": [{"upto": "20", "unit_price": "0.3"}, {"unit_price": "0.1"}], "per": "api_id"},
    {"meter": "requests", "filter": {"api_id": "b"}, "package": {"size": "7", "price": "1"}, "minimum": "5"},
    {"meter": "call_seconds", "unit_price": "0.01", "units": "60"},
    {"fee": "31"},
]


@pytest.mark.parametrize("zone_name", ["Europe/Paris", "Australia/Lord_Howe", "America/St_Johns"])
def test_days_add_up_to_the_span_on_a_ledger(flows: Flows, zone_name: str) -> None:
    """Over a change of clocks, a change of plan and an anchor that short months lack, with sub-minute edges."""
    account = on_card(flows, *RICH, timezone=zone_name, anchor_day=31)
    dice = random.Random(7)
    first_us, span_us = MARCH.start_us, 45 * DAY_US
    send(
        flows,
        *(
            request(
                n,
                first_us + dice.randrange(span_us),
                api_id=dice.choice("ab"),
                **dice.choice([{}, {"cost_usd": "0.07"}]),
            )
            for n in range(80)
        ),
        *(call(n, dice.randrange(1, 400), time=instant_text(first_us + dice.randrange(span_us))) for n in range(20)),
    )
    flows.accounts.put_plan("other", {"prices": [{"meter": "requests", "unit_price": "0.000000001"}, {"fee": "10"}]})
    flows.accounts.put(ACME, plan="other", starts_us=first_us + 20 * DAY_US + 12_345)
    account = flows.accounts.get(ACME)
    span = Span(first_us + 3 * HOUR_US + 17_000_001, first_us + 44 * DAY_US + 999)
    total = flows.costs.spent(account, span)
    assert total > 0
    for granularity in (Granularity.DAY, Granularity.WEEK, Granularity.MONTH):
        windows = tile(span, granularity, zone(zone_name))
        grouped = flows.costs.spending(account, windows, Grouping(("item", "api_id")))
        assert total == flows.costs.spending(account, windows).total == grouped.total


def test_spent_inside_a_transaction_counts_what_it_wrote(flows: Flows) -> None:
    """An errand of the account's lane sees the events of its own commit."""
    account = on_card(flows, {"meter": "requests", "unit_price": "2"})
    send(flows, request(1, NOW_US))

    def action(desk: Any) -> int:
        return flows.costs.spent_in(desk.snapshot, account, MARCH)

    assert 2 * NANOS == flows.ingest.act(ACME, action).result()


def test_the_money_meter_goes_by_the_same_card(flows: Flows) -> None:
    """Tiers, packages, what events carry: by API, by endpoint, filtered; the sum is what the bill says of requests."""
    account = on_card(flows, *RICH[:2], {"meter": "workflow_runs", "unit_price": "9"})
    send(
        flows,
        *(request(n, NOW_US + n, api_id="a", endpoint=f"/{n % 3}") for n in range(25)),
        *(request(100 + n, NOW_US + n, api_id="b") for n in range(8)),
        request(200, NOW_US, api_id="a", cost_usd="1.25"),
    )
    cost = 20 * parse_nanos("0.3") + 5 * parse_nanos("0.1") + parse_nanos("1.25")
    asked = [
        Question("request_cost_usd", [MARCH], ("api_id",)),
        Question("request_cost_usd", [MARCH]),
        Question("request_cost_usd", [MARCH], (), {"api_id": ("b",)}),
        Question("requests", [MARCH]),
        Question("request_cost_usd", tile(MARCH, Granularity.DAY, zone("UTC")), ("endpoint",)),
    ]
    by_api, total, only_b, requests, by_endpoint = flows.measure.ask(account, asked)
    assert {("a",): [cost], ("b",): [2 * NANOS]} == by_api.groups
    assert (cost + 2 * NANOS, 2 * NANOS, 34 * NANOS) == (total.value, only_b.value, requests.value)
    assert total.value == sum(map(sum, by_endpoint.groups.values()))
    items = flows.costs.spending(account, [MARCH], Grouping(("meter",))).rows[0]
    assert total.value == items[("requests",)] - (items[("requests",)] - total.value)


@pytest.mark.parametrize(
    ("first", "following", "billed"),
    [(60, 60, 60 + 120 + 60), (6, 6, 6 + 66 + 60), (1, 1, 1 + 61 + 60), (60, 6, 60 + 66 + 60)],
)
def test_calls_are_rounded_one_by_one_also_those_from_before(
    flows: Flows, first: int, following: int, billed: int
) -> None:
    """Each call is rounded up on its own, whenever the card came; a call of no length costs nothing."""
    send(flows, call(1, 1), call(2, 61), call(3, 0))
    price = {"meter": "call_seconds", "unit_price": "1", "rounding": {"first": first, "next": following}}
    account = on_card(flows, price, starts_us=0)
    with pytest.raises(Conflict):  # it says so while earlier calls are being counted
        flows.costs.spent(account, MARCH)
    flows.fill.run()
    send(flows, call(4, 60))
    assert billed * NANOS == flows.costs.spent(account, MARCH)
    on_card(flows, price, {"fee": "0"})  # the meter is there already
    usage = flows.measure.ask(account, [Question(f"call_seconds.{first}_{following}", [MARCH], ("channel",))])
    assert {("voice",): [billed * NANOS]} == usage[0].groups


def test_only_seconds_that_are_added_up_can_be_rounded(flows: Flows) -> None:
    """The refusal names the place in the card."""
    with pytest.raises(FieldInvalid) as refused:
        on_card(flows, {"meter": "requests", "unit_price": "1", "rounding": {"first": 60, "next": 60}})
    assert ["/prices/0/rounding"] == [pointer for pointer, _ in errors_of(refused.value)]


def test_models_cost_what_the_list_says(flows: Flows) -> None:
    """By the name that the list has, with a multiplier; a model that it does not have costs the card's own price."""
    account = on_card(
        flows,
        {"meter": "input_tokens", "list": "llm", "multiplier": "1.5", "unit_price": "9", "units": "1000000"},
        {"meter": "output_tokens", "list": "llm"},
        {"meter": "cached_input_tokens", "list": "llm"},
    )

    def completion(number: int, model: str) -> dict[str, object]:
        data = {"input_tokens": 1_000_000, "output_tokens": 2_000_000, "cached_input_tokens": 4_000_000, "model": model}
        return {"id": f"l{number}", "type": "llm.completion", "subject": ACME, "data": data}

    send(flows, completion(1, "openai/GPT-4o-2024-08-06"), completion(2, "gpt-4o-mini"), completion(3, "my-own"))
    spent = flows.costs.spending(account, [MARCH], Grouping(("model",))).rows[0]
    exact = {"openai/GPT-4o-2024-08-06": "28.75", "gpt-4o-mini": "1.725", "my-own": "9"}
    assert {(model,): parse_nanos(cost) for model, cost in exact.items()} == spent


def test_things_cost_for_the_time_that_they_exist(flows: Flows) -> None:
    """A thing that was there for half the month costs half; the more specific price speaks."""
    account = on_card(
        flows,
        {"resource": "phone_number", "unit_price": "2"},
        {"resource": "phone_number", "filter": {"shared": "true"}, "unit_price": "1"},
    )
    half = (MARCH.start_us + MARCH.end_us) // 2

    def word(change: str, at_us: int, thing: str, **data: object) -> dict[str, object]:
        told = {"kind": "phone_number", "resource_id": thing, **data}
        return {
            "id": f"{thing}{change}",
            "type": f"resource.{change}",
            "subject": ACME,
            "time": instant_text(at_us),
            "data": told,
        }

    send(flows, word("created", MARCH.start_us, "n1"), word("created", MARCH.start_us, "n2", shared=True))
    send(flows, word("released", half, "n2"))
    assert 2 * NANOS + NANOS // 2 == flows.costs.spent(account, MARCH)


def test_what_events_carry_in_another_currency_is_not_added(flows: Flows) -> None:
    """Dollars are not yen: under a card in yen such a request costs what the card says."""
    send(flows, request(1, NOW_US, cost_usd="3"), request(2, NOW_US + 1))
    assert 3 * NANOS == flows.costs.spent(flows.accounts.get(ACME), MARCH)
    account = on_card(flows, {"meter": "requests", "unit_price": "100"}, currency="JPY", starts_us=0)
    spent = flows.costs.spending(account, [MARCH])
    assert ("JPY", 200 * NANOS) == (spent.currency, spent.total)


def test_a_span_of_two_currencies_is_refused_and_a_budget_counts_the_last(flows: Flows) -> None:
    """Their sum would be of no currency."""
    on_card(flows, {"meter": "requests", "unit_price": "1"})
    flows.accounts.put_plan("yen", {"currency": "JPY", "prices": [{"meter": "requests", "unit_price": "100"}]})
    flows.accounts.put(ACME, plan="yen", starts_us=NOW_US + DAY_US)
    account = flows.accounts.get(ACME)
    send(flows, request(1, NOW_US), request(2, NOW_US + 2 * DAY_US))
    with pytest.raises(Conflict):
        flows.costs.spending(account, [MARCH])
    assert 100 * NANOS == flows.costs.spent(account, MARCH)
    assert NANOS == flows.costs.spent(account, Span(MARCH.start_us, NOW_US + DAY_US))


def test_peaks_and_last_values_are_priced_by_the_period(flows: Flows) -> None:
    """A megabyte that was stored last costs, whatever was stored before."""
    account = on_card(flows, {"meter": "storage_mb", "unit_price": "0.5"})
    for number, megabytes in enumerate((100, 40)):
        at = {"time": instant_text(NOW_US + number * DAY_US)}
        send(
            flows,
            {"id": f"s{number}", "type": "storage.snapshot", "subject": ACME, "data": {"megabytes": megabytes}, **at},
        )
    days = tile(MARCH, Granularity.DAY, zone("UTC"))
    assert 20 * NANOS == flows.costs.spent(account, MARCH) == flows.costs.spending(account, days).total
