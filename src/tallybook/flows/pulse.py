"""The pulse of one process: how many events came in each of the last minutes, and what became of them.

In memory only: what was counted is in the ledger, and metrics are `web.observe`.
"""

import threading
from collections import deque

from tallybook.core.clock import Clock
from tallybook.core.instant import MINUTE_US
from tallybook.core.intake import Receipt
from tallybook.core.vitals import Minute

MINUTES_KEPT = 60


class Pulse:
    """Counts receipts."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._minutes: deque[Minute] = deque(maxlen=MINUTES_KEPT)
        self._total = Minute(clock.now_us())

    def seen(self, receipt: Receipt) -> None:
        """Count what became of one request's events."""
        start_us = self._start_us()
        with self._lock:
            if self._minutes and self._minutes[-1].start_us == start_us:
                self._minutes.append(_plus(self._minutes.pop(), receipt))
            else:
                self._minutes.append(_plus(Minute(start_us), receipt))
            self._total = _plus(self._total, receipt)

    def minutes(self) -> list[Minute]:
        """Return the last MINUTES_KEPT minutes, empty ones too, the running one last."""
        now_us = self._start_us()
        with self._lock:
            known = {minute.start_us: minute for minute in self._minutes}
        starts = range(now_us - (MINUTES_KEPT - 1) * MINUTE_US, now_us + MINUTE_US, MINUTE_US)
        return [known.get(start_us, Minute(start_us)) for start_us in starts]

    def total(self) -> Minute:
        """Return all since the process began, which is its *start_us*."""
        with self._lock:
            return self._total

    def _start_us(self) -> int:
        now_us = self._clock.now_us()
        return now_us - now_us % MINUTE_US


def _plus(minute: Minute, receipt: Receipt) -> Minute:
    return Minute(
        minute.start_us,
        minute.accepted + receipt.accepted,
        minute.duplicate + receipt.duplicate,
        minute.conflict + receipt.conflict,
        minute.rejected + receipt.rejected,
    )
