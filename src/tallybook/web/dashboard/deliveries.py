"""What was delivered to one webhook endpoint, attempt by attempt, and delivering it again.

Not for endpoints themselves (see `webhooks`).
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from tallybook.core.delivery import Destination, State, Status
from tallybook.core.delivery_log import Delivery, LogFilter, LoggedAttempt, Replay, Which
from tallybook.core.errors import Conflict
from tallybook.core.instant import INSTANT_MAX_US
from tallybook.core.message_types import MESSAGE_TYPES
from tallybook.flows.redeliver import delivery_unknown
from tallybook.web.dashboard.choices import told
from tallybook.web.dashboard.page import Page, Visit, first, redirect
from tallybook.web.dashboard.render import segment
from tallybook.web.dashboard.webhooks import ONE, base_of, both, endpoint_of_visit
from tallybook.web.endpoint import Reply

PAGE_DELIVERIES = 50
NUMBER_MAX = 2**62
BODY_CHARS_MAX = 16_000
"""What a page shows of an answer; all that is kept of it comes over the API."""
ERRORS = {
    "timeout": "no answer in time",
    "blocked-address": "the address may not be called",
    "name-not-resolved": "the host name is not known",
    "connect-failed": "no connection",
    "connection-broken": "the connection broke off",
    "tls-failed": "the certificate is not trusted",
    "unexpected-status": "the receiver did not take it",
    "redirect-not-followed": "the receiver answered with a redirect",
    "kind-unknown": "nobody sends this kind",
    "internal": "a fault of ours",
}


class DeliveriesQuery(msgspec.Struct, frozen=True):
    """Which deliveries; *before* is where an earlier page ended, *queued* what a replay queued."""

    status: str = ""
    type: str = ""
    before: Annotated[int, Meta(ge=0, le=NUMBER_MAX)] | None = None
    queued: Annotated[int, Meta(ge=0, le=NUMBER_MAX)] | None = None


def get_endpoint(visit: Visit) -> Reply:
    """Show an endpoint with its deliveries."""
    return _page(visit)


def _page(visit: Visit, *, wrong: str = "") -> Reply:
    query: DeliveriesQuery = visit.query or DeliveriesQuery()
    destination = endpoint_of_visit(visit)
    endpoint = visit.rooms.endpoints.get(visit.session.caller, destination.destination_id, visit.now_us)
    status = Status(query.status) if query.status in set(Status) else None
    wanted = LogFilter(status, query.type or None)
    found, further = visit.rooms.redeliveries.page(destination, wanted, query.before, PAGE_DELIVERIES)
    return visit.html(
        "webhook.html",
        status=409 if wrong else 200,
        base=base_of(visit),
        here_one=_address(visit, destination),
        endpoint=endpoint,
        one=endpoint.destination,
        deliveries=found,
        further=further,
        query=query,
        wrong=wrong,
        errors=ERRORS,
        statuses=tuple(Status),
        types=sorted(one.name for one in MESSAGE_TYPES),
    )


def get_delivery(visit: Visit) -> Reply:
    """Show one delivery with its attempts."""
    destination = endpoint_of_visit(visit)
    found = _delivery(visit, destination)
    message = None if found.message is None else _pretty(found.message.envelope())
    return visit.html(
        "delivery.html",
        base=base_of(visit),
        here_one=_address(visit, destination),
        one=destination,
        delivery=found,
        message=message,
        attempts=[(attempt, _answer(attempt)) for attempt in reversed(found.logged)],
        errors=ERRORS,
        can_replay=destination.state is State.ENABLED and found.status is not Status.PENDING and message is not None,
    )


def post_replay(visit: Visit) -> Reply:
    """Send one delivery again."""
    destination = endpoint_of_visit(visit)
    found = _delivery(visit, destination)
    try:
        visit.rooms.redeliveries.replay(found.delivery_id, visit.now_us)
    except Conflict as error:
        return _page(visit, wrong=told(error))
    return redirect(f"{_address(visit, destination)}/deliveries/{segment(found.delivery_id)}")


def post_replay_many(visit: Visit) -> Reply:
    """Send again all that was given up, or all that never was handed over."""
    destination = endpoint_of_visit(visit)
    which = Which.MISSING if first(visit.form(), "which") == Which.MISSING else Which.FAILED
    try:
        queued, _ = visit.rooms.redeliveries.replay_many(destination, Replay(which, 0, INSTANT_MAX_US), visit.now_us)
    except Conflict as error:
        return _page(visit, wrong=told(error))
    return redirect(f"{_address(visit, destination)}?queued={queued}")


def _delivery(visit: Visit, destination: Destination) -> Delivery:
    found = visit.rooms.redeliveries.get(visit.path["delivery_id"])
    if found.destination_id != destination.destination_id:
        raise delivery_unknown()
    return found


def _address(visit: Visit, destination: Destination) -> str:
    return f"{base_of(visit)}/{segment(destination.destination_id)}"


def _answer(attempt: LoggedAttempt) -> str:
    text = attempt.response_body.decode(errors="replace")
    return text if len(text) <= BODY_CHARS_MAX else f"{text[:BODY_CHARS_MAX]}\n(more than is shown here)"


def _pretty(body: bytes) -> str:
    return msgspec.json.format(body, indent=2).decode()


PAGES: tuple[Page, ...] = (
    *both("GET", ONE, get_endpoint, DeliveriesQuery),
    *both("GET", f"{ONE}/deliveries/{{delivery_id}}", get_delivery),
    *both("POST", f"{ONE}/deliveries/{{delivery_id}}/replay", post_replay),
    *both("POST", f"{ONE}/replay", post_replay_many),
)
