"""A lane of group commit: a queue and the thread that writes what has queued up while it wrote before.

Not for what is read of a request before it queues (see `take`).
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from tallybook.core.aggregate import Head
from tallybook.core.bundle import Bundle, fold
from tallybook.core.clock import Clock
from tallybook.core.desk import Desk, LaneWriter
from tallybook.core.errors import TallybookError, Unavailable
from tallybook.core.event import Outcome
from tallybook.core.ports import Exceptions, Group, SchemeOutdated
from tallybook.core.scheme import Scheme

_T = TypeVar("_T")

GROUP_EVENTS_MAX = 20_000
GROUP_BYTES_MAX = 8 * 1024 * 1024
"""A group's bytes are one raw batch, which is also read as one."""
RETRY_AFTER_S = 1

_log = logging.getLogger(__name__)


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


class Ticket:
    """The events of one request that go to one lane; *heads* as `LaneWriter.look_up` says."""

    def __init__(self, bundle: Bundle, scheme: Scheme, heads: Sequence[Head] | None) -> None:
        self.bundle = bundle
        self.heads = heads
        self.events = len(bundle)
        self.bytes = len(bundle.lines)
        self.scheme = scheme
        self.done: Future[Exceptions] = Future()

    def read_again(self, scheme: Scheme) -> None:
        """Read the events by a newer scheme; what no longer fits it is counted as unmetered."""
        self.scheme, self.heads = scheme, None
        self.bundle = fold(self.bundle.pending(range(self.events), scheme))


class Errand(Generic[_T]):
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


class Lane:
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
        self._waiting: deque[Ticket | Errand[Any]] = deque()
        self._room = threading.Condition()
        self._closed = False
        self.queued = self.queued_bytes = 0
        self._thread = threading.Thread(target=self._run, name="tallybook-lane", daemon=True)
        self._thread.start()

    def ticket(self, bundle: Bundle, scheme: Scheme) -> Ticket:
        """Return the ticket of a bundle, with what can be looked up of it on the calling thread."""
        return Ticket(bundle, scheme, self._writer.look_up(bundle))

    def check_room(self, events: int, bytes_: int) -> None:
        """Raise Unavailable if there is no room for so much more; what is empty takes one of any size."""
        with self._room:
            if self._closed:
                raise Unavailable("the server is shutting down", retry_after_s=RETRY_AFTER_S)
            events_max, bytes_max = self._queue_max
            if self.queued and (self.queued + events > events_max or self.queued_bytes + bytes_ > bytes_max):
                raise Unavailable("the ingest queue is full; send the events again", retry_after_s=RETRY_AFTER_S)

    def put(self, item: "Ticket | Errand[Any]") -> None:
        """Queue *item*; what comes when the lane is closed is told so."""
        with self._room:
            if not self._closed:
                self._waiting.append(item)
                self.queued += item.events
                self.queued_bytes += item.bytes
                self._room.notify()
                return
        item.done.set_exception(Unavailable("the server is shutting down", retry_after_s=RETRY_AFTER_S))

    def close(self) -> None:
        """Commit what has queued, and end."""
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

    def _take(self) -> "list[Ticket | Errand[Any]]":
        """Wait for work; return as much as one commit takes, nothing when the lane is closed and empty."""
        with self._room:
            while not self._waiting and not self._closed:
                self._room.wait()
            group: list[Ticket | Errand[Any]] = []
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

    def _commit(self, group: "list[Ticket | Errand[Any]]") -> None:
        started_s = time.perf_counter()
        tickets = [item for item in group if isinstance(item, Ticket)]
        errands = [item for item in group if isinstance(item, Errand)]
        exceptions = self._write(tickets, errands)
        self._tell(sum(ticket.events for ticket in tickets), exceptions, time.perf_counter() - started_s)
        for ticket, of_ticket in zip(tickets, exceptions, strict=True):
            ticket.done.set_result(of_ticket)
        for errand in errands:
            errand.finish()

    def _write(self, tickets: list[Ticket], errands: "list[Errand[Any]]") -> list[Exceptions]:
        scheme = self._schemes.scheme
        while True:
            for ticket in tickets:
                if ticket.scheme.version != scheme.version:
                    ticket.read_again(scheme)
            bundles, heads = [ticket.bundle for ticket in tickets], [ticket.heads for ticket in tickets]
            try:
                return self._writer.commit(Group(bundles, self._clock.now_us(), scheme, heads), errands)
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
