"""Deliveries: from the outbox to receivers, in an event loop in a thread of its own, beside other processes that do so.

Each round writes what attempts brought, turns new messages into deliveries, and claims what is due. Every destination
has a lane here: how much is claimed for it follows how quickly it takes what it gets, so that a slow, silent or hostile
one holds a place or two while others go on. Not for how one attempt is made (see `core.delivery.Sender`).
"""

# edge: what one attempt or one round meets must not end the delivery of everything else

import asyncio
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TypeVar

from tallybook.core.clock import US_PER_S, Clock
from tallybook.core.delivery import (
    ATTEMPT_TIMEOUT_S,
    Attempted,
    Claimed,
    DeliveryQueue,
    Outcome,
    Sender,
    Settled,
    settle,
)
from tallybook.core.errors import TallybookError

_T = TypeVar("_T")

POLL_S = 0.1
"""How often the outbox is looked at while nothing happens."""
ROUND_S = 0.03
"""Least time between two rounds: what ends meanwhile is written together."""
RESTED_S = 1.0
"""Rest after a round that failed."""
IN_FLIGHT_MAX = 256
IN_FLIGHT_PER_DESTINATION_MAX = 8
CLAIMED_MAX = 1_024
"""Most deliveries that this process holds claims on."""
CLAIMED_PER_DESTINATION_MAX = 64
QUEUE_US = 500_000
"""How long what is claimed for a destination should take it: more is left for others to claim."""
DRAIN_S = 5
"""How long attempts may go on once delivering is to stop; one that is cut off is made again when its claim runs out."""
MARGIN_S = 5
"""A claim that runs out within an attempt and this is given back untried."""


@dataclass(frozen=True, slots=True)
class AttemptSeen:
    """An attempt, for metrics: *lag_us* from the message being handed over to a first attempt's end."""

    kind: str
    outcome: Outcome
    latency_us: int
    lag_us: int | None


@dataclass(slots=True)
class _Lane:
    """One destination, as this process has come to know it."""

    depth: int = 1
    running: int = 0
    waiting: deque[Claimed] = field(default_factory=deque)

    @property
    def held(self) -> int:
        return self.running + len(self.waiting)

    def learn(self, outcome: Outcome, latency_us: int, per_destination_max: int) -> None:
        """Claim twice as much after a success, as far as it is taken in good time; one at a time after a failure."""
        fitting = per_destination_max * QUEUE_US // max(1, latency_us)
        grown = min(self.depth * 2, max(1, fitting), CLAIMED_PER_DESTINATION_MAX)
        self.depth = grown if outcome is Outcome.DELIVERED else 1


class Deliverer:
    """Delivers until it is closed; *senders* by kind of destination."""

    def __init__(
        self,
        queue: DeliveryQueue,
        senders: Mapping[str, Sender],
        clock: Clock,
        *,
        seen: Callable[[AttemptSeen], None],
        bug: Callable[[Exception], None],
        in_flight_max: int = IN_FLIGHT_MAX,
        in_flight_per_destination_max: int = IN_FLIGHT_PER_DESTINATION_MAX,
    ) -> None:
        self._queue = queue
        self._senders = senders
        self._clock = clock
        self._seen = seen
        self._bug = bug
        self._in_flight_max = in_flight_max
        self._per_destination_max = in_flight_per_destination_max
        self._lanes: dict[str, _Lane] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._ended: list[Settled] = []
        self._returned: list[Claimed] = []
        self._store = ThreadPoolExecutor(1, thread_name_prefix="deliveries-store")
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = threading.Event()
        self._wake = asyncio.Event()

    def start(self) -> None:
        """Deliver from now on, in a thread of its own."""
        self._thread = threading.Thread(target=self._serve, name="deliveries", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Claim nothing more; attempts that run get DRAIN_S to end, what was not tried is given back."""
        already = self._stop.is_set()
        self._stop.set()
        if self._loop is not None and not already:
            self._loop.call_soon_threadsafe(self._wake.set)

    def close(self) -> None:
        """Stop, and wait until it is done."""
        if self._thread is not None:
            self.stop()
            self._thread.join()
        self._store.shutdown()

    def run(self) -> int:
        """Deliver all that is due now, here, and return how many attempts that took; for tests and commands."""
        return asyncio.run(self._exhaust())

    # --- rounds ----------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        asyncio.run(self._until_stopped())

    async def _until_stopped(self) -> None:
        self._loop = asyncio.get_running_loop()
        while not self._stop.is_set():
            try:
                await self._round()
                rest_s = ROUND_S
            except TallybookError:  # the store is full or away; the next round tries again
                rest_s = RESTED_S
            except Exception as error:
                self._bug(error)
                rest_s = RESTED_S
            await asyncio.sleep(rest_s)
            await self._woken(POLL_S)
        await self._drain()
        await self._close_senders()

    async def _woken(self, timeout_s: float) -> None:
        if not self._ended and not self._stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), timeout_s)
        self._wake.clear()

    async def _exhaust(self) -> int:
        self._wake = asyncio.Event()
        done = 0
        try:
            while True:
                moved = await self._round()
                if self._running:
                    await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
                done += len(self._ended)
                if not moved and not self._running and not self._ended and not self._returned:
                    return done
        finally:
            await self._close_senders()

    async def _round(self) -> int:
        """Write what ended, fan out, claim and begin; return how much there was to do."""
        moved = await self._settle()
        moved += await self._in_store(lambda: self._queue.fan_out(self._clock.now_us()))
        held = sum(lane.held for lane in self._lanes.values())
        if held < CLAIMED_MAX:
            rooms = {name: lane.depth - lane.held for name, lane in self._lanes.items()}
            now_us = self._clock.now_us()
            claimed = await self._in_store(lambda: self._queue.claim(now_us, rooms, room=1, total=CLAIMED_MAX - held))
            for each in claimed:
                self._lanes.setdefault(each.destination.destination_id, _Lane()).waiting.append(each)
            moved += len(claimed)
        self._begin()
        return moved

    async def _settle(self) -> int:
        ended, returned = self._ended, self._returned
        self._ended, self._returned = [], []
        try:
            if ended:
                await self._in_store(lambda: self._queue.settle(ended))
            if returned:
                await self._in_store(lambda: self._queue.give_back(returned, self._clock.now_us()))
        except TallybookError:
            self._ended = ended + self._ended
            raise
        return len(ended)

    async def _in_store(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._store, work)

    # --- attempts --------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Begin attempts as far as there is room, those for destinations that work first."""
        lanes = [lane for lane in self._lanes.values() if lane.waiting]
        lanes.sort(key=lambda lane: lane.waiting[0].destination.failing_since_us is not None)
        for lane in lanes:
            self._begin_in(lane)

    def _begin_in(self, lane: _Lane) -> None:
        late_us = self._clock.now_us() + (ATTEMPT_TIMEOUT_S + MARGIN_S) * US_PER_S
        while lane.waiting and lane.running < min(lane.depth, self._per_destination_max):
            if len(self._running) >= self._in_flight_max:
                return
            claimed = lane.waiting.popleft()
            if claimed.until_us < late_us:
                self._returned.append(claimed)
                continue
            lane.running += 1
            task = asyncio.get_running_loop().create_task(self._attempt(lane, claimed))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _attempt(self, lane: _Lane, claimed: Claimed) -> None:
        started_us, began_ns = self._clock.now_us(), time.monotonic_ns()
        attempted = await self._send(claimed)
        latency_us = (time.monotonic_ns() - began_ns) // 1_000
        attempted = replace(attempted, latency_us=latency_us)
        ended_us = self._clock.now_us()
        self._ended.append(settle(claimed, attempted, started_us, ended_us, secrets.randbelow(1_000)))
        lane.running -= 1
        lane.learn(attempted.outcome, latency_us, self._per_destination_max)
        if lane.depth == 1:
            self._returned += lane.waiting
            lane.waiting.clear()
        if not self._stop.is_set():
            self._begin_in(lane)
        self._forget_idle()
        lag_us = ended_us - claimed.queued_us if claimed.tries == 0 else None
        self._seen(AttemptSeen(claimed.destination.kind, attempted.outcome, latency_us, lag_us))
        self._wake.set()

    async def _send(self, claimed: Claimed) -> Attempted:
        sender = self._senders.get(claimed.destination.kind)
        if sender is None:
            return Attempted(Outcome.FAILED, 0, "kind-unknown")
        try:
            async with asyncio.timeout(ATTEMPT_TIMEOUT_S + 1):
                return await sender.send(claimed.destination, claimed.message)
        except TimeoutError:
            return Attempted(Outcome.FAILED, 0, "timeout")
        except Exception as error:
            self._bug(error)
            return Attempted(Outcome.FAILED, 0, "internal")

    def _forget_idle(self) -> None:
        """Keep no more lanes than there may be claims: what is forgotten begins anew."""
        if len(self._lanes) > 2 * CLAIMED_MAX:
            self._lanes = {name: lane for name, lane in self._lanes.items() if lane.held}

    # --- the end ---------------------------------------------------------------------------------------------------

    async def _drain(self) -> None:
        for lane in self._lanes.values():
            self._returned += lane.waiting
            lane.waiting.clear()
        running = set(self._running)
        if running:
            _, late = await asyncio.wait(running, timeout=DRAIN_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
        with suppress(TallybookError):  # the claims run out, and it is tried again
            await self._settle()

    async def _close_senders(self) -> None:
        for sender in self._senders.values():
            await sender.close()
