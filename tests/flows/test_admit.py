"""Limits: what was used is exact, to the period, the minute, the thing and the value, and is read after every write."""

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from tallybook.core import standing
from tallybook.core.ids import AccountId
from tallybook.core.instant import DAY_US, EPOCH, HOUR_US, MINUTE_US, instant_text
from tallybook.core.limit import LimitState
from tallybook.core.number import NANOS, to_text
from tallybook.core.window import Span
from tests.support.rooms import NOW_US, Flows

ACME = AccountId("acme")


def spend(at_us: int, amount: str, account: str = "acme", **data: object) -> dict[str, object]:
    """Credits spent at an instant."""
    event = {"type": "credit.spend", "subject": account, "time": instant_text(at_us)}
    return event | {"data": {"amount": Decimal(amount), **data}}


def message(at_us: int, account: str = "acme", **data: object) -> dict[str, object]:
    """A message at an instant."""
    event = {"type": "message", "subject": account, "time": instant_text(at_us)}
    return event | {"data": {"direction": "inbound", **data}}


def thing(change: str, kind: str, resource_id: str, at_us: int = NOW_US) -> dict[str, object]:
    """A word about a thing at an instant."""
    data = {"kind": kind, "resource_id": resource_id}
    return {"type": f"resource.{change}", "subject": "acme", "time": instant_text(at_us), "data": data}


def limited(flows: Flows, *limits: dict[str, object], **values: object) -> None:
    """Put the account on a plan of these limits."""
    flows.accounts.put_plan("acme-plan", {"limits": list(limits)})
    flows.accounts.put(ACME, plan="acme-plan", **values)  # type: ignore[arg-type]


def states(flows: Flows, account_id: str = "acme") -> list[LimitState]:
    """Where the account stands now."""
    return flows.limits.states(flows.accounts.get(AccountId(account_id)), flows.clock.now_us())


def used(flows: Flows, account_id: str = "acme") -> dict[str, str]:
    """What was used of each limit; of those with `per`, under `name/value`."""
    return {s.limit.name + (f"/{s.value}" if s.value else ""): to_text(s.used) for s in states(flows, account_id)}


def test_a_plan_without_limits_has_no_states(flows: Flows) -> None:
    """The default plan counts nothing against anything."""
    flows.accounts.put(ACME)
    assert [] == states(flows)


def test_a_period_limit_counts_from_the_anchor_to_the_anchor(flows: Flows) -> None:
    """To the microsecond, at midnight of the account's zone; the span is told."""
    limits = {"name": "messages", "kind": "period", "meter": "messages", "quantity": "10"}
    limited(flows, limits, timezone="America/New_York", anchor_day=28)
    start_us = flows.accounts.period(flows.accounts.get(ACME), NOW_US).start_us
    assert "2026-02-28T05:00:00Z" == instant_text(start_us)
    flows.write(*(message(start_us + offset_us) for offset_us in (-1, 0, 1, HOUR_US)), message(NOW_US))
    (state,) = states(flows)
    assert (4 * NANOS, 10 * NANOS, 6 * NANOS) == (state.used, state.quantity, state.remaining)
    assert state.period is not None
    assert ("2026-02-28T05:00:00Z", "2026-03-28T04:00:00Z") == (
        instant_text(state.period.start_us),
        instant_text(state.period.end_us),
    )
    flows.clock.set(state.period.end_us)
    assert {"messages": "0"} == used(flows)


def test_a_filter_counts_only_what_it_names(flows: Flows) -> None:
    """Voice seconds, not chat seconds."""
    flows.accounts.put(ACME, plan="aurion-starter")
    for channel, seconds in (("voice", "90.5"), ("chat", "1000"), ("voice", "0.000000001")):
        data = {"channel": channel, "direction": "inbound", "duration_s": Decimal(seconds)}
        flows.write({"type": "call", "subject": "acme", "time": instant_text(NOW_US), "data": data})
    assert {"voice_seconds": "90.500000001", "api_calls": "0", "seats": "0", "storage_mb": "0"} == used(flows)


def test_a_rolling_limit_is_right_to_the_minute(flows: Flows) -> None:
    """Usage leaves the window with the minute it was in, and not before."""
    limited(flows, {"name": "credits", "kind": "rolling", "meter": "credits", "quantity": "100", "window": "P30D"})
    oldest_us = NOW_US - 30 * DAY_US  # days: the window is 30 times 24 hours
    flows.write(
        spend(oldest_us - 1, "1"),
        spend(oldest_us, "2"),
        spend(oldest_us + MINUTE_US - 1, "4"),
        spend(oldest_us + MINUTE_US, "8.5"),
        spend(NOW_US, "16"),
    )
    seen = []
    for now_us in (NOW_US, NOW_US + MINUTE_US - 1, NOW_US + MINUTE_US, NOW_US + 2 * MINUTE_US):
        flows.clock.set(now_us)
        seen.append(used(flows)["credits"])
    assert ["30.5", "30.5", "24.5", "16"] == seen
    (state,) = states(flows)
    assert Span(oldest_us + 2 * MINUTE_US, NOW_US + 3 * MINUTE_US) == state.period


def test_a_rolling_limit_counts_what_a_clock_ahead_of_ours_sent(flows: Flows) -> None:
    """An event five minutes ahead is accepted, so it counts at once."""
    limited(flows, {"name": "credits", "kind": "rolling", "meter": "credits", "quantity": "100", "window": "PT1H"})
    flows.write(spend(NOW_US + 5 * MINUTE_US, "3"), spend(NOW_US - HOUR_US, "5"), spend(NOW_US - HOUR_US - 1, "7"))
    assert {"credits": "8"} == used(flows)


def test_lifetime_counts_released_things_and_stock_does_not(flows: Flows) -> None:
    """Ten numbers are ten numbers, whatever became of them."""
    limited(
        flows,
        {"name": "ever", "kind": "lifetime", "resource": "phone_number", "quantity": "2"},
        {"name": "now", "kind": "stock", "resource": "phone_number", "quantity": "2"},
        {"name": "spent", "kind": "lifetime", "meter": "credits", "quantity": "9"},
    )
    flows.write(*(thing("created", "phone_number", name) for name in "abc"), thing("created", "seat", "a"))
    flows.write(thing("released", "phone_number", "a", NOW_US + 1), spend(NOW_US - 34 * DAY_US, "10"))
    assert {"ever": "3", "now": "2", "spent": "10"} == used(flows)
    assert [0, 0, 0] == [state.remaining for state in states(flows)]
    assert [None, None, None] == [state.period for state in states(flows)]


def test_a_stock_of_a_meter_is_its_latest_value(flows: Flows) -> None:
    """By event time, not by arrival; months later still."""
    flows.accounts.put(ACME, plan="aurion-starter")

    def stored(at_us: int, megabytes: str) -> dict[str, object]:
        data = {"megabytes": Decimal(megabytes)}
        return {"type": "storage.snapshot", "subject": "acme", "time": instant_text(at_us), "data": data}

    assert "0" == used(flows)["storage_mb"]
    flows.write(stored(NOW_US - DAY_US, "245.25"), stored(NOW_US - 2 * DAY_US, "900"))
    assert "245.25" == used(flows)["storage_mb"]
    flows.clock.advance(200 * DAY_US)
    assert "245.25" == used(flows)["storage_mb"]


def test_each_value_of_per_has_the_quantity_for_itself(flows: Flows) -> None:
    """Most used first; usage that does not name a value counts against none."""
    limited(flows, {"name": "m", "kind": "period", "meter": "messages", "per": "agent_id", "quantity": "3"})
    assert {"m": "0"} == used(flows)
    flows.write(*(message(NOW_US, agent_id=agent) for agent in "aabbbbc"), message(NOW_US))
    found = states(flows)
    assert [("b", 4, 0), ("a", 2, 1), ("c", 1, 2)] == [
        (state.value, state.used // NANOS, (state.remaining or 0) // NANOS) for state in found
    ]


def test_a_limit_of_its_own_takes_a_value_out_of_per(flows: Flows) -> None:
    """The value that a filter names is counted by that limit alone."""
    common = {"kind": "period", "meter": "messages"}
    limited(
        flows,
        {"name": "each", "per": "agent_id", "quantity": "3", **common},
        {"name": "big", "filter": {"agent_id": "b"}, "quantity": "100", **common},
        {"name": "inbound", "filter": {"agent_id": "a", "direction": "inbound"}, "quantity": "1", **common},
    )
    flows.write(*(message(NOW_US, agent_id=agent) for agent in "aabbbb"))
    assert {"each/a": "2", "big": "4", "inbound": "2"} == used(flows)


def test_the_values_told_are_bounded(flows: Flows, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ones with most usage are."""
    monkeypatch.setattr(standing, "VALUES_MAX", 2)
    limited(flows, {"name": "m", "kind": "period", "meter": "messages", "per": "agent_id", "quantity": "3"})
    flows.write(*(message(NOW_US, agent_id=agent) for agent in "abbccc"))
    assert ["c", "b"] == [state.value for state in states(flows)]


def test_limits_of_leases_and_of_length_are_told(flows: Flows) -> None:
    """Every limit of the plan is there, in its order."""
    flows.accounts.put(ACME, plan="agentphone-pro")
    told = [(s.limit.name, (s.quantity or 0) // NANOS, s.used, s.limit.seconds) for s in states(flows)]
    assert [
        ("numbers", 10, 0, None),
        ("messages", 10_000, 0, None),
        ("voice_seconds", 30_000, 0, None),
        ("call_duration", 1800, 0, 1800),
        ("concurrent_calls", 5, 0, None),
    ] == told


def test_no_limit_is_counted_all_the_same(flows: Flows) -> None:
    """Unlimited: used is told, quantity and remaining are not."""
    flows.accounts.put(ACME, plan="aurion-enterprise")
    flows.write(*(thing("created", "seat", name) for name in "ab"))
    seats = next(state for state in states(flows) if state.limit.name == "seats")
    assert (2 * NANOS, None, None) == (seats.used, seats.quantity, seats.remaining)


def test_accounts_do_not_count_for_each_other(flows: Flows) -> None:
    """The same ids in another account change nothing here."""
    flows.accounts.put(ACME, plan="liberclaw-free")
    flows.accounts.put(AccountId("acme2"), plan="liberclaw-free")
    other = thing("created", "agent", "x") | {"subject": "acme2"}
    flows.write(spend(NOW_US, "5", "acme2"), other)
    assert {"credits": "0", "agents": "0"} == used(flows)
    assert {"credits": "5", "agents": "1"} == used(flows, "acme2")


def test_limits_agree_with_a_plain_count(flows: Flows) -> None:
    """A thousand random events against a list of them, for four kinds of limit and an odd zone and anchor."""
    common = {"meter": "credits", "quantity": "1000"}
    limited(
        flows,
        {"name": "period", "kind": "period", **common},
        {"name": "days", "kind": "rolling", "window": "P7D", **common},
        {"name": "hours", "kind": "rolling", "window": "PT25H", **common},
        {"name": "ever", "kind": "lifetime", **common},
        timezone="Australia/Lord_Howe",
        anchor_day=30,
    )
    dice = random.Random(7)
    events = [(NOW_US - dice.randrange(35 * DAY_US), dice.randrange(1, 10**10)) for _ in range(1000)]
    flows.write(*(spend(at_us, to_text(nanos)) for at_us, nanos in events))
    flows.clock.set(NOW_US + 12_345_678_901)
    minute_us = flows.clock.now_us() // MINUTE_US * MINUTE_US
    starts = {
        "period": anchored_us(2026, 2, 28),
        "days": minute_us - 7 * DAY_US,
        "hours": minute_us - 25 * HOUR_US,
        "ever": 0,
    }
    expected = {name: to_text(total(events, start_us)) for name, start_us in starts.items()}
    assert expected == used(flows)


def anchored_us(year: int, month: int, day: int) -> int:
    """Midnight on Lord Howe Island."""
    moment = datetime(year, month, day, tzinfo=ZoneInfo("Australia/Lord_Howe")).astimezone(UTC)
    return (moment - EPOCH) // timedelta(microseconds=1)


def total(events: Iterable[tuple[int, int]], start_us: int) -> int:
    """Add up what happened from an instant on."""
    return sum(nanos for at_us, nanos in events if at_us >= start_us)
