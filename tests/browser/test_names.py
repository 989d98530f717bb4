"""Names from events are text: thirty that try to be more, in every field and on every page."""

import csv
from io import StringIO
from urllib.parse import quote

import pytest

from tests.support.browser import open_site, visit
from tests.support.nasty import NASTY

SHORT = [name for name in NASTY if len(name.encode()) <= 256]
"""Ids have at most 256 bytes; display names have room for more."""


@pytest.fixture(scope="module")
def nasty(tmp_path_factory):
    """A site on which everything that can have a name has each of these."""
    with open_site(tmp_path_factory.mktemp("nasty")) as site:
        site.house.accounts.put(NASTY[0], name=NASTY[6], plan="agentphone-starter")
        site.account("acme", name=NASTY[2], plan="wontopos-basic")
        site.send(*(event for number, name in enumerate(NASTY) for event in events(number, name)))
        for name in NASTY:
            site.house.access.create_key("acme", ["usage:read"], name)
        refused = [
            {"id": name, "type": "call", "subject": "acme", "source": name, "data": {"channel": name}} for name in SHORT
        ]
        site.ask("POST", "/v1/events", json=refused)
        for name in SHORT:
            told = {"account": "acme", "description": name}
            site.ask("POST", "/v1/webhook-endpoints", json={**told, "url": "https://example.com/h"})
            site.ask("POST", "/v1/channels", json={**told, "kind": "email", "address": "ops@example.com"})
        site.house.sweeper.run()
        yield site


def events(number, name):
    """Return one event of each type with *name* wherever a name may stand."""
    short = name if name in SHORT else f"long-{number}"
    kinds = {
        "message": {"direction": "inbound", "agent_id": short, "agent_name": name},
        "api.request": {"api_id": short, "api_name": name, "endpoint": short, "status": 500, "method": short},
        "llm.completion": {
            "input_tokens": 5,
            "output_tokens": 6,
            "model": short,
            "agent_id": short,
            "agent_name": name,
        },
        "workflow.started": {"workflow_id": short},
        "call": {
            "channel": "voice",
            "direction": "inbound",
            "duration_s": 9,
            "agent_id": short,
            "agent_name": name,
            "number_id": short,
        },
        "resource.created": {"kind": "agent", "resource_id": short, "name": name},
    }
    for kind, data in kinds.items():
        yield {"id": f"{kind}-{number}", "type": kind, "subject": "acme", "data": data}
    yield {"id": short, "source": short, "type": short, "subject": "acme", "data": {"x": name}}


@pytest.fixture(scope="module")
def reader(browser, nasty):
    """The operator; leaving asserts that nothing ran, asked or was reported."""
    with visit(browser, nasty) as came:
        came.log_in(nasty.operator)
        yield came


PAGES = (
    "/accounts",
    "/accounts/acme/usage",
    "/accounts/acme/limits",
    "/accounts/acme/explore?meter=messages&group_by=agent_id&top=50&compare=1",
    "/accounts/acme/explore?meter=requests&group_by=endpoint&top=50",
    "/accounts/acme/explore?meter=tokens&group_by=model&top=50&granularity=hour",
    "/accounts/acme/events",
    "/accounts/acme/keys",
    "/accounts/acme/apis",
    "/accounts/acme/agents",
    f"/accounts/acme/apis/one?api={quote(SHORT[0], safe='')}",
    "/accounts/acme/cost",
    "/accounts/acme/billing/alerts",
    "/accounts/acme/webhooks",
    "/accounts?meter=messages",
    "/overview",
)


@pytest.mark.parametrize("path", PAGES)
def test_no_name_becomes_anything_else(reader, path):
    """
    No element, no dialog, no request, no report of the policy; charts are drawn, tooltips shown.
    """
    page = reader.open(path)
    for canvas in page.locator("canvas[data-drawn]").all():
        canvas.hover()
    foreign = "main :is(script, iframe, object, embed, link, style, base, meta, math, form[action^='http'])"

    assert 0 == page.locator(foreign).count()
    assert 0 == page.locator("main img").count()
    assert [] == page.evaluate(
        "[...document.querySelectorAll('*')].flatMap(e => e.getAttributeNames().filter(n => n.startsWith('on')))"
    )
    assert "https://evil.example" not in page.evaluate(
        "performance.getEntriesByType('resource').map(entry => entry.name).join()"
    )


def test_a_name_is_shown_as_it_is(reader):
    """
    What is read on the page is what was sent, to the last character.
    """
    page = reader.open(PAGES[3])
    shown = set(page.locator("#groups tbody th bdi").all_text_contents())
    assert set(NASTY) <= shown

    page = reader.open("/accounts/acme/keys")
    assert set(NASTY) <= set(page.locator("#keys tbody th bdi").all_text_contents())


def test_a_story_tells_a_nasty_name(reader):
    """
    Ids and sources that are markup find their event, and it is shown as sent.
    """
    for name in SHORT[:8]:
        page = reader.open(f"/accounts/acme/events/story?source={quote(name, safe='')}&id={quote(name, safe='')}")
        assert name == page.locator(".id-line bdi").text_content()
        assert "Accepted" in reader.text(".story")


def test_an_account_whose_id_is_markup_has_its_page(reader):
    """
    Found through the list, by its link.
    """
    page = reader.open("/accounts")
    page.click(f'a[href*="{quote(NASTY[0], safe="")}"]')
    reader.settle()

    assert NASTY[0] == page.locator(".who-id bdi").text_content()


def test_no_cell_of_a_file_is_a_formula(reader):
    """
    What would be one is text, for a spreadsheet as well.
    """
    page = reader.open(PAGES[3])
    with page.expect_download() as saved:
        page.click("a[download]")
    rows = list(csv.reader(StringIO(saved.value.path().read_text(encoding="utf-8-sig"))))

    for cell in rows[0]:
        assert cell.lstrip(' \u00a0\u200b\ufeff"')[:1] not in set("=+-@\t\r")
    assert all(cell.replace(".", "").isdigit() for row in rows[1:] for cell in row[2:])
