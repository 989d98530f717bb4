"""Coming in and going out: the login page, portal links, logout. Sessions themselves are `flows.session`."""

import threading
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from tallybook.core.errors import Invalid, Unauthenticated
from tallybook.core.instant import MINUTE_US
from tallybook.web.dashboard.cookies import THEMES, drop_cookie, refuse_other_sites, secrets_in, set_cookie
from tallybook.web.dashboard.page import find_session, first, home_of, look_of, read_form, redirect
from tallybook.web.dashboard.render import PREFIX, Look, Templates
from tallybook.web.endpoint import Ask, Endpoint, RawBody, Reply, json_reply

FAILURES_PER_MINUTE_MAX = 30
"""Wrong keys that one process looks up in a minute; whoever comes on top waits, right or wrong."""
NEXT_CHARS_MAX = 2_000


class LoginQuery(msgspec.Struct, frozen=True):
    """Where to go after the login; *entered* says that one was just made, so its cookie should be here."""

    next: str | None = None
    entered: str | None = None


class PortalQuery(msgspec.Struct, frozen=True):
    """How the page should look."""

    theme: str | None = None


class PortalSecret(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands behind the ``#`` of a portal link, which no browser sends by itself."""

    secret: str


class Brake:
    """Counts wrong keys of the current minute."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._minute = -1
        self._failures = 0

    def is_on(self, now_us: int) -> bool:
        """Whether no key is looked at before the next minute."""
        with self._lock:
            return self._minute == now_us // MINUTE_US and self._failures >= FAILURES_PER_MINUTE_MAX

    def failed(self, now_us: int) -> None:
        """Count a wrong key."""
        with self._lock:
            minute = now_us // MINUTE_US
            if minute != self._minute:
                self._minute, self._failures = minute, 0
            self._failures += 1


def entry_endpoints(templates: Templates) -> list[Endpoint]:
    """Return the endpoints that need no session."""
    brake = Brake()

    def bound(handler: Callable[[Templates, Ask[Any, RawBody]], Reply]) -> Callable[[Ask[Any, RawBody]], Reply]:
        return lambda ask: handler(templates, ask)

    def post(ask: Ask[None, RawBody]) -> Reply:
        return post_login(templates, brake, ask)

    link = "/portal/{link_id}"
    return [
        Endpoint("GET", "/login", bound(get_login), None, "login", query=LoginQuery, body=RawBody),
        Endpoint("POST", "/login", post, None, "login", body=RawBody),
        Endpoint("POST", "/logout", bound(post_logout), None, "logout", body=RawBody),
        Endpoint("GET", link, bound(get_portal), None, "portal", query=PortalQuery, body=RawBody),
        Endpoint("POST", link, bound(post_portal), None, "portal", body=RawBody),
        Endpoint("GET", "/", bound(get_home), None, "home", body=RawBody),
    ]


def get_home(templates: Templates, ask: Ask[None, RawBody]) -> Reply:
    """Lead to the first page, or to the login."""
    del templates
    session = find_session(ask.rooms, ask.body.headers)
    return redirect(f"{PREFIX}/login" if session is None else home_of(session))


# --- keys ------------------------------------------------------------------------------------------------------------


def get_login(templates: Templates, ask: Ask[LoginQuery, RawBody]) -> Reply:
    """Show the form; whoever is logged in goes on."""
    headers, query = ask.body.headers, ask.query
    session = find_session(ask.rooms, headers)
    after = safe_next(query.next)
    if session is not None:
        return redirect(after or home_of(session))
    lost = query.entered is not None
    return _login_page(templates, look_of(headers), after, "cookie" if lost else "")


def post_login(templates: Templates, brake: Brake, ask: Ask[None, RawBody]) -> Reply:
    """Begin the session of a key."""
    headers = ask.body.headers
    refuse_other_sites(headers)
    fields = read_form(ask.body.data)
    token, after = first(fields, "key"), safe_next(first(fields, "next"))
    if brake.is_on(ask.now_us):
        return _login_page(templates, look_of(headers), after, "brake", status=429)
    try:
        entered = ask.rooms.sessions.log_in(token, next(iter(secrets_in(headers)), None))
    except Unauthenticated:
        brake.failed(ask.now_us)
        return _login_page(templates, look_of(headers), after, "key" if token else "empty", status=401)
    check = f"{PREFIX}/login?{urlencode({'entered': '1', **({'next': after} if after else {})})}"
    return redirect(check, set_cookie(entered.session, entered.secret))


def _login_page(templates: Templates, look: Look, after: str, wrong: str, *, status: int = 200) -> Reply:
    return templates.reply("login.html", look, status=status, after=after, wrong=wrong)


def safe_next(wanted: str | None) -> str:
    """Return where to go after a login: a page of ours, or nothing."""
    if not wanted or len(wanted) > NEXT_CHARS_MAX or not wanted.startswith(f"{PREFIX}/"):
        return ""
    if "\\" in wanted or not wanted.isascii() or not wanted.isprintable():
        return ""
    parts = urlsplit(wanted)
    return wanted if not parts.scheme and not parts.netloc else ""


def post_logout(templates: Templates, ask: Ask[None, RawBody]) -> Reply:
    """End the session here and on the server."""
    del templates
    headers = ask.body.headers
    refuse_other_sites(headers)
    for secret in secrets_in(headers):
        ask.rooms.sessions.log_out(secret)
    return redirect(f"{PREFIX}/login", drop_cookie(headers))


# --- portal links ----------------------------------------------------------------------------------------------------


def get_portal(templates: Templates, ask: Ask[PortalQuery, RawBody]) -> Reply:
    """Show the page that sends the secret behind the ``#``; looking at a link does not use it up."""
    link = ask.rooms.sessions.look(ask.path["link_id"]) if "\x00" not in ask.path["link_id"] else None
    headers = ask.body.headers
    asked = ask.query.theme if ask.query.theme in THEMES else None
    look = Look(
        asked or look_of(headers).theme,
        headers.get("accept-encoding", ""),
        () if link is None else link.ancestors,
    )
    return templates.reply("portal.html", look, status=200 if link else 410, link=link, asked_theme=asked or "")


def post_portal(templates: Templates, ask: Ask[None, RawBody]) -> Reply:
    """Use a link up and begin its session."""
    del templates
    headers = ask.body.headers
    refuse_other_sites(headers)
    try:
        secret = msgspec.json.decode(ask.body.data, type=PortalSecret).secret
    except msgspec.MsgspecError:
        raise Invalid("the link is not complete") from None
    entered = ask.rooms.sessions.exchange(ask.path["link_id"], secret, next(iter(secrets_in(headers)), None))
    home = {"location": home_of_link(entered.session.scopes, home_of(entered.session))}
    return json_reply(200, home, set_cookie(entered.session, entered.secret))


def home_of_link(scopes: frozenset[str], home: str) -> str:
    """Return where a portal session begins: on a page that its scopes open."""
    return home if "billing:manage" in scopes else home.removesuffix("/usage") + "/limits"
