"""What every test of the browser suite may ask for: a running site full of usage, and somebody to look at it."""

import pytest

from tests.support.browser import open_browser, open_site, visit
from tests.support.browser_data import fill


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """A server at 2026-03-15T12:00:00Z with the usage of `tests.support.browser_data`; tests do not change it."""
    with open_site(tmp_path_factory.mktemp("site")) as opened:
        fill(opened)
        yield opened


@pytest.fixture(scope="module")
def browser():
    """The system's Chromium; for one module, as Playwright's event loop leaves no room for another meanwhile."""
    with open_browser() as opened:
        yield opened


@pytest.fixture
def visitor(browser, site):
    """Somebody with an empty browser on the shared site, not logged in."""
    with visit(browser, site) as came:
        yield came


@pytest.fixture
def operator(visitor):
    """The operator, logged in."""
    visitor.log_in(visitor.site.operator)
    return visitor


@pytest.fixture
def own_site(tmp_path):
    """A server of this test alone, without accounts."""
    with open_site(tmp_path) as opened:
        yield opened
