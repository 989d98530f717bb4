"""Clocks tell microseconds since the epoch; the frozen one moves only when told."""

import time
from datetime import UTC, datetime

from tallybook.core.clock import FrozenClock, SystemClock


def test_the_system_clock_tells_the_machines_time() -> None:
    """It lies between two readings of the machine's clock, in microseconds."""
    before_us = time.time_ns() // 1_000
    now_us = SystemClock().now_us()
    assert before_us <= now_us <= time.time_ns() // 1_000
    assert datetime.now(UTC).year - datetime.fromtimestamp(now_us / 1e6, UTC).year in {0, 1}


def test_a_frozen_clock_stands_until_moved() -> None:
    """It can be set, also backwards, and advanced; between that it stands still."""
    clock = FrozenClock(5)
    assert (5, 5) == (clock.now_us(), clock.now_us())
    assert 12 == clock.advance(7) == clock.now_us()
    clock.set(3)
    assert 3 == clock.now_us()
