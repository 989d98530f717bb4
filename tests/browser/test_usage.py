"""Organization > Usage, sentence by sentence: cards, charts, inventory, the range and its rules, no access."""

import re

import pytest
from playwright.sync_api import expect

from tallybook.core.key import EVENTS_WRITE, USAGE_READ
from tests.support.browser import visit
from tests.support.browser_data import BUSY, QUIET

USAGE = f"/accounts/{BUSY}/usage"
SUMMARY = re.compile(r"/dashboard/api/accounts/[^/]+/summary")


def summary(site, start, end):
    """Ask the published API what the page must show."""
    headers = {"Authorization": f"Bearer {site.operator}", "Tallybook-Account": BUSY}
    return site.http.get("/anyreach/admin/usage/summary", params={"from": start, "to": end}, headers=headers).json()


def shown(visitor):
    """Return the figures of the cards, and what stands under them."""
    figures = {
        node.get_attribute("data-field"): node.inner_text() for node in visitor.page.locator("[data-field]").all()
    }
    under = {node.get_attribute("data-under"): node.inner_text() for node in visitor.page.locator("[data-under]").all()}
    return figures, under


def number(value):
    """Write a number as en-US does."""
    return f"{value:,}"


def settle(visitor, first, last):
    visitor.page.wait_for_selector(f'main[data-shown="{first}/{last}"]')


def check(visitor, told):
    figures, under = shown(visitor)
    seconds = round(told["avg_call_duration_sec"])
    inventory = ("total_agents", "total_phone_numbers", "total_web_widgets", "total_datasets")
    cards = ("voice_minutes", "chat_minutes", "total_calls", "workflow_runs_total")
    assert {name: number(told[name]) for name in (*cards, *inventory)} == figures
    assert f"{told['voice_calls']} calls" == under["voice_minutes"]
    assert f"{told['chat_calls']} sessions" == under["chat_minutes"]
    average = f"{seconds // 60}:{seconds % 60:02d}"
    assert f"{told['inbound_calls']} in · {told['outbound_calls']} out · avg {average}" == under["total_calls"]
    ended = f"{told['workflow_runs_success']} succeeded · {told['workflow_runs_failed']} failed"
    assert ended == under["workflow_runs_total"]
    assert "1 on the shared pool (billable)" == under["total_phone_numbers"]
    assert "1 active" == under["total_datasets"]


def test_the_page_opens_on_the_month_to_date_and_shows_what_the_api_says(operator):
    """
    One summary request feeds every card, chart and the table.
    """
    asked = []
    operator.page.on("request", lambda request: asked.append(request.url) if SUMMARY.search(request.url) else None)
    operator.open(USAGE)
    settle(operator, "2026-03-01", "2026-03-15")
    told = summary(operator.site, "2026-03-01T00:00:00Z", "2026-03-16T00:00:00Z")

    assert 1 == len(asked)
    assert ["Mar", "1", "15,", "2026"] == re.findall(r"[\w,]+", operator.text("[data-picker-label]"))
    check(operator, told)
    rows = operator.page.locator("#days-table tbody tr")
    assert len(told["daily"]) == rows.count() == 15
    operator.page.click("#days-table summary")
    first = told["daily"][0]
    cells = rows.first.locator("td").all_inner_texts()
    assert [number(first[name]) for name in ("calls", "voice_minutes", "chat_minutes", "workflow_runs")] == cells


def test_the_charts_are_drawn(operator):
    """
    Four canvases with pixels on them: two lines, two rows of bars.
    """
    operator.open(USAGE)
    for name in ("voice_minutes", "chat_minutes", "calls", "workflow_runs"):
        operator.page.wait_for_selector(f"#{name}-chart[data-drawn]")
        assert operator.ink(f"#{name}-chart") > 2_000


def test_another_range_changes_the_cards_and_not_the_inventory(operator):
    """
    The picker's two days, both in the range, become a half-open span; the address can be shared.
    """
    operator.open(USAGE)
    settle(operator, "2026-03-01", "2026-03-15")
    operator.page.click("[data-picker-open]")
    operator.page.click('[data-day="2026-02-10"]')
    operator.page.click('[data-day="2026-02-03"]')
    settle(operator, "2026-02-03", "2026-02-10")

    check(operator, summary(operator.site, "2026-02-03T00:00:00Z", "2026-02-11T00:00:00Z"))
    assert operator.page.url.endswith("?from=2026-02-03&to=2026-02-11")
    operator.page.reload()
    settle(operator, "2026-02-03", "2026-02-10")


def test_days_beyond_365_days_from_the_first_pick_are_disabled(operator):
    """
    366 days can be chosen, 367 cannot: neither by mouse nor by keyboard.
    """
    operator.open(f"{USAGE}?from=2026-03-01&to=2026-03-16")
    page = operator.page
    page.click("[data-picker-open]")
    page.click('[data-day="2026-03-15"]')
    for _ in range(12):
        page.click('[aria-label="Month before"]')

    assert "true" == page.get_attribute('[data-day="2025-03-14"]', "aria-disabled")
    assert page.get_attribute('[data-day="2025-03-15"]', "aria-disabled") is None
    page.focus('[data-day="2025-03-14"]')
    page.keyboard.press("Enter")
    assert page.locator(".panel").count() == 1
    page.click('[data-day="2025-03-15"]')
    settle(operator, "2025-03-15", "2026-03-15")


@pytest.mark.parametrize("query", ["from=2026-03-10&to=2026-03-10", "from=2025-01-01&to=2026-03-01"])
def test_a_range_that_is_no_range_says_so(operator, query):
    """
    In words, with the cards left alone.
    """
    operator.open(f"{USAGE}?{query}")
    operator.page.wait_for_selector("#trouble:not([hidden])")

    assert "These days cannot be shown" in operator.text("#trouble")


def test_refresh_asks_again_for_the_same_days(browser, own_site):
    """
    A call that came meanwhile is in the cards after one click; the range stays.
    """
    own_site.account(BUSY)
    with visit(browser, own_site) as visitor:
        visitor.log_in(own_site.operator)
        visitor.open(f"{USAGE}?from=2026-03-10&to=2026-03-16")
        settle(visitor, "2026-03-10", "2026-03-15")
        assert visitor.page.is_visible("#nothing")
        data = {"channel": "voice", "direction": "inbound", "duration_s": 90}
        own_site.send({"id": "one", "type": "call", "subject": BUSY, "data": data})
        visitor.page.click("[data-refresh]")
        expect(visitor.page.locator('[data-field="voice_minutes"]')).to_have_text("1.5")

        assert "1" == visitor.text('[data-field="total_calls"]')
        assert "1 in · 0 out · avg 1:30" == visitor.text('[data-under="total_calls"]')
        assert not visitor.page.is_visible('[data-chart-card="workflow_runs-chart"]')


def test_without_the_scope_there_is_a_no_access_screen(visitor):
    """
    It names the scope; nothing of the summary is asked or shown.
    """
    key = visitor.site.house.access.create_key(BUSY, [USAGE_READ, EVENTS_WRITE]).token
    visitor.log_in(key)
    visitor.open(USAGE)

    assert "insufficient-scope" == visitor.page.get_attribute("[data-refused]", "data-refused")
    assert "billing:manage" in visitor.text("[data-refused]")
    assert 0 == visitor.page.locator("[data-field]").count()


def test_an_account_without_usage_is_told_what_to_send(operator):
    """
    With a command that can be copied.
    """
    operator.open(f"/accounts/{QUIET}/usage")
    operator.page.wait_for_selector("#nothing:not([hidden])")

    assert "/v1/events" in operator.text("#nothing code")
    assert f'"subject": "{QUIET}"' in operator.text("#nothing code")
