"""Cost: the running invoice is the API's, days add up to it, closed ones come as files."""

import re

import pytest

from tallybook.core.key import USAGE_READ
from tests.support.guest import words

PLAN = {
    "currency": "EUR",
    "prices": [
        {"meter": "messages", "graduated": [{"upto": "2", "unit_price": "0.5"}, {"unit_price": "0.25"}]},
        {"fee": "31", "name": "Basic fee"},
    ],
}


@pytest.fixture
def owner(desk, guest):
    """Somebody of an account with prices, logged in."""
    desk.set_now("2026-02-01T00:00:00Z")
    key = desk.account("acme")
    desk.put("/v1/plans/team", desk.operator, json=PLAN)
    desk.put("/v1/accounts/acme", desk.operator, json={"plan": "team", "starts_at": "2026-01-01T00:00:00Z"})
    desk.set_now("2026-03-15T12:00:00Z")
    key = desk.account("acme")
    desk.send(*(message(number, f"2026-03-{number:02}") for number in (1, 2, 10, 11)))
    guest.log_in(key)
    guest.key = key
    return guest


def message(number, day):
    data = {"direction": "inbound"}
    return {"id": f"m{number}", "type": "message", "subject": "acme", "time": f"{day}T08:00:00Z", "data": data}


def amounts(answer, attribute):
    return re.findall(rf'{attribute}"[^>]*><data class="money" value="([^"]*)"', answer.text)


def test_the_running_invoice_is_that_of_the_api(desk, owner):
    """
    Line by line, with how each number was made, and its forecast.
    """
    told = desk.get("/v1/accounts/acme/invoices/preview", owner.key).json()
    page = owner.get("/accounts/acme/cost")
    plain = lambda text: text.rstrip("0").rstrip(".")  # noqa: E731 - amounts as exact texts

    assert [plain(line["amount"]) for line in told["invoice"]["lines"]] == amounts(page, 'data-what="amount')
    assert [plain(told["invoice"]["total"])] == amounts(page, 'data-figure="total')
    assert [plain(told["forecast"]["total"])] == amounts(page, 'data-figure="forecast')
    assert all(line["how"] in words(page) for line in told["invoice"]["lines"])
    assert "2 tiers" in words(page)
    assert "17 days left" in words(page)


def test_cost_over_time_is_that_of_the_api(desk, owner):
    """
    By meter, in the file too.
    """
    told = desk.get("/v1/accounts/acme/cost?from=2026-03-01&to=2026-03-16&granularity=day", owner.key).json()
    page = owner.get("/accounts/acme/cost?from=2026-03-01&until=2026-03-15")
    assert [told["total"]] == amounts(page, 'data-figure="span')
    lines = owner.get("/accounts/acme/cost.csv?from=2026-03-01&until=2026-03-15").text.splitlines()
    assert '"from","Basic fee (EUR)","Messages (EUR)","total (EUR)"' == lines[0].removeprefix("\ufeff")
    assert [row["cost"] for row in told["rows"]] == [line.rsplit(",", 1)[1].strip('"') for line in lines[1:]]


def test_closed_invoices_are_listed_and_come_as_files(desk, owner):
    """
    As CSV, HTML and PDF, as the API has them; the preview too.
    """
    assert "No period is closed yet" in words(owner.get("/accounts/acme/cost"))
    closed = desk.post("/v1/accounts/acme/invoices", desk.operator, json={"at": "2026-02-01"}).json()["invoice"]
    assert closed["number"] in words(owner.get("/accounts/acme/cost"))
    for suffix in ("csv", "html", "pdf"):
        mine = owner.get(f"/accounts/acme/invoices/{closed['number']}.{suffix}")
        theirs = desk.get(f"/v1/accounts/acme/invoices/{closed['number']}.{suffix}", owner.key)
        assert (200, theirs.content) == (mine.status_code, mine.content)
    assert 200 == owner.get("/accounts/acme/invoices/preview.pdf").status_code
    for name in ("INV-999999.pdf", closed["number"], "x.json", "preview"):
        assert 404 == owner.get(f"/accounts/acme/invoices/{name}").status_code


def test_a_plan_without_prices_says_what_to_do(desk, operator):
    """
    With a plan to copy.
    """
    desk.account("free")
    assert "curl -X PUT" in words(operator.get("/accounts/free/cost"))


def test_cost_needs_billing_manage(desk, guest):
    """
    Otherwise there is the no-access screen, also for files.
    """
    guest.log_in(desk.account("acme", scopes=[USAGE_READ]))
    paths = ("cost", "cost.csv", "invoices/preview.pdf", "billing/alerts", "webhooks")
    assert [403] * 5 == [guest.get(f"/accounts/acme/{path}").status_code for path in paths]
