"""What holds of every page: no serious finding of axe, nothing cut off at 360 px, in the light and in the dark."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser.pages import PATHS
from tests.support.browser import visit

GRAVE = {"serious", "critical"}


@pytest.fixture(scope="module", params=["light", "dark"])
def reader(request, browser, site):
    """The operator at a wide window, in one theme."""
    with visit(browser, site, color_scheme=request.param) as came:
        came.log_in(site.operator)
        yield came


@pytest.fixture(scope="module")
def phone(browser, site):
    """The operator at a telephone of 360 by 740 pixels."""
    with visit(browser, site, width=360, height=740, is_mobile=True, has_touch=True) as came:
        came.log_in(site.operator)
        yield came


@pytest.mark.parametrize("name", PATHS)
def test_axe_has_nothing_serious_to_say(reader, name):
    """
    Names, contrast, structure, keyboard: all that can be found without looking.
    """
    page = reader.open(PATHS[name])
    found = Axe().run(page).response["violations"]

    assert [] == [(one["id"], [node["target"] for node in one["nodes"]]) for one in found if one["impact"] in GRAVE]


@pytest.mark.parametrize("name", PATHS)
def test_nothing_is_wider_than_a_telephone(phone, name):
    """
    Tables scroll by themselves; the page does not scroll sideways.
    """
    page = phone.open(PATHS[name])

    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_menu_of_a_telephone_opens(phone):
    """
    By a button that says so.
    """
    page = phone.open(PATHS["limits"])
    assert not page.is_visible("nav a")
    page.click("[data-menu]")

    assert page.is_visible("nav a")
    assert "true" == page.get_attribute("[data-menu]", "aria-expanded")


def test_the_theme_can_be_chosen_and_is_kept(browser, site):
    """
    System, light, dark; the next page begins with it, without a flash of the other.
    """
    with visit(browser, site, color_scheme="light") as came:
        came.log_in(site.operator)
        page = came.open(PATHS["limits"])
        background = "getComputedStyle(document.body).backgroundColor"
        light = page.evaluate(background)
        page.click("[data-theme-switch]")
        page.click("[data-theme-switch]")

        assert light != page.evaluate(background)
        assert 'data-theme="dark"' in page.request.get(page.url).text()
        page.reload()
        assert light != page.evaluate(background)


def test_everything_works_from_the_keyboard(reader):
    """
    The first stop skips to the content; the range picker opens, moves by arrows and closes by Escape.
    """
    page = reader.open(PATHS["usage"])
    page.keyboard.press("Tab")
    assert "Skip to content" == page.evaluate("document.activeElement.textContent")
    page.focus("[data-picker-open]")
    page.keyboard.press("Enter")
    before = page.evaluate("document.activeElement.dataset.day")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    assert ("2026-03-15", "2026-03-07") == (before, page.evaluate("document.activeElement.dataset.day"))
    page.keyboard.press("Escape")

    assert 0 == page.locator(".panel").count()
    assert page.evaluate("document.activeElement.hasAttribute('data-picker-open')")


def test_numbers_and_dates_are_the_readers(browser, site):
    """
    A reader from Germany sees points where one from the States sees commas.
    """
    context = browser.new_context(locale="de-DE", timezone_id="Europe/Berlin")
    page = context.new_page()
    page.goto(f"{site.url}/dashboard/login")
    page.fill("input[name=key]", site.operator)
    page.click("button[type=submit]")
    page.goto(f"{site.url}/dashboard{PATHS['explore']}")
    exact = page.get_attribute('[data-what="total"] data', "value")

    assert f"{int(exact):,}".replace(",", ".") == page.inner_text('[data-what="total"] data')
    context.close()
