"""Events of a request read and added up: the usual ones straight from their structs, the others one by one.

Both ways end in the same; only the longer one, over `event` and `pending`, says what is wrong with an event.
"""

import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from operator import attrgetter
from typing import Any

from tallybook.core.bundle import Bundle, bundle_of
from tallybook.core.errors import FieldInvalid
from tallybook.core.event import DEFAULT_SOURCE, FUTURE_US, PAST_US, Admission, Event, EventError, Outcome, read_event
from tallybook.core.folding import Folding
from tallybook.core.form import Form, Sent
from tallybook.core.identity import identity, integers_of
from tallybook.core.ids import ID_BYTES_MAX, AccountId
from tallybook.core.instant import MINUTE_US, instant_text, parse_event_time, usual_us
from tallybook.core.pending import Pending, read_pending
from tallybook.core.scheme import Scheme
from tallybook.core.usual import Batch, encoder, plainly

_attributes = attrgetter("id", "subject", "source", "time", "data")


def lane_of(account_id: AccountId, lanes: int) -> int:
    """Return the lane of group commit, of so many, in which everything of an account is written."""
    return zlib.crc32(account_id.encode()) % lanes if lanes > 1 else 0


class RequestReader:
    """Reads the events of one request into the bundles of so many *lanes*."""

    def __init__(self, admission: Admission, scheme: Scheme, lanes: int) -> None:
        """Begin."""
        self.errors: list[EventError] = []
        self._admission = admission
        self._scheme = scheme
        self._lanes = lanes
        self._foldings: defaultdict[int, Folding] = defaultdict(Folding)

    def bundles(self) -> dict[int, Bundle]:
        """Return what was read, by lane."""
        return {lane: bundle_of(folding) for lane, folding in sorted(self._foldings.items()) if folding.kept}

    def read_batch(self, batch: Batch) -> None:
        """Read the body of a request; it raises what `Usual.decode` does."""
        events, lines = self._scheme.usual.decode(batch)
        for index in self._fold(events, lines):
            sent = events[index]
            self.read_one(index, plainly(lines[index]) if isinstance(sent, Sent) else sent)

    def read_one(self, index: int, body: object, *, lone: bool = False) -> None:
        """Read an event that was decoded plainly, the longer way."""
        try:
            item = read_pending(read_event(index, body, self._admission), self._scheme)
        except FieldInvalid as error:
            self.errors.append(_rejection(index, body, error, lone=lone))
        else:
            self._foldings[lane_of(item.event.account_id, self._lanes)].take(item)

    def _fold(self, events: Sequence[Any], lines: Sequence[bytes]) -> Iterator[int]:
        """Read the events that are usual, and return the place of each other at its turn."""
        admission, forms, foldings = self._admission, self._scheme.usual.forms, self._foldings
        own, (earliest_us, latest_us) = admission.caller.account_id, _window(admission)
        folding, lanes = foldings[0], self._lanes
        for index, (sent, line) in enumerate(zip(events, lines, strict=False)):
            form = forms.get(type(sent))
            if form is None:
                yield index
                continue
            event_id, account_id, source, time, data = _attributes(sent)
            is_timed = time is not None
            if not is_timed or source is None or account_id is None:
                line = _filled_in(sent, admission)  # noqa: PLW2901 - the same event, with all that it means
                account_id, source, time = sent.subject, sent.source, sent.time
            try:
                time_us = usual_us(time) or parse_event_time(time, "/time")
                part = None if form.part is None else form.part(data)
            except FieldInvalid:
                yield index
                continue
            if not earliest_us <= time_us <= latest_us or account_id is None or (own or account_id) != account_id:
                yield index
                continue
            payload = encoder.encode((form.name, time_us if is_timed else None, data))
            known_by = identity(f"{account_id}\0{source}\0{event_id}", payload)
            if lanes > 1:
                folding = foldings[lane_of(account_id, lanes)]
            if part is None:
                event = Event(index, account_id, event_id, form.name, time_us, data, line, *integers_of(known_by))
                if not _take_whole(form, event, folding):
                    yield index
                continue
            account = folding.accounts.setdefault(account_id, len(folding.accounts))
            folding.kept.append((index, account, known_by, line))
            folding.count((account, form.type_no, part[0]), time_us // MINUTE_US, part[1])
            if form.labels is not None and (labels := form.labels(data)):
                folding.name(account, time_us, labels)
            if form.call_id is not None:
                folding.call(account, form.call_id(data))


def _take_whole(form: Form, event: Event, folding: Folding) -> bool:
    """Add an event of a type that does more than count and sum; False if it must be read the longer way after all."""
    try:
        readings = form.readings(event, event.sent)
    except FieldInvalid:
        return False
    folding.take(Pending(event, readings, () if form.labels is None else form.labels(event.sent)))
    return True


def _window(admission: Admission) -> tuple[int, int]:
    """Return the earliest and the latest time that is let in."""
    return 0 if admission.backfill else admission.now_us - PAST_US, admission.now_us + FUTURE_US


def _filled_in(sent: Sent, admission: Admission) -> bytes:
    """Fill in what was left out of an event, and return it as a line; its account may stay unknown."""
    sent.source, sent.subject = sent.source or DEFAULT_SOURCE, sent.subject or admission.caller.account_id
    sent.time = sent.time or instant_text(admission.now_us)
    return encoder.encode(sent)


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
