"""What was delivered to webhook endpoints, over the native API: lists, single deliveries, and sending again."""

from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from tallybook.core.delivery import Destination, Status
from tallybook.core.delivery_log import Delivery, LogFilter, LoggedAttempt, Replay, Which
from tallybook.core.errors import Conflict, NotFound, ParameterInvalid, RangeInvalid
from tallybook.core.instant import INSTANT_MAX_US, instant_text, parse_event_time, parse_instant
from tallybook.core.key import BILLING_MANAGE
from tallybook.flows.redeliver import delivery_unknown
from tallybook.web.endpoint import Ask, Endpoint, RawBody
from tallybook.web.errors import CursorInvalid
from tallybook.web.native.lists import Cursor, Limit, read_cursor, write_cursor
from tallybook.web.wire import decode_struct

PAGE_DEFAULT = 100
OF_ENDPOINT = "/v1/webhook-endpoints/{endpoint_id}"
DELIVERY = "/v1/deliveries/{delivery_id}"

_Struct = TypeVar("_Struct", bound=msgspec.Struct)


class DeliveryAnswer(msgspec.Struct, frozen=True):
    """One message for one endpoint; `error` and `response_status` are of the latest attempt."""

    id: str
    endpoint: str
    message_id: str
    type: str
    status: str
    attempts: int
    created_at: str
    next_attempt_at: str | None
    finished_at: str | None
    error: str | None
    response_status: int | None


class AttemptAnswer(msgspec.Struct, frozen=True):
    """One attempt: what was sent beside the body, and what came back, up to 64 KiB of it."""

    started_at: str
    latency_ms: int
    outcome: str
    error: str | None
    request_headers: dict[str, str]
    response_status: int | None
    response_headers: dict[str, str]
    response_body: str


class DeliveryDetail(DeliveryAnswer, frozen=True):
    """A delivery with the body that is sent (null once it is pruned) and its attempts, at most the latest 50."""

    request_body: dict[str, Any] | None
    log: list[AttemptAnswer]


class DeliveriesAnswer(msgspec.Struct, frozen=True):
    """One page of deliveries, the newest first."""

    deliveries: list[DeliveryAnswer]
    next_cursor: str | None


class DeliveriesQuery(msgspec.Struct, frozen=True):
    """Which deliveries, which page."""

    status: Annotated[Status | None, Meta(description="Only those in this state.")] = None
    type: Annotated[str | None, Meta(description="Only those of this event type.")] = None
    from_: Annotated[str | None, Meta(description="Only those made at or after this instant.")] = msgspec.field(
        default=None, name="from"
    )
    to: Annotated[str | None, Meta(description="Only those made before this instant.")] = None
    cursor: Cursor = None
    limit: Limit = PAGE_DEFAULT


class ReplayBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be sent again: messages of `[from, to)`; no body at all is all that failed."""

    which: Annotated[
        Which,
        Meta(description="`failed`: given up. `missing`: never handed to it. `all`: these and delivered ones."),
    ] = Which.FAILED
    from_: str | None = msgspec.field(default=None, name="from")
    to: str | None = None


class ReplayAnswer(msgspec.Struct, frozen=True):
    """How many deliveries were queued; with `more`, ask again."""

    queued: int
    more: bool


def list_deliveries(ask: Ask[DeliveriesQuery, None]) -> DeliveriesAnswer:
    """Return one page of an endpoint's deliveries."""
    query, endpoint = ask.query, _endpoint(ask)
    wanted = LogFilter(query.status, query.type, _read(query.from_, "from"), _read(query.to, "to"))
    if wanted.from_us is not None and wanted.to_us is not None and wanted.from_us > wanted.to_us:
        raise RangeInvalid("to must not lie before from", parameter="to")
    words = ("deliveries", endpoint.destination_id, *map(str, (query.status, query.type, query.from_, query.to)))
    place = read_cursor(ask, *words)
    before = None if place is None else int(place[0])
    found, last = ask.rooms.redeliveries.page(endpoint, wanted, before, query.limit)
    cursor = None if last is None else write_cursor(ask, found, (str(last),), *words)
    return DeliveriesAnswer([write_delivery(one) for one in found], cursor)


def get_delivery(ask: Ask[None, None]) -> DeliveryDetail:
    """Return one delivery."""
    return write_detail(_delivery(ask))


def replay_delivery(ask: Ask[None, None]) -> DeliveryAnswer:
    """Queue one delivery again."""
    return write_delivery(ask.rooms.redeliveries.replay(_delivery(ask).delivery_id, ask.now_us))


def replay_endpoint(ask: Ask[None, RawBody]) -> ReplayAnswer:
    """Queue many deliveries of an endpoint again."""
    body = read_optional(ask.body, ReplayBody)
    endpoint = _endpoint(ask)
    from_us = 0 if body.from_ is None else parse_event_time(body.from_, "/from")
    to_us = INSTANT_MAX_US if body.to is None else parse_event_time(body.to, "/to")
    queued, more = ask.rooms.redeliveries.replay_many(endpoint, Replay(body.which, from_us, to_us), ask.now_us)
    return ReplayAnswer(queued, more)


def read_optional(body: RawBody, struct: type[_Struct]) -> _Struct:
    """Read a JSON body that may be left out where every field has a default.

    Raises:
        MediaUnsupported, JsonMalformed, BodyInvalid: If there is one and it is wrong.
    """
    return decode_struct(body.data, body.headers, struct) if body.data.strip() else struct()


def write_delivery(found: Delivery) -> DeliveryAnswer:
    """Return the delivery as lists have it."""
    return DeliveryAnswer(**_fields(found))


def write_detail(found: Delivery) -> DeliveryDetail:
    """Return the delivery with what was sent and what came back."""
    body = None if found.message is None else msgspec.json.decode(found.message.envelope())
    return DeliveryDetail(**_fields(found), request_body=body, log=[_attempt(one) for one in found.logged])


def _endpoint(ask: Ask[Any, Any]) -> Destination:
    return ask.rooms.endpoints.find(ask.caller, ask.path["endpoint_id"])


def _delivery(ask: Ask[Any, Any]) -> Delivery:
    """Return the delivery, if the caller may see its endpoint."""
    found = ask.rooms.redeliveries.get(ask.path["delivery_id"])
    try:
        ask.rooms.endpoints.find(ask.caller, found.destination_id)
    except NotFound:
        raise delivery_unknown() from None
    return found


def _fields(found: Delivery) -> dict[str, Any]:
    return {
        "id": found.delivery_id,
        "endpoint": found.destination_id,
        "message_id": found.message_id,
        "type": found.type,
        "status": found.status.value,
        "attempts": found.attempts,
        "created_at": instant_text(found.created_us),
        "next_attempt_at": None if found.due_us is None else instant_text(found.due_us),
        "finished_at": None if found.finished_us is None else instant_text(found.finished_us),
        "error": found.error or None,
        "response_status": found.answer_status,
    }


def _attempt(one: LoggedAttempt) -> AttemptAnswer:
    return AttemptAnswer(
        started_at=instant_text(one.started_us),
        latency_ms=one.latency_us // 1_000,
        outcome=one.outcome.value,
        error=one.error or None,
        request_headers=dict(one.request_headers),
        response_status=one.status,
        response_headers=dict(one.response_headers),
        response_body=one.response_body.decode(errors="replace"),
    )


def _read(text: str | None, parameter: str) -> int | None:
    return None if text is None else parse_instant(text, parameter)[0]


_UNKNOWN = NotFound("there is no such webhook endpoint")
_DISABLED = Conflict("the endpoint is disabled; enable it first")
_SHOWN: dict[str, Any] = {
    "id": "dlv_5f0c61",
    "endpoint": "hook_5f0c61",
    "message_id": "msg_5f0c61",
    "type": "lease.terminated",
    "status": "delivered",
    "attempts": 1,
    "created_at": "2026-03-15T12:30:00Z",
    "next_attempt_at": None,
    "finished_at": "2026-03-15T12:30:00Z",
    "error": None,
    "response_status": 204,
}
_DETAIL = DeliveryDetail(
    **_SHOWN,
    request_body={
        "id": "msg_5f0c61",
        "type": "lease.terminated",
        "timestamp": "2026-03-15T12:30:00Z",
        "data": {
            "account": "acme",
            "lease": "lse_5f0c61",
            "limit": "concurrent_calls",
            "call_id": "call-17",
            "ended_at": "2026-03-15T12:30:00Z",
        },
    },
    log=[
        AttemptAnswer(
            started_at="2026-03-15T12:30:00Z",
            latency_ms=41,
            outcome="delivered",
            error=None,
            request_headers={"webhook-id": "msg_5f0c61", "webhook-timestamp": "1773577800"},
            response_status=204,
            response_headers={"date": "Sun, 15 Mar 2026 12:30:00 GMT"},
            response_body="",
        )
    ],
)

ENDPOINTS = (
    Endpoint(
        "GET",
        f"{OF_ENDPOINT}/deliveries",
        list_deliveries,
        BILLING_MANAGE,
        "What was delivered to an endpoint",
        answer=DeliveriesAnswer,
        query=DeliveriesQuery,
        errors=(_UNKNOWN, CursorInvalid, ParameterInvalid, RangeInvalid),
        query_example="status=failed",
        example=DeliveriesAnswer([DeliveryAnswer(**_SHOWN)], None),
    ),
    Endpoint(
        "POST",
        f"{OF_ENDPOINT}/replay",
        replay_endpoint,
        BILLING_MANAGE,
        "Send messages to an endpoint again",
        answer=ReplayAnswer,
        body=RawBody,
        body_documented=ReplayBody,
        status=202,
        errors=(_UNKNOWN, _DISABLED),
        description="At most 10,000 at a time. Messages keep their ids.",
        body_example={"which": "failed", "from": "2026-03-14T00:00:00Z", "to": "2026-03-15T12:00:00Z"},
        example=ReplayAnswer(12, more=False),
    ),
    Endpoint(
        "GET",
        DELIVERY,
        get_delivery,
        BILLING_MANAGE,
        "One delivery with its attempts",
        answer=DeliveryDetail,
        errors=(NotFound("there is no such delivery"),),
        example=_DETAIL,
    ),
    Endpoint(
        "POST",
        f"{DELIVERY}/replay",
        replay_delivery,
        BILLING_MANAGE,
        "Send one delivery again",
        answer=DeliveryAnswer,
        status=202,
        errors=(NotFound("there is no such delivery"), _DISABLED),
        description="At once, and then by the schedule from its beginning. The message keeps its id.",
        example=DeliveryAnswer(**{**_SHOWN, "status": "pending", "finished_at": None}),
    ),
)
