"""APIs and agents: the pages' numbers are those of the APIs, files hold the same, foreign accounts are not there."""

import csv
import re
from io import StringIO

import pytest

from tallybook.core.key import EVENTS_WRITE
from tests.support.guest import words

MARCH = "from=2026-03-01&until=2026-03-15"


def request(number, api, endpoint, status, latency_ms):
    data = {"api_id": api, "api_name": f"The {api}", "endpoint": endpoint, "status": status, "latency_ms": latency_ms}
    return event(f"r{number}", "api.request", data)


def event(event_id, kind, data):
    return {"id": event_id, "type": kind, "subject": "acme", "time": "2026-03-10T08:00:00Z", "data": data}


@pytest.fixture
def busy(desk, operator):
    """An account whose APIs and agents were used; its operator is logged in."""
    key = desk.account("acme", name="Acme", plan="wontopos-basic", starts_us=0)
    calls = [("pay", "/charges", 200, 40), ("pay", "/charges", 500, 60), ("pay", "/refunds", 200, 20)]
    calls += [("geo", "/find/a", 404, 100), ("a/b?c", "/x", 200, 5)]
    desk.send(*(request(number, *call) for number, call in enumerate(calls)))
    desk.send(
        event("a1", "resource.created", {"kind": "agent", "resource_id": "ann", "name": "Ann"}),
        event("a2", "resource.created", {"kind": "agent", "resource_id": "bob", "name": "Bob"}),
        event("m1", "message", {"direction": "inbound", "agent_id": "ann", "agent_name": "Old Ann"}),
        event("m2", "message", {"direction": "inbound", "agent_id": "ann", "agent_name": "Old Ann"}),
        event("m3", "message", {"direction": "inbound"}),
        event("c1", "credit.spend", {"agent_id": "bob", "amount": "2.5"}),
        event("t1", "llm.completion", {"agent_id": "bob", "input_tokens": 70, "output_tokens": 30}),
    )
    desk.send({**event("a3", "resource.released", {"kind": "agent", "resource_id": "bob"})})
    operator.key = key
    return operator


def rows(answer, table):
    """Return the cells of a table as text, by row."""
    body = re.search(rf'<table id="{table}".*?<tbody>(.*?)</tbody>', answer.text, re.DOTALL).group(1)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in body.split("</tr>")[:-1]]
    return [[" ".join(re.sub(r"<[^>]*>", " ", cell).split()) for cell in row] for row in cells]


def test_the_numbers_are_those_of_the_published_api(desk, busy):
    """
    Requests, errors, latency and cost of each API, most requests first.
    """
    told = desk.get("/wontopos/v1/usage?from=2026-03-01&to=2026-03-15", busy.key).json()
    shown = rows(busy.get(f"/accounts/acme/apis?{MARCH}"), "apis")

    assert ["The pay", "The a/b?c", "The geo"] == [row[0] for row in shown]
    assert [(api["name"], api["requests"], api["errors"], api["avg_latency_ms"]) for api in told["by_api"]] == [
        (row[0], int(row[1]), int(row[2]), int(row[4].removesuffix(" ms"))) for row in shown
    ]
    assert [f"{api['cost_usd']:.2f} USD" for api in told["by_api"]] == [row[5] for row in shown]
    assert ["33.33 %", "0.00 %", "100.00 %"] == [row[3] for row in shown]


def test_an_api_is_told_by_endpoint(desk, busy):
    """
    Under its name, whatever its id holds.
    """
    answer = busy.get(f"/accounts/acme/apis/one?api=pay&{MARCH}")
    assert "The pay" in words(answer)
    assert [["/charges", "2", "1", "50.00 %", "50 ms"], ["/refunds", "1", "0", "0.00 %", "20 ms"]] == [
        row[:5] for row in rows(answer, "endpoints")
    ]
    assert 200 == busy.get(f"/accounts/acme/apis/one?api=a%2Fb%3Fc&{MARCH}").status_code
    assert 404 == busy.get("/accounts/acme/apis/one?api=none").status_code
    assert 404 == busy.get("/accounts/acme/apis/one").status_code


def test_the_limit_of_the_plan_is_shown(desk, busy):
    """
    What is used of it in the running period, whatever days are looked at.
    """
    desk.put(
        "/v1/plans/few",
        desk.operator,
        json={
            "limits": [
                {
                    "name": "calls_of_pay",
                    "kind": "period",
                    "meter": "requests",
                    "filter": {"api_id": "pay"},
                    "quantity": "4",
                }
            ]
        },
    )
    desk.put("/v1/accounts/acme", desk.operator, json={"plan": "few"})
    shown = rows(busy.get(f"/accounts/acme/apis?{MARCH}"), "apis")
    assert ["3 of 4", "-", "-"] == [row[6] for row in shown]


def test_files_hold_what_is_seen(busy):
    """
    The tables as CSV.
    """
    apis = read(busy.get(f"/accounts/acme/apis.csv?{MARCH}"))
    assert ["pay", "The pay", "3", "1", "33.33", "40"] == apis[1][:6]
    endpoints = read(busy.get(f"/accounts/acme/apis.csv?api=pay&{MARCH}"))
    assert ["/charges", "/charges", "2", "1", "50.00", "50"] == endpoints[1][:6]
    agents = read(busy.get(f"/accounts/acme/agents.csv?{MARCH}"))
    assert ["agent_id", "name", "released", "messages", "calls", "tokens in", "tokens out", "credits"] == agents[0]
    assert ["bob", "Bob", "yes", "0", "0", "70", "30", "2.5"] in agents


def read(answer):
    assert 200 == answer.status_code
    return list(csv.reader(StringIO(answer.text.removeprefix("\ufeff"))))


def test_agents_keep_their_names(busy):
    """
    That of the inventory, also once released; what no agent said is a row of its own.
    """
    shown = rows(busy.get(f"/accounts/acme/agents?{MARCH}"), "agents")
    assert [
        ["Ann ann", "2", "0", "0", "0", "0"],
        ["no agent said", "1", "0", "0", "0", "0"],
        ["Bob released bob", "0", "0", "70", "30", "2.5"],
    ] == shown
    by_credits = rows(busy.get(f"/accounts/acme/agents?{MARCH}&by=credits"), "agents")
    assert "Bob released bob" == by_credits[0][0]


@pytest.mark.parametrize("page", ["apis", "agents"])
def test_empty_pages_say_what_to_send(desk, operator, page):
    """
    With a command that works for this account.
    """
    desk.account("it's new")
    assert "curl -X POST" in words(operator.get(f"/accounts/it%27s%20new/{page}"))


@pytest.mark.parametrize(
    "days",
    [
        "from=2026-03-10&until=2026-03-01",
        "from=x",
        "until=2026-02-30",
        "from=0001-01-01",
        "from=1980-01-01&until=2026-01-01",
        "from=9999-12-31&until=9999-12-31",
    ],
)
@pytest.mark.parametrize("page", ["apis", "agents", "cost"])
def test_days_that_are_none_are_refused(busy, page, days):
    """
    As a page that says what to change.
    """
    answer = busy.get(f"/accounts/acme/{page}?{days}")
    assert 400 == answer.status_code
    assert "Change what you asked for" in words(answer)


def test_other_accounts_and_keys_without_the_scope_see_nothing(desk, busy, guest):
    """
    A foreign account is not there; a key without usage:read gets the no-access screen.
    """
    desk.account("other")
    guest.log_in(desk.account("other", scopes=[EVENTS_WRITE]))
    assert 404 == guest.get("/accounts/acme/apis").status_code
    assert [403, 403] == [guest.get(f"/accounts/other/{page}").status_code for page in ("apis", "agents")]
