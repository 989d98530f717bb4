"""Refusals as RFC 9457 problems: the one table of codes, and how the native surface writes them.

Other surfaces shape refusals themselves; they share the codes and start from the statuses here.
"""

from dataclasses import dataclass
from types import MappingProxyType

import msgspec

from tallybook.core.errors import Conflict, FieldInvalid, NotFound, TallybookError
from tallybook.core.fields import errors_of
from tallybook.core.hold import QuotaExceeded
from tallybook.web.endpoint import Fault, Refusal, Reply, to_json
from tallybook.web.errors import EventRefused
from tallybook.web.quota import StandingAnswer, quota_headers, write_standing

PROBLEM_JSON = "application/problem+json"
FAULTS_SHOWN_MAX = 100


@dataclass(frozen=True, slots=True)
class Problem:
    """What a code means: its HTTP status, a title that never changes, and what to do about it."""

    status: int
    title: str
    about: str


_TABLE = {
    "invalid": Problem(400, "Invalid request", "The request cannot succeed as it stands."),
    "invalid-parameter": Problem(
        400,
        "Invalid query parameter",
        "A query parameter is missing, empty, repeated, unreadable or out of bounds.",
    ),
    "invalid-range": Problem(
        400, "Invalid range", "The range ends before it starts, cannot be read, or leaves the years 1970 to 2199."
    ),
    "range-too-large": Problem(
        400, "Range too large", "The answer would have more rows than one answer may: ask for less, or coarser."
    ),
    "unknown-timezone": Problem(400, "Unknown time zone", "The time zone is not an IANA name such as Europe/Paris."),
    "invalid-cursor": Problem(400, "Invalid cursor", "The cursor is not one that this endpoint gave to this key."),
    "invalid-idempotency-key": Problem(
        400, "Invalid Idempotency-Key", "The header is empty, longer than 255 bytes, not printable, or there twice."
    ),
    "malformed-json": Problem(400, "Malformed JSON", "The body is not JSON in UTF-8, or an object says a key twice."),
    "malformed-body": Problem(
        400, "Malformed body", "The body is cut short, damaged, or not as long as its Content-Length says."
    ),
    "malformed-http": Problem(
        400, "Malformed HTTP", "It is no request as HTTP/1.1 has it, or its Transfer-Encoding is not chunked."
    ),
    "key-in-query": Problem(
        400, "Key in the query string", "Keys travel in headers only: a query string ends up in logs. Replace the key."
    ),
    "account-required": Problem(
        400, "Account required", "An operator's key must name the account in the header Tallybook-Account."
    ),
    "unauthenticated": Problem(401, "No valid key", "Send a known key as a bearer token or as X-API-Key."),
    "insufficient-scope": Problem(403, "Insufficient scope", "The key is known and lacks the scope that is named."),
    "account-suspended": Problem(
        403,
        "Account suspended",
        "An invoice failed and the grace is over: nothing is granted until it is paid. Events count, reads go on.",
    ),
    "operator-required": Problem(403, "Operator only", "Only a key that belongs to the operator may do this."),
    "not-found": Problem(404, "Not found", "It does not exist, or it is not for this key to see: the two look alike."),
    "method-not-allowed": Problem(405, "Method not allowed", "The path exists; the header Allow lists its methods."),
    "conflict": Problem(409, "Conflict", "What is recorded already does not allow it."),
    "event-id-reused": Problem(
        409, "Event id reused", "An event with this source and id is recorded with another payload; it still stands."
    ),
    "lease-lost": Problem(
        409, "Lease lost", "The lease ended, or another token holds it: whoever asks holds no slot any more."
    ),
    "payload-too-large": Problem(413, "Payload too large", "The body, decoded, passes a bound that the detail names."),
    "uri-too-long": Problem(414, "Address too long", "The path and query together pass the bound that is named."),
    "head-too-large": Problem(
        431, "Headers too large", "Request line and headers together pass the bound that is named."
    ),
    "unsupported-media-type": Problem(
        415, "Unsupported media type", "The Content-Type is not one that this endpoint reads; the detail lists them."
    ),
    "unsupported-encoding": Problem(
        415, "Unsupported encoding", "The Content-Encoding is not gzip or zstd, or several are stacked."
    ),
    "invalid-field": Problem(422, "Invalid field", "A field of the body is missing, of a wrong kind or out of range."),
    "webhook-url-not-allowed": Problem(
        422,
        "URL not allowed",
        "Webhooks go to https URLs of public hosts, without a user name, on port 443 or above 1023. "
        "The setting egress_allow adds networks of the operator's own.",
    ),
    "unknown-field": Problem(
        422, "Unknown field", "The body has a field that nothing reads; perhaps a typing mistake."
    ),
    "invalid-amount": Problem(
        422, "Invalid amount", "A quantity is a plain decimal of at most 9 places and at most 10^15 in size."
    ),
    "invalid-string": Problem(422, "Invalid string", "A string holds a NUL character, which no store can keep."),
    "too-deep": Problem(422, "Nested too deep", "Objects and arrays nest at most 32 deep."),
    "event-too-large": Problem(422, "Event too large", "One event has at most 64 KiB."),
    "subject-forbidden": Problem(
        422, "Not the key's account", "With an account's key, the subject of an event is that account."
    ),
    "account-unknown": Problem(
        422, "Account unknown", "There is no such account, and the setting accounts_auto_create is off."
    ),
    "idempotency-key-reused": Problem(
        422, "Idempotency-Key reused", "The key came before with another request; a new request takes a new key."
    ),
    "idempotency-key-in-flight": Problem(
        409, "Idempotency-Key in flight", "The first request with this key is being decided; send it again in a moment."
    ),
    "timestamp-needs-offset": Problem(
        422, "Time without offset", "An event's time says Z or an offset such as +02:00; without one it is ambiguous."
    ),
    "timestamp-out-of-window": Problem(
        422,
        "Time out of window",
        "Events lie between 35 days back and 5 minutes ahead; imports may go further back.",
    ),
    "quota-exceeded": Problem(
        429,
        "Quota exceeded",
        "A hard limit says no, and nothing was held; `violated` and `items` say which, Retry-After when to ask again.",
    ),
    "rate-limited": Problem(429, "Too many requests", "The key asked too often; Retry-After says when to ask again."),
    "internal": Problem(500, "Internal error", "A mistake on our side; the request id finds it in the logs."),
    "temporarily-unavailable": Problem(
        503, "Temporarily unavailable", "Nothing was written. The same request may succeed after Retry-After seconds."
    ),
}

PROBLEMS = MappingProxyType(_TABLE)
"""Every code that a client can meet."""


class ErrorItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong: where in the body (*pointer*) or which *parameter* or header, if it is one, and how."""

    detail: str
    pointer: str | None = None
    parameter: str | None = None


class ProblemBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """A problem as RFC 9457 writes it; clients branch on *code*."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    code: str
    errors: tuple[ErrorItem, ...] = ()


class QuotaProblem(ProblemBody, frozen=True, omit_defaults=True):
    """A limit said no: *violated* names the limits, *items* is where each that was asked stands."""

    violated: tuple[str, ...] = ()
    items: tuple[StandingAnswer, ...] = ()


def status_of(error: TallybookError) -> int:
    """Return the HTTP status of *error*; of a code that is new here, that of its family."""
    if isinstance(error, EventRefused):
        return error.status
    problem = PROBLEMS.get(error.code)
    if problem is not None:
        return problem.status
    for family, status in ((FieldInvalid, 422), (NotFound, 404), (Conflict, 409)):
        if isinstance(error, family):
            return status
    return 400


def faults_of(error: TallybookError) -> tuple[Fault, ...]:
    """Return what is wrong where, as far as *error* says."""
    faults = getattr(error, "faults", None)
    if faults is not None:
        return tuple(faults)
    if isinstance(error, FieldInvalid):
        return tuple(Fault("body", pointer, message, error.code) for pointer, message in errors_of(error))
    if error.pointer is not None:
        return (Fault("body", error.pointer, error.message, error.code),)
    if error.parameter is not None:
        return (Fault("query", error.parameter, error.message, error.code),)
    return ()


def refuse_as_problem(refusal: Refusal) -> Reply:
    """Write *refusal* as a problem."""
    problem = PROBLEMS.get(refusal.code)
    known = ProblemBody(
        type=f"/problems/{refusal.code}",
        title=problem.title if problem else refusal.code.replace("-", " ").capitalize(),
        status=refusal.status,
        detail=_detail(refusal),
        instance=refusal.path,
        code=refusal.code,
        errors=tuple(_item(fault) for fault in refusal.faults[:FAULTS_SHOWN_MAX]),
    )
    if not isinstance(refusal.error, QuotaExceeded):
        return Reply(refusal.status, to_json(known), PROBLEM_JSON)
    decision = refusal.error.decision
    items = tuple(write_standing(standing) for standing in decision.standings)
    body = QuotaProblem(**msgspec.structs.asdict(known), violated=tuple(decision.violated), items=items)
    return Reply(refusal.status, to_json(body), PROBLEM_JSON, quota_headers(refusal.error))


def _detail(refusal: Refusal) -> str:
    first = refusal.faults[0] if refusal.faults else None
    if first is not None and first.place == "body" and first.name:
        return f"{first.name} {refusal.message}"
    return refusal.message


def _item(fault: Fault) -> ErrorItem:
    if fault.place == "body":
        return ErrorItem(fault.message, pointer=fault.name)
    if fault.place == "request":
        return ErrorItem(fault.message)
    return ErrorItem(fault.message, parameter=fault.name)
