"""Aurion's contract, sentence by sentence."""

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.web.dialects.stories import CALL, Story, at

NOW = at("2026-03-18T10:20:30")  # a Wednesday
SUMMARY = "/aurion/api/v1/usage/summary"
DETAILS = "/aurion/api/v1/usage/details"


@pytest.fixture
def key(desk):
    return desk.account("tenant", plan="aurion-starter", now=NOW)


def request(**said):
    return {"api_id": "core", "status": 200, **said}


@pytest.mark.parametrize(
    ("now", "start", "end"),
    [
        ("2026-03-18", "2026-03-01T00:00:00Z", "2026-03-31T23:59:59Z"),
        ("2024-02-29T23:59:59", "2024-02-01T00:00:00Z", "2024-02-29T23:59:59Z"),
        ("2026-12-31", "2026-12-01T00:00:00Z", "2026-12-31T23:59:59Z"),
    ],
)
def test_the_summary_is_of_the_calendar_month_to_its_last_second(desk, now, start, end):
    """
    Whatever the account's billing anchor says.
    """
    key = desk.account("tenant", now=at(now), anchor_day=15)

    assert {"start": start, "end": end} == desk.get(SUMMARY, key).json["period"]


def test_only_this_month_counts_and_only_voice_makes_voice_minutes(desk, key):
    """
    The last microsecond of February and chat sessions are left out.
    """
    story = Story("tenant")
    story.tell("call", at("2026-02-28T23:59:59.999999"), CALL)
    story.tell("call", at("2026-03-01"), {**CALL, "duration_s": 30})
    story.tell("call", NOW, {**CALL, "channel": "chat"})
    story.tell("api.request", at("2026-02-28T23:59:59.999999"), request())
    story.tell("api.request", at("2026-03-01"), request(status=500))
    desk.tell(story)

    body = desk.get(SUMMARY, key).json

    assert {"used": 0.5, "limit": 25, "percentage": 2.0} == body["voice_minutes"]
    assert {"used": 1, "limit": 10_000, "percentage": 0.0} == body["api_calls"]


def test_percentages_have_one_decimal_and_are_not_clamped(desk, key):
    """
    30 of 25 minutes are 120.0 %; 50 seconds are 0.833333 minutes and 3.3 %.
    """
    desk.tell(story := Story("tenant"))
    story.tell("call", NOW, {**CALL, "duration_s": 50})
    desk.tell(story)
    answer = desk.get(SUMMARY, key)
    assert '"voice_minutes":{"used":0.833333,"limit":25,"percentage":3.3}' in answer.text

    more = Story("tenant-more")
    more.account_id = "tenant"
    more.tell("call", NOW, {**CALL, "duration_s": 1750})
    for event in more.events:
        event["id"] = "more"
    desk.tell(more)
    answer = desk.get(SUMMARY, key)
    assert '"voice_minutes":{"used":30,"limit":25,"percentage":120.0}' in answer.text


def test_unlimited_has_neither_limit_nor_percentage(desk):
    """
    Enterprise: null and null, but for storage.
    """
    key = desk.account("tenant", plan="aurion-enterprise", now=NOW)

    body = desk.get(SUMMARY, key).json

    assert {"used": 0, "limit": None, "percentage": None} == body["voice_minutes"] == body["api_calls"]
    assert {"used": 0, "limit": 50_000, "percentage": 0.0} == body["storage_mb"]
    assert "enterprise" == body["plan"]


@pytest.mark.parametrize(
    ("plan", "limits"),
    [
        ("aurion-starter", [25, 10_000, 1000]),
        ("aurion-professional", [1000, 50_000, 5000]),
        ("professional", [1000, 50_000, 5000]),
    ],
)
def test_tiers_are_those_of_the_document(desk, plan, limits):
    """
    Minutes, calls and megabytes of the table.
    """
    key = desk.account("tenant", plan=plan, now=NOW)

    body = desk.get(SUMMARY, key).json

    assert limits == [body[name]["limit"] for name in ("voice_minutes", "api_calls", "storage_mb")]


def test_storage_is_the_latest_snapshot_whenever_it_was(desk, key):
    """
    Not the last to arrive, not the largest, and not only of this month.
    """
    story = Story("tenant")
    story.tell("storage.snapshot", at("2026-02-02"), {"megabytes": "12.5"})
    story.tell("storage.snapshot", at("2026-01-01"), {"megabytes": 700})
    desk.tell(story)

    assert {"used": 12.5, "limit": 1000, "percentage": 1.2} == desk.get(SUMMARY, key).json["storage_mb"]


def test_billing_status_follows_the_account(desk, key):
    """
    Active, until an invoice fails.
    """
    assert "active" == desk.get(SUMMARY, key).json["billing_status"]


def dates(body):
    return [row["date"] for row in body["data"]]


def test_a_bare_end_date_includes_its_day(desk, key):
    """
    And a date-time is an instant: what happens at it or later is left out.
    """
    story = Story("tenant")
    story.tell("api.request", at("2026-03-02T23:59:59.999999"), request())
    story.tell("api.request", at("2026-03-03T00:00:00"), request())
    desk.tell(story)

    bare = desk.get(f"{DETAILS}?start_date=2026-03-01&end_date=2026-03-02", key).json
    instant = desk.get(f"{DETAILS}?start_date=2026-03-01T00:00:00Z&end_date=2026-03-02T23:59:59.999999Z", key).json

    assert [("2026-03-01", 0), ("2026-03-02", 1)] == [(row["date"], row["api_calls"]) for row in bare["data"]]
    assert [("2026-03-01", 0), ("2026-03-02", 0)] == [(row["date"], row["api_calls"]) for row in instant["data"]]


@pytest.mark.parametrize(
    "end",
    ["2026-03-02T12:00:00Z", "2026-03-02T12:00:00.000Z", "2026-03-02T12:00:00%2B00:00", "2026-03-02T12:00:00+00:00"],
)
def test_date_times_are_accepted_as_clients_write_them(desk, key, end):
    """
    With Z, with milliseconds, with an offset, also where a raw plus became a space.
    """
    body = desk.get(f"{DETAILS}?start_date=2026-03-01&end_date={end}", key).json

    assert ["2026-03-01", "2026-03-02"] == dates(body)


def test_missing_dates_mean_the_current_period_to_today(desk, key):
    """
    From the 1st of the month to today, which is the last row.
    """
    assert [f"2026-03-{day:02d}" for day in range(1, 19)] == dates(desk.get(DETAILS, key).json)
    assert ["2026-03-17", "2026-03-18"] == dates(desk.get(f"{DETAILS}?start_date=2026-03-17", key).json)
    assert ["2026-03-01"] == dates(desk.get(f"{DETAILS}?end_date=2026-03-01", key).json)


@pytest.mark.parametrize(
    "query", ["end_date=2026-02-27", "start_date=2026-03-20", "start_date=2026-03-03&end_date=2026-03-02"]
)
def test_start_after_end_is_refused(desk, key, query):
    """
    Also where one of both is a default.
    """
    answer = desk.get(f"{DETAILS}?{query}", key)

    assert 422 == answer.status
    assert "validation_error" == answer.json["error"]


def test_weeks_begin_on_monday_and_the_first_bucket_at_the_start(desk, key):
    """
    From a Wednesday: the rest of that week, then Mondays.
    """
    body = desk.get(f"{DETAILS}?start_date=2026-03-04&end_date=2026-03-17&group_by=week", key).json

    assert ["2026-03-04", "2026-03-09", "2026-03-16"] == dates(body)


def test_months_begin_on_the_first(desk, key):
    """
    From mid-January: the rest of it, then firsts.
    """
    body = desk.get(f"{DETAILS}?start_date=2026-01-15&end_date=2026-03-01&group_by=month", key).json

    assert ["2026-01-15", "2026-02-01", "2026-03-01"] == dates(body)


def test_sums_do_not_depend_on_group_by_to_the_last_digit(desk, key):
    """
    Twenty seconds a day are a third of a minute a day; days, weeks and months still have one sum.
    """
    story = Story("tenant")
    for day in range(60):
        story.tell("call", at("2026-01-10") + timedelta(days=day), {**CALL, "duration_s": 20})
        story.tell("llm.completion", at("2026-01-10") + timedelta(days=day), {"input_tokens": 7, "output_tokens": day})
    desk.tell(story)

    sums = {}
    for step in ("day", "week", "month"):
        text = desk.get(f"{DETAILS}?start_date=2026-01-01&end_date=2026-03-17&group_by={step}", key).exact
        sums[step] = (
            sum(Decimal(str(row["voice_minutes"])) for row in text["data"]),
            sum(row["llm_tokens"]["input"] for row in text["data"]),
            sum(row["llm_tokens"]["output"] for row in text["data"]),
        )

    assert {"day": (20, 420, 1770), "week": (20, 420, 1770), "month": (20, 420, 1770)} == sums


@pytest.mark.parametrize(
    ("event_type", "row"),
    [
        ("voice", {"voice_minutes": 1, "api_calls": 0, "llm_tokens": {"input": 0, "output": 0}}),
        ("api", {"voice_minutes": 0, "api_calls": 2, "llm_tokens": {"input": 0, "output": 0}}),
        ("llm", {"voice_minutes": 0, "api_calls": 0, "llm_tokens": {"input": 3, "output": 4}}),
        ("storage", {"voice_minutes": 0, "api_calls": 0, "llm_tokens": {"input": 0, "output": 0}, "storage_mb": 5.25}),
    ],
)
def test_event_type_keeps_the_keys_and_zeroes_the_others(desk, key, event_type, row):
    """
    And storage adds `storage_mb`, which no other row has; a day without a snapshot shows 0.
    """
    story = Story("tenant")
    story.tell("call", NOW, CALL)
    story.tell("api.request", NOW, request(), times=2)
    story.tell("llm.completion", NOW, {"input_tokens": 3, "output_tokens": 4})
    story.tell("storage.snapshot", NOW - timedelta(hours=2), {"megabytes": 9})
    story.tell("storage.snapshot", NOW - timedelta(hours=1), {"megabytes": "5.25"})
    desk.tell(story)

    first, last = desk.get(f"{DETAILS}?start_date=2026-03-17&event_type={event_type}", key).json["data"]

    assert {"date": "2026-03-18", **row} == last
    assert first.keys() == last.keys()
    assert 0 == first.get("storage_mb", 0)


def test_an_empty_range_has_no_rows(desk, key):
    """
    Two equal instants hold nothing.
    """
    query = "start_date=2026-03-02T12:00:30Z&end_date=2026-03-02T12:00:30Z"

    assert {"data": []} == desk.get(f"{DETAILS}?{query}", key).json


def test_ten_years_of_days_are_answered_and_more_are_refused_clearly(desk, key):
    """
    3,660 rows pass; one more names the bound and the parameter.
    """
    assert 3660 == len(desk.get(f"{DETAILS}?start_date=2016-03-11&end_date=2026-03-18", key).json["data"])

    answer = desk.get(f"{DETAILS}?start_date=2016-03-10&end_date=2026-03-18", key)

    assert 422 == answer.status
    assert ["end_date"] == [one["field"] for one in answer.json["details"]]
    assert "3660" in answer.json["message"]
