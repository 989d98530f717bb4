"""The usage of the demo is believable, and the same for the same instant and seed."""

import collections
import itertools
from datetime import date, timedelta
from decimal import Decimal

import pytest

from tallybook.cli.demo_cast import CUSTOMERS
from tallybook.cli.demo_data import DAYS, OUTAGE_DAY, events, first_day
from tallybook.core.instant import DAY_US, instant_text, parse_event_time

NOW_US = 1_795_222_800_000_000  # 2026-11-21T01:40:00Z
DIALECTS = ["agentphone", "anyreach", "aurion", "liberclaw", "wontopos"]


@pytest.fixture(scope="module")
def usage():
    return list(events(NOW_US, 7))


def test_the_same_instant_and_seed_give_the_same_events(usage):
    """
    So that loading that was cut short can go on: what is in already is a duplicate.
    """
    assert all(one == other for one, other in itertools.zip_longest(usage, events(NOW_US, 7)))


def test_another_seed_gives_other_events(usage):
    """
    The seed is not for show.
    """
    assert usage[:5_000] != list(itertools.islice(events(NOW_US, 8), 5_000))


def test_every_identity_is_given_once(usage):
    """
    No event of the demo hides another.
    """
    assert len(usage) == len({(event["subject"], event["source"], event["id"]) for event in usage})


def test_there_is_usage_for_every_dialect_and_then_some(usage):
    """
    About 300,000 events; one account for each published API, and a few more.
    """
    assert 250_000 <= len(usage) <= 350_000
    assert DIALECTS == sorted(customer.dialect for customer in CUSTOMERS if customer.dialect)
    assert {customer.account for customer in CUSTOMERS} == {event["subject"] for event in usage}
    assert any(not customer.name.isascii() for customer in CUSTOMERS)


def test_the_last_400_days_are_full_but_for_the_outage(usage):
    """
    Every day up to now has usage, except the one on which nothing worked; nothing lies in the future.
    """
    days = {event["time"][:10] for event in usage}
    start = first_day(NOW_US)
    expected = {(start + timedelta(days=n)).isoformat() for n in range(DAYS)}
    assert {(start + timedelta(days=OUTAGE_DAY)).isoformat()} == expected - days
    assert days <= expected
    assert all(parse_event_time(event["time"], "/time") <= NOW_US for event in usage)


def test_weekdays_are_busier_than_weekends_and_the_end_than_the_beginning(usage):
    """
    The rhythm is seen in the counts: weekends below half of weekdays, the last 30 days above twice the first 30.
    """
    by_day = collections.Counter(event["time"][:10] for event in usage)
    weekdays = [count for day, count in by_day.items() if date.fromisoformat(day).weekday() < 5]
    weekends = [count for day, count in by_day.items() if date.fromisoformat(day).weekday() >= 5]
    assert sum(weekends) / len(weekends) < 0.5 * sum(weekdays) / len(weekdays)
    ordered = [by_day[day] for day in sorted(by_day)]
    assert sum(ordered[-31:-1]) > 2 * sum(ordered[:30])


def test_nights_are_quieter_than_days(usage):
    """
    Less happens from 0 to 4 than in the one hour from 10.
    """
    by_hour = collections.Counter(event["time"][11:13] for event in usage)
    assert sum(by_hour[f"{hour:02d}"] for hour in range(4)) < by_hour["10"]


def test_things_come_and_go_and_are_used_only_while_they_exist(usage):
    """
    Some agents and numbers were released; no message names an agent before it was created or after it went.
    """
    created = {e["data"]["resource_id"]: e["time"] for e in usage if e["type"] == "resource.created"}
    released = {e["data"]["resource_id"]: e["time"] for e in usage if e["type"] == "resource.released"}
    assert len(created) == sum(len(customer.things) for customer in CUSTOMERS)
    assert len(released) == sum(thing.last is not None for customer in CUSTOMERS for thing in customer.things) > 4
    for event in usage:
        for field in ("agent_id", "number_id"):
            thing = event["data"].get(field)
            assert thing is None or created[thing] < event["time"] < released.get(thing, "9")


@pytest.mark.parametrize("later_days", [0, 6, 12, 24])
def test_usage_stays_in_sensible_ranges_of_the_plans(later_days):
    """
    Whatever day the demo starts on: LiberClaw's credits are near 80 % of 5,000, nobody is far over a limit.
    """
    now_us = NOW_US + later_days * DAY_US
    since = instant_text(now_us - 30 * DAY_US)
    sums = collections.Counter()
    for event in events(now_us, 7):
        if event["time"] >= since:
            data = event["data"]
            sums[event["subject"], event["type"], data.get("channel") or data.get("api_id")] += (
                data.get("amount") or data.get("duration_s") or 1
            )
    assert Decimal(3_750) < sums["atelier-sued", "credit.spend", None] < Decimal(4_350)
    assert 3_000 < sums["brightline", "message", None] < 9_000
    assert 150 < sums["brightline", "call", "voice"] / 60 < 450
    assert sums["kumo-travel", "message", None] < 900
    assert sums["kumo-travel", "call", "voice"] / 60 < 95
    assert 300 < sums["harbor-clinics", "call", "voice"] / 60 < 900
    assert sums["fjordkraft-verksted", "api.request", "core"] < 9_000


def test_quantities_are_whole_or_exact(usage):
    """
    Not one float anywhere in the events.
    """
    assert not [event for event in usage if any(isinstance(value, float) for value in event["data"].values())]
