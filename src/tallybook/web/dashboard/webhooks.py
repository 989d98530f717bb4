"""Webhooks: endpoints made, changed, enabled, disabled, tested, deleted, their secrets replaced; each is shown once.

An account's own stand below its address, the operator's below the dashboard's. What was delivered is `deliveries`.
"""

from collections.abc import Callable, Sequence

import msgspec

from tallybook.core.delivery import Destination, State
from tallybook.core.errors import Conflict, FieldInvalid, Invalid, NotFound
from tallybook.core.key import ADMIN, BILLING_MANAGE
from tallybook.flows.endpoints import OVERLAP_S_MAX, Change, NewEndpoint
from tallybook.flows.endpoints import Endpoint as Made
from tallybook.web.dashboard.choices import families, told
from tallybook.web.dashboard.page import Page, Visit, first, redirect
from tallybook.web.dashboard.render import PREFIX, segment
from tallybook.web.endpoint import Reply

PAGE_ENDPOINTS = 100
SCHEMES = {"hmac-sha256": "HMAC-SHA256, a shared secret", "ed25519": "Ed25519, a public key"}
OVERLAPS = {"0": "at once", "3600": "in an hour", "86400": "in a day", "604800": "in a week"}


class EndpointsQuery(msgspec.Struct, frozen=True):
    """Which endpoints: those whose id comes after *after*."""

    after: str = ""


def base_of(visit: Visit) -> str:
    """Return the address below which webhooks of this visit stand."""
    return f"{PREFIX if visit.found is None else visit.here}/webhooks"


def endpoint_of_visit(visit: Visit) -> Destination:
    """Return the endpoint in the path.

    Raises:
        NotFound: If there is none, or it is another account's.
    """
    found = visit.rooms.endpoints.find(visit.session.caller, visit.path["endpoint_id"])
    if visit.found is not None and found.account_id != visit.found.id:
        raise NotFound("there is no such webhook endpoint")
    return found


# --- the list --------------------------------------------------------------------------------------------------------


def get_endpoints(visit: Visit) -> Reply:
    """Show the endpoints."""
    return _list_page(visit, after=visit.query.after)


def _list_page(
    visit: Visit, *, after: str = "", made: Made | None = None, wrong: str = "", given: NewEndpoint | None = None
) -> Reply:
    account_id = None if visit.found is None else visit.found.id
    found = visit.rooms.endpoints.page(visit.session.caller, account_id, after, PAGE_ENDPOINTS)
    return visit.html(
        "webhooks.html",
        status=422 if wrong else 200,
        base=base_of(visit),
        endpoints=found,
        after=found[-1].destination_id if len(found) == PAGE_ENDPOINTS else None,
        first_page=not after,
        made=made,
        wrong=wrong,
        given=given,
        families=families(["*"] if given is None else given.events),
        schemes=SCHEMES,
    )


def post_endpoint(visit: Visit) -> Reply:
    """Make an endpoint, and show its secret."""
    fields = visit.form()
    new = NewEndpoint(
        first(fields, "url"),
        None if visit.found is None else visit.found.id,
        fields.get("event", []),
        first(fields, "description"),
        first(fields, "scheme") or None,
    )
    try:
        made = visit.rooms.endpoints.create(visit.session.caller, new, visit.now_us)
    except (FieldInvalid, Conflict) as error:
        return _list_page(visit, wrong=told(error), given=new)
    return _list_page(visit, made=made)


# --- one endpoint ----------------------------------------------------------------------------------------------------


def edit_page(visit: Visit, *, made: Made | None = None, wrong: str = "", chosen: Sequence[str] = ()) -> Reply:
    """Show the settings of one endpoint, with the new secret where one was *made*."""
    destination = endpoint_of_visit(visit)
    endpoint = made or visit.rooms.endpoints.get(visit.session.caller, destination.destination_id, visit.now_us)
    return visit.html(
        "webhook_edit.html",
        status=422 if wrong else 200,
        base=base_of(visit),
        endpoint=endpoint,
        one=endpoint.destination,
        made=made,
        wrong=wrong,
        families=families(chosen or endpoint.destination.patterns),
        overlaps=OVERLAPS,
        schemes=SCHEMES,
    )


def get_settings(visit: Visit) -> Reply:
    """Show what can be changed of an endpoint."""
    return edit_page(visit)


def post_settings(visit: Visit) -> Reply:
    """Change the address, the filters and the description."""
    fields = visit.form()
    destination = endpoint_of_visit(visit)
    change = Change(first(fields, "url"), fields.get("event", []), first(fields, "description"))
    try:
        visit.rooms.endpoints.change(visit.session.caller, destination.destination_id, change, visit.now_us)
    except (Invalid, Conflict) as error:
        return edit_page(visit, wrong=told(error), chosen=fields.get("event", []))
    return redirect(_address(visit, destination))


def post_state(visit: Visit) -> Reply:
    """Enable or disable."""
    destination = endpoint_of_visit(visit)
    state = State.ENABLED if first(visit.form(), "state") == State.ENABLED else State.DISABLED
    visit.rooms.endpoints.set_state(visit.session.caller, destination.destination_id, state, visit.now_us)
    return redirect(_address(visit, destination))


def post_rotate(visit: Visit) -> Reply:
    """Replace the secret, and show the new one."""
    destination, given = endpoint_of_visit(visit), first(visit.form(), "overlap_s")
    overlap_s = int(given) if given in OVERLAPS else OVERLAP_S_MAX
    try:
        made = visit.rooms.endpoints.rotate(visit.session.caller, destination.destination_id, overlap_s, visit.now_us)
    except Conflict as error:
        return edit_page(visit, wrong=told(error))
    return edit_page(visit, made=made)


def post_test(visit: Visit) -> Reply:
    """Send a test message, and lead to its delivery."""
    destination = endpoint_of_visit(visit)
    delivery = visit.rooms.redeliveries.test(destination, visit.now_us)
    return redirect(f"{_address(visit, destination)}/deliveries/{segment(delivery.delivery_id)}")


def post_delete(visit: Visit) -> Reply:
    """Forget an endpoint."""
    destination = endpoint_of_visit(visit)
    visit.rooms.endpoints.delete(visit.session.caller, destination.destination_id, visit.now_us)
    return redirect(base_of(visit))


def _address(visit: Visit, destination: Destination) -> str:
    return f"{base_of(visit)}/{segment(destination.destination_id)}"


# --- pages -----------------------------------------------------------------------------------------------------------


def both(
    method: str, path: str, handler: Callable[[Visit], Reply], query: type[msgspec.Struct] | None = None
) -> tuple[Page, Page]:
    """Return the page of an account's webhooks and the same of the operator's."""
    return (
        Page("webhooks", method, f"/accounts/{{account_id}}/webhooks{path}", handler, BILLING_MANAGE, query=query),
        Page("webhooks", method, f"/webhooks{path}", handler, ADMIN, query=query, operator_only=True),
    )


ONE = "/{endpoint_id}"
PAGES = (
    *both("GET", "", get_endpoints, EndpointsQuery),
    *both("POST", "", post_endpoint),
    *both("GET", f"{ONE}/settings", get_settings),
    *both("POST", f"{ONE}/settings", post_settings),
    *both("POST", f"{ONE}/state", post_state),
    *both("POST", f"{ONE}/rotate", post_rotate),
    *both("POST", f"{ONE}/test", post_test),
    *both("POST", f"{ONE}/delete", post_delete),
)
