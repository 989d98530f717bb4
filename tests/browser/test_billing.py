"""Cost, alerts, webhooks, APIs and the operator's pages in a real browser: charts are drawn, forms do what they say."""

import re

import pytest
from playwright.sync_api import expect

from tests.support.browser import WAIT_MS, visit

EVENTS = [
    {
        "id": f"r{number}",
        "type": "api.request",
        "subject": "acme",
        "time": f"2026-03-{number % 14 + 1:02}T08:00:00Z",
        "data": {"api_id": f"api_{number % 3}", "endpoint": "/x", "status": 200, "latency_ms": 40, "api_name": "Pay"},
    }
    for number in range(60)
]


@pytest.fixture
def owner(browser, own_site):
    """Somebody of an account with prices and usage, logged in."""
    key = own_site.account("acme", name="Acme", plan="wontopos-basic", starts_us=0)
    own_site.send(*EVENTS)
    with visit(browser, own_site) as came:
        came.log_in(key)
        yield came


def test_charts_are_drawn_and_other_days_are_shown_in_place(owner):
    """
    A change of the days changes the address, the figures and the charts, without leaving the page.
    """
    page = owner.open("/accounts/acme/apis")
    for name in ("requests", "errors", "latency", "cost"):
        expect(page.locator(f"#{name}-chart")).to_have_attribute("data-drawn", re.compile(r"\d"))
    assert owner.ink("#requests-chart") > 1_000
    expect(page.locator('[data-figure="requests"]')).to_have_text("60")
    expect(page.locator('[data-figure="cost"]')).to_have_text("$0.02")
    page.evaluate("window.stays = true")
    page.select_option("[name=step]", "week")
    expect(page.locator("#steps tbody tr")).to_have_count(3)
    assert "step=week" in page.url
    assert page.evaluate("window.stays")
    page.get_by_role("link", name="Pay").first.click()
    expect(page.locator("#endpoints tbody tr")).to_have_count(1)


def test_cost_says_how_each_number_was_made(owner):
    """
    The lines open; a download is a PDF.
    """
    page = owner.open("/accounts/acme/cost")
    expect(page.locator("#cost-chart")).to_have_attribute("data-drawn", re.compile(r"\d"))
    told = owner.site.get("/v1/accounts/acme/invoices/preview")["invoice"]
    expect(page.locator("tfoot [data-what=total]")).to_have_text(f"${told['total']}")
    page.locator("#lines summary").first.click()
    expect(page.locator("#lines .how p").first).to_have_text(told["lines"][0]["how"])
    answer = page.request.get(f"{owner.site.url}/dashboard/accounts/acme/invoices/preview.pdf")
    assert answer.body().startswith(b"%PDF")


def test_a_threshold_is_edited_and_a_crossing_appears_by_itself(owner):
    """
    What is saved counts at once; the page shows the alert without being loaded anew, and keeps what is typed.
    """
    page = owner.open("/accounts/acme/billing/alerts")
    page.locator("[name=percent]").first.fill("1")
    page.get_by_role("button", name="Save thresholds").click()
    expect(page.locator(".chip", has_text="1 % limit reached").first).to_be_visible()
    page.locator("form[aria-label='A new budget'] [name=name]").fill("half typed")
    data = {"api_id": "api_0", "status": 200}
    more = [{"id": f"n{n}", "type": "api.request", "subject": "acme", "data": data} for n in range(500)]
    owner.site.send(*more)
    expect(page.locator("#alerts tbody tr")).not_to_have_count(0, timeout=WAIT_MS)
    expect(page.locator("form[aria-label='A new budget'] [name=name]")).to_have_value("half typed")
    page.locator("#alerts").get_by_role("button", name="Acknowledge").first.click()
    expect(page.locator("#alerts tbody tr").first).to_contain_text("by key_")


def test_an_endpoint_is_made_and_its_secret_copied(owner):
    """
    The secret is there once; the list has the endpoint.
    """
    page = owner.open("/accounts/acme/webhooks")
    page.get_by_label("URL, https").fill("https://example.com/hook")
    page.get_by_role("button", name="Add endpoint").click()
    expect(page.locator(".made code")).to_have_text(re.compile("^whsec_"))
    page.goto(page.url)
    assert 0 == page.locator(".made").count()
    page.get_by_role("link", name="https://example.com/hook").click()
    page.get_by_role("button", name="Send a test").click()
    expect(page.locator("[data-what=status]")).to_contain_text("pending")


def test_the_operator_finds_and_ranks_accounts(browser, owner):
    """
    Search and ranking change in place; one click leads into an account's view.
    """
    with visit(browser, owner.site) as came:
        came.log_in(owner.site.operator)
        page = came.open("/accounts")
        page.select_option("[name=meter]", "requests")
        expect(page.locator("#accounts [data-what=nanos]")).to_have_text("60 requests")
        page.get_by_role("link", name="Acme").click()
        expect(page).to_have_url(re.compile("/accounts/acme/usage"))
        page = came.open("/overview")
        expect(page.locator('[data-figure="accepted"]')).to_have_text("60")
        expect(page.locator("#ingest-chart")).to_have_attribute("data-drawn", "4")
