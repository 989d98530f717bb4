"""Limits, Explore, Events, Keys: their numbers are the API's, and what can be done on them is done."""

import csv
import re
from io import StringIO

import pytest
from playwright.sync_api import expect

from tallybook.core.key import SCOPES
from tests.support.browser import visit
from tests.support.browser_data import BUSY

EXPLORE = f"/accounts/{BUSY}/explore"


def exact(locator):
    """Return the exact decimals of the numbers below *locator*."""
    return [node.get_attribute("value") for node in locator.locator("data.n").all()]


@pytest.fixture
def limited(browser, own_site):
    """An account on a plan with limits of each kind, half used; and the operator, logged in."""
    own_site.account("acme", plan="agentphone-starter")
    own_site.send(
        *({"id": f"m{n}", "type": "message", "subject": "acme", "data": {"direction": "inbound"}} for n in range(850)),
        {
            "id": "c",
            "type": "call",
            "subject": "acme",
            "data": {"channel": "voice", "direction": "inbound", "duration_s": 6060},
        },
        {
            "id": "r",
            "type": "resource.created",
            "subject": "acme",
            "data": {"kind": "phone_number", "resource_id": "n1"},
        },
    )
    own_site.ask(
        "POST", "/v1/accounts/acme/reservations", json={"items": [{"limit": "messages", "quantity": "40"}], "ttl_s": 60}
    )
    with visit(browser, own_site) as came:
        came.log_in(own_site.operator)
        yield came


def test_limits_show_what_the_api_says(limited):
    """
    Used, held, remaining of each limit; thresholds are marked on the bar; a limit that was passed says by how much.
    """
    page = limited.open("/accounts/acme/limits")
    told = {limit["name"]: limit for limit in limited.site.get("/v1/accounts/acme/limits")["limits"]}
    messages = page.locator('[data-limit="messages"]')

    assert ["850", "1000"] == exact(messages.locator('[data-what="used"]')) == [told["messages"]["used"], "1000"]
    assert [told["messages"]["remaining"]] == exact(messages.locator('[data-what="remaining"]')) == ["110"]
    assert ["40"] == exact(messages.locator('[data-what="held"]')) == [told["messages"]["held"]]
    assert 2 == messages.locator(".bar-mark").count()
    assert "85 % used" == messages.locator(".chip").inner_text()
    assert told["messages"]["resets_at"] == messages.locator('[data-what="resets"] time').first.get_attribute(
        "datetime"
    )
    voice = page.locator('[data-limit="voice_seconds"]')
    assert ["101", "100"] == exact(voice.locator('[data-what="used"]'))
    assert ["1"] == exact(voice.locator('[data-what="over"]'))
    assert "over the limit" == voice.locator(".chip").inner_text()
    assert "Starter" == limited.text('[data-what="plan"]')
    assert 3 == page.locator("#plans thead th.num").count()


@pytest.mark.parametrize(
    ("failed", "status", "words"),
    [("2026-03-12T00:00:00Z", "past_due", "4 more days"), ("2026-03-01T00:00:00Z", "suspended", "suspended")],
)
def test_an_unpaid_invoice_is_a_banner(limited, failed, status, words):
    """
    With the days of grace that are left, or that there are none.
    """
    limited.site.ask("PUT", "/v1/accounts/acme/billing", json={"invoice": "failed", "at": failed})
    page = limited.open("/accounts/acme/limits")

    assert words in page.locator(f'[data-billing="{status}"]').inner_text()


def test_credits_say_what_comes_back_next(browser, own_site):
    """
    Of a rolling window: how much, until when, and a bar for each day.
    """
    own_site.account("claw", plan="liberclaw-free")
    own_site.send(
        {
            "id": "a",
            "type": "credit.spend",
            "subject": "claw",
            "time": "2026-02-14T09:00:00Z",
            "data": {"amount": "12.5"},
        },
        {"id": "b", "type": "credit.spend", "subject": "claw", "time": "2026-03-10T09:00:00Z", "data": {"amount": 100}},
    )
    with visit(browser, own_site) as came:
        came.log_in(own_site.operator)
        page = came.open("/accounts/claw/limits")
        page.wait_for_selector("canvas[data-drawn]")
        shown = page.locator('[data-window="credits"]')

        assert ["12.5"] == exact(shown.locator('[data-what="upcoming"]'))
        assert came.ink("#window-chart-1") > 500
        limit = next(one for one in own_site.get("/v1/accounts/claw/limits")["limits"] if one["name"] == "credits")
        assert limit["frees_at"] in shown.inner_html()


def test_explore_shows_what_the_api_says(operator):
    """
    Total, groups and steps are the decimals of the API, to the last digit.
    """
    site = operator.site
    page = operator.open(f"{EXPLORE}?meter=call_seconds&group_by=agent_id&from=2026-02-01&until=2026-02-28&compare=1")
    query = "meter=call_seconds&from=2026-02-01&to=2026-03-01"
    whole = site.get(f"/v1/accounts/{BUSY}/usage?{query}&granularity=day")
    groups = site.get(f"/v1/accounts/{BUSY}/usage?{query}&group_by=agent_id")["rows"]
    before = site.get(f"/v1/accounts/{BUSY}/usage?meter=call_seconds&from=2026-01-04&to=2026-02-01")["total"]

    assert [whole["total"]] == exact(page.locator('[data-what="total"]'))
    totals = sorted((row["value"] for row in groups), key=int, reverse=True)
    assert totals == [exact(row)[0] for row in page.locator("#groups tbody tr").all()]
    assert before in [node.get_attribute("value") for node in page.locator(".total data").all()]
    page.wait_for_selector("#explore-chart[data-drawn]")
    assert operator.ink("#explore-chart") > 5_000
    page.select_option('[name="group_by"]', "")
    expect(page.locator("#groups")).to_have_count(0)
    rows = [exact(row)[0] for row in page.locator("#steps tbody tr").all()]
    assert [row["value"] for row in reversed(whole["rows"])] == rows


def test_explore_keeps_everything_in_its_address(operator):
    """
    A change is in the address at once; opening it again shows the same.
    """
    page = operator.open(f"{EXPLORE}?meter=messages")
    page.select_option('[name="granularity"]', "week")
    page.wait_for_url("**granularity=week**")
    page.select_option('[name="filter[direction]"]', "inbound")
    page.wait_for_url("**filter%5Bdirection%5D=inbound**")
    total = operator.text('[data-what="total"]')
    page.reload()

    assert total == operator.text('[data-what="total"]')
    assert "week" == page.input_value('[name="granularity"]')
    assert "inbound" == page.input_value('[name="filter[direction]"]')


def test_what_is_seen_can_be_saved(operator):
    """
    As CSV with the same numbers, and as a PNG.
    """
    page = operator.open(f"{EXPLORE}?meter=calls&from=2026-03-01&until=2026-03-10")
    page.wait_for_selector("#explore-chart[data-drawn]")
    with page.expect_download() as saved:
        page.click("a[download]")
    rows = list(csv.reader(StringIO(saved.value.path().read_text(encoding="utf-8-sig"))))
    with page.expect_download() as drawn:
        page.click("[data-png]")

    assert ["start", "end", "calls"] == rows[0]
    assert [exact(row)[0] for row in page.locator("#steps tbody tr").all()][::-1] == [row[2] for row in rows[1:]]
    assert drawn.value.path().read_bytes().startswith(b"\x89PNG")
    assert "calls.png" == drawn.value.suggested_filename


def test_an_event_has_a_story(browser, own_site):
    """
    Accepted, counted where, sent again, clashed; and one that was refused says why.
    """
    own_site.account("acme")
    call = {
        "id": "c1",
        "type": "call",
        "subject": "acme",
        "data": {"channel": "voice", "direction": "inbound", "duration_s": 90},
    }
    own_site.send(call)
    other = {**call, "data": {**call["data"], "duration_s": 91}}
    bad = {"id": "c2", "type": "call", "subject": "acme", "data": {"channel": "fax"}}
    for batch in ([call], [other, bad]):
        own_site.ask("POST", "/v1/events", json=batch)
    own_site.house.sweeper.run()
    with visit(browser, own_site) as came:
        came.log_in(own_site.operator)
        page = came.open("/accounts/acme/events")
        assert ["c1"] == page.locator("#found tbody th").all_inner_texts()
        outcomes = page.locator("#notes .chip").all_inner_texts()
        assert ["conflict", "duplicate", "rejected"] == sorted(outcomes)
        page.click('#found a:has-text("c1")')
        page.wait_for_selector("#shares")
        shares = {row.locator("th").inner_text(): exact(row) for row in page.locator("#shares tbody tr").all()}
        assert {"call_seconds": ["90"], "calls": ["1"]} == shares
        assert ["minute", "hour", "day", "month"] == page.locator("#rollups tbody th").all_inner_texts()
        story = came.text(".story")
        assert "It came again" in story
        assert "Another payload came under its id" in story
        page = came.open("/accounts/acme/events/story?source=default&id=c2")
        assert "must be one of voice, chat" in came.text(".story")
        assert "/1/data/channel" in came.text(".story")


def test_events_are_searched(operator):
    """
    By type, by id, by day.
    """
    page = operator.open(f"/accounts/{BUSY}/events?from=2026-01-25&until=2026-03-15")
    page.fill('[name="id"]', "call-10-0")
    page.click("form[role=search] button")
    page.wait_for_url("**id=call-10-0**")
    expect(page.locator("#found tbody tr")).to_have_count(1)
    page.fill('[name="id"]', "")
    page.select_option('[name="type"]', "resource.created")
    page.wait_for_url("**type=resource.created**")

    expect(page.locator("#found tbody tr")).to_have_count(7)


def test_a_key_is_made_shown_once_and_revoked(browser, own_site):
    """
    It works until it is revoked; the page never shows it again.
    """
    own_site.account("acme")
    with visit(browser, own_site) as came:
        came.log_in(own_site.operator)
        page = came.open("/accounts/acme/keys")
        page.fill('[name="name"]', "export")
        page.click("form .primary")
        token = came.text(".made code").strip()
        assert re.fullmatch(r"tb_live_[0-9A-Za-z]{38}", token)
        assert 200 == own_site.ask("GET", "/v1/accounts/acme/limits", token).status_code
        page = came.open("/accounts/acme/keys")
        assert token not in page.content()
        assert "export" in came.text("#keys")


def test_a_key_that_is_revoked_opens_nothing(browser, own_site):
    """
    The page asks first; then the key's own session is over as well.
    """
    made = own_site.house.access.create_key(None, SCOPES, "gone soon")
    own_site.account("acme")
    with visit(browser, own_site) as came:
        came.log_in(made.token)
        came.open("/accounts/acme/limits")
        own_site.house.access.revoke_key(made.key_id)
        came.open("/accounts/acme/limits")

        assert "/dashboard/login" in came.page.url


def test_numbers_stay_current_without_a_reload(browser, own_site):
    """
    While the tab is seen the page is brought up to date in place: the same elements, new text.
    """
    own_site.account("acme", plan="agentphone-starter")
    with visit(browser, own_site) as came:
        came.page.clock.install()
        came.log_in(own_site.operator)
        page = came.open("/accounts/acme/limits")
        used = page.locator('[data-limit="messages"] [data-what="used"] data').first
        expect(used).to_have_text("0")
        page.evaluate("document.querySelector('[data-limit=messages]').marked = true")
        own_site.send({"id": "m", "type": "message", "subject": "acme", "data": {"direction": "inbound"}})
        page.clock.run_for(5_100)
        expect(used).to_have_text("1")

        assert page.evaluate("document.querySelector('[data-limit=messages]').marked")


def test_a_server_that_is_away_is_told(browser, own_site):
    """
    The numbers stay, with a word since when they are old.
    """
    own_site.account("acme", plan="agentphone-starter")
    with visit(browser, own_site) as came:
        came.page.clock.install()
        came.log_in(own_site.operator)
        page = came.open("/accounts/acme/limits")
        page.route("**/limits", lambda route: route.abort())
        page.clock.run_for(5_100)
        expect(page.locator("#stale")).to_be_visible()
        came.complaints.clear()

        assert "Not updated since" in came.text("#stale")


def test_a_portal_link_opens_the_account(browser, own_site):
    """
    The secret leaves the address at once, and the page is there.
    """
    key = own_site.account("acme", plan="agentphone-starter")
    made = own_site.ask("POST", "/v1/accounts/acme/portal-links", key, json={}).json()
    with visit(browser, own_site) as came:
        came.page.goto(own_site.url + made["url"])
        came.page.wait_for_url("**/accounts/acme/limits")

        assert "Limits and plan" == came.text("h1")
