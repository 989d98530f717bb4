"""``POST /v1/events``: counts events, and says of each what became of it."""

from typing import Any

import msgspec

from tallybook.core.errors import TallybookError
from tallybook.core.event import EventError, Outcome
from tallybook.core.intake import Prepared, Receipt
from tallybook.core.key import EVENTS_WRITE
from tallybook.web.endpoint import Ask, Endpoint, Fault, Pending, RawBody
from tallybook.web.errors import EventRefused
from tallybook.web.native.formats import MEDIA, read_events

AT_ONCE_BYTES_MAX = 4 * 1024
"""A dozen events are read sooner than they are handed to a thread; many more would keep other requests waiting."""


class EventsQuery(msgspec.Struct, frozen=True):
    """What ``POST /v1/events`` takes beside the events."""

    backfill: bool = False


class EventSent(msgspec.Struct, frozen=True):
    """One event as CloudEvents 1.0 writes it; further attributes are kept."""

    id: str
    type: str
    subject: str | None = None
    source: str = "default"
    time: str | None = None
    specversion: str = "1.0"
    data: dict[str, Any] = {}


class EventProblem(msgspec.Struct, frozen=True):
    """Why one event was not counted; *index* is its place in the request."""

    index: int
    id: str | None
    outcome: str
    code: str
    pointer: str
    detail: str


class EventsAnswer(msgspec.Struct, frozen=True):
    """How many events had which outcome, and the first 100 that need a word."""

    accepted: int
    duplicate: int
    conflict: int
    rejected: int
    errors: list[EventProblem]


def write_receipt(receipt: Receipt) -> EventsAnswer:
    """Return the receipt as JSON has it."""
    errors = [
        EventProblem(error.index, error.id, str(error.outcome), error.code, error.pointer, error.detail)
        for error in receipt.errors
    ]
    return EventsAnswer(receipt.accepted, receipt.duplicate, receipt.conflict, receipt.rejected, errors)


def post_events(ask: Ask[EventsQuery, RawBody]) -> Pending:
    """Count the events; the answer comes when they are durable."""
    events, lone = read_events(ask.body)

    def finish(taken: tuple[Prepared, Receipt]) -> EventsAnswer:
        prepared, receipt = taken
        ask.rooms.receipt_seen(receipt)
        if receipt.duplicate + receipt.conflict + receipt.rejected:
            ask.rooms.stories.note_request(prepared, ask.caller, ask.now_us)
        if lone and receipt.conflict + receipt.rejected:
            raise _refused(receipt.errors[0])
        return write_receipt(receipt)

    return Pending(ask.rooms.ingest.take(events, ask.caller, lone=lone, backfill=ask.query.backfill), finish)


def _refused(error: EventError) -> TallybookError:
    status = 409 if error.outcome is Outcome.CONFLICT else 422
    return EventRefused(error.code, status, Fault("body", error.pointer, error.detail, error.code))


_REUSED = EventRefused("event-id-reused", 409, Fault("body", "/id", "an event with this id says otherwise", ""))

_SAMPLE = {
    "specversion": "1.0",
    "id": "evt-1",
    "source": "billing-gateway",
    "type": "call",
    "subject": "acme",
    "time": "2026-03-01T12:00:00Z",
    "data": {"channel": "voice", "direction": "outbound", "duration_s": "42.5", "agent_id": "agent-7"},
}

ENDPOINTS = (
    Endpoint(
        "POST",
        "/v1/events",
        post_events,
        EVENTS_WRITE,
        "Count events",
        answer=EventsAnswer,
        query=EventsQuery,
        body=RawBody,
        body_media=MEDIA,
        body_documented=EventSent | list[EventSent],
        never_waits=True,
        at_once_bytes_max=AT_ONCE_BYTES_MAX,
        errors=(_REUSED,),
        description=(
            "One event, an array of them, or one per line (NDJSON); CloudEvents 1.0 structured, batch and binary mode "
            "too. Bodies may be encoded with gzip or zstd. Sending an event again is safe: it counts once. A lone "
            "event that is not counted answers 409 or 422; in a list each has its outcome. `backfill=true` lifts the "
            "bound of 35 days back, with an operator's key that has the scope `admin`."
        ),
        example=EventsAnswer(1, 0, 0, 0, []),
        body_example=_SAMPLE,
    ),
)
