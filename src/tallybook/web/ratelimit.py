"""How many requests a key may make in a minute: fixed windows of the clock's minutes, counted exactly in this process.

Not for the limits of plans (see the flow `admit`): this guards the door, and several processes each count their own.
"""

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from tallybook.core.clock import US_PER_S
from tallybook.core.instant import MINUTE_US

KEYS_MAX = 100_000
"""Most keys counted in one minute; beyond it nobody is refused, for a door must not fall on those who come last."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left to one key in this minute.

    Attributes:
        allowed: Whether the request that took it may go on.
        remaining: Requests left after it.
        reset_s: When the next minute begins, in Unix seconds.
        retry_after_s: Seconds until then, at least 1.
    """

    allowed: bool
    requests_max: int
    remaining: int
    reset_s: int
    retry_after_s: int

    def headers(self) -> Mapping[str, str]:
        """Return the headers that say so, with Retry-After where the request was refused."""
        told = {
            "X-RateLimit-Limit": str(self.requests_max),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset_s),
        }
        return told if self.allowed else {**told, "Retry-After": str(self.retry_after_s)}


class RateLimiter:
    """Counts the requests of each key in the current minute; safe to share between threads."""

    def __init__(self, requests_per_minute_max: int) -> None:
        self._requests_max = requests_per_minute_max
        self._lock = threading.Lock()
        self._minute = -1
        self._taken: dict[str, int] = {}

    def take(self, key_id: str, now_us: int) -> Allowance:
        """Count one request of *key_id* and say whether it may go on; a refused one is not counted."""
        minute = now_us // MINUTE_US
        with self._lock:
            if minute != self._minute:
                self._minute = minute
                self._taken.clear()
            taken = self._taken.get(key_id, 0)
            allowed = taken < self._requests_max
            if allowed and (taken or len(self._taken) < KEYS_MAX):
                taken += 1
                self._taken[key_id] = taken
        return self._allowance(taken, now_us, allowed=allowed)

    def untouched(self, now_us: int) -> Allowance:
        """Return what a key that made no request has: what is told to those without a valid key."""
        return self._allowance(0, now_us, allowed=True)

    def _allowance(self, taken: int, now_us: int, *, allowed: bool) -> Allowance:
        reset_us = now_us - now_us % MINUTE_US + MINUTE_US
        return Allowance(
            allowed=allowed,
            requests_max=self._requests_max,
            remaining=self._requests_max - taken,
            reset_s=reset_us // US_PER_S,
            retry_after_s=-((now_us - reset_us) // US_PER_S),
        )
