"""Where time comes from: a Clock is given to whoever needs one; nothing else reads the system's clock."""

import threading
import time
from typing import Protocol

US_PER_S = 1_000_000


class Clock(Protocol):
    """The current instant, in microseconds since 1970-01-01T00:00:00Z."""

    def now_us(self) -> int:
        """Return the current instant in microseconds since the epoch."""
        ...


class SystemClock:
    """The machine's own clock."""

    def now_us(self) -> int:
        """Return the machine's wall clock in microseconds since the epoch."""
        return time.time_ns() // 1_000


class FrozenClock:
    """A clock that stands still until it is told otherwise, for demos and tests."""

    def __init__(self, now_us: int) -> None:
        self._now_us = now_us
        self._lock = threading.Lock()

    def now_us(self) -> int:
        """Return the instant the clock stands at."""
        with self._lock:
            return self._now_us

    def set(self, now_us: int) -> None:
        """Move the clock to *now_us*, forwards or backwards."""
        with self._lock:
            self._now_us = now_us

    def advance(self, by_us: int) -> int:
        """Move the clock by *by_us* and return where it stands."""
        with self._lock:
            self._now_us += by_us
            return self._now_us
