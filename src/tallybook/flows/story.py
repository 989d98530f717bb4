"""Events told one by one: searched, and the story of one: accepted when, counted where, what became of copies.

Notes on events that did not count are gathered beside ingest and written by the sweeper: a note may be lost with the
process, a count never is.
"""

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Protocol

from tallybook.core.cover import Level
from tallybook.core.errors import Conflict, FieldInvalid
from tallybook.core.event import DEFAULT_SOURCE, ERRORS_SHOWN_MAX, Admission, Event, Outcome, decode_json, read_event
from tallybook.core.ids import AccountId
from tallybook.core.instant import DAY_US, HOUR_US, MINUTE_US, day_of, day_start_us
from tallybook.core.intake import Prepared
from tallybook.core.key import Caller
from tallybook.core.meter import Meter, Question
from tallybook.core.plan import Account
from tallybook.core.price import Price
from tallybook.core.scheme import Scheme
from tallybook.core.story import EventNote, Found, FoundEvent, RollupPlace, Share, Story, Wanted, identity_of
from tallybook.core.view import make_view
from tallybook.core.window import Span

NOTES_WAITING_MAX = 5_000
"""Notes that wait to be written; the oldest are let go beyond it."""
NOTES_A_STEP = 500

_READER = Caller("story", None, frozenset())


class StoryStore(Protocol):
    """Reads raw events back, and keeps notes on those that did not count."""

    def search(self, account_no: int, account_id: AccountId, wanted: Wanted) -> Found:
        """Return events, newest received first."""
        ...

    def find(self, account_no: int, account_id: AccountId, source: str, identity: tuple[int, int]) -> FoundEvent | None:
        """Return the accepted event of an identity."""
        ...

    def is_voided(self, account_no: int, identity: tuple[int, int]) -> bool:
        """Whether the event was taken back."""
        ...

    def notes(self, account_no: int, event_id: str = "") -> list[EventNote]:
        """Return the latest notes, newest first."""
        ...

    def latest_notes(self, outcomes: Sequence[Outcome]) -> list[EventNote]:
        """Return the latest notes of all accounts with one of these outcomes, newest first."""
        ...

    def put_notes(self, notes: Sequence[EventNote]) -> None:
        """Keep notes."""
        ...

    def drop_notes(self, now_us: int) -> int:
        """Forget some of the notes that are too old; return how many."""
        ...


class SchemeSource(Protocol):
    """Where the scheme in force comes from."""

    @property
    def scheme(self) -> Scheme:
        """The scheme in force."""
        ...


class PriceSource(Protocol):
    """Which prices an account had when."""

    def price_epochs(self, account: Account) -> Sequence[tuple[Span, Sequence[Price]]]:
        """Return the spans of the account's plans, ascending and tiling all time, with their prices."""
        ...


class Stories:
    """Finds events and tells what became of them."""

    def __init__(self, store: StoryStore, schemes: SchemeSource, prices: PriceSource) -> None:
        self._store = store
        self._schemes = schemes
        self._prices = prices
        self._waiting: deque[EventNote] = deque(maxlen=NOTES_WAITING_MAX)
        self._lock = threading.Lock()

    def search(self, account: Account, wanted: Wanted) -> Found:
        """Return accepted events of the account whose time lies in the span that is wanted."""
        found = self._store.search(account.no, account.id, wanted)
        inside = [one for one in found.events if wanted.start_us <= _read(one).time_us < wanted.end_us]
        return Found(inside, found.stop, found.batches)

    def notes(self, account: Account) -> list[EventNote]:
        """Return the latest events of the account that did not count, newest first."""
        return self._store.notes(account.no)

    def latest(self, outcomes: Sequence[Outcome]) -> list[EventNote]:
        """Return the latest events of all accounts that had one of *outcomes*, newest first."""
        return self._store.latest_notes(outcomes)

    def tell(self, account: Account, source: str, event_id: str) -> Story:
        """Return all that is known of one event."""
        identity = identity_of(account.id, source, event_id)
        found = self._store.find(account.no, account.id, source, identity)
        notes = [note for note in self._store.notes(account.no, event_id) if note.source == source]
        if found is None:
            return Story(None, None, voided=False, shares=(), rollups=(), notes=notes)
        event, scheme = _read(found), self._schemes.scheme
        return Story(
            found,
            event.time_us,
            voided=self._store.is_voided(account.no, identity),
            shares=list(self._shares(account, event, scheme)),
            rollups=list(_rollups(event, scheme)),
            notes=notes,
        )

    def _shares(self, account: Account, event: Event, scheme: Scheme) -> Iterator[Share]:
        """Say what each meter of the event's type counts of it, by the meters in force now."""
        minute = Span(event.time_us - event.time_us % MINUTE_US, event.time_us - event.time_us % MINUTE_US + MINUTE_US)
        epochs = self._prices.price_epochs(account)
        prices = next((prices for span, prices in epochs if event.time_us in span), ())
        for meter in _meters_of(event, scheme):
            try:
                view = make_view(scheme, Question(meter.name, (minute,)))
            except Conflict:
                continue  # it is being filled from earlier events: nothing is known of it yet
            view.add_event(0, event, scheme, prices)
            yield Share(meter, view.answer().value)

    # --- notes -------------------------------------------------------------------------------------------------------

    def note(self, notes: Sequence[EventNote]) -> None:
        """Take notes down for the next `step`; costs no write."""
        with self._lock:
            self._waiting.extend(notes)

    def note_request(self, prepared: Prepared, caller: Caller, now_us: int) -> None:
        """Take down what of a request did not count; quick, and up to a bound."""
        self.note(list(islice(_notes_of(prepared, caller, now_us), ERRORS_SHOWN_MAX)))

    def step(self) -> int:
        """Write some of the notes that wait; return how many."""
        with self._lock:
            ready = [self._waiting.popleft() for _ in range(min(NOTES_A_STEP, len(self._waiting)))]
        if ready:
            self._store.put_notes(ready)
        return len(ready)

    def forget(self, now_us: int) -> int:
        """Forget some of the notes that are too old; return how many."""
        return self._store.drop_notes(now_us)


def _notes_of(prepared: Prepared, caller: Caller, now_us: int) -> Iterator[EventNote]:
    for error in prepared.errors:
        subject, source, event_type = error.about
        account_id = caller.account_id or subject
        if account_id:
            yield EventNote(
                AccountId(account_id),
                error.id or "",
                source or DEFAULT_SOURCE,
                event_type,
                error.outcome,
                error.code,
                error.pointer,
                error.detail,
                now_us,
            )
    for line, verdict in prepared.told():
        if verdict.outcome is not Outcome.ACCEPTED:
            body = _body(line)
            account_id, event_id, event_type = (str(body[name]) for name in ("subject", "id", "type"))
            source = str(body.get("source", DEFAULT_SOURCE))
            yield EventNote(
                AccountId(account_id), event_id, source, event_type, verdict.outcome, verdict.code, "", "", now_us
            )


def _body(line: bytes) -> dict[str, object]:
    body = decode_json(line)
    return body if isinstance(body, dict) else {}


def _read(found: FoundEvent) -> Event:
    return read_event(0, dict(found.body), Admission(_READER, 0, backfill=True), any_time=True)


def _meters_of(event: Event, scheme: Scheme) -> list[Meter]:
    known = scheme.catalogue.meters_of(event.type)
    return known or [meter for meter in scheme.catalogue.meters.values() if meter.name == "events_unmetered"]


def _rollups(event: Event, scheme: Scheme) -> Iterator[RollupPlace]:
    """Say which rollups the event is part of: one of each size."""
    reader = scheme.readers.get(event.type)
    try:
        readings = scheme.unmetered(event) if reader is None else reader.readings(event, reader.check(event))
    except FieldInvalid:
        readings = scheme.unmetered(event)
    starts = (
        (Level.MINUTE, event.time_us - event.time_us % MINUTE_US),
        (Level.HOUR, event.time_us - event.time_us % HOUR_US),
        (Level.DAY, event.time_us - event.time_us % DAY_US),
        (Level.MONTH, day_start_us(day_of(event.time_us).replace(day=1))),
    )
    for reading in readings:
        columns = scheme.written[reading.type_no].shape.columns
        values = {n: v for n, v in zip(columns, reading.dimensions, strict=False) if v is not None}
        for level, start_us in starts:
            yield RollupPlace(level, start_us, values)
