"""A page as data, and a visit to one: who came, of which account, asking for what.

The dashboard is a surface like the others; what differs is that the caller comes from a session, and that a refusal
is a page that says what to do.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, quote

import msgspec
from starlette.datastructures import Headers

from tallybook.core.errors import Forbidden, Invalid, TallybookError, Unauthenticated
from tallybook.core.ids import AccountId
from tallybook.core.plan import Account
from tallybook.core.session import Session
from tallybook.web.auth import account_unknown
from tallybook.web.dashboard.cookies import refuse_other_sites, secrets_in, theme_in
from tallybook.web.dashboard.nav import entries
from tallybook.web.dashboard.render import PREFIX, Look, Templates
from tallybook.web.dashboard.wording import wording_of
from tallybook.web.endpoint import JSON, Ask, Endpoint, RawBody, Reply, to_json
from tallybook.web.errors import OperatorRequired
from tallybook.web.problem import status_of
from tallybook.web.rooms import Rooms

FORM_FIELDS_MAX = 64
API_PREFIX = f"{PREFIX}/api/"


class LoginNeeded(TallybookError):
    """Nobody is logged in."""

    code = "login-needed"


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of somebody who is logged in.

    Attributes:
        found: The account in the path, where the page has one.
        query: The page's struct of parameters, None where it has none.
    """

    rooms: Rooms
    templates: Templates
    session: Session
    page: "Page"
    path: Mapping[str, str]
    headers: Headers
    body: bytes
    now_us: int
    query: Any = None
    found: Account | None = None

    @property
    def account(self) -> Account:
        """The account of the page, where its path has one."""
        assert self.found is not None  # looked up before, or refused
        return self.found

    @property
    def look(self) -> Look:
        """What the page is to look like to this reader."""
        return look_of(self.headers, self.session)

    @property
    def here(self) -> str:
        """The address below which the account's pages stand."""
        return account_path(self.account.id)

    def form(self) -> dict[str, list[str]]:
        """Return the fields of a form that was sent.

        Raises:
            Invalid: If it is not one.
        """
        return read_form(self.body)

    def allows(self, scope: str) -> bool:
        """Whether the session carries *scope*."""
        return scope in self.session.scopes

    def html(self, template: str, *, status: int = 200, **values: Any) -> Reply:
        """Return the page that *template* makes of *values*."""
        return self.templates.reply(template, self.look, status=status, **self._frame(), **values)

    def _frame(self) -> dict[str, Any]:
        """Return what the frame around every page shows."""
        return {
            "session": self.session,
            "account": self.found,
            "here": None if self.found is None else self.here,
            "nav": entries(self.found is not None, self.session, self.page.name),
            "current": self.page.name,
            "now_us": self.now_us,
        }

    def json(self, answer: msgspec.Struct) -> Reply:
        """Return *answer* to a script of ours."""
        return Reply(200, to_json(answer), JSON)

    def refuse(self, error: TallybookError) -> Reply:
        """Return the page that says no, and what to do."""
        return self.html(
            "refused.html", status=status_of_page(error), wording=wording_of(error, self.session), error=error
        )


@dataclass(frozen=True, slots=True)
class Page:
    """One page, or one thing that can be done on it.

    Attributes:
        name: What the navigation and the logs call it.
        path: Below the dashboard's prefix; ``{account_id}`` is looked up, and must be the visitor's to see.
        scope: What the session must carry; None for anybody who is logged in.
        query: Struct of the parameters, as for an endpoint.
        is_api: Whether a script asks, which is answered in JSON.
    """

    name: str
    method: str
    path: str
    handler: Callable[[Visit], Reply]
    scope: str | None = None
    query: type[msgspec.Struct] | None = None
    operator_only: bool = False
    is_api: bool = False


def endpoint_of(page: Page, templates: Templates) -> Endpoint:
    """Return the endpoint that answers *page*."""

    def handle(ask: Ask[Any, RawBody]) -> Reply:
        visit = _visit(page, ask, templates)
        if page.is_api:
            return page.handler(_admitted(_found(visit)))
        try:
            visit = _found(visit)
            return page.handler(_admitted(visit))
        except TallybookError as error:
            return visit.refuse(error)

    return Endpoint(page.method, page.path, handle, None, page.name, query=page.query, body=RawBody)


def _visit(page: Page, ask: Ask[Any, RawBody], templates: Templates) -> Visit:
    headers = ask.body.headers
    if page.method != "GET":
        refuse_other_sites(headers)
    session = find_session(ask.rooms, headers)
    if session is None:
        raise LoginNeeded("log in first")
    return Visit(ask.rooms, templates, session, page, ask.path, headers, ask.body.data, ask.now_us, query=ask.query)


def _found(visit: Visit) -> Visit:
    """Return the visit with the account that its path names."""
    wanted, own = visit.path.get("account_id"), visit.session.account_id
    if wanted is None:
        return visit
    if own not in (None, wanted) or "\x00" in wanted:
        raise account_unknown()
    return replace(visit, found=visit.rooms.accounts.get(AccountId(wanted)))


def _admitted(visit: Visit) -> Visit:
    """Return the visit if the session may make it."""
    page, session = visit.page, visit.session
    if page.operator_only and session.account_id is not None:
        raise OperatorRequired("only the operator may see this")
    if page.scope is not None:
        session.caller.require(page.scope)
    return visit


def find_session(rooms: Rooms, headers: Headers) -> Session | None:
    """Return the session that the request's cookie names, None where nobody is logged in."""
    for secret in secrets_in(headers):
        try:
            return rooms.sessions.find(secret)
        except Unauthenticated:
            continue
    return None


def look_of(headers: Headers, session: Session | None = None) -> Look:
    """Return what pages are to look like to who sent *headers*."""
    ancestors = () if session is None else session.ancestors
    return Look(theme_in(headers), headers.get("accept-encoding", ""), ancestors)


def account_path(account_id: str) -> str:
    """Return the address below which the pages of an account stand."""
    return f"{PREFIX}/accounts/{quote(account_id, safe='')}"


def home_of(session: Session) -> str:
    """Return where somebody who comes in begins."""
    return f"{PREFIX}/accounts" if session.account_id is None else f"{account_path(session.account_id)}/usage"


def redirect(location: str, headers: Mapping[str, str] | None = None) -> Reply:
    """Send the browser to *location*, with a GET."""
    return Reply(303, b"", "text/plain", {"Location": location, **(headers or {})})


def read_form(body: bytes) -> dict[str, list[str]]:
    """Return the fields of a form as browsers send it.

    Raises:
        Invalid: If it is not one.
    """
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=FORM_FIELDS_MAX, errors="strict")
    except (ValueError, UnicodeDecodeError):
        raise Invalid("the form cannot be read") from None
    fields: dict[str, list[str]] = {}
    for name, value in pairs:
        fields.setdefault(name, []).append(value)
    return fields


def first(fields: Mapping[str, Sequence[str]], name: str) -> str:
    """Return the first value of a field, without the white space around it; empty where it was left out."""
    return next(iter(fields.get(name, ())), "").strip()


def status_of_page(error: TallybookError) -> int:
    """Return the HTTP status of *error*; ours are known here only."""
    if isinstance(error, LoginNeeded):
        return 401
    return 403 if isinstance(error, Forbidden) else status_of(error)
