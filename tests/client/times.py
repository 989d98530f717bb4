"""A clock for tests that only moves when it is told, for threads and for tasks; and chance without chance."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass

START_US = 1_773_576_000_000_000  # 2026-03-15T12:00:00Z
PATIENCE_S = 20.0
"""How long a test waits for something that must happen, before it fails."""


@dataclass(frozen=True, eq=False)
class _Waiter:
    due_s: float
    wake: Callable[[], None]


class ManualClock:
    """Stands still until `advance`; `until_waiting` tells when others wait for it."""

    def __init__(self, now_us: int = START_US) -> None:
        self._start_us = now_us
        self._elapsed_s = 0.0
        self._lock = threading.Condition()
        self._waiters: set[_Waiter] = set()
        self.slept_s: list[float] = []

    def now_us(self) -> int:
        return self._start_us + int(self.elapsed_s() * 1_000_000)

    def elapsed_s(self) -> float:
        with self._lock:
            return self._elapsed_s

    def wait(self, condition: threading.Condition, timeout_s: float | None) -> None:
        waiter = self._enter(timeout_s, lambda: _notify(condition)) if timeout_s is not None else None
        if waiter is None and timeout_s is not None:
            return
        woken = condition.wait(PATIENCE_S)
        if waiter is not None:
            self._leave(waiter)
        assert woken or threading.current_thread() is not threading.main_thread(), "nothing happens any more"

    def sleep(self, seconds: float) -> None:
        """Do not sleep: note how long it would have been, and let that time pass."""
        with self._lock:
            self.slept_s.append(seconds)
        self.advance(seconds)

    async def pause(self, seconds: float) -> None:
        loop, future = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()
        waiter = self._enter(seconds, lambda: loop.call_soon_threadsafe(_finish, future))
        if waiter is None:
            await asyncio.sleep(0)
            return
        try:
            await asyncio.wait_for(future, PATIENCE_S)
        finally:
            self._leave(waiter)

    def advance(self, by_s: float) -> None:
        """Let time pass and wake those whose time has come."""
        with self._lock:
            self._elapsed_s += by_s
            due = {waiter for waiter in self._waiters if waiter.due_s <= self._elapsed_s + 1e-9}
            # They do not wait for time any more, although they may not have noticed yet.
            self._waiters -= due
        for waiter in due:
            waiter.wake()

    def until_waiting(self, count: int = 1) -> None:
        """Return as soon as *count* others wait for time to pass."""
        with self._lock:
            assert self._lock.wait_for(lambda: len(self._waiters) >= count, PATIENCE_S), "nobody waits"

    def _enter(self, seconds: float, wake: Callable[[], None]) -> _Waiter | None:
        with self._lock:
            if seconds <= 1e-9:
                return None
            waiter = _Waiter(self._elapsed_s + seconds, wake)
            self._waiters.add(waiter)
            self._lock.notify_all()
            return waiter

    def _leave(self, waiter: _Waiter) -> None:
        with self._lock:
            self._waiters.discard(waiter)


class Ceiling:
    """Chance that always draws the most, so that backoff is the bound itself."""

    def uniform(self, a: float, b: float, /) -> float:
        return max(a, b)


class Floor:
    """Chance that always draws the least, so that nothing is waited for."""

    def uniform(self, a: float, b: float, /) -> float:
        return min(a, b)


def _notify(condition: threading.Condition) -> None:
    with condition:
        condition.notify_all()


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
