"""A thread with an event loop that sends the heartbeats of all leases of a client that has no loop of its own.

Not for anything that a caller waits for.
"""

import asyncio
import logging
import os
import threading
from typing import TYPE_CHECKING

from tallybook.client.clock import Clock
from tallybook.client.exchange import Steps
from tallybook.client.runner import AsyncRunner

if TYPE_CHECKING:
    from concurrent.futures import Future

CLOSE_TIMEOUT_S = 5.0
_log = logging.getLogger("tallybook.client")


class Keeper:
    """Runs steps in the background; the thread begins with the first ones."""

    def __init__(self, base: tuple[str, dict[str, str]], clock: Clock) -> None:
        self._base = base
        self._clock = clock
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._runner: AsyncRunner | None = None

    def keep(self, steps: Steps[None]) -> "Future[None]":
        """Run *steps* until they are done or the future is cancelled."""
        if os.getpid() != self._pid:
            self._begin()  # the thread stayed with the parent of this forked child
        with self._lock:
            if self._thread is None:
                ready = threading.Event()
                self._thread = threading.Thread(
                    target=lambda: asyncio.run(self._live(ready)), name="tallybook-leases", daemon=True
                )
                self._thread.start()
                ready.wait()
        assert self._loop is not None  # set before ready is
        assert self._runner is not None  # likewise
        future = asyncio.run_coroutine_threadsafe(self._runner.run(steps), self._loop)
        future.add_done_callback(_log_failure)
        return future

    def close(self) -> None:
        """End the thread; leases that are still live run out by themselves."""
        with self._lock:
            thread, self._thread = self._thread, None
        if thread is None or self._loop is None or self._stop is None or os.getpid() != self._pid:
            return
        self._loop.call_soon_threadsafe(self._stop.set)
        if thread is not threading.current_thread():
            thread.join(CLOSE_TIMEOUT_S)

    async def _live(self, ready: threading.Event) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        self._runner = AsyncRunner(self._base, self._clock)
        ready.set()
        await self._stop.wait()
        await self._runner.aclose()


def _log_failure(future: "Future[None]") -> None:
    if not future.cancelled() and (error := future.exception()) is not None:
        _log.error("heartbeats ended by a mistake in the client", exc_info=error)
