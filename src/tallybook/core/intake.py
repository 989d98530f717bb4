"""A request's events on their way in: read one by one, and what became of each as one receipt."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tallybook.core.bundle import Bundle
from tallybook.core.event import ERRORS_SHOWN_MAX, Admission, EventError, Outcome, read_event
from tallybook.core.ids import AccountId
from tallybook.core.instant import instant_text
from tallybook.core.key import Caller
from tallybook.core.pending import Pending, read_pending
from tallybook.core.ports import Exceptions, Verdict
from tallybook.core.reading import RequestReader
from tallybook.core.scheme import Scheme
from tallybook.core.usual import Batch

if TYPE_CHECKING:
    from concurrent.futures import Future

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
    """A request's events, read and waiting for their commit: those of each lane, and those that cannot count.

    Attributes:
        exceptions: Once they were committed, what became of the events of each lane that were not just accepted.
    """

    bundles: dict[int, Bundle]
    errors: list[EventError]
    lone: bool
    scheme: Scheme
    exceptions: dict[int, Exceptions] = field(default_factory=dict)

    @property
    def pending(self) -> list[Pending]:
        """The events one by one, read again."""
        return [item for bundle in self.bundles.values() for item in bundle.pending(range(len(bundle)), self.scheme)]

    def told(self) -> Iterator[tuple[bytes, Verdict]]:
        """Return the lines of the events that were not just accepted, and what became of them instead."""
        for lane, exceptions in self.exceptions.items():
            lines = self.bundles[lane].split() if exceptions else []
            for seq, verdict in exceptions.items():
                yield lines[seq], verdict


def read_batch(batch: Batch, admission: Admission, scheme: Scheme, *, lanes: int = 1) -> Prepared:
    """Read the body of a request and add up, for each of *lanes*, what counts; what cannot count gets its error here.

    Raises:
        JsonMalformed: If it is not JSON, or a key is said twice. Nothing of it counts then.
        TooLarge: For too many events.
    """
    reading = RequestReader(admission, scheme, lanes)
    reading.read_batch(batch)
    return Prepared(reading.bundles(), reading.errors, lone=False, scheme=scheme)


def read_request(
    events: Sequence[object], admission: Admission, scheme: Scheme, *, lone: bool, lanes: int = 1
) -> Prepared:
    """Read decoded events, as `core.event.decode_events` returns them, like those of a batch.

    Args:
        events: The events.
        admission: Who sends them, when, and how far back they may lie.
        scheme: The meters in force.
        lone: Whether the request was one object rather than an array, for the pointers of its errors.
        lanes: How many lanes there are.
    """
    reading = RequestReader(admission, scheme, lanes)
    for index, body in enumerate(events):
        reading.read_one(index, body, lone=lone)
    return Prepared(reading.bundles(), reading.errors, lone, scheme)


def receipt(prepared: Prepared) -> Receipt:
    """Return what became of a request whose verdicts are all in."""
    outcomes = [verdict.outcome for exceptions in prepared.exceptions.values() for verdict in exceptions.values()]
    refused = len(outcomes) - outcomes.count(Outcome.ACCEPTED)
    errors = [*prepared.errors, *_errors_of(prepared)]
    errors.sort(key=lambda error: error.index)
    return Receipt(
        accepted=sum(map(len, prepared.bundles.values())) - refused,
        duplicate=outcomes.count(Outcome.DUPLICATE),
        conflict=outcomes.count(Outcome.CONFLICT),
        rejected=outcomes.count(Outcome.REJECTED) + len(prepared.errors),
        errors=tuple(errors[:ERRORS_SHOWN_MAX]),
    )


def _errors_of(prepared: Prepared) -> Iterator[EventError]:
    """Return what is to be said of the events that have a verdict with a code."""
    for lane, exceptions in prepared.exceptions.items():
        coded = {seq: verdict for seq, verdict in exceptions.items() if verdict.code}
        for item, verdict in zip(prepared.bundles[lane].pending(coded, prepared.scheme), coded.values(), strict=True):
            event, place = item.event, _POINTERS[verdict.code]
            pointer = place if prepared.lone else f"/{event.index}{place}"
            detail = _DETAILS[verdict.code]
            yield EventError(event.index, event.event_id, verdict.outcome, verdict.code, pointer, detail)


class Waiting:
    """Joins the parts of a request that went to several lanes into one answer."""

    def __init__(self, prepared: Prepared, answer: "Future[Receipt]") -> None:
        self._prepared = prepared
        self._answer = answer
        self._open = len(prepared.bundles)
        self._failure: BaseException | None = None
        self._lock = threading.Lock()

    def part_done(self, lane: int, part: "Future[Exceptions]") -> None:
        """Take what became of one part; the last one answers."""
        with self._lock:
            self._open -= 1
            failure = part.exception()
            if failure is None:
                self._prepared.exceptions[lane] = part.result()
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
