"""Taking events in: read each on its own, commit many together, answer when they are safe.

Requests are read by any thread (`prepare`), then queue for their account's lane; a lane's thread commits what has
queued up while the last commit ran, so concurrent requests share one durable write. The queue is bounded: when it is
full the caller is told to come back, and nothing of the request counts.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from tallybook.core.bundle import Bundle, fold
from tallybook.core.clock import Clock
from tallybook.core.desk import Desk, LaneWriter
from tallybook.core.errors import Forbidden, TallybookError, TooLarge, Unavailable
from tallybook.core.event import Admission, Outcome
from tallybook.core.ids import AccountId
from tallybook.core.intake import Prepared, Receipt, Waiting, lane_of, read_batch, read_request, receipt
from tallybook.core.key import ADMIN, Caller
from tallybook.core.ports import Exceptions, Group, SchemeOutdated
from tallybook.core.scheme import Scheme
from tallybook.core.usual import Batch

_T = TypeVar("_T")

QUEUE_EVENTS_MAX = 200_000
QUEUE_BYTES_MAX = 32 * 1024 * 1024
"""As they are kept; in memory an event takes about four times as much."""
GROUP_EVENTS_MAX = 20_000
GROUP_BYTES_MAX = 8 * 1024 * 1024
"""A group's bytes are one raw batch, which is also read as one."""
REQUEST_BYTES_MAX = 64 * 1024 * 1024
"""Of one request, as its events are kept: a quarter of the largest raw batch that can be read again."""
RETRY_AFTER_S = 1
UNQUEUED_EVENTS_MAX = 100
UNQUEUED_BYTES_MAX = 32 * 1024
"""Requests of more events are read one after the other. Threads that read at the same time only take turns at the
interpreter's lock, and the more of them want it, the longer the lanes wait for it between their statements."""

_log = logging.getLogger(__name__)
_FREELY: AbstractContextManager[None] = nullcontext()


class SchemeSource(Protocol):
    """Where the scheme in force comes from."""

    @property
    def scheme(self) -> Scheme:
        """The scheme in force."""
        ...

    def refresh(self) -> Scheme:
        """Read it again from the ledger."""
        ...


@dataclass(frozen=True, slots=True)
class CommitSeen:
    """What one commit did, for metrics."""

    events: int
    accepted: int
    duplicate: int
    conflict: int
    took_s: float


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
    ) -> None:
        self._schemes = schemes
        self._clock = clock
        self._reading = threading.Lock()
        self._lanes = [_Lane(writer, schemes, clock, (queue_events_max, queue_bytes_max), seen) for writer in writers]

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
        if backfill and not (caller.is_operator and ADMIN in caller.scopes):
            raise Forbidden("only an operator's key with the scope admin may backfill", required_scope=ADMIN)
        admission = Admission(caller, self._clock.now_us(), backfill)
        if isinstance(events, Batch):
            with self._reading if len(events.body) > UNQUEUED_BYTES_MAX else _FREELY:
                return read_batch(events, admission, self._schemes.scheme, lanes=len(self._lanes))
        with self._reading if len(events) > UNQUEUED_EVENTS_MAX else _FREELY:
            return read_request(events, admission, self._schemes.scheme, lone=lone, lanes=len(self._lanes))

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
        tickets = {lane: _Ticket(bundle, prepared.scheme) for lane, bundle in prepared.bundles.items()}
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
        errand = _Errand(account_id, action)
        lane.put(errand)
        return errand.done

    def now_us(self) -> int:
        """Return the time by the clock that commits go by."""
        return self._clock.now_us()

    def close(self) -> None:
        """Commit what is queued, then stop; later submissions are refused."""
        for lane in self._lanes:
            lane.close()


# --- lanes ----------------------------------------------------------------------------------------------------------


class _Ticket:
    """The events of one request that go to one lane."""

    def __init__(self, bundle: Bundle, scheme: Scheme) -> None:
        self.bundle = bundle
        self.events = len(bundle)
        self.bytes = len(bundle.lines)
        self.scheme = scheme
        self.done: Future[Exceptions] = Future()

    def read_again(self, scheme: Scheme) -> None:
        """Read the events by a newer scheme; what no longer fits it is counted as unmetered."""
        self.scheme = scheme
        self.bundle = fold(self.bundle.pending(range(self.events), scheme))


class _Errand(Generic[_T]):
    """An admission on its way through a lane."""

    events, bytes = 1, 0

    def __init__(self, account_id: str, action: Callable[[Desk], _T]) -> None:
        self.account_id = account_id
        self._action = action
        self._outcome: tuple[_T] | TallybookError | None = None
        self.done: Future[_T] = Future()
        self.done.set_running_or_notify_cancel()  # who goes away takes nothing back

    def run(self, desk: Desk) -> None:
        """Decide; a refusal is kept, for others of the same transaction go on."""
        try:
            self._outcome = (self._action(desk),)
        except TallybookError as refusal:
            self._outcome = refusal

    def finish(self) -> None:
        """Tell whoever waits, once what was written is durable."""
        if isinstance(self._outcome, tuple):
            self.done.set_result(self._outcome[0])
        else:
            self.done.set_exception(self._outcome)


class _Lane:
    """A queue and the thread that commits it."""

    def __init__(
        self,
        writer: LaneWriter,
        schemes: SchemeSource,
        clock: Clock,
        queue_max: tuple[int, int],
        seen: Callable[[CommitSeen], None] | None,
    ) -> None:
        """Start the thread; *queue_max* are the events and the bytes that may wait."""
        self._writer = writer
        self._schemes = schemes
        self._clock = clock
        self._queue_max = queue_max
        self._seen = seen
        self._waiting: deque[_Ticket | _Errand[Any]] = deque()
        self._room = threading.Condition()
        self._closed = False
        self.queued = self.queued_bytes = 0
        self._thread = threading.Thread(target=self._run, name="tallybook-lane", daemon=True)
        self._thread.start()

    def check_room(self, events: int, bytes_: int) -> None:
        with self._room:
            if self._closed:
                raise Unavailable("the server is shutting down", retry_after_s=RETRY_AFTER_S)
            events_max, bytes_max = self._queue_max
            if self.queued and (self.queued + events > events_max or self.queued_bytes + bytes_ > bytes_max):
                raise Unavailable("the ingest queue is full; send the events again", retry_after_s=RETRY_AFTER_S)

    def put(self, item: "_Ticket | _Errand[Any]") -> None:
        with self._room:
            if not self._closed:
                self._waiting.append(item)
                self.queued += item.events
                self.queued_bytes += item.bytes
                self._room.notify()
                return
        item.done.set_exception(Unavailable("the server is shutting down", retry_after_s=RETRY_AFTER_S))

    def close(self) -> None:
        with self._room:
            self._closed = True
            self._room.notify()
        self._thread.join()

    def _run(self) -> None:
        while group := self._take():
            try:
                self._commit(group)
            except Exception as error:  # edge: a lane outlives any one commit
                failure = error if isinstance(error, TallybookError) else _failed(error)
                for item in group:
                    item.done.set_exception(failure)

    def _take(self) -> "list[_Ticket | _Errand[Any]]":
        """Wait for work; return as much as one commit takes, nothing when the lane is closed and empty."""
        with self._room:
            while not self._waiting and not self._closed:
                self._room.wait()
            group: list[_Ticket | _Errand[Any]] = []
            events = bytes_ = 0
            while self._waiting:
                item = self._waiting[0]
                if group and (events + item.events > GROUP_EVENTS_MAX or bytes_ + item.bytes > GROUP_BYTES_MAX):
                    break
                events, bytes_ = events + item.events, bytes_ + item.bytes
                group.append(self._waiting.popleft())
            self.queued -= events
            self.queued_bytes -= bytes_
            return group

    def _commit(self, group: "list[_Ticket | _Errand[Any]]") -> None:
        started_s = time.perf_counter()
        tickets = [item for item in group if isinstance(item, _Ticket)]
        errands = [item for item in group if isinstance(item, _Errand)]
        exceptions = self._write(tickets, errands)
        self._tell(sum(ticket.events for ticket in tickets), exceptions, time.perf_counter() - started_s)
        for ticket, of_ticket in zip(tickets, exceptions, strict=True):
            ticket.done.set_result(of_ticket)
        for errand in errands:
            errand.finish()

    def _write(self, tickets: list[_Ticket], errands: "list[_Errand[Any]]") -> list[Exceptions]:
        scheme = self._schemes.scheme
        while True:
            for ticket in tickets:
                if ticket.scheme.version != scheme.version:
                    ticket.read_again(scheme)
            bundles = [ticket.bundle for ticket in tickets]
            try:
                return self._writer.commit(Group(bundles, self._clock.now_us(), scheme), errands)
            except SchemeOutdated:
                scheme = self._schemes.refresh()

    def _tell(self, events: int, exceptions: Sequence[Exceptions], took_s: float) -> None:
        if self._seen is None or not events:
            return
        outcomes = [verdict.outcome for of_ticket in exceptions for verdict in of_ticket.values()]
        refused = len(outcomes) - outcomes.count(Outcome.ACCEPTED)
        commit = CommitSeen(
            events=events,
            accepted=events - refused,
            duplicate=outcomes.count(Outcome.DUPLICATE),
            conflict=outcomes.count(Outcome.CONFLICT),
            took_s=took_s,
        )
        try:
            self._seen(commit)
        except Exception:  # edge: the events are counted, whatever becomes of the figures about them
            _log.exception("a commit was not told")


def _failed(error: Exception) -> Unavailable:
    """Turn a bug in a commit into a refusal that is safe to show; the cause stays on it for the log."""
    failure = Unavailable("the events could not be written; nothing of them counted", retry_after_s=RETRY_AFTER_S)
    failure.__cause__ = error
    return failure
