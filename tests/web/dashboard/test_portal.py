"""Portal links: made by API, used once, no mightier than their maker, framed only by whom they name."""

import pytest

from tallybook.core.clock import US_PER_S
from tallybook.core.key import ADMIN, BILLING_MANAGE, SCOPES, USAGE_READ
from tests.support.client import open_desk
from tests.support.guest import SAME, Guest, words

LINKS = "/v1/accounts/acme/portal-links"


@pytest.fixture
def admin(desk):
    """A key of the account acme that may do everything."""
    return desk.account("acme")


def parts(url):
    """Split a link into its path below /dashboard and its secret."""
    path, _, secret = url.partition("#")
    return path.removeprefix("/dashboard").partition("?")[0], secret


def use(guest, url):
    path, secret = parts(url)
    return guest.ask("POST", path, SAME, json={"secret": secret})


def test_a_link_leads_in_once(desk, admin, guest):
    """
    To the account's page, with the scopes of the link; looking at it does not use it up.
    """
    made = desk.post(LINKS, admin, json={"scopes": [USAGE_READ, BILLING_MANAGE]}).json()
    path, secret = parts(made["url"])
    assert 200 == guest.get(path).status_code == guest.get(path).status_code
    assert secret not in guest.get(path).text

    assert "/dashboard/accounts/acme/usage" == use(guest, made["url"]).json()["location"]
    assert 200 == guest.get("/accounts/acme/usage").status_code
    assert 403 == guest.get("/accounts/acme/keys").status_code
    again = Guest(desk)
    assert 401 == use(again, made["url"]).status_code
    assert {} == again.cookies
    assert "This link has ended" in words(again.get(path))


def test_a_link_without_billing_leads_to_the_limits(desk, admin, guest):
    """
    To a page that it opens.
    """
    made = desk.post(LINKS, admin, json={}).json()

    assert "/dashboard/accounts/acme/limits" == use(guest, made["url"]).json()["location"]
    assert "usage:read" in made["scopes"]


def test_a_link_expires(desk, admin, guest):
    """
    At the second it says.
    """
    made = desk.post(LINKS, admin, json={"ttl_s": 60}).json()
    assert "2026-03-15T12:01:00Z" == made["expires_at"]
    desk.clock.advance(60 * US_PER_S)

    assert 401 == use(guest, made["url"]).status_code


@pytest.mark.parametrize("secret", ["", "x", "é", "0" * 600])
def test_a_wrong_secret_neither_leads_in_nor_uses_the_link_up(desk, admin, guest, secret):
    """
    The right one still works afterwards.
    """
    made = desk.post(LINKS, admin, json={}).json()
    path, _ = parts(made["url"])

    assert 401 == guest.ask("POST", path, SAME, json={"secret": secret}).status_code
    assert 200 == use(guest, made["url"]).status_code


def test_a_link_is_no_mightier_than_the_key_that_made_it(desk, guest):
    """
    403 naming the scope; an account's key makes links to its own account only.
    """
    desk.account("zeta")
    weak = desk.account("acme", scopes=[ADMIN])
    refused = desk.post(LINKS, weak, json={"scopes": [BILLING_MANAGE]})

    assert (403, "insufficient-scope") == (refused.status_code, refused.json()["code"])
    foreign = desk.post("/v1/accounts/zeta/portal-links", weak, json={"scopes": [ADMIN]})
    absent = desk.post("/v1/accounts/void/portal-links", weak, json={"scopes": [ADMIN]})
    assert 404 == foreign.status_code == absent.status_code
    assert foreign.content.replace(b"zeta", b"void") == absent.content


def test_revoking_the_key_ends_the_link_and_what_it_opened(desk, guest):
    """
    At once.
    """
    desk.account("acme")
    made = desk.house.access.create_key("acme", SCOPES)
    links = [desk.post(LINKS, made.token, json={}).json()["url"] for _ in range(2)]
    use(guest, links[0])
    assert 200 == guest.get("/accounts/acme/limits").status_code
    desk.house.access.revoke_key(made.key_id)

    assert 303 == guest.get("/accounts/acme/limits").status_code
    assert 401 == use(guest, links[1]).status_code


def test_only_the_named_origins_may_frame_it(desk, admin, guest):
    """
    The link's page and all that it opens; its cookie works in a frame and is kept apart for each site.
    """
    made = desk.post(LINKS, admin, json={"frame_ancestors": ["https://app.example.com"], "theme": "dark"}).json()
    path, _ = parts(made["url"])
    assert "?theme=dark#" in made["url"]
    answer = use(guest, made["url"])
    cookie = answer.headers["set-cookie"]

    assert {"Secure", "HttpOnly", "SameSite=None", "Partitioned"} <= set(cookie.split("; "))
    page = guest.get("/accounts/acme/limits")
    assert "frame-ancestors https://app.example.com;" in page.headers["content-security-policy"]
    assert "x-frame-options" not in page.headers
    fresh = desk.post(LINKS, admin, json={"frame_ancestors": ["https://app.example.com"]}).json()
    door = Guest(desk).get(parts(fresh["url"])[0])
    assert "frame-ancestors https://app.example.com;" in door.headers["content-security-policy"]
    assert 'data-theme="dark"' in Guest(desk).get(f"{parts(fresh['url'])[0]}?theme=dark").text
    assert "'none'" in Guest(desk).get(path).headers["content-security-policy"].partition("frame-ancestors")[2]


@pytest.mark.parametrize(
    "origin",
    [
        "app.example.com",
        "https://a.example.com/path",
        "*",
        "https://a.example.com; script-src *",
        "javascript:x",
        "https://A.example",
    ],
)
def test_what_is_no_origin_is_refused(desk, admin, origin):
    """
    Nothing gets into the policy that is not an origin.
    """
    answer = desk.post(LINKS, admin, json={"frame_ancestors": [origin]})

    assert (422, "/frame_ancestors/0") == (answer.status_code, answer.json()["errors"][0]["pointer"])


def test_the_address_comes_from_the_settings_and_never_from_a_request(tmp_path):
    """
    Whatever Host was sent.
    """
    with open_desk(tmp_path, public_url="https://usage.example.com") as desk:
        key = desk.account("acme")
        made = desk.post(LINKS, key, json={}, headers={"Host": "evil.example"}).json()

        assert made["url"].startswith("https://usage.example.com/dashboard/portal/lnk_")


@pytest.mark.parametrize("field", ["account", "account_id", "scope", "key_id"])
def test_no_other_field_is_read(desk, admin, field):
    """
    What nothing reads is refused.
    """
    assert 422 == desk.post(LINKS, admin, json={field: "zeta"}).status_code
