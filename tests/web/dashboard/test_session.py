"""Who is logged in: how a session begins, what its cookie is like, how it ends, and who may not change anything."""

import pytest

from tallybook.core.clock import US_PER_S
from tallybook.core.key import BILLING_MANAGE, SCOPES, USAGE_READ
from tallybook.core.session import HARD_US, IDLE_US
from tallybook.house import House
from tallybook.web.dashboard.cookies import COOKIE
from tallybook.web.dashboard.entry import FAILURES_PER_MINUTE_MAX, safe_next
from tests.support.guest import SAME, Guest, words

PAGE = "/accounts"


def is_in(guest, page=PAGE):
    """Whether the page opens; without a session it leads to the login."""
    answer = guest.get(page)
    assert answer.status_code in {200, 303, 403}
    return answer.status_code != 303


def test_a_key_begins_a_session_and_the_cookie_is_as_closed_as_can_be(desk, guest):
    """
    Bound to the host, over secure addresses only, out of reach of scripts and of other sites; never the key itself.
    """
    answer = guest.log_in(desk.operator)
    cookie = answer.headers["set-cookie"]

    assert cookie.startswith("__Host-tallybook=")
    assert {"Path=/", "Secure", "HttpOnly", "SameSite=Lax"} <= set(cookie.split("; "))
    assert "Domain" not in cookie
    assert desk.operator not in cookie
    assert is_in(guest)


def test_the_ledger_holds_only_the_hash_of_the_cookie(desk, guest):
    """
    Whoever reads the database cannot come in with what is there.
    """
    guest.log_in(desk.operator)
    with desk.house.ledger.reading() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM sessions").fetchall()

    assert 1 == len(rows)
    assert guest.cookies[COOKIE] not in str(rows)
    assert desk.operator not in str(rows)


def test_an_unknown_key_is_told_so_and_gets_nothing(guest):
    """
    The page says what to do, with 401 and without a cookie.
    """
    answer = guest.log_in("tb_live_nonsense")

    assert 401 == answer.status_code
    assert "This key is not known" in words(answer)
    assert {} == guest.cookies


def test_logging_in_again_ends_the_session_before(desk, guest):
    """
    A cookie that somebody planted before the login is worth nothing after it.
    """
    guest.log_in(desk.operator)
    before = dict(guest.cookies)
    guest.log_in(desk.operator)
    planted = Guest(desk)
    planted.cookies = before

    assert is_in(guest)
    assert not is_in(planted)


def test_a_planted_cookie_never_becomes_a_session(desk, guest):
    """
    The secret is always the server's own.
    """
    guest.cookies[COOKIE] = "planted-by-somebody-else"
    guest.log_in(desk.operator)

    assert "planted-by-somebody-else" != guest.cookies[COOKIE]


def test_an_unused_session_ends_after_half_an_hour(desk, operator):
    """
    Use prolongs it; 30 minutes without any end it.
    """
    for _ in range(3):
        desk.clock.advance(IDLE_US - 60 * US_PER_S)
        assert is_in(operator)
    desk.clock.advance(IDLE_US)

    assert not is_in(operator)


def test_a_busy_session_ends_after_twelve_hours(desk, operator):
    """
    However often it is used.
    """
    for _ in range(HARD_US // (20 * 60 * US_PER_S) - 1):
        desk.clock.advance(20 * 60 * US_PER_S)
        assert is_in(operator)
    desk.clock.advance(20 * 60 * US_PER_S)

    assert not is_in(operator)


def test_logging_out_ends_it_on_the_server(desk, operator):
    """
    A copy of the cookie opens nothing afterwards.
    """
    copy = Guest(desk)
    copy.cookies = dict(operator.cookies)
    answer = operator.post("/logout")

    assert (303, "/dashboard/login") == (answer.status_code, answer.headers["location"])
    assert {} == operator.cookies
    assert not is_in(copy)


def test_revoking_the_key_ends_its_sessions_at_once(desk, guest):
    """
    The next request finds none.
    """
    made = desk.house.access.create_key(None, SCOPES, "short")
    guest.log_in(made.token)
    assert is_in(guest)
    desk.house.access.revoke_key(made.key_id)

    assert not is_in(guest)


def test_another_process_knows_the_session_and_its_end(desk, operator):
    """
    Sessions are in the ledger, so any server of it may answer.
    """
    with House.open(desk.house.settings, desk.clock, log=desk.house.observer.log, exclusive=False) as other:
        assert other.sessions.find(operator.cookies[COOKIE]).account_id is None
        operator.post("/logout")
        assert other.sessions.find is not None
        assert not is_in(operator)


FOREIGN = [
    {},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://tallybook.test"},
    {"Origin": "https://evil.example"},
    {"Origin": "http://evil.tallybook.test"},
    {"Origin": "null"},
    {"Origin": "http://tallybook.test.evil.example"},
    {"Origin": "http://tallybook.test", "Host": "evil.example"},
]


@pytest.mark.parametrize("path", ["/login", "/logout", "/accounts/acme/keys", "/accounts/acme/keys/key_x/revoke"])
def test_nothing_changes_unless_our_own_page_asks(desk, operator, path):
    """
    Other sites, subdomains, programs without these headers, and requests under another host's name: 403, and no key.
    """
    desk.account("acme")
    before = desk.house.access.list_keys(None)
    form = {"key": desk.operator, "name": "x", "scope": "admin"}
    answers = [operator.post(path, form, headers=headers) for headers in FOREIGN]

    assert [403] * len(FOREIGN) == [answer.status_code for answer in answers]
    assert before == desk.house.access.list_keys(None)
    assert is_in(operator)


@pytest.mark.parametrize("headers", [SAME, {"Origin": "http://tallybook.test"}])
def test_our_own_page_may(desk, operator, headers):
    """
    By the header of today's browsers, or by the older one.
    """
    desk.account("acme")
    answer = operator.post("/accounts/acme/keys", {"name": "x", "scope": USAGE_READ}, headers=headers)

    assert 200 == answer.status_code
    assert "Your new key" in words(answer)


def test_no_get_changes_anything(desk, operator):
    """
    The addresses that change something know no GET.
    """
    desk.account("acme")
    for path in ("/logout", "/accounts/acme/keys/key_x/revoke"):
        assert 405 == operator.get(path).status_code
    assert is_in(operator)


def test_wrong_keys_are_slowed_down(desk, guest):
    """
    Beyond the bound nothing is looked up before the next minute, not even a right one.
    """
    for _ in range(FAILURES_PER_MINUTE_MAX):
        assert 401 == guest.log_in("tb_live_nonsense").status_code
    assert 429 == guest.log_in(desk.operator).status_code
    desk.clock.advance(60 * US_PER_S)

    assert 303 == guest.log_in(desk.operator).status_code


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/",
        "//evil.example/dashboard/",
        "/\\evil.example",
        "/dashboard/\\evil",
        "/dashboard\n/x",
        "/v1/accounts",
        "javascript:alert(1)",
        "/dashboard/" + "x" * 3_000,
    ],
)
def test_a_login_leads_to_pages_of_ours_only(wanted):
    """
    Whatever the address asked for.
    """
    assert "" == safe_next(wanted)


def test_a_login_leads_to_where_one_wanted_to_go(desk, guest):
    """
    The page that asked for it.
    """
    desk.account("acme")
    asked = guest.get("/accounts/acme/limits").headers["location"]
    assert "/dashboard/login?next=%2Fdashboard%2Faccounts%2Facme%2Flimits" == asked
    answer = guest.post("/login", {"key": desk.operator, "next": "/dashboard/accounts/acme/limits"})

    assert "/dashboard/accounts/acme/limits" == guest.get(answer.headers["location"][10:]).headers["location"]


def test_a_browser_that_keeps_no_cookie_is_told_why(desk):
    """
    Rather than asked for the key again and again.
    """
    forgetful = Guest(desk)
    answer = forgetful.log_in(desk.operator)
    forgetful.cookies = {}

    assert "did not keep the session" in words(forgetful.get(answer.headers["location"][10:]))


def test_an_account_begins_on_its_usage_and_sees_no_other(desk, guest):
    """
    Another account's pages look like those of one that does not exist.
    """
    key = desk.account("acme", scopes=[USAGE_READ, BILLING_MANAGE])
    desk.account("zeta")
    guest.log_in(key)
    assert "/dashboard/accounts/acme/usage" == guest.get("/").headers["location"]

    foreign, absent = guest.get("/accounts/zeta/limits"), guest.get("/accounts/void/limits")
    assert 404 == foreign.status_code == absent.status_code
    assert foreign.text.replace("zeta", "void") == absent.text
    assert 403 == guest.get("/accounts").status_code


def test_every_page_carries_the_policy(desk, operator, guest):
    """
    Nothing inline, nothing from elsewhere, no frame around it.
    """
    desk.account("acme")
    policy = (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    )
    pages = [operator.get("/accounts/acme/limits"), guest.get("/login"), operator.get("/accounts/none/limits")]
    pages.append(guest.get("/nowhere"))

    for page in pages:
        assert policy == page.headers["content-security-policy"]
        assert "DENY" == page.headers["x-frame-options"]
        assert "no-store" == page.headers["cache-control"]
        assert "nosniff" == page.headers["x-content-type-options"]


def test_no_secret_is_in_the_log(desk, guest):
    """
    Neither key nor cookie nor the secret of a link.
    """
    guest.log_in(desk.operator)
    desk.account("acme")
    link = desk.house.sessions.make_link(desk.house.access.authenticate(desk.operator), "acme")
    guest.ask("POST", f"/portal/{link.link.link_id}", SAME, json={"secret": link.secret})
    guest.get("/accounts")
    logged = desk.log.getvalue()

    assert link.link.link_id in logged
    for secret in (desk.operator, link.secret, *guest.cookies.values()):
        assert secret not in logged
