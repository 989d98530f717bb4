"""A real server with a frozen clock and a real Chromium in front of it, for tests that look at pages.

The server runs in a thread of this process; Playwright's own event loop leaves no room for an ASGI client beside it, so
whatever else is asked goes over the socket, too.
"""

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, sync_playwright

from tallybook.core.clock import FrozenClock
from tallybook.core.ids import AccountId
from tallybook.core.instant import parse_instant
from tallybook.core.key import SCOPES
from tallybook.house import House
from tallybook.settings import Settings
from tallybook.web.log import make_log
from tallybook.web.server import listen
from tests.support.listening import listening
from tests.support.suites import SUITES

NOW = "2026-03-15T12:00:00Z"
ARGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WAIT_MS = 20_000

_SETTLED = """async waitMs => {
    const has = id => document.getElementById(id);
    const isDrawn = ({ dataset }) => !has(dataset.chart) || "drawn" in has(dataset.chart).dataset;
    const told = () => !has("trouble").hidden || !has("stale").hidden;
    const isShown = main => !main?.dataset.summary || main.dataset.shown || told();
    for (const end = performance.now() + waitMs; performance.now() < end; await new Promise(requestAnimationFrame))
        if ([...document.querySelectorAll("[data-chart]")].every(isDrawn) && isShown(has("main"))) return true;
    return false;
}"""
"""Whether every chart whose data stands in the page is drawn, and a page that fetches its figures shows them."""


@dataclass(slots=True)
class Site:
    """A running house: its address, its operator's key, and a plain HTTP client."""

    house: House
    url: str
    operator: str
    http: httpx.Client
    keys: dict[str, str] = field(default_factory=dict)

    def account(self, account_id: str, *, scopes: Iterable[str] = SCOPES, **put: Any) -> str:
        """Create or change the account and return a new key of it."""
        self.house.accounts.put(AccountId(account_id), **put)
        key = self.house.access.create_key(AccountId(account_id), scopes, "of the tests").token
        self.keys[account_id] = key
        return key

    def send(self, *events: Mapping[str, object]) -> None:
        """Count events; every one of them must count."""
        answer = self.ask("POST", "/v1/events?backfill=true", json=list(events)).json()
        assert (len(events), []) == (answer["accepted"], answer["errors"]), answer

    def ask(self, method: str, path: str, key: str | None = None, **more: Any) -> httpx.Response:
        """Send one request, the operator's unless another *key* is given."""
        return self.http.request(method, path, headers={"Authorization": f"Bearer {key or self.operator}"}, **more)

    def get(self, path: str, key: str | None = None) -> Any:
        """Return the JSON of an answer."""
        answer = self.ask("GET", path, key)
        assert answer.status_code == 200, answer.text
        return answer.json()


@contextmanager
def open_site(data_dir: Path, *, now: str = NOW, **settings: Any) -> Iterator[Site]:
    """Serve a fresh house on a free port."""
    clock = FrozenClock(parse_instant(now, "now")[0])
    with House.open(Settings(data_dir=data_dir, **settings), clock, log=make_log("json", StringIO())) as house:
        listener = listen("127.0.0.1", 0)
        url = f"http://localhost:{listener.getsockname()[1]}"
        operator = house.access.create_key(None, SCOPES, "the operator of the tests").token
        with listening(house.app, listener, loop="asyncio"), httpx.Client(base_url=url, timeout=30) as http:
            yield Site(house, url, operator, http)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start the system's Chromium with a fresh profile."""
    (suite,) = (suite for suite in SUITES if suite.name == "browser")
    path = next(found for program in suite.programs if (found := shutil.which(program)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGS))
        yield browser
        browser.close()


@dataclass(slots=True)
class Visitor:
    """Somebody at a browser. What the pages complain about is collected: nothing is the rule."""

    site: Site
    context: BrowserContext
    page: Page
    complaints: list[str]

    def log_in(self, key: str) -> None:
        """Log in with a key, by the form."""
        self.page.goto(f"{self.site.url}/dashboard/login")
        self.page.fill("input[name=key]", key)
        self.page.click("button[type=submit]")
        self.page.wait_for_url(lambda url: "/login" not in url)

    def open(self, path: str) -> Page:
        """Open a page and wait until everything is on it."""
        self.page.goto(f"{self.site.url}/dashboard{path}")
        self.settle()
        return self.page

    def settle(self) -> None:
        """Wait until the page has what it asks for by itself; not until nothing was asked for half a second."""
        assert self.page.evaluate(_SETTLED, WAIT_MS), f"{self.page.url} never settled"

    def text(self, selector: str) -> str:
        """Return the text of the one element that is meant."""
        return self.page.locator(selector).inner_text()

    def ink(self, selector: str) -> int:
        """Return how many pixels of a canvas are not transparent."""
        count = self.page.locator(selector).evaluate(
            """canvas => {
                const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
                let count = 0;
                for (let at = 3; at < data.length; at += 4) if (data[at] > 0) count += 1;
                return count;
            }"""
        )
        return int(count)


@contextmanager
def visit(browser: Browser, site: Site, *, width: int = 1280, height: int = 900, **more: Any) -> Iterator[Visitor]:
    """Come with an empty browser; leaving asserts that nothing was complained about."""
    context = browser.new_context(viewport={"width": width, "height": height}, locale="en-US", **more)
    context.set_default_timeout(WAIT_MS)
    context.add_init_script(
        "addEventListener('securitypolicyviolation', event => console.error('CSP', event.violatedDirective))"
    )
    page, complaints = context.new_page(), list[str]()

    def on_console(message: ConsoleMessage) -> None:
        if message.type == "error" and "status of 4" not in message.text:
            complaints.append(message.text)

    def on_dialog(dialog: Dialog) -> None:
        complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    page.on("console", on_console)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", on_dialog)
    visitor = Visitor(site, context, page, complaints)
    yield visitor
    context.close()
    assert [] == complaints
