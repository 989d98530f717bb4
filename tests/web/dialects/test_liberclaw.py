"""LiberClaw's contract, sentence by sentence."""

from datetime import timedelta

import pytest

from tests.web.dialects.stories import MESSAGE, Story, at

NOW = at("2026-01-15T18:00:30")
USAGE = "/liberclaw/api/v1/usage"


@pytest.fixture
def key(desk):
    return desk.account("claw", plan="liberclaw-free", now=NOW)


def message(agent_id=None, agent_name=None, direction="inbound"):
    said = {"direction": direction, "agent_id": agent_id, "agent_name": agent_name}
    return {name: value for name, value in said.items() if value is not None}


def tokens(agent_id, amount):
    return {"agent_id": agent_id, "input_tokens": amount, "output_tokens": 1}


@pytest.mark.parametrize(
    ("tier", "allowed", "agents"), [("guest", "500.0", 1), ("free", "5000.0", 5), ("pro", "50000.0", 25)]
)
def test_usage_has_the_tier_its_limits_and_floats_with_a_point(desk, tier, allowed, agents):
    """
    Nothing spent is 0.0, and 5000 is 5000.0.
    """
    key = desk.account("claw", plan=f"liberclaw-{tier}", now=NOW)

    text = desk.get(USAGE, key).text

    assert (
        f'{{"credits_used":0.0,"credits_limit":{allowed},"rolling_window_days":30,"agent_count":0,'
        f'"agent_limit":{agents},"tier":"{tier}"}}'
    ) == text


def test_a_plan_without_these_limits_shows_null(desk):
    """
    The window is then the document's 30 days.
    """
    key = desk.account("claw", now=NOW)

    body = desk.get(USAGE, key).json

    assert (None, 30, None) == (body["credits_limit"], body["rolling_window_days"], body["agent_limit"])


def test_credits_roll_out_of_the_window_to_the_minute_and_are_exact(desk, key):
    """
    What was spent in the minute that lies 30 days back counts, what was spent before it does not.
    """
    story, minute = Story("claw"), NOW.replace(second=0)
    story.tell("credit.spend", minute - timedelta(days=30), {"amount": "0.000000001"})
    story.tell("credit.spend", minute - timedelta(days=30, microseconds=1), {"amount": 100})
    story.tell("credit.spend", NOW, {"amount": 0.1, "agent_id": "a"}, times=3)
    desk.tell(story)

    assert '"credits_used":0.300000001,' in desk.get(USAGE, key).text

    desk.now(NOW + timedelta(minutes=1))
    assert '"credits_used":0.3,' in desk.get(USAGE, key).text


def test_the_window_is_the_plans(desk):
    """
    Seven days for a plan that says seven.
    """
    spent = {"name": "c", "kind": "rolling", "mode": "hard", "meter": "credits", "quantity": "10.5", "window": "P7D"}
    desk.plan("claw-own", [spent])
    key = desk.account("claw", plan="claw-own", now=NOW)
    story = Story("claw")
    story.tell("credit.spend", NOW - timedelta(days=8), {"amount": 4})
    story.tell("credit.spend", NOW - timedelta(days=6), {"amount": 2})
    desk.tell(story)

    body = desk.get(USAGE, key).json

    assert (2.0, 10.5, 7) == (body["credits_used"], body["credits_limit"], body["rolling_window_days"])


def test_agent_count_is_of_now(desk, key):
    """
    Released agents and other things are not counted.
    """
    story = Story("claw")
    for kind, thing in (("agent", "a"), ("agent", "b"), ("seat", "s")):
        story.tell("resource.created", NOW - timedelta(days=1), {"kind": kind, "resource_id": thing})
    story.tell("resource.released", NOW, {"kind": "agent", "resource_id": "a"})
    desk.tell(story)

    assert 1 == desk.get(USAGE, key).json["agent_count"]


def test_history_is_the_last_n_utc_days_newest_first_without_empty_days(desk, key):
    """
    Both directions count; the day before the window and empty days are left out.
    """
    story = Story("claw")
    story.tell("message", at("2026-01-15T00:00:00"), message())
    story.tell("message", at("2026-01-15T18:00:00"), message(direction="outbound"))
    story.tell("message", at("2026-01-13T23:59:59.999999"), message("a"))
    story.tell("message", at("2026-01-12T23:59:59.999999"), message("a"))
    desk.tell(story)

    assert {
        "days": [{"date": "2026-01-15", "message_count": 2}, {"date": "2026-01-13", "message_count": 1}]
    } == desk.get(f"{USAGE}/history?days=3", key).json
    assert {"days": [{"date": "2026-01-15", "message_count": 2}]} == desk.get(f"{USAGE}/history?days=1", key).json
    assert 3 == len(desk.get(f"{USAGE}/history", key).json["days"])


def test_per_agent_is_by_messages_and_leaves_out_agents_without(desk, key):
    """
    An agent with tokens alone is no row; tokens are of the agent and of the same days; `period_days` is echoed.
    """
    story = Story("claw")
    story.tell("message", NOW, message("a"), times=2)
    story.tell("message", NOW, message("b", direction="outbound"), times=3)
    story.tell("llm.completion", NOW, tokens("a", 10))
    story.tell("llm.completion", NOW - timedelta(days=7), tokens("a", 1000))
    story.tell("llm.completion", NOW, tokens("c", 5))
    desk.tell(story)

    body = desk.get(f"{USAGE}/per-agent?days=7", key).json

    assert {
        "agents": [
            {"agent_id": "b", "agent_name": "b", "message_count": 3, "total_tokens": 0},
            {"agent_id": "a", "agent_name": "a", "message_count": 2, "total_tokens": 11},
        ],
        "period_days": 7,
    } == body
    assert 30 == desk.get(f"{USAGE}/per-agent", key).json["period_days"]


def test_a_released_agent_has_no_id_and_keeps_its_name(desk, key):
    """
    Several rows may be null; one that was created again has its id again.
    """
    story = Story("claw")
    for agent_id, name, count in (("a", "Ada", 3), ("b", "Bob", 2), ("c", "Cy", 1)):
        story.tell("resource.created", NOW - timedelta(days=2), {"kind": "agent", "resource_id": agent_id})
        story.tell("message", NOW - timedelta(days=1), message(agent_id, name), times=count)
        story.tell("resource.released", NOW - timedelta(hours=1), {"kind": "agent", "resource_id": agent_id})
    story.tell("resource.created", NOW, {"kind": "agent", "resource_id": "c"})
    desk.tell(story)

    agents = desk.get(f"{USAGE}/per-agent", key).json["agents"]

    assert [(None, "Ada"), (None, "Bob"), ("c", "Cy")] == [(one["agent_id"], one["agent_name"]) for one in agents]


def test_an_agent_that_was_only_ever_released_is_a_deleted_one(desk, key):
    """
    Its creation may be older than this ledger; what is updated only, or used only, is not deleted.
    """
    story = Story("claw")
    for agent_id, name, count in (("a", "Ada", 3), ("b", "Bob", 2), ("c", "Cy", 1)):
        story.tell("message", NOW - timedelta(days=1), message(agent_id, name), times=count)
    story.tell("resource.released", NOW - timedelta(days=2), {"kind": "agent", "resource_id": "a"})
    story.tell("resource.updated", NOW - timedelta(days=2), {"kind": "agent", "resource_id": "b", "active": False})
    desk.tell(story)

    agents = desk.get(f"{USAGE}/per-agent", key).json["agents"]

    assert [(None, "Ada"), ("b", "Bob"), ("c", "Cy")] == [(one["agent_id"], one["agent_name"]) for one in agents]


def test_the_name_is_the_latest_seen_by_usage_or_inventory(desk, key):
    """
    Renamed by a message, renamed by an update; the event's time decides, not its arrival.
    """
    day = timedelta(days=1)
    story = Story("claw")
    story.tell("resource.created", NOW - 5 * day, {"kind": "agent", "resource_id": "a", "name": "Created"})
    story.tell("message", NOW - 3 * day, message("a", "Said"))
    story.tell("message", NOW - 4 * day, message("a", "Said before"))
    story.tell("resource.created", NOW - 5 * day, {"kind": "agent", "resource_id": "b", "name": "Created"})
    story.tell("message", NOW - 4 * day, message("b", "Said"))
    story.tell("resource.updated", NOW - 3 * day, {"kind": "agent", "resource_id": "b", "name": "Updated"})
    story.tell("resource.created", NOW - 5 * day, {"kind": "agent", "resource_id": "c", "name": "Only created"})
    story.tell("message", NOW - 4 * day, message("c"))
    desk.tell(story)

    agents = desk.get(f"{USAGE}/per-agent", key).json["agents"]

    assert {"a": "Said", "b": "Updated", "c": "Only created"} == {one["agent_id"]: one["agent_name"] for one in agents}


def test_messages_of_no_agent_make_one_row_so_that_the_sums_agree(desk, key):
    """
    The sum per agent is the sum of the history.
    """
    story = Story("claw")
    story.tell("message", NOW, MESSAGE, times=4)
    story.tell("message", NOW, message("a"), times=2)
    desk.tell(story)

    agents = desk.get(f"{USAGE}/per-agent?days=3", key).json["agents"]
    days = desk.get(f"{USAGE}/history?days=3", key).json["days"]

    assert {"agent_id": None, "agent_name": "No agent", "message_count": 4, "total_tokens": 0} == agents[0]
    assert 6 == sum(one["message_count"] for one in agents) == sum(one["message_count"] for one in days)


def test_out_of_range_is_a_validation_error(desk, key):
    """
    The document's range is 1-90.
    """
    answer = desk.get(f"{USAGE}/history?days=91", key)

    message = "days must be at most 90"
    assert 422 == answer.status
    assert {
        "error": {
            "code": "VALIDATION_ERROR",
            "message": message,
            "status": 422,
            "details": [{"field": "days", "message": message, "type": "too_large"}],
        },
        "detail": message,
    } == answer.json
