"""AgentPhone's contract, sentence by sentence."""

from datetime import timedelta

import pytest

from tests.web.dialects.stories import CALL, DELIVERED, MESSAGE, UNDELIVERED, Story, at

NOW = at("2026-03-15T10:20:30")
USAGE = "/agentphone/v1/usage"


@pytest.fixture
def key(desk):
    return desk.account("phone", plan="agentphone-pro", now=NOW)


@pytest.mark.parametrize(
    ("plan", "name", "limits"),
    [
        ("agentphone-starter", "starter", [2, 1000, 100, 15, 2]),
        ("agentphone-pro", "pro", [10, 10_000, 500, 30, 5]),
        ("agentphone-enterprise", "enterprise", [None] * 5),
        ("default", "default", [None] * 5),
    ],
)
def test_the_plan_is_named_in_lower_case_with_its_five_limits(desk, plan, name, limits):
    """
    `plan.name` is the tier, the limits are those of the document's table, null where the plan has none.
    """
    key = desk.account("phone", plan=plan, now=NOW)

    shown = desk.get(USAGE, key).json["plan"]

    fields = ["numbers", "messagesPerMonth", "voiceMinutesPerMonth", "maxCallDurationMinutes", "concurrentCalls"]
    assert {"name": name, "limits": dict(zip(fields, limits, strict=True))} == shown


def test_limits_of_an_own_plan_are_found_by_what_they_count(desk):
    """
    Whatever an operator calls a limit, it is shown where it belongs; part minutes have two places.
    """
    desk.plan(
        "agentphone-own",
        [
            {"name": "a", "kind": "lifetime", "mode": "hard", "resource": "phone_number", "quantity": "1"},
            {"name": "b", "kind": "period", "mode": "hard", "meter": "messages", "quantity": "7", "period": "P1M"},
            {"name": "c", "kind": "period", "mode": "hard", "meter": "call_seconds", "quantity": "100"},
            {"name": "d", "kind": "duration", "mode": "hard", "seconds": 90},
            {"name": "e", "kind": "concurrent", "mode": "hard", "quantity": "3"},
        ],
    )
    key = desk.account("phone", plan="agentphone-own", now=NOW)

    assert [1, 7, 1.67, 1.5, 3] == list(desk.get(USAGE, key).json["plan"]["limits"].values())


def test_numbers_used_is_lifetime_released_ones_included(desk, key):
    """
    A released number still counts, one that was created twice counts once, an update alone creates none.
    """
    story = Story("phone")
    for number, change in (
        ("n1", "created"),
        ("n2", "created"),
        ("n1", "released"),
        ("n1", "created"),
        ("x", "updated"),
    ):
        story.tell(f"resource.{change}", NOW, {"kind": "phone_number", "resource_id": number})
    story.tell("resource.created", NOW, {"kind": "agent", "resource_id": "n3"})
    desk.tell(story)

    assert {"used": 2, "limit": 10, "remaining": 8} == desk.get(USAGE, key).json["numbers"]


def test_numbers_remaining_never_falls_below_zero(desk):
    """
    Three numbers on a plan for two leave 0.
    """
    key = desk.account("phone", plan="agentphone-starter", now=NOW)
    story = Story("phone")
    for number in ("n1", "n2", "n3"):
        story.tell("resource.created", NOW, {"kind": "phone_number", "resource_id": number})
    desk.tell(story)

    assert {"used": 3, "limit": 2, "remaining": 0} == desk.get(USAGE, key).json["numbers"]


def test_stats_are_eleven_integers_also_of_an_empty_account(desk, key):
    """
    Nothing happened yet: eleven zeros.
    """
    stats = desk.get(USAGE, key).json["stats"]

    assert 11 == len(stats)
    assert [0] * 11 == list(stats.values())
    assert all(type(value) is int for value in stats.values())


def test_last_windows_roll_back_from_now_to_the_minute(desk, key):
    """
    What happened in the minute that lies exactly N days back counts, what happened before that minute does not.
    """
    story, minute = Story("phone"), NOW.replace(second=0)
    for days in (1, 7, 30):
        story.tell("message", minute - timedelta(days=days), MESSAGE)
        story.tell("message", minute - timedelta(days=days, microseconds=1), MESSAGE)
        story.tell("call", minute - timedelta(days=days, microseconds=1), CALL)
    desk.tell(story)

    stats = desk.get(USAGE, key).json["stats"]

    assert [6, 1, 3, 5] == [stats[name] for name in fields("messages", "totalMessages")]
    assert [3, 0, 1, 2] == [stats[name] for name in fields("calls", "totalCalls")]


def fields(noun, total):
    return [total, f"{noun}Last24h", f"{noun}Last7d", f"{noun}Last30d"]


def test_totals_are_all_time_and_count_what_is_five_minutes_ahead(desk):
    """
    Years ago and just ahead of our clock: both are in the totals; the latter is in the rolling windows too.
    """
    key = desk.account("phone", now=at("2026-03-15T23:58:00"))
    story = Story("phone")
    story.tell("message", at("2019-05-05"), MESSAGE)
    story.tell("message", at("2026-03-15T23:59:30"), MESSAGE)
    story.tell("message", at("2026-03-16T00:02:00"), MESSAGE)
    desk.tell(story)

    stats = desk.get(USAGE, key).json["stats"]

    assert 3 == stats["totalMessages"]
    assert [1, 1, 1] == [stats[name] for name in fields("messages", "totalMessages")[1:]]


def test_voice_and_chat_both_count_as_calls(desk, key):
    """
    A chat session is a call.
    """
    story = Story("phone")
    story.tell("call", NOW, {**CALL, "channel": "voice"})
    story.tell("call", NOW, {**CALL, "channel": "chat", "direction": "inbound"})
    desk.tell(story)

    assert 2 == desk.get(USAGE, key).json["stats"]["totalCalls"]
    assert 2 == desk.get(f"{USAGE}/daily?days=1", key).json["data"][0]["calls"]


def test_deliveries_are_told_by_outcome(desk, key):
    """
    Total, successful and failed; `webhooks` of a day is all of them.
    """
    story = Story("phone")
    story.tell("webhook.delivery", NOW, DELIVERED, times=3)
    story.tell("webhook.delivery", NOW, UNDELIVERED, times=2)
    desk.tell(story)

    stats = desk.get(USAGE, key).json["stats"]

    assert [5, 3, 2] == [stats[f"{kind}WebhookDeliveries"] for kind in ("total", "successful", "failed")]
    assert 5 == desk.get(f"{USAGE}/daily?days=1", key).json["data"][0]["webhooks"]


@pytest.mark.parametrize(
    ("anchor_day", "timezone", "start", "end"),
    [
        (1, "UTC", "2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"),
        (20, "UTC", "2026-02-20T00:00:00Z", "2026-03-20T00:00:00Z"),
        (31, "UTC", "2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z"),
        (1, "Europe/Paris", "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z"),
    ],
)
def test_the_period_is_the_current_billing_period(desk, anchor_day, timezone, start, end):
    """
    The anchored month of the account, in its zone, told in UTC.
    """
    key = desk.account("phone", now=NOW, anchor_day=anchor_day, timezone=timezone)

    body = desk.get(USAGE, key).json

    assert (start, end) == (body["periodStart"], body["periodEnd"])


@pytest.mark.parametrize("days", [None, 1, 30, 365])
def test_daily_has_exactly_n_rows_oldest_first_and_today_last(desk, key, days):
    """
    N rows for N days, zeros included, default 30, and `days` is echoed.
    """
    body = desk.get(f"{USAGE}/daily" + ("" if days is None else f"?days={days}"), key).json

    wanted = days or 30
    dates = [(NOW.date() - timedelta(days=back)).isoformat() for back in reversed(range(wanted))]
    assert wanted == body["days"]
    assert [{"date": date, "messages": 0, "calls": 0, "webhooks": 0} for date in dates] == body["data"]


@pytest.mark.parametrize(("months", "first"), [(None, "2025-10"), (1, "2026-03"), (24, "2024-04")])
def test_monthly_has_exactly_n_calendar_months_and_this_one_last(desk, key, months, first):
    """
    N rows for N months, default 6, and `months` is echoed.
    """
    body = desk.get(f"{USAGE}/monthly" + ("" if months is None else f"?months={months}"), key).json

    assert (months or 6) == body["months"] == len(body["data"])
    assert (first, "2026-03") == (body["data"][0]["month"], body["data"][-1]["month"])


def test_an_event_falls_on_its_own_day_to_the_microsecond(desk, key):
    """
    The last microsecond of a day and the first of the next are two days, and two months.
    """
    story = Story("phone")
    story.tell("message", at("2026-02-28T23:59:59.999999"), MESSAGE)
    story.tell("message", at("2026-03-01T00:00:00"), MESSAGE)
    desk.tell(story)

    days = {row["date"]: row["messages"] for row in desk.get(f"{USAGE}/daily", key).json["data"]}
    months = {row["month"]: row["messages"] for row in desk.get(f"{USAGE}/monthly", key).json["data"]}

    assert (1, 1) == (days["2026-02-28"], days["2026-03-01"])
    assert (1, 1) == (months["2026-02"], months["2026-03"])


def test_an_out_of_range_parameter_is_a_validation_error_in_both_styles(desk, key):
    """
    `error.details` names field, message and type; `detail` says the same as `{loc, msg, type}`.
    """
    answer = desk.get(f"{USAGE}/daily?days=366", key)

    assert 422 == answer.status
    message = "days must be at most 365"
    assert {
        "error": {
            "message": message,
            "code": "VALIDATION_ERROR",
            "type": "validation_error",
            "details": [{"field": "days", "message": message, "type": "too_large"}],
        },
        "detail": [{"loc": ["query", "days"], "msg": message, "type": "too_large"}],
    } == answer.json
