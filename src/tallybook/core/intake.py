"""A request's events on their way in: read one by one, and what became of each as one receipt."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tallybook.core.errors import FieldInvalid
from tallybook.core.event import ERRORS_SHOWN_MAX, Admission, Event, EventError, Outcome, read_event
from tallybook.core.ids import ID_BYTES_MAX, AccountId
from tallybook.core.instant import instant_text
from tallybook.core.key import Caller
from tallybook.core.ports import Pending, Verdict
from tallybook.core.resource import Change, read_word
from tallybook.core.scheme import Scheme
from tallybook.core.usual import Batch, Sent, plainly

if TYPE_CHECKING:
    from concurrent.futures import Future

_RESOURCE_TYPES = frozenset(Change)
_NAMED = {"agent": "agent_id", "api_subscription": "api_id", "phone_number": "number_id"}
"""Kinds of things -> the dimension whose values are their ids: a thing's name is a display name there as well."""
_DETAILS = {
    "event-id-reused": "an event with this id and another payload was counted before; this one was not",
    "account-unknown": "there is no such account, and accounts are not created by events here",
    "series-limit": "counted, but its free-text dimensions were folded together: too many new series this hour",
}
_ITSELF = Caller("tallybook", None, frozenset())
_POINTERS = {"event-id-reused": "/id", "account-unknown": "/subject", "series-limit": "/data"}


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a request's events; *errors* holds the first ERRORS_SHOWN_MAX that need a word."""

    accepted: int
    duplicate: int
    conflict: int
    rejected: int
    errors: tuple[EventError, ...]


@dataclass(slots=True)
class Prepared:
    """A request's events, read and waiting for their commit."""

    pending: list[Pending]
    errors: list[EventError]
    lone: bool
    scheme: Scheme
    verdicts: dict[int, Verdict] = field(default_factory=dict)


def read_batch(batch: Batch, admission: Admission, scheme: Scheme) -> Prepared:
    """Read the body of a request; events that cannot count get their error here.

    Raises:
        JsonMalformed: If it is not JSON, or a key is said twice. Nothing of it counts then.
        TooLarge: For too many events.
    """
    prepared = Prepared([], [], lone=False, scheme=scheme)
    events, lines = scheme.usual.decode(batch)
    take, read = prepared.pending.append, scheme.usual.read
    for index, sent in enumerate(events):
        if not isinstance(sent, Sent):
            _read_one(index, sent, admission, prepared)
        elif (usual := read(index, sent, lines[index], admission)) is not None:
            take(Pending(*usual))
        else:
            _read_one(index, plainly(lines[index]), admission, prepared)
    return prepared


def read_request(events: Sequence[object], admission: Admission, scheme: Scheme, *, lone: bool) -> Prepared:
    """Read decoded events; those that cannot count get their error here.

    Args:
        events: As `core.event.decode_events` returns them.
        admission: Who sends them, when, and how far back they may lie.
        scheme: The meters in force.
        lone: Whether the request was one object rather than an array, for the pointers of its errors.
    """
    prepared = Prepared([], [], lone, scheme)
    for index, body in enumerate(events):
        _read_one(index, body, admission, prepared)
    return prepared


def _read_one(index: int, body: object, admission: Admission, prepared: Prepared) -> None:
    try:
        prepared.pending.append(read_pending(read_event(index, body, admission), prepared.scheme))
    except FieldInvalid as error:
        prepared.errors.append(_rejection(index, body, error, lone=prepared.lone))


def read_pending(event: Event, scheme: Scheme) -> Pending:
    """Return all that an event changes.

    Raises:
        FieldInvalid: If its data does not fit its type.
    """
    reader = scheme.readers.get(event.type)
    if reader is None:
        return Pending(event, scheme.unmetered(event))
    known = reader.check(event)
    word, labels = None, reader.labels(known)
    if event.type in _RESOURCE_TYPES:
        kind, resource_id = str(known["kind"]), str(known["resource_id"])
        word = (kind, resource_id, read_word(event.type, event.time_us, known))
        if kind in _NAMED and "name" in known:
            labels = [*labels, (_NAMED[kind], resource_id, str(known["name"]))]
    return Pending(event, reader.readings(event, known), labels, word)


def _rejection(index: int, body: object, error: FieldInvalid, *, lone: bool) -> EventError:
    reason = error.detail.get("reason")
    event_id = body.get("id") if isinstance(body, dict) else None
    return EventError(
        index=index,
        id=event_id[:256] if isinstance(event_id, str) else None,
        outcome=Outcome.REJECTED,
        code=reason if isinstance(reason, str) else error.code,
        pointer=(error.pointer or "") if lone else f"/{index}{error.pointer or ''}",
        detail=error.message,
        about=(_said(body, "subject"), _said(body, "source"), _said(body, "type")),
    )


def _said(body: object, name: str) -> str:
    value = body.get(name) if isinstance(body, dict) else None
    return value[:ID_BYTES_MAX].replace("\x00", "") if isinstance(value, str) else ""


def receipt(prepared: Prepared) -> Receipt:
    """Return what became of a request whose verdicts are all in."""
    verdicts = prepared.verdicts
    outcomes = [verdict.outcome for verdict in verdicts.values()]
    errors = list(prepared.errors)
    for event in [pending.event for pending in prepared.pending if verdicts[pending.event.index].code]:
        verdict = verdicts[event.index]
        place = _POINTERS[verdict.code]
        pointer = place if prepared.lone else f"/{event.index}{place}"
        detail = _DETAILS[verdict.code]
        errors.append(EventError(event.index, event.event_id, verdict.outcome, verdict.code, pointer, detail))
    errors.sort(key=lambda error: error.index)
    return Receipt(
        accepted=outcomes.count(Outcome.ACCEPTED),
        duplicate=outcomes.count(Outcome.DUPLICATE),
        conflict=outcomes.count(Outcome.CONFLICT),
        rejected=outcomes.count(Outcome.REJECTED) + len(prepared.errors),
        errors=tuple(errors[:ERRORS_SHOWN_MAX]),
    )


def read_again(pending: Pending, scheme: Scheme) -> Pending:
    """Read an event by a newer scheme; what no longer fits it is counted as unmetered."""
    try:
        return read_pending(pending.event, scheme)
    except FieldInvalid:
        return Pending(pending.event, scheme.unmetered(pending.event))


class Waiting:
    """Joins the parts of a request that went to several lanes into one answer."""

    def __init__(self, prepared: Prepared, answer: "Future[Receipt]", parts: int) -> None:
        self._prepared = prepared
        self._answer = answer
        self._open = parts
        self._failure: BaseException | None = None
        self._lock = threading.Lock()

    def part_done(self, part: "Future[list[tuple[int, Verdict]]]") -> None:
        """Take what became of one part; the last one answers."""
        with self._lock:
            self._open -= 1
            failure = part.exception()
            if failure is None:
                self._prepared.verdicts.update(part.result())
            else:
                self._failure = failure
            last = self._open == 0
        if last:
            if self._failure is None:
                self._answer.set_result(receipt(self._prepared))
            else:
                self._answer.set_exception(self._failure)


# --- our own ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OwnEvent:
    """An event that Tallybook writes itself; *event_id* is fixed by what it tells, so that it is never told twice."""

    source: str
    event_id: str
    type: str
    account_id: AccountId
    time_us: int
    data: Mapping[str, object]


def read_own(own: OwnEvent, scheme: Scheme) -> Pending:
    """Read our own event like any other.

    Raises:
        FieldInvalid: If its data does not fit its type.
    """
    body = {
        "specversion": "1.0",
        "id": own.event_id,
        "source": own.source,
        "type": own.type,
        "subject": own.account_id,
        "time": instant_text(own.time_us),
        "data": dict(own.data),
    }
    admission = Admission(_ITSELF, own.time_us, backfill=True)
    return read_pending(read_event(0, body, admission, any_time=True), scheme)
