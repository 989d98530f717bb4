"""``GET /v1/accounts/{id}/usage`` and the ranking, sentence by sentence; spans, zones, granularities at their edges."""

from datetime import date, datetime, timedelta

import pytest

from tests.support.client import message

USAGE = "/v1/accounts/acme/usage"


@pytest.fixture
def desk(desk):
    """The desk with an account and its key."""
    desk.key = desk.account("acme")
    return desk


def ask(desk, query, key=None):
    return desk.get(f"{USAGE}?{query}", key or desk.key)


def call(number, time, seconds, **data):
    body = {"channel": "voice", "direction": "inbound", "duration_s": seconds, **data}
    return {"id": f"call-{number}", "type": "call", "subject": "acme", "time": time, "data": body}


def stored(time, megabytes):
    return {"id": time, "type": "storage.snapshot", "subject": "acme", "time": time, "data": {"megabytes": megabytes}}


def values(answer):
    return [(row["start"], row["value"]) for row in answer["rows"]]


def test_the_answer_has_the_published_shape(desk):
    """
    Half-open, decimal strings, zeros included, rows that tile the span.
    """
    desk.send(call(1, "2026-03-13T23:59:59.999999Z", "0.5"), call(2, "2026-03-15T00:00:00Z", 12))

    answer = ask(desk, "meter=call_seconds&from=2026-03-13&to=2026-03-16&granularity=day").json()

    assert {
        "account": "acme",
        "meter": "call_seconds",
        "unit": "s",
        "from": "2026-03-13T00:00:00Z",
        "to": "2026-03-16T00:00:00Z",
        "granularity": "day",
        "tz": "UTC",
        "total": "12.5",
        "rows": [
            {"start": "2026-03-13T00:00:00Z", "end": "2026-03-14T00:00:00Z", "group": {}, "value": "0.5"},
            {"start": "2026-03-14T00:00:00Z", "end": "2026-03-15T00:00:00Z", "group": {}, "value": "0"},
            {"start": "2026-03-15T00:00:00Z", "end": "2026-03-16T00:00:00Z", "group": {}, "value": "12"},
        ],
    } == answer


@pytest.mark.parametrize(
    ("granularity", "rows"), [("hour", 24), ("day", 1), ("minute", 1440), ("week", 1), ("month", 1), ("total", 1)]
)
def test_every_granularity_tiles_the_span(desk, granularity, rows):
    """
    Without gaps, without overlaps, and the rows add up to the total.
    """
    desk.send(call(1, "2026-03-14T00:00:30Z", 1), call(2, "2026-03-14T23:59:59Z", 2))

    answer = ask(desk, f"meter=call_seconds&from=2026-03-14&to=2026-03-15&granularity={granularity}").json()

    edges = [(row["start"], row["end"]) for row in answer["rows"]]
    assert rows == len(edges)
    assert (answer["from"], answer["to"]) == (edges[0][0], edges[-1][1])
    assert [end for _, end in edges[:-1]] == [start for start, _ in edges[1:]]
    assert "3" == answer["total"] == str(sum(int(row["value"]) for row in answer["rows"]))


def test_groups_have_rows_only_where_there_is_usage(desk):
    """
    Each names its dimensions; what events did not say is null; the total is of all groups.
    """
    desk.send(
        message("m1", "acme", time="2026-03-14T10:00:00Z"),
        message("m2", "acme", time="2026-03-15T10:00:00Z", agent_id="a2"),
        {**message("m3", "acme", time="2026-03-15T10:00:00Z"), "data": {"direction": "outbound"}},
    )

    answer = ask(
        desk, "meter=messages&from=2026-03-10&to=2026-03-16&granularity=day&group_by=agent_id,direction"
    ).json()

    assert "3" == answer["total"]
    assert [
        ("2026-03-14T00:00:00Z", {"agent_id": "a1", "direction": "inbound"}, "1"),
        ("2026-03-15T00:00:00Z", {"agent_id": "a2", "direction": "inbound"}, "1"),
        ("2026-03-15T00:00:00Z", {"agent_id": None, "direction": "outbound"}, "1"),
    ] == [(row["start"], row["group"], row["value"]) for row in answer["rows"]]


def test_filters_are_any_of_their_values_and_all_of_their_dimensions(desk):
    """
    A repeated filter widens, a second dimension narrows.
    """
    desk.send(
        *(
            message(f"m{n}", "acme", agent_id=f"a{n % 3}", direction="inbound" if n % 2 else "outbound")
            for n in range(12)
        )
    )

    def total(filters):
        return ask(desk, f"meter=messages&{filters}").json()["total"]

    assert "4" == total("filter[agent_id]=a1")
    assert "8" == total("filter[agent_id]=a1&filter[agent_id]=a2")
    assert "4" == total("filter[agent_id]=a1&filter%5Bagent_id%5D=a2&filter[direction]=inbound")
    assert "0" == total("filter[agent_id]=nobody")


def test_several_meters_are_answered_from_one_snapshot(desk):
    """
    Then each meter's part stands in `meters`, in the order asked, each once.
    """
    desk.send(message("m1", "acme"), call(1, "2026-03-15T10:00:00Z", 7))

    answer = ask(desk, "meter=messages&meter=call_seconds&meter=messages").json()

    assert [("messages", "1"), ("call_seconds", "7")] == [(part["meter"], part["total"]) for part in answer["meters"]]
    assert "rows" not in answer


def test_without_a_span_it_is_the_month_to_date(desk):
    """
    From the first of the month to the end of today; with only `to`, from the first of that month.
    """
    desk.send(
        message("a", "acme", time="2026-02-28T23:59:59Z"),
        message("b", "acme", time="2026-03-01T00:00:00Z"),
        message("c", "acme"),
    )
    answer = ask(desk, "meter=messages").json()
    february = ask(desk, "meter=messages&to=2026-03-01").json()

    assert ("2026-03-01T00:00:00Z", "2026-03-16T00:00:00Z", "2") == (answer["from"], answer["to"], answer["total"])
    assert ("2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z", "1") == (
        february["from"],
        february["to"],
        february["total"],
    )


def test_an_empty_span_is_zero(desk):
    """
    from = to is half-open and holds nothing: 200.
    """
    desk.send(message("a", "acme", time="2026-03-15T12:00:00Z"))
    for granularity in ("total", "day", "minute"):
        answer = ask(
            desk, f"meter=messages&from=2026-03-15T12:00:00Z&to=2026-03-15T12:00:00Z&granularity={granularity}"
        )

        assert (200, "0", []) == (answer.status_code, answer.json()["total"], answer.json()["rows"])


def test_edges_are_right_to_the_microsecond(desk):
    """
    What happened at `from` counts, what happened at `to` does not.
    """
    desk.send(*(call(n, f"2026-03-15T10:00:30.00000{n}Z", 1) for n in range(5)))

    answer = ask(desk, "meter=call_seconds&from=2026-03-15T10:00:30.000001Z&to=2026-03-15T10:00:30.000004Z").json()

    assert "3" == answer["total"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("from=2026-03-02&to=2026-03-01", "invalid-range"),
        ("from=0001-01-01T00:00:00%2B14:00", "invalid-range"),
        ("to=9999-12-31T23:59:59-12:00", "invalid-range"),
        ("from=1969-12-31&to=1970-01-02", "invalid-range"),
        ("to=2201-01-01", "invalid-range"),
        ("from=2026-03-01T00:00:00", "invalid-range"),
        ("from=yesterday", "invalid-range"),
        ("from=2026-02-30", "invalid-range"),
        ("from=2026-3-1", "invalid-range"),
        ("from=\u0662\u0660\u0662\u0666-03-01", "invalid-range"),
        ("from=1976-01-01&to=2026-01-01&granularity=minute", "range-too-large"),
        ("from=1976-01-01&to=2026-01-01&granularity=hour", "range-too-large"),
        ("tz=../../etc/passwd", "unknown-timezone"),
        ("tz=" + "A" * 300, "unknown-timezone"),
        ("tz=Europe", "unknown-timezone"),
        ("tz=/etc/localtime", "unknown-timezone"),
        ("tz=", "invalid-parameter"),
        ("tz=UTC&tz=UTC", "invalid-parameter"),
        ("granularity=year", "invalid-parameter"),
        ("granularity=DAY", "invalid-parameter"),
        ("granularity=day&granularity=hour", "invalid-parameter"),
        ("group_by=", "invalid-parameter"),
        ("group_by=agent_id,,direction", "invalid-parameter"),
        ("group_by=agent_id,agent_id", "invalid-parameter"),
        ("group_by=a,b,c,d,e", "invalid-parameter"),
        ("group_by=colour", "invalid-parameter"),
        ("filter[colour]=red", "invalid-parameter"),
        ("filter[agent_id]=", "invalid-parameter"),
        ("filter[]=a", "invalid-parameter"),
        ("filter[agent_id]=a%00b", "invalid-parameter"),
        ("filter[agent_id]=%ff", "invalid-parameter"),
        ("filter[agent_id]=" + "x" * 1025, "invalid-parameter"),
        ("&".join(f"filter[agent_id]={n}" for n in range(101)), "invalid-parameter"),
        ("&".join(f"filter[d{n}]=x" for n in range(9)), "invalid-parameter"),
        ("&".join(["meter=calls"] * 20), "invalid-parameter"),
    ],
)
def test_what_cannot_be_asked_is_400_and_named(desk, query, code):
    """
    The code says what kind, the parameter which; nothing is clamped or guessed.
    """
    answer = ask(desk, f"meter=messages&{query}")

    assert (400, code) == (answer.status_code, answer.json()["code"]), answer.text
    assert answer.json()["errors"][0]["parameter"]


def test_a_meter_must_be_named_and_exist(desk):
    """
    Missing is 400, unknown 404.
    """
    assert (400, "meter") == (
        (missing := ask(desk, "from=2026-03-01")).status_code,
        missing.json()["errors"][0]["parameter"],
    )
    assert (404, "not-found") == ((unknown := ask(desk, "meter=nope")).status_code, unknown.json()["code"])


def test_a_raw_plus_in_an_offset_is_understood_or_explained(desk):
    """
    A raw + arrives as a space: an offset behind it is read as meant, and the refusal of others mentions %2B.
    """
    desk.send(message("a", "acme", time="2026-03-15T09:30:00Z"))
    read = ask(desk, "meter=messages&from=2026-03-15T10:00:00+01:00&to=2026-03-15T11:00:00+01:00").json()
    told = ask(desk, "meter=messages&from=2026-03-15T10:00:00+0100")

    assert ("2026-03-15T09:00:00Z", "1") == (read["from"], read["total"])
    assert (400, True) == (told.status_code, "%2B" in told.json()["detail"])


@pytest.mark.parametrize(
    ("zone", "first", "days", "hours"),
    [
        ("Africa/Cairo", "2026-04-23", 3, [24, 23, 24]),
        ("Europe/Paris", "2026-10-24", 3, [24, 25, 24]),
        ("Europe/Paris", "2026-03-28", 3, [24, 23, 24]),
        ("Australia/Lord_Howe", "2026-04-04", 3, [24, 24.5, 24]),
        ("America/Santiago", "2026-09-05", 3, [24, 23, 24]),
        ("Pacific/Apia", "2011-12-29", 3, [24, 24]),
    ],
)
def test_local_days_have_their_real_length(desk, zone, first, days, hours):
    """
    A day that a clock change shortens, lengthens or skips is what it was there, and every minute counts once.
    """
    start = date.fromisoformat(first)
    query = f"meter=messages&from={start}&to={start + timedelta(days=days)}&tz={zone}"
    daily = ask(desk, f"{query}&granularity=day").json()
    hourly = ask(desk, f"{query}&granularity=hour").json()

    lengths = [seconds_between(row) / 3600 for row in daily["rows"]]
    assert hours == lengths
    assert sum(hours) * 3600 == sum(seconds_between(row) for row in hourly["rows"])
    assert (daily["from"], daily["to"]) == (daily["rows"][0]["start"], daily["rows"][-1]["end"])


def seconds_between(row):
    return (datetime.fromisoformat(row["end"]) - datetime.fromisoformat(row["start"])).total_seconds()


def test_a_local_day_counts_what_happened_in_it(desk):
    """
    Rows of local days add up to the total, and each event is in the day its own clock showed.
    """
    desk.set_now("2026-03-30T12:00:00Z")
    desk.send(*(message(f"h{n}", "acme", time=f"2026-03-{28 + n // 24:02d}T{n % 24:02d}:30:00Z") for n in range(48)))

    answer = ask(desk, "meter=messages&from=2026-03-28&to=2026-03-31&tz=Europe/Paris&granularity=day").json()

    assert [
        ("2026-03-27T23:00:00Z", "23"),
        ("2026-03-28T23:00:00Z", "23"),
        ("2026-03-29T22:00:00Z", "2"),
    ] == values(answer)
    assert "48" == answer["total"]


def test_weeks_begin_on_monday_and_months_on_the_first(desk):
    """
    The first and last are cut at the span.
    """
    weeks = ask(desk, "meter=messages&from=2026-02-26&to=2026-03-11&granularity=week").json()
    months = ask(desk, "meter=messages&from=2026-02-26&to=2026-04-02&granularity=month").json()

    assert ["2026-02-26", "2026-03-02", "2026-03-09"] == [row["start"][:10] for row in weeks["rows"]]
    assert ["2026-02-26", "2026-03-01", "2026-04-01"] == [row["start"][:10] for row in months["rows"]]


def test_extreme_spans_are_answered(desk):
    """
    All of time as one row; fifty years of days.
    """
    desk.send(message("a", "acme"))
    ever = ask(desk, "meter=messages&from=1970-01-01&to=2200-01-01").json()
    days = ask(desk, "meter=messages&from=1976-01-01&to=2026-04-01&granularity=day").json()

    assert ("1", 1) == (ever["total"], len(ever["rows"]))
    assert (18353, "1") == (len(days["rows"]), days["total"])


def test_too_many_rows_are_refused_before_they_are_made(desk):
    """
    Twenty meters of minutes, or many groups of many windows: 400 range-too-large, with the maximum named.
    """
    meters = "&".join(f"meter={name}" for name in ("messages", "calls", "credits", "requests"))
    wide = ask(desk, f"{meters}&from=2026-03-01&to=2026-03-15&granularity=minute")
    desk.send(*(message(f"g{n}", "acme", agent_id=f"agent-{n}") for n in range(200)))
    deep = ask(desk, "meter=messages&from=2026-02-20&to=2026-03-16&granularity=minute&group_by=agent_id")

    assert [(400, "range-too-large")] * 2 == [(a.status_code, a.json()["code"]) for a in (wide, deep)]
    assert "50000" in wide.text


def test_accounts_are_ranked_most_first(desk):
    """
    For the operator; accounts without usage are left out, the limit is kept.
    """
    for number, account in enumerate(("small", "large", "middle")):
        desk.send(*(message(f"{account}{n}", account) for n in range((1, 9, 4)[number])))
    desk.account("idle")

    answer = desk.get("/v1/usage?meter=messages&group_by=account&limit=2", desk.operator).json()

    assert [("large", "9"), ("middle", "4")] == [(row["group"]["account"], row["value"]) for row in answer["rows"]]


@pytest.mark.parametrize(
    "limit", ["0", "-1", "1e9", "1001", "\u0665", "", "1&limit=2", "99999999999999999999", "1.0", "+1"]
)
@pytest.mark.parametrize(
    "path", ["/v1/usage?meter=messages&", "/v1/accounts?", "/v1/keys?", "/v1/accounts/acme/resources?"]
)
def test_a_limit_out_of_bounds_is_refused(desk, path, limit):
    """
    Never clamped.
    """
    answer = desk.get(f"{path}limit={limit}", desk.operator)

    assert (400, "limit") == (answer.status_code, answer.json()["errors"][0]["parameter"])


def test_extremes_last_values_and_distinct_values_are_not_sums_of_rows(desk):
    """
    The total of such a meter is asked over the whole span.
    """
    for name, kind in (("longest", "max"), ("shortest", "min"), ("agents", "unique")):
        field = "agent_id" if kind == "unique" else "duration_s"
        body = {"event": "call", "aggregation": kind, "field": field}
        assert 200 == desk.put(f"/v1/meters/{name}", desk.operator, json=body).status_code
    desk.send(
        call(1, "2026-03-14T10:00:00Z", 30, agent_id="a"),
        call(2, "2026-03-15T10:00:00Z", 50, agent_id="a"),
        call(3, "2026-03-15T11:00:00Z", 10, agent_id="b"),
        {
            "id": "s1",
            "type": "storage.snapshot",
            "subject": "acme",
            "time": "2026-03-14T10:00:00Z",
            "data": {"megabytes": 7},
        },
        {
            "id": "s2",
            "type": "storage.snapshot",
            "subject": "acme",
            "time": "2026-03-15T10:00:00Z",
            "data": {"megabytes": 5},
        },
    )
    desk.house.fill.run()
    query = "&".join(f"meter={name}" for name in ("longest", "shortest", "agents", "storage_mb"))

    answer = ask(desk, f"{query}&from=2026-03-14&to=2026-03-16&granularity=day").json()

    assert [("longest", "50"), ("shortest", "10"), ("agents", "2"), ("storage_mb", "5")] == [
        (part["meter"], part["total"]) for part in answer["meters"]
    ]
    assert [["30", "50"], ["30", "10"], ["1", "2"], ["7", "5"]] == [
        [row["value"] for row in part["rows"]] for part in answer["meters"]
    ]
