"""Delivers events: takes them in without blocking, sends them in batches from a thread of its own, never stops trying.

An event leaves the buffer when the server has counted it, or has said that it never will. Not for requests that wait
for an answer (see `calls`), nor for how events are kept (see `memory` and `spool`).
"""

# edge: a bug in a caller's callback, or in ours, must not end the thread that delivers.

import atexit
import logging
import os
import threading
import weakref
from collections.abc import Callable, Sequence

from tallybook.client.answers import DeliveryStats, Rejected
from tallybook.client.errors import BufferFull, ClientClosed
from tallybook.client.exchange import Policy, Reply, Request, Silence, pause_s
from tallybook.client.memory import Memory, OnFull, Store
from tallybook.client.post import Again, Done, Split, events_request, read_outcome, told_apart
from tallybook.client.spool import Inherited, Spool, sync
from tallybook.client.tuning import Tuning

OnRejected = Callable[[Rejected], object]
DROPS_LOGGED_EVERY = 1_000
_log = logging.getLogger("tallybook.client")


class Delivery:
    """The buffer and its thread; any thread may call. *send* sends one request once."""

    def __init__(
        self,
        store: Store,
        send: Callable[[Request], Reply | Silence],
        policy: Policy,
        *,
        tuning: Tuning,
        on_full: OnFull,
        on_rejected: OnRejected | None,
    ) -> None:
        if on_full not in {"drop_newest", "drop_oldest", "raise"}:
            raise ValueError(f"on_full is {on_full!r}; choose drop_newest, drop_oldest or raise")
        self._store = store
        self._send = send
        self._policy = policy
        self._clock = policy.clock
        self._tuning = tuning
        self._on_full = on_full
        self._on_rejected = on_rejected
        self._begin()
        _living.add(self)

    def _begin(self) -> None:
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closing = self._closed = False
        self._appended = self._store.count
        self._accepted = self._duplicates = self._rejected = self._dropped = 0
        self._oldest_s = self._clock.elapsed_s()
        self._flush_upto = 0
        self._not_before_s = 0.0
        self._attempt = 0
        self._last_error: str | None = None

    # --- for callers -------------------------------------------------------------------------------------------------

    @property
    def close_timeout_s(self) -> float:
        """How long closing may take when nobody says otherwise."""
        return self._tuning.close_timeout_s

    def start(self) -> None:
        """Begin to deliver what an earlier process left."""
        with self._changed:
            if self._store.count:
                self._flush_upto = self._appended
                self._start_thread()

    def track(self, line: bytes) -> bool:
        """Keep *line* and return whether it was kept.

        Raises:
            BufferFull: If there is no room and the caller wants to know.
            ClientClosed: After `close`.
        """
        with self._changed:
            if self._closing:
                raise ClientClosed
            if not self._store.count:
                self._oldest_s = self._clock.elapsed_s()
            if not self._append(line):
                return False
            dirty = self._store.dirty_files() if self._tuning.sync_each else []
            self._start_thread()
            if self._store.count in {1, self._tuning.batch_events_max} or self._wants_bytes(len(line)):
                self._changed.notify_all()
        sync(dirty)
        return True

    def flush(self, timeout_s: float | None) -> bool:
        """Wait until all that was tracked before is delivered; False if that takes longer than *timeout_s*."""
        if threading.current_thread() is self._thread:
            return False  # called by on_rejected, which delivering waits for
        with self._changed:
            upto = self._appended
            self._flush_upto = max(self._flush_upto, upto)
            if self._store.count:
                self._start_thread()
            self._changed.notify_all()
            until_s = None if timeout_s is None else self._clock.elapsed_s() + timeout_s
            while self._settled() < upto:
                left_s = None if until_s is None else until_s - self._clock.elapsed_s()
                if left_s is not None and left_s <= 0:
                    return False
                self._clock.wait(self._changed, left_s)
            return True

    def close(self, timeout_s: float | None) -> bool:
        """Flush, stop the thread, close the store; False if events were left behind."""
        with self._changed:
            if self._closing:
                return not self._store.count
        done = self.flush(timeout_s)
        with self._changed:
            self._closing = True
            thread = self._thread
            self._changed.notify_all()
        if thread is not None and thread is not threading.current_thread():
            # The thread may sit in a request that takes its time; what it carries is still in the store.
            thread.join(0.0 if not done else self._tuning.close_timeout_s)
        with self._changed:
            left, self._closed = self._store.count, True
            self._store.close()
        if left and isinstance(self._store, Memory):
            _log.error("closed with %d events undelivered; they are lost: %s", left, self._last_error or "no time")
        elif left:
            _log.warning("closed with %d events undelivered; they wait in the spool", left)
        return not left

    def stats(self) -> DeliveryStats:
        """Return what became of all events so far."""
        with self._changed:
            return DeliveryStats(
                tracked=self._appended + self._dropped,
                accepted=self._accepted,
                duplicates=self._duplicates,
                rejected=self._rejected,
                dropped=self._dropped + self._store.dropped,
                pending=self._store.count,
                pending_bytes=self._store.size,
                last_error=self._last_error,
            )

    def reborn(self) -> None:
        """Begin anew in a forked child: what waits is the parent's to deliver, and so is a spool."""
        if isinstance(self._store, Spool):
            self._store.abandon()
            self._store = Inherited()
        else:
            self._store = Memory(self._tuning.buffer_events_max, self._tuning.buffer_bytes_max)
        self._begin()

    # --- keeping -----------------------------------------------------------------------------------------------------

    def _append(self, line: bytes) -> bool:
        dropped = self._store.dropped
        kept = self._store.append(line, oldest_may_go=self._on_full == "drop_oldest")
        if self._store.dropped > dropped:
            self._say_dropped(self._store.dropped + self._dropped, self._store.dropped - dropped, "oldest")
        if kept:
            self._appended += 1
            return True
        if self._on_full == "raise":
            raise BufferFull(f"{self._store.count} events of {self._store.size} bytes wait already: {self._why()}")
        self._dropped += 1
        self._say_dropped(self._store.dropped + self._dropped, 1, "newest")
        return False

    def _say_dropped(self, total: int, count: int, which: str) -> None:
        """Log the first drop, and then one line for every thousand."""
        if total == count or total // DROPS_LOGGED_EVERY != (total - count) // DROPS_LOGGED_EVERY:
            _log.error("the buffer is full; %d events were dropped so far (the %s): %s", total, which, self._why())

    def _why(self) -> str:
        return self._last_error or "they come faster than they can be sent"

    def _settled(self) -> int:
        return self._appended - self._store.count

    def _wants_bytes(self, added: int) -> bool:
        bound = self._tuning.batch_bytes_max
        return self._store.size >= bound > self._store.size - added

    # --- delivering --------------------------------------------------------------------------------------------------

    def _start_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._deliver, name="tallybook-delivery", daemon=True)
            self._thread.start()

    def _deliver(self) -> None:
        while True:
            with self._changed:
                if self._closing:
                    return
                wait_s = self._wait_s()
                if wait_s is None or wait_s > 0:
                    self._clock.wait(self._changed, wait_s)
                dirty = self._store.dirty_files()
                due = self._is_due() and not self._closing
                batch = self._store.take(*self._batch_bounds()) if due else ()
            sync(dirty)
            if batch:
                self._carry(batch)

    def _batch_bounds(self) -> tuple[int, int]:
        return self._tuning.batch_events_max, self._tuning.batch_bytes_max

    def _is_due(self) -> bool:
        wait_s = self._wait_s()
        return wait_s is not None and wait_s <= 0

    def _wait_s(self) -> float | None:
        """Return how long the oldest event may still wait; None while there is none."""
        store, now_s = self._store, self._clock.elapsed_s()
        if not store.count:
            return None
        if now_s < self._not_before_s:
            # Awake now and then, so that what is spooled meanwhile reaches the disk.
            return min(self._not_before_s - now_s, self._tuning.flush_every_s)
        full = store.count >= self._tuning.batch_events_max or store.size >= self._tuning.batch_bytes_max
        if full or self._settled() < self._flush_upto:
            return 0.0
        return self._oldest_s + self._tuning.flush_every_s - now_s

    def _carry(self, batch: Sequence[bytes]) -> None:
        try:
            again = self._send_parts(batch)
        except Exception:
            _log.exception("delivering failed on our side; the events are kept")
            again = Again("a mistake in the client")
        with self._changed:
            if self._closed:
                return
            self._store.put_back()
            now_s = self._clock.elapsed_s()
            self._oldest_s = now_s
            if again is None:
                self._attempt, self._not_before_s, self._last_error = 0, 0.0, None
            else:
                wait_s = pause_s(self._attempt, again.retry_after_s, self._policy)
                if self._attempt == 0 or again.reason != self._last_error:
                    _log.warning("events cannot be delivered now and are kept: %s", again.reason)
                self._attempt, self._not_before_s, self._last_error = self._attempt + 1, now_s + wait_s, again.reason
            self._changed.notify_all()

    def _send_parts(self, batch: Sequence[bytes]) -> Again | None:
        """Send the batch, in ever smaller parts where the server cannot take it whole; settle each part at once."""
        parts = [batch]
        while parts:
            part = parts.pop()
            outcome = read_outcome(part, self._send(events_request(part, self._policy)), self._clock)
            if isinstance(outcome, Again):
                return outcome
            if isinstance(outcome, Split):
                parts += reversed(told_apart(part, outcome))
            else:
                self._settle(len(part), outcome)
        return None

    def _settle(self, count: int, done: Done) -> None:
        # The callback first: should the process end in between, it is called again, which is better than never.
        for rejected in done.rejected:
            self._tell(rejected)
        with self._changed:
            if self._closed:
                return  # somebody else may have the spool by now; what is not marked counts once all the same
            self._store.settle(count)
            self._accepted += done.accepted
            self._duplicates += done.duplicates
            self._rejected += len(done.rejected)
            self._changed.notify_all()

    def _tell(self, rejected: Rejected) -> None:
        if self._on_rejected is None:
            _log.error("an event was not counted: %s", rejected)
            return
        try:
            self._on_rejected(rejected)
        except Exception:
            _log.exception("on_rejected failed; the event that it was given: %s", rejected)


_living: "weakref.WeakSet[Delivery]" = weakref.WeakSet()


def _after_fork() -> None:
    for delivery in list(_living):
        delivery.reborn()


def _at_exit() -> None:
    for delivery in list(_living):
        delivery.close(delivery.close_timeout_s)


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
