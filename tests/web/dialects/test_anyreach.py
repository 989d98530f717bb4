"""Anyreach's contract, sentence by sentence."""

import pytest

from tests.web.dialects.stories import Story, at

NOW = at("2026-03-05T12:00:00")
SUMMARY = "/anyreach/admin/usage/summary"


@pytest.fixture
def key(desk):
    return desk.account("org", plan="anyreach-standard", now=NOW)


def call(channel, direction, seconds="60"):
    return {"channel": channel, "direction": direction, "duration_s": seconds}


def test_the_object_is_flat_and_has_the_fields_of_the_document(desk, key):
    """
    Seventeen numbers and one array, also of an organization that has done nothing yet.
    """
    body = desk.get(SUMMARY, key).json

    daily = body.pop("daily")
    assert 17 == len(body)
    assert {0} == set(body.values())
    assert [f"2026-03-0{day}" for day in range(1, 6)] == [point["day"] for point in daily]


def test_missing_parameters_mean_month_to_date(desk, key):
    """
    From the 1st to the end of today; with one of them given, the other keeps its default.
    """
    assert 5 == len(desk.get(SUMMARY, key).json["daily"])
    assert 2 == len(desk.get(f"{SUMMARY}?from=2026-03-04", key).json["daily"])
    assert 3 == len(desk.get(f"{SUMMARY}?to=2026-03-04", key).json["daily"])


@pytest.mark.parametrize(
    "instant",
    [
        "2026-03-02",
        "2026-03-02T00:00:00Z",
        "2026-03-02T00:00:00.000Z",
        "2026-03-02T00:00:00%2B00:00",
        "2026-03-02T00:00:00+00:00",
        "2026-03-02T00:00:00.000+00:00",
        "2026-03-02T02:00:00%2B02:00",
        "2026-03-01T19:00:00-05:00",
        "2026-03-02T00:00:00",
    ],
)
def test_instants_are_accepted_as_clients_write_them(desk, key, instant):
    """
    All of these are the same instant; as an end it is exclusive, as a start inclusive.
    """
    story = Story("org")
    story.tell("call", at("2026-03-01T23:59:59.999999"), call("voice", "inbound"))
    story.tell("call", at("2026-03-02T00:00:00"), call("voice", "inbound", "600"))
    desk.tell(story)

    until = desk.get(f"{SUMMARY}?from=2026-03-01&to={instant}", key).json
    since = desk.get(f"{SUMMARY}?from={instant}&to=2026-03-03", key).json

    assert (1, 1) == (until["total_calls"], until["voice_minutes"])
    assert (1, 10) == (since["total_calls"], since["voice_minutes"])
    assert ["2026-03-01"] == [point["day"] for point in until["daily"]]
    assert ["2026-03-02"] == [point["day"] for point in since["daily"]]


@pytest.mark.parametrize("query", ["from=2026-03-02&to=2026-03-02", "from=2026-03-03&to=2026-03-02", "to=2026-02-28"])
def test_to_must_be_after_from(desk, key, query):
    """
    Equal or earlier is 422.
    """
    answer = desk.get(f"{SUMMARY}?{query}", key)

    assert 422 == answer.status
    assert {"detail": "to must be after from"} == answer.json


def test_exactly_366_days_pass_and_a_microsecond_more_does_not(desk, key):
    """
    The maximum is 366 x 24 hours.
    """
    passed = desk.get(f"{SUMMARY}?from=2024-01-01&to=2025-01-01", key)
    assert (200, 366) == (passed.status, len(passed.json["daily"]))
    assert 200 == desk.get(f"{SUMMARY}?from=2025-03-01T06:00:00Z&to=2026-03-02T06:00:00Z", key).status

    refused = desk.get(f"{SUMMARY}?from=2025-03-01T06:00:00Z&to=2026-03-02T06:00:00.000001Z", key)

    assert 422 == refused.status
    assert "366" in refused.json["detail"]


def test_total_calls_is_voice_and_chat_and_is_inbound_and_outbound(desk, key):
    """
    Both ways of cutting add up to the same total.
    """
    story = Story("org")
    story.tell("call", NOW, call("voice", "inbound"), times=1)
    story.tell("call", NOW, call("voice", "outbound"), times=2)
    story.tell("call", NOW, call("chat", "inbound"), times=4)
    story.tell("call", NOW, call("chat", "outbound"), times=8)
    desk.tell(story)

    body = desk.get(SUMMARY, key).json

    assert (15, 3, 12, 5, 10) == tuple(
        body[name] for name in ("total_calls", "voice_calls", "chat_calls", "inbound_calls", "outbound_calls")
    )


def test_the_average_is_over_voice_calls_and_zero_without_any(desk, key):
    """
    Chat sessions do not lengthen it; a third has two places.
    """
    story = Story("org")
    story.tell("call", at("2026-03-01"), call("chat", "inbound", "900"))
    story.tell("call", at("2026-03-02"), call("voice", "inbound", "10"))
    story.tell("call", at("2026-03-02"), call("voice", "outbound", "5"), times=2)
    desk.tell(story)

    assert 0 == desk.get(f"{SUMMARY}?from=2026-03-01&to=2026-03-02", key).json["avg_call_duration_sec"]
    assert 6.67 == desk.get(f"{SUMMARY}?from=2026-03-01&to=2026-03-03", key).json["avg_call_duration_sec"]


def test_workflow_runs_are_those_started(desk, key):
    """
    Success and failure count where a run ended, the total and the days where it started.
    """
    story = Story("org")
    story.tell("workflow.started", at("2026-03-01"), {"workflow_id": "w"}, times=3)
    story.tell("workflow.finished", at("2026-03-02"), {"workflow_id": "w", "status": "success"}, times=2)
    story.tell("workflow.finished", at("2026-03-02"), {"workflow_id": "w", "status": "failed"})
    desk.tell(story)

    first = desk.get(f"{SUMMARY}?from=2026-03-01&to=2026-03-02", key).json
    second = desk.get(f"{SUMMARY}?from=2026-03-02&to=2026-03-03", key).json

    fields = [f"workflow_runs_{word}" for word in ("total", "success", "failed")]
    assert [3, 0, 0] == [first[name] for name in fields]
    assert [0, 2, 1] == [second[name] for name in fields]
    assert [3] == [point["workflow_runs"] for point in first["daily"]]


def test_daily_has_one_point_per_utc_day_ascending_zeros_included(desk, key):
    """
    A range that begins and ends inside a day touches both days, and counts only what lies in it.
    """
    story = Story("org")
    for instant in (
        "2026-03-01T11:59:59.999999",
        "2026-03-01T12:00:00",
        "2026-03-03T11:59:59.999999",
        "2026-03-03T12:00:00",
    ):
        story.tell("call", at(instant), call("voice", "inbound"))
    desk.tell(story)

    body = desk.get(f"{SUMMARY}?from=2026-03-01T12:00:00Z&to=2026-03-03T12:00:00Z", key).json

    assert [("2026-03-01", 1), ("2026-03-02", 0), ("2026-03-03", 1)] == [
        (point["day"], point["calls"]) for point in body["daily"]
    ]
    assert {"day", "calls", "voice_minutes", "chat_minutes", "workflow_runs"} == body["daily"][0].keys()


def test_minutes_are_rounded_at_output_only(desk, key):
    """
    Three days of 20 seconds are 0.33 minutes each and 1 minute together.
    """
    story = Story("org")
    for day in (1, 2, 3):
        story.tell("call", at(f"2026-03-0{day}"), call("voice", "inbound", "20"))
        story.tell("call", at(f"2026-03-0{day}"), call("chat", "inbound", "20"))
    desk.tell(story)

    body = desk.get(f"{SUMMARY}?from=2026-03-01&to=2026-03-04", key).json

    assert (1, 1) == (body["voice_minutes"], body["chat_minutes"])
    assert [(0.33, 0.33)] * 3 == [(point["voice_minutes"], point["chat_minutes"]) for point in body["daily"]]


def test_the_inventory_is_of_now_whatever_the_range(desk, key):
    """
    A range before anything existed shows the same inventory as the current month.
    """
    story = Story("org")
    for kind, resource_id, said in (
        ("agent", "a1", {}),
        ("phone_number", "p1", {"shared": True}),
        ("phone_number", "p2", {"shared": False}),
        ("web_widget", "w1", {}),
        ("dataset", "d1", {"active": False}),
        ("dataset", "d2", {}),
    ):
        story.tell("resource.created", at("2026-03-04"), {"kind": kind, "resource_id": resource_id, **said})
    story.tell("resource.updated", at("2026-03-05"), {"kind": "dataset", "resource_id": "d2", "active": False})
    desk.tell(story)
    fields = (
        "total_agents",
        "total_phone_numbers",
        "shared_phone_numbers",
        "total_web_widgets",
        "total_datasets",
        "active_datasets",
    )

    for query in ("", "?from=2020-01-01&to=2020-01-02"):
        body = desk.get(f"{SUMMARY}{query}", key).json
        assert (1, 2, 1, 1, 2, 0) == tuple(body[name] for name in fields)
