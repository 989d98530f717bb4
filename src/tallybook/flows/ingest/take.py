"""Taking events in: read each on its own, commit many together, answer when they are safe.

Requests are read by any thread or by another process, then queue for their account's lane; a lane's thread commits
what has queued up while the last commit ran, so concurrent requests share one durable write. The queue is bounded: when
it is full the caller is told to come back, and nothing of the request counts.
"""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Protocol, TypeVar

from tallybook.core.clock import Clock
from tallybook.core.desk import Desk, LaneWriter
from tallybook.core.errors import Forbidden, TooLarge
from tallybook.core.event import Admission
from tallybook.core.ids import AccountId
from tallybook.core.intake import Prepared, Receipt, Waiting, read_batch, read_request, receipt
from tallybook.core.key import ADMIN, Caller
from tallybook.core.reading import lane_of
from tallybook.core.scheme import Scheme
from tallybook.core.usual import Batch
from tallybook.flows.ingest.lane import CommitSeen, Errand, Lane, SchemeSource

_T = TypeVar("_T")

QUEUE_EVENTS_MAX = 200_000
QUEUE_BYTES_MAX = 32 * 1024 * 1024
"""As they are kept; in memory an event takes about four times as much."""
REQUEST_BYTES_MAX = 64 * 1024 * 1024
"""Of one request, as its events are kept: a quarter of the largest raw batch that can be read again."""
UNQUEUED_EVENTS_MAX = 100
UNQUEUED_BYTES_MAX = 32 * 1024
"""Requests of more events are read one after the other. Threads that read at the same time only take turns at the
interpreter's lock, and the more of them want it, the longer the lanes wait for it between their statements."""

_FREELY: AbstractContextManager[None] = nullcontext()


class BatchReaders(Protocol):
    """Who reads large batches elsewhere than in this process."""

    def read(self, batch: Batch, admission: Admission, scheme: Scheme, *, lanes: int) -> "Future[Prepared | None]":
        """Have *batch* read; the future is None for one that has to be read here, be it only to say what is wrong."""
        ...


class Ingest:
    """The way in for events, for every surface."""

    def __init__(
        self,
        writers: Sequence[LaneWriter],
        schemes: SchemeSource,
        clock: Clock,
        *,
        queue_events_max: int = QUEUE_EVENTS_MAX,
        queue_bytes_max: int = QUEUE_BYTES_MAX,
        seen: Callable[[CommitSeen], None] | None = None,
        readers: BatchReaders | None = None,
    ) -> None:
        self._schemes = schemes
        self._clock = clock
        self._readers = readers
        self._reading = threading.Lock()
        self._lanes = [Lane(writer, schemes, clock, (queue_events_max, queue_bytes_max), seen) for writer in writers]

    @property
    def queued(self) -> int:
        """Events that wait for their commit."""
        return sum(lane.queued for lane in self._lanes)

    def prepare(
        self, events: Sequence[object] | Batch, caller: Caller, *, lone: bool = False, backfill: bool = False
    ) -> Prepared:
        """Read decoded events; those that cannot count get their error here.

        Args:
            events: As `core.event.decode_events` returns them, or what it would decode: that is the quicker way.
            caller: The key that sends them.
            lone: Whether the request was one object rather than an array, for the pointers of its errors.
            backfill: Lift the limit on how far back events may lie; for the operator's imports.

        Raises:
            Forbidden: For *backfill* without an operator's key with the scope ``admin``.
            JsonMalformed: For a batch that is not JSON, or says a key twice. Nothing of it counts.
            TooLarge: For a batch of too many events.
        """
        return self._read(events, self._admission(caller, backfill=backfill), lone=lone)

    def take(
        self, events: Sequence[object] | Batch, caller: Caller, *, lone: bool = False, backfill: bool = False
    ) -> "Future[tuple[Prepared, Receipt]]":
        """Prepare and submit; a large batch is read by another process, while the calling thread goes on.

        The future fails with what `prepare` and `submit` raise; or they raise it here.
        """
        admission = self._admission(caller, backfill=backfill)
        answer: Future[tuple[Prepared, Receipt]] = Future()
        answer.set_running_or_notify_cancel()  # who goes away takes nothing back
        if self._readers is None or not isinstance(events, Batch) or len(events.body) <= UNQUEUED_BYTES_MAX:
            self._pass_on(self._read(events, admission, lone=lone), answer)
            return answer

        def was_read(reading: "Future[Prepared | None]") -> None:
            try:
                self._pass_on(reading.result() or self._read(events, admission, lone=lone), answer)
            except BaseException as failure:  # edge: whoever waits for the answer is told
                answer.set_exception(failure)

        self._readers.read(events, admission, self._schemes.scheme, lanes=len(self._lanes)).add_done_callback(was_read)
        return answer

    def _pass_on(self, prepared: Prepared, answer: "Future[tuple[Prepared, Receipt]]") -> None:
        def was_committed(committed: "Future[Receipt]") -> None:
            failure = committed.exception()
            if failure is None:
                answer.set_result((prepared, committed.result()))
            else:
                answer.set_exception(failure)

        self.submit(prepared).add_done_callback(was_committed)

    def _admission(self, caller: Caller, *, backfill: bool) -> Admission:
        if backfill and not (caller.is_operator and ADMIN in caller.scopes):
            raise Forbidden("only an operator's key with the scope admin may backfill", required_scope=ADMIN)
        return Admission(caller, self._clock.now_us(), backfill)

    def _read(self, events: Sequence[object] | Batch, admission: Admission, *, lone: bool) -> Prepared:
        scheme, lanes = self._schemes.scheme, len(self._lanes)
        if isinstance(events, Batch):
            with self._reading if len(events.body) > UNQUEUED_BYTES_MAX else _FREELY:
                return read_batch(events, admission, scheme, lanes=lanes)
        with self._reading if len(events) > UNQUEUED_EVENTS_MAX else _FREELY:
            return read_request(events, admission, scheme, lone=lone, lanes=lanes)

    def submit(self, prepared: Prepared) -> "Future[Receipt]":
        """Queue the events for their commit; the future is done when they are durable, or were refused.

        The future fails with Unavailable if the store cannot take them: none of a lane's events counted then, and
        sending them again is safe.

        Raises:
            Unavailable: If the queue is full or closed.
            TooLarge: Above REQUEST_BYTES_MAX.
        """
        answer: Future[Receipt] = Future()
        answer.set_running_or_notify_cancel()  # who goes away takes nothing back
        if not prepared.bundles:
            answer.set_result(receipt(prepared))
            return answer
        tickets = {lane: self._lanes[lane].ticket(bundle, prepared.scheme) for lane, bundle in prepared.bundles.items()}
        if sum(ticket.bytes for ticket in tickets.values()) > REQUEST_BYTES_MAX:
            raise TooLarge(f"the events of a request have at most {REQUEST_BYTES_MAX} bytes", bound=REQUEST_BYTES_MAX)
        waiting = Waiting(prepared, answer)
        for lane, ticket in tickets.items():
            self._lanes[lane].check_room(ticket.events, ticket.bytes)
        for lane, ticket in tickets.items():
            ticket.done.add_done_callback(partial(waiting.part_done, lane))
            self._lanes[lane].put(ticket)
        return answer

    def write(self, events: Sequence[object] | Batch, caller: Caller, *, backfill: bool = False) -> Receipt:
        """Prepare, submit and wait."""
        return self.submit(self.prepare(events, caller, backfill=backfill)).result()

    def act(self, account_id: str, action: Callable[[Desk], _T]) -> "Future[_T]":
        """Run *action* inside the next transaction of the account's lane, after the events that queue before it.

        The future is done when what the action wrote is durable; it fails with what the action raised to refuse, or
        with Unavailable.

        Raises:
            Unavailable: If the queue is full or closed.
        """
        lane = self._lanes[lane_of(AccountId(account_id), len(self._lanes))]
        lane.check_room(1, 0)
        errand = Errand(account_id, action)
        lane.put(errand)
        return errand.done

    def now_us(self) -> int:
        """Return the time by the clock that commits go by."""
        return self._clock.now_us()

    def close(self) -> None:
        """Commit what is queued, then stop; later submissions are refused."""
        for lane in self._lanes:
            lane.close()
