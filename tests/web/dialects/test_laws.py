"""Laws over invented ledgers: one ledger, five tellings. Event times sit on the borders where counting goes wrong."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallybook.settings import Settings
from tests.web.dialects.desk import Desk, open_desk
from tests.web.dialects.stories import Story, at

NOW = at("2026-03-30T15:30:20")
TICK = timedelta(microseconds=1)
MILLISECOND = timedelta(milliseconds=1)

_numbers = count(1)


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One house for all examples; each example has an account of its own."""
    with open_desk(Settings(data_dir=tmp_path_factory.mktemp("data")), NOW) as desk:
        yield desk


def borders() -> list[datetime]:
    """Return the starts of hours, days, weeks, months and rolling windows around NOW."""
    minute = NOW.replace(second=0)
    found = [NOW, minute, minute.replace(minute=0), at("2026-03-01"), at("2026-02-01"), at("2026-01-01")]
    found += [minute - timedelta(days=days) for days in (1, 7, 30)]
    found += [at("2026-03-30") - timedelta(days=days) for days in range(9)]
    found += [at("2026-03-30") - timedelta(days=days) for days in (29, 30, 31)]
    return found


moments = st.one_of(
    st.builds(
        lambda border, shift: min(border + shift, NOW + timedelta(minutes=4)),
        st.sampled_from(borders()),
        st.sampled_from([timedelta(0), TICK, -TICK, MILLISECOND, -MILLISECOND, timedelta(seconds=59)]),
    ),
    st.timedeltas(timedelta(0), timedelta(days=149)).map(lambda ago: NOW - ago),
)
agents = st.sampled_from([None, "a", "b", "c"])
amounts = st.decimals(0, 1000, places=3).map(str)


def known(**said: object) -> dict[str, object]:
    """Return what is not None."""
    return {name: value for name, value in said.items() if value is not None}


messages = st.builds(
    lambda agent, direction: ("message", known(agent_id=agent, direction=direction)),
    agents,
    st.sampled_from(["inbound", "outbound"]),
)
calls = st.builds(
    lambda channel, direction, seconds: ("call", known(channel=channel, direction=direction, duration_s=seconds)),
    st.sampled_from(["voice", "chat"]),
    st.sampled_from(["inbound", "outbound"]),
    amounts,
)
requests = st.builds(
    lambda api, status, latency, cost: (
        "api.request",
        known(api_id=api, status=status, latency_ms=latency, cost_usd=cost),
    ),
    st.sampled_from(["api_a", "api_b"]),
    st.sampled_from([200, 404]),
    st.one_of(st.none(), amounts),
    st.one_of(st.none(), amounts),
)
completions = st.builds(
    lambda agent, given, taken: ("llm.completion", known(agent_id=agent, input_tokens=given, output_tokens=taken)),
    agents,
    st.integers(0, 10**6),
    st.integers(0, 10**6),
)
deliveries = st.sampled_from(["success", "failed"]).map(lambda status: ("webhook.delivery", {"status": status}))
runs = st.just(("workflow.started", {"workflow_id": "w"}))
ledgers = st.lists(
    st.tuples(moments, st.one_of(messages, calls, requests, completions, deliveries, runs)), min_size=1, max_size=40
)

lawful = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


def written(front: Desk, events: list[tuple[datetime, tuple[str, dict[str, object]]]]) -> str:
    """Write a ledger of its own for *events* and return its key."""
    story = Story(f"account-{next(_numbers)}")
    key = front.account(story.account_id, plan="wontopos-basic", scopes=["usage:read", "billing:manage"])
    for moment, (type_, data) in events:
        story.tell(type_, moment, data)
    front.tell(story)
    return key


def sums(rows: list[dict[str, object]]) -> Counter[str]:
    """Return the sum of each numeric column."""
    total: Counter[str] = Counter()
    for row in rows:
        for name, value in row.items():
            if not isinstance(value, str | None):
                total[name] += sum(value.values()) if isinstance(value, dict) else value
    return total


@lawful
@given(events=ledgers)
def test_rolling_windows_lie_between_two_sums_of_days(front, events):
    """
    sum(daily N) <= Last N d <= sum(daily N+1), for messages and calls and each N of the document.
    """
    key = written(front, events)
    stats = front.get("/agentphone/v1/usage", key).json["stats"]

    for days, name in ((1, "24h"), (7, "7d"), (30, "30d")):
        lower, upper = (
            sums(front.get(f"/agentphone/v1/usage/daily?days={n}", key).json["data"]) for n in (days, days + 1)
        )
        for noun in ("messages", "calls"):
            assert lower[noun] <= stats[f"{noun}Last{name}"] <= upper[noun]


@lawful
@given(events=ledgers, days=st.sampled_from([1, 7, 30, 90]))
def test_the_sum_per_agent_is_the_sum_of_history_and_of_days(front, events, days):
    """
    LiberClaw's two breakdowns and AgentPhone's days count the same messages.
    """
    key = written(front, events)

    agents = sums(front.get(f"/liberclaw/api/v1/usage/per-agent?days={days}", key).json["agents"])
    history = sums(front.get(f"/liberclaw/api/v1/usage/history?days={days}", key).json["days"])
    daily = sums(front.get(f"/agentphone/v1/usage/daily?days={days}", key).json["data"])

    assert agents["message_count"] == history["message_count"] == daily["messages"]


@lawful
@given(events=ledgers)
def test_sums_do_not_depend_on_group_by(front, events):
    """
    Aurion's rows add up to the same minutes, calls and tokens by day, week and month.
    """
    key = written(front, events)
    query = "start_date=2025-11-05T07:08:09Z&end_date=2026-03-30"

    totals = [
        sums(front.get(f"/aurion/api/v1/usage/details?{query}&group_by={step}", key).exact["data"])
        for step in ("day", "week", "month")
    ]

    assert totals[0] == totals[1] == totals[2]


@lawful
@given(events=ledgers)
def test_timeseries_add_up_whatever_their_steps(front, events):
    """
    WontoPos's points add up to the total by hour, day, week and month.
    """
    key = written(front, events)
    query = "from=2026-02-01T03:04:05Z&to=2026-03-30"

    for api_id in ("api_a", "api_b"):
        for step in ("hour", "day", "week", "month"):
            answer = front.get(f"/wontopos/v1/usage/{api_id}?{query}&granularity={step}", key)
            if answer.status == 404:
                continue
            points = sums(answer.json["timeseries"])
            assert (answer.json["total_requests"], answer.json["total_errors"]) == (
                points["requests"],
                points["errors"],
            )


@lawful
@given(events=ledgers)
def test_one_ledger_five_tellings(front, events):
    """
    Over this month every dialect that reports a number reports the native one; the native one is what was sent.
    """
    key = written(front, events)
    march = [(type_, data) for moment, (type_, data) in events if moment >= at("2026-03-01")]

    native = Native(front, key, "from=2026-03-01T00:00:00Z&to=2026-03-31T00:00:00Z")
    anyreach = front.get("/anyreach/admin/usage/summary?from=2026-03-01&to=2026-03-31", key).exact
    aurion = sums(
        front.get("/aurion/api/v1/usage/details?start_date=2026-03-01&end_date=2026-03-30", key).exact["data"]
    )
    summary = front.get("/aurion/api/v1/usage/summary", key).exact
    wontopos = front.get("/wontopos/v1/usage?from=2026-03-01&to=2026-03-30", key).exact
    phone = sums(front.get("/agentphone/v1/usage/daily?days=30", key).exact["data"])
    (*_, month) = front.get("/agentphone/v1/usage/monthly", key).json["data"]
    claw = sums(front.get("/liberclaw/api/v1/usage/history?days=30", key).json["days"])

    counted = Counter(type_ for type_, _ in march)
    assert counted["message"] == native["messages"] == phone["messages"] == month["messages"] == claw["message_count"]
    assert counted["call"] == native["calls"] == phone["calls"] == month["calls"] == anyreach["total_calls"]
    assert sums(anyreach["daily"])["calls"] == counted["call"]
    assert counted["webhook.delivery"] == native["deliveries"] == phone["webhooks"] == month["webhooks"]
    assert counted["workflow.started"] == native["workflow_runs"] == anyreach["workflow_runs_total"]
    assert counted["api.request"] == native["requests"] == aurion["api_calls"] == wontopos["total_requests"]
    assert summary["api_calls"]["used"] == counted["api.request"]
    assert native["request_errors"] == wontopos["total_errors"]
    assert native["tokens"] == aurion["llm_tokens"]

    voice = native.value("call_seconds", "&filter[channel]=voice") / 60
    assert voice.quantize(Decimal("0.01")) == anyreach["voice_minutes"]
    assert voice.quantize(Decimal("0.000001")) == aurion["voice_minutes"] == summary["voice_minutes"]["used"]
    cents = sum(Decimal(str(line["cost_usd"])) for line in wontopos["by_api"])
    assert cents == Decimal(str(wontopos["total_cost_usd"]))
    assert abs(cents - native["request_cost_usd"]) <= Decimal("0.005") * 2


class Native:
    """Totals of the native API over one span."""

    def __init__(self, front: Desk, key: str, span: str) -> None:
        self._front, self._key, self._span = front, key, span
        self._account = front.house.access.authenticate(key).account_id

    def value(self, meter: str, more: str = "") -> Decimal:
        """Return one total, exactly."""
        path = f"/v1/accounts/{self._account}/usage?meter={meter}&{self._span}&granularity=total{more}"
        return Decimal(self._front.get(path, self._key).json["total"])

    def __getitem__(self, meter: str) -> Decimal:
        return self.value(meter)
