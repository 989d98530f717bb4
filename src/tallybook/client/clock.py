"""Where the client's time and chance come from, so that tests need not wait and can repeat what was random.

Not a scheduler: a clock only tells the time and waits.
"""

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

US_PER_S = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    """Time as the client needs it.

    Example:
        >>> from tallybook.client import SystemClock
        >>> SystemClock().now_us() > 1_700_000_000_000_000
        True
    """

    def now_us(self) -> int:
        """Return the wall clock in microseconds since 1970 UTC: what an event is stamped with."""
        ...

    def elapsed_s(self) -> float:
        """Return seconds since some fixed point, never going backwards: what waits are measured with."""
        ...

    def wait(self, condition: threading.Condition, timeout_s: float | None) -> None:
        """Wait on *condition*, which the caller holds, at most *timeout_s*."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait in a thread."""
        ...

    async def pause(self, seconds: float) -> None:
        """Wait in a task."""
        ...


class Random(Protocol):
    """Chance as the client needs it; `random.Random` is one.

    Example:
        >>> import random
        >>> 0 <= random.Random(7).uniform(0, 1) <= 1
        True
    """

    def uniform(self, a: float, b: float, /) -> float:
        """Return a number between *a* and *b*."""
        ...


class SystemClock:
    """The machine's own clock.

    Example:
        >>> from tallybook.client import SystemClock
        >>> clock = SystemClock()
        >>> before_s = clock.elapsed_s()
        >>> clock.elapsed_s() >= before_s
        True
    """

    def now_us(self) -> int:
        """Return the wall clock in microseconds since 1970 UTC."""
        return time.time_ns() // 1_000

    def elapsed_s(self) -> float:
        """Return the monotonic clock."""
        return time.monotonic()

    def wait(self, condition: threading.Condition, timeout_s: float | None) -> None:
        """Wait on *condition*, at most *timeout_s*."""
        condition.wait(timeout_s)

    def sleep(self, seconds: float) -> None:
        """Wait in a thread."""
        time.sleep(seconds)

    async def pause(self, seconds: float) -> None:
        """Wait in a task."""
        await asyncio.sleep(seconds)


def instant_of(now_us: int) -> datetime:
    """Return the instant, exact to the microsecond."""
    return _EPOCH + timedelta(microseconds=now_us)


def instant_text(instant: datetime) -> str:
    """Return *instant*, which has an offset, as RFC 3339 in UTC: ``2026-03-01T12:00:00.000001Z``."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
