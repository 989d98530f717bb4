"""WontoPos's contract, sentence by sentence."""

from datetime import timedelta

import pytest

from tests.web.dialects.stories import Story, at

NOW = at("2026-03-30T15:30:00")  # a Monday
USAGE = "/wontopos/v1/usage"
MARCH = "from=2026-03-01&to=2026-03-30"


@pytest.fixture
def key(desk):
    return desk.account("shop", plan="wontopos-basic", now=NOW)


def request(api_id="api_a", **said):
    return {"api_id": api_id, "status": 200, "cost_usd": 0, **said}


def subscribe(story, api_id, **said):
    story.tell("resource.created", NOW, {"kind": "api_subscription", "resource_id": api_id, **said})


@pytest.mark.parametrize("path", ["", "/api_a"])
@pytest.mark.parametrize(
    ("query", "period"),
    [
        ("", ("2026-02-28T00:00:00Z", "2026-03-30T00:00:00Z")),
        ("from=2026-03-02", ("2026-03-02T00:00:00Z", "2026-03-30T00:00:00Z")),
        ("from=2026-03-02&to=2026-03-02", ("2026-03-02T00:00:00Z", "2026-03-02T00:00:00Z")),
        (
            "from=2026-03-02T05:00:00.000Z&to=2026-03-03T06:00:00%2B01:00",
            ("2026-03-02T05:00:00Z", "2026-03-03T05:00:00Z"),
        ),
    ],
)
def test_the_period_is_echoed(desk, key, path, query, period):
    """
    From 30 days ago to today unless said otherwise; a bare date is its midnight, an instant is told in UTC.
    """
    desk.tell(used("api_a"))

    assert dict(zip(("from", "to"), period, strict=True)) == desk.get(f"{USAGE}{path}?{query}", key).json["period"]


def used(*api_ids):
    story = Story("shop")
    for api_id in api_ids:
        story.tell("api.request", NOW, request(api_id))
    return story


def test_a_bare_to_counts_its_whole_day_and_an_instant_is_exclusive(desk, key):
    """
    The last microsecond of the day is in; what happens at the instant is out.
    """
    story = Story("shop")
    story.tell("api.request", at("2026-03-02T23:59:59.999999"), request())
    story.tell("api.request", at("2026-03-03T00:00:00"), request())
    desk.tell(story)

    assert 1 == desk.get(f"{USAGE}?from=2026-03-02&to=2026-03-02", key).json["total_requests"]
    assert 2 == desk.get(f"{USAGE}?from=2026-03-02&to=2026-03-03", key).json["total_requests"]
    assert 1 == desk.get(f"{USAGE}?from=2026-03-02&to=2026-03-03T00:00:00Z", key).json["total_requests"]
    assert 0 == desk.get(f"{USAGE}?from=2026-03-03T00:00:00Z&to=2026-03-03T00:00:00Z", key).json["total_requests"]


@pytest.mark.parametrize("step", ["hour", "day", "week", "month"])
def test_granularity_changes_nothing_on_the_summary(desk, key, step):
    """
    It is checked, and that is all.
    """
    desk.tell(used("api_a"))

    assert desk.get(f"{USAGE}?{MARCH}", key).json == desk.get(f"{USAGE}?{MARCH}&granularity={step}", key).json


def test_by_api_has_most_requests_first_and_apis_used_or_subscribed(desk, key):
    """
    A subscription without requests shows zeros, one given up only its requests; names decide between equals.
    """
    story = used("api_a", "api_b", "api_b", "api_gone")
    subscribe(story, "api_quiet", name="Quiet API")
    subscribe(story, "api_gone", name="Gone API")
    subscribe(story, "api_never", name="Never API")
    for api_id in ("api_gone", "api_never"):
        story.tell("resource.released", NOW, {"kind": "api_subscription", "resource_id": api_id})
    desk.tell(story)

    body = desk.get(f"{USAGE}?{MARCH}", key).json

    assert [("api_b", 2), ("api_gone", 1), ("api_a", 1), ("api_quiet", 0)] == [
        (line["api_id"], line["requests"]) for line in body["by_api"]
    ]
    assert {"requests": 0, "errors": 0, "avg_latency_ms": 0, "cost_usd": 0} == {
        name: body["by_api"][-1][name] for name in ("requests", "errors", "avg_latency_ms", "cost_usd")
    }


def test_the_name_is_the_subscriptions_else_the_latest_seen_else_the_id(desk, key):
    """
    In this order; the latest seen is by the time of the events, not by their arrival. A subscription that was given up
    still names its API.
    """
    story = used("api_plain")
    story.tell("api.request", NOW, request("api_seen", api_name="New name"))
    story.tell("api.request", NOW - timedelta(days=1), request("api_seen", api_name="Old name"))
    story.tell("api.request", NOW, request("api_sub", api_name="What they call it"))
    subscribe(story, "api_sub", name="What it is")
    subscribe(story, "api_past", name="What it was")
    story.tell("resource.released", NOW, {"kind": "api_subscription", "resource_id": "api_past"})
    story.tell("api.request", NOW + timedelta(seconds=1), request("api_past", api_name="What they call it"))
    desk.tell(story)

    names = {line["api_id"]: line["name"] for line in desk.get(f"{USAGE}?{MARCH}", key).json["by_api"]}

    assert {
        "api_past": "What it was",
        "api_plain": "api_plain",
        "api_seen": "New name",
        "api_sub": "What it is",
    } == names
    assert names == {api_id: desk.get(f"{USAGE}/{api_id}", key).json["name"] for api_id in names}


def test_errors_are_statuses_from_400(desk, key):
    """
    399 is none, 400 is one, 599 is one.
    """
    story = Story("shop")
    for status in (100, 200, 399, 400, 404, 500, 599):
        story.tell("api.request", NOW, request(status=status))
    desk.tell(story)

    body = desk.get(f"{USAGE}?{MARCH}", key).json

    assert (7, 4) == (body["total_requests"], body["total_errors"])


@pytest.mark.parametrize(
    ("latencies", "mean"),
    [((), 0), ((None,), 0), ((10, 11), 10), ((11, 12), 12), ((40, 41, 41), 41), (("0.4", None), 0)],
)
def test_average_latency_is_an_integer_weighted_by_requests(desk, key, latencies, mean):
    """
    Over those that carry one, halves to the even neighbour; 0 when none does.
    """
    story = used("api_a") if not latencies else Story("shop")
    for latency in latencies:
        story.tell("api.request", NOW, request(**({} if latency is None else {"latency_ms": latency})))
    desk.tell(story)

    (line,) = desk.get(f"{USAGE}?{MARCH}", key).json["by_api"]

    assert mean == line["avg_latency_ms"]
    assert type(line["avg_latency_ms"]) is int
    assert mean == desk.get(f"{USAGE}/api_a", key).json["avg_latency_ms"]


def test_cost_is_rounded_to_cents_once_a_line_and_the_total_is_their_sum(desk, key):
    """
    Half-even: half a cent goes down to 0.00, one and a half up to 0.02; the total of both is 0.02.
    """
    story = Story("shop")
    story.tell("api.request", NOW, request("api_a", cost_usd="0.0025"), times=2)
    story.tell("api.request", NOW, request("api_b", cost_usd="0.005"), times=3)
    desk.tell(story)

    answer = desk.get(f"{USAGE}?{MARCH}", key)

    assert {"api_a": 0, "api_b": 0.02} == {line["api_id"]: line["cost_usd"] for line in answer.json["by_api"]}
    assert 0.02 == answer.json["total_cost_usd"]


def test_cost_is_carried_by_the_event_else_priced_by_the_plan(desk, key):
    """
    1.25 carried and 400 requests at 0.00025.
    """
    story = Story("shop")
    story.tell("api.request", NOW, {"api_id": "api_a", "status": 200}, times=400)
    story.tell("api.request", NOW, request("api_a", cost_usd="1.25"))
    desk.tell(story)

    assert 1.35 == desk.get(f"{USAGE}?{MARCH}", key).json["total_cost_usd"]
    assert 1.35 == desk.get(f"{USAGE}/api_a?{MARCH}", key).json["cost_usd"]


def limit(name, quantity, **said):
    return {"name": name, "kind": "period", "mode": "overage", "meter": "requests", "quantity": quantity, **said}


@pytest.mark.parametrize(
    ("limits", "shown"),
    [
        ([limit("a", "8", filter={"api_id": "api_a"})], (8, 37.5)),
        ([limit("each", "2", per="api_id")], (2, 150.0)),
        ([limit("each", "2", per="api_id"), limit("a", "9", filter={"api_id": "api_a"})], (9, 33.3)),
        ([limit("all", "4")], (4, 75.0)),
        ([limit("b", "4", filter={"api_id": "api_b"})], (None, None)),
        ([], (None, None)),
    ],
)
def test_plan_limit_and_usage_percentage(desk, limits, shown):
    """
    The limit that speaks for this API; one decimal, not clamped; no limit is null and null.
    """
    desk.plan("shop-own", limits)
    key = desk.account("shop", plan="shop-own", now=NOW)
    desk.tell(used("api_a", "api_a", "api_a"))

    body = desk.get(f"{USAGE}/api_a", key).json

    assert shown == (body["plan_limit"], body["usage_percentage"])


def test_endpoint_filters_and_no_match_is_zeros(desk, key):
    """
    Requests, errors, latency, cost and timeseries are of that endpoint; an endpoint never called is 200.
    """
    story = Story("shop")
    story.tell("api.request", NOW, request(endpoint="/v1/a", latency_ms=10, cost_usd=1))
    story.tell("api.request", NOW, request(endpoint="/v1/b", latency_ms=30, cost_usd=2, status=500))
    story.tell("api.request", NOW, request(latency_ms=50))
    desk.tell(story)

    def shown(query):
        body = desk.get(f"{USAGE}/api_a?{query}", key).json
        last = body["timeseries"][-1]
        fields = [body[name] for name in ("total_requests", "total_errors", "avg_latency_ms", "cost_usd")]
        assert fields[:3] == [last[name] for name in ("requests", "errors", "avg_latency_ms")]
        return fields

    assert [3, 1, 30, 3] == shown("")
    assert [1, 1, 30, 2] == shown("endpoint=/v1/b")
    assert [1, 0, 10, 1] == shown("endpoint=%2Fv1%2Fa")
    assert [0, 0, 0, 0] == shown("endpoint=/v1/c")


@pytest.mark.parametrize(
    ("step", "query", "dates"),
    [
        ("day", "from=2026-03-01&to=2026-03-03", ["2026-03-01", "2026-03-02", "2026-03-03"]),
        (
            "hour",
            "from=2026-03-01T04:30:00Z&to=2026-03-01T07:00:00Z",
            ["2026-03-01T04:00:00Z", "2026-03-01T05:00:00Z", "2026-03-01T06:00:00Z"],
        ),
        ("week", "from=2026-03-04&to=2026-03-16", ["2026-03-02", "2026-03-09", "2026-03-16"]),
        ("month", "from=2026-01-15&to=2026-03-01", ["2026-01-01", "2026-02-01", "2026-03-01"]),
    ],
)
def test_timeseries_is_ascending_with_zeros_and_named_by_its_buckets(desk, key, step, query, dates):
    """
    A day, an hour with its Z, the week's Monday, the month's 1st; also where the range cuts the first bucket.
    """
    desk.tell(used("api_a"))

    rows = desk.get(f"{USAGE}/api_a?{query}&granularity={step}", key).json["timeseries"]

    assert [{"date": date, "requests": 0, "errors": 0, "avg_latency_ms": 0} for date in dates] == rows


def test_a_bare_to_has_all_hours_of_its_day(desk, key):
    """
    24 points for one day.
    """
    desk.tell(used("api_a"))

    rows = desk.get(f"{USAGE}/api_a?from=2026-03-30&to=2026-03-30&granularity=hour", key).json["timeseries"]

    assert [f"2026-03-30T{hour:02d}:00:00Z" for hour in range(24)] == [row["date"] for row in rows]
    assert [("2026-03-30T15:00:00Z", 1)] == [(row["date"], row["requests"]) for row in rows if row["requests"]]


def test_an_unknown_and_a_foreign_api_are_the_same_404(desk, key):
    """
    Byte for byte but for the request id, which the client itself may choose.
    """
    stranger = Story("other")
    stranger.tell("api.request", NOW, request("api_theirs"))
    desk.account("other", now=NOW)
    desk.tell(stranger)

    answers = [
        desk.get(f"{USAGE}/{api_id}", key, {"X-Request-Id": "req-00000001"})
        for api_id in ("api_theirs", "api_nobodys", "%01", "a" * 9_000, "%F0%9F%98%80", "..%2F..%2Fetc")
    ]

    assert {404} == {answer.status for answer in answers}
    assert 1 == len({answer.text for answer in answers})
    assert "not_found" == answers[0].json["error"]["code"]


def test_an_api_is_known_when_it_was_ever_used_or_subscribed(desk, key):
    """
    Used years ago, subscribed now, or given up: 200 with zeros.
    """
    story = Story("shop")
    story.tell("api.request", at("2020-01-01"), request("api_old"))
    subscribe(story, "api_new")
    subscribe(story, "api_gone")
    story.tell("resource.released", NOW, {"kind": "api_subscription", "resource_id": "api_gone"})
    desk.tell(story)

    for api_id in ("api_old", "api_new", "api_gone"):
        answer = desk.get(f"{USAGE}/{api_id}", key)
        assert (200, 0, 0) == (answer.status, answer.json["total_requests"], answer.json["avg_latency_ms"])


def test_errors_carry_the_request_id_of_the_header(desk, key):
    """
    Ours or, where the client sent one, its own.
    """
    ours = desk.get(f"{USAGE}/api_nobodys", key)
    theirs = desk.get(f"{USAGE}?granularity=year", key, {"X-Request-Id": "their-request-1"})

    assert ours.headers["x-request-id"] == ours.json["error"]["request_id"]
    assert "their-request-1" == theirs.headers["x-request-id"] == theirs.json["error"]["request_id"]


def test_a_missing_scope_is_named(desk):
    """
    `required_scope` says what the key lacks.
    """
    key = desk.account("shop", now=NOW, scopes=["events:write"])

    error = desk.get(USAGE, key).json["error"]

    assert ("insufficient_scope", "usage:read", 403) == (error["code"], error["required_scope"], error["status"])


def test_rate_limit_headers_stand_on_every_answer(desk, key):
    """
    Also on refusals, and without a key; each answer to a key leaves it one less.
    """
    answers = [
        desk.get(path, key)
        for path in (USAGE, f"{USAGE}?granularity=year", f"{USAGE}/api_nobodys", "/wontopos/nowhere")
    ]
    answers.append(desk.get(USAGE, None))

    for answer in answers:
        told = [int(answer.headers[f"x-ratelimit-{name}"]) for name in ("limit", "remaining", "reset")]
        assert told[0] > 0
        assert 0 <= told[1] <= told[0]
        assert told[2] == NOW.timestamp() + 60 - NOW.second
    remaining = [int(answer.headers["x-ratelimit-remaining"]) for answer in answers[:3]]
    assert [remaining[0], remaining[0] - 1, remaining[0] - 2] == remaining
