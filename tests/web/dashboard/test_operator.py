"""The operator's pages: accounts searched and ranked as the API ranks them, what did not count, how the system is."""

import re

import pytest

from tests.support.guest import words


@pytest.fixture
def busy(desk, operator):
    """Three accounts, two of which sent messages; the operator is logged in."""
    for account_id, name in (("acme", "Acme Ltd"), ("bright", "Bright <b>"), ("zoo", "Zoo")):
        desk.account(account_id, name=name)
    data = {"direction": "inbound"}
    sent = [("acme", 2), ("bright", 5)]
    desk.send(
        *({"id": f"m{n}", "type": "message", "subject": a, "data": data} for a, count in sent for n in range(count))
    )
    return operator


def ids(answer):
    return re.findall(r'href="/dashboard/accounts/([^/"]+)/usage"', answer.text)


def test_accounts_are_searched_and_ranked(desk, busy):
    """
    By a part of id or name, and by a meter as the API ranks them; each leads to its pages.
    """
    assert ["acme", "bright", "zoo"] == ids(busy.get("/accounts"))
    assert ["bright"] == ids(busy.get("/accounts?q=BRIGHT"))
    assert "No account found" in words(busy.get("/accounts?q=nobody"))
    ranked = busy.get("/accounts?meter=messages")
    span = "from=2026-03-01T00:00:00Z&to=2026-03-16T00:00:00Z"
    told = desk.get(f"/v1/usage?meter=messages&group_by=account&{span}", desk.operator).json()["rows"]
    assert ["bright", "acme"] == [one["group"]["account"] for one in told] == ids(ranked)
    assert ["5", "2"] == re.findall(r'data-what="nanos"><data class="n" value="(\d+)"', ranked.text)
    assert "Bright <b>" in words(ranked)
    assert "<b>" not in ranked.text
    assert '"1","bright","Bright <b>","default","5"' in busy.get("/accounts.csv?meter=messages").text
    assert 404 == busy.get("/accounts.csv").status_code
    assert "Nobody used it" in words(busy.get("/accounts?meter=messages&from=2026-01-01&until=2026-01-31"))


def test_the_overview_counts_what_came_in(desk, busy):
    """
    By outcome, with what was refused or clashed and why, of whichever account.
    """
    call = {"id": "c1", "type": "call", "subject": "zoo", "data": {"channel": "fax"}}
    other = {"id": "m1", "type": "message", "subject": "acme", "data": {"direction": "outbound"}}
    same = {"id": "m1", "type": "message", "subject": "bright", "data": {"direction": "inbound"}}
    desk.post("/v1/events", desk.operator, json=[call, other, same])
    desk.house.sweeper.run()

    page = busy.get("/overview")
    counts = dict(re.findall(r'data-figure="(\w+)"><data class="n" value="(\d+)"', page.text))
    assert {"accepted": "7", "duplicate": "1", "conflict": "1", "rejected": "1"} == counts
    table = words(page)
    assert "/0/data/channel" in table
    assert "another payload was counted under this id" in table
    assert "the same event was counted before" not in table
    assert "the same event was counted before" in words(busy.get("/overview?show=duplicate"))
    assert "Ready takes traffic" in table
    assert "SQLite" in table
    assert "alert rechecks" in table


def test_plans_are_told_with_limits_and_prices(desk, busy):
    """
    In the units that people read.
    """
    desk.put(
        "/v1/plans/own",
        desk.operator,
        json={
            "title": "Own <i>",
            "limits": [{"name": "m", "kind": "period", "meter": "messages", "quantity": "5"}],
            "prices": [{"meter": "messages", "unit_price": "0.0025"}, {"fee": "7"}],
        },
    )
    page = busy.get("/plans")
    assert "Own <i>" in words(page)
    assert "<i>" not in page.text
    assert "0.0025 USD a unit" in words(page)
    assert "7.00 USD a period" in words(page)
    assert "500 min" in words(page)


@pytest.mark.parametrize("path", ["/accounts", "/overview", "/plans", "/accounts.csv?meter=messages", "/webhooks"])
def test_only_the_operator_may_see_them(desk, guest, path):
    """
    An account's key gets the no-access screen.
    """
    guest.log_in(desk.account("acme"))
    assert 403 == guest.get(path).status_code
