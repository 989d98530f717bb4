"""The session's cookie and who may send it: how it is set and read, and the check that no other site is asking.

Behind the name prefix ``__Host-`` a browser keeps the cookie to this host, this whole host, and to secure addresses;
browsers count ``localhost`` and loopback addresses among them.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser

from tallybook.core.errors import Forbidden
from tallybook.core.session import HARD_US, Session

COOKIE = "__Host-tallybook"
FRAMED_COOKIE = "__Host-tallybook-framed"
"""Of sessions inside another site's page: the browser keeps one for each such site."""
THEME_COOKIE = "tallybook-theme"
THEMES = ("light", "dark")

_LAX = "Path=/; Secure; HttpOnly; SameSite=Lax"
_FRAMED = "Path=/; Secure; HttpOnly; SameSite=None; Partitioned"
_HARD_S = HARD_US // 1_000_000
_GONE_S = 0


class OtherSite(Forbidden):
    """Another site asked, or a program that does not say where it comes from."""

    code = "cross-site"


def secrets_in(headers: Headers) -> list[str]:
    """Return the session secrets that came, the one of a frame first."""
    given = cookies_in(headers)
    return [given[name] for name in (FRAMED_COOKIE, COOKIE) if given.get(name)]


def cookies_in(headers: Headers) -> dict[str, str]:
    """Return the cookies by name."""
    return cookie_parser(headers.get("cookie", ""))


def theme_in(headers: Headers) -> str:
    """Return the theme that the reader chose, empty for the one of their system."""
    theme = cookies_in(headers).get(THEME_COOKIE, "")
    return theme if theme in THEMES else ""


def set_cookie(session: Session, secret: str) -> Mapping[str, str]:
    """Return the header that gives the browser its session."""
    name, rules = (FRAMED_COOKIE, _FRAMED) if session.ancestors else (COOKIE, _LAX)
    return {"Set-Cookie": f"{name}={secret}; Max-Age={_HARD_S}; {rules}"}


def drop_cookie(headers: Headers) -> Mapping[str, str]:
    """Return the header that takes the session away from the browser."""
    name, rules = (FRAMED_COOKIE, _FRAMED) if FRAMED_COOKIE in cookies_in(headers) else (COOKIE, _LAX)
    return {"Set-Cookie": f"{name}=; Max-Age={_GONE_S}; {rules}"}


def refuse_other_sites(headers: Headers) -> None:
    """Refuse a request that changes something unless our own page sent it.

    A browser says so by Sec-Fetch-Site, which no script can forge; one that does not know it says Origin.

    Raises:
        OtherSite: Also where neither is there.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        if site == "same-origin":
            return
        raise OtherSite("this can only be done from the dashboard's own pages")
    origin = headers.get("origin")
    if origin is None or urlsplit(origin).netloc.lower() != headers.get("host", "").strip().lower():
        raise OtherSite("this can only be done from the dashboard's own pages")
