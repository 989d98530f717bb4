"""The pulse of a process: events by minute and outcome."""

from tallybook.core.clock import FrozenClock
from tallybook.core.instant import MINUTE_US
from tallybook.core.intake import Receipt
from tallybook.core.vitals import Minute
from tallybook.flows.pulse import MINUTES_KEPT, Pulse
from tallybook.flows.sweep import Job, Sweeper
from tests.support.rooms import NOW_US


def test_receipts_are_counted_in_their_minute() -> None:
    """The running minute is the last; empty ones are there, too; older ones are only in the total."""
    clock = FrozenClock(NOW_US + 5)
    pulse = Pulse(clock)
    pulse.seen(Receipt(3, 1, 0, 0, ()))
    clock.advance(MINUTE_US)
    pulse.seen(Receipt(0, 0, 2, 4, ()))
    pulse.seen(Receipt(1, 0, 0, 0, ()))

    minutes = pulse.minutes()
    assert MINUTES_KEPT == len(minutes)
    assert [Minute(NOW_US, 3, 1, 0, 0), Minute(NOW_US + MINUTE_US, 1, 0, 2, 4)] == minutes[-2:]
    assert not any(minute.events for minute in minutes[:-2])
    assert Minute(NOW_US + 5, 4, 1, 2, 4) == pulse.total()
    assert 11 == pulse.total().events

    clock.advance(MINUTES_KEPT * MINUTE_US)
    assert not any(minute.events for minute in pulse.minutes())
    assert 11 == pulse.total().events


def test_a_sweeper_tells_when_its_jobs_were_run() -> None:
    """In their order; one without a clock tells nothing."""
    work = [2, 0]
    jobs = [Job("idle", lambda: 0), Job("busy", lambda: work.pop(0))]
    sweeper = Sweeper(jobs, FrozenClock(NOW_US))
    assert [] == sweeper.swept()
    sweeper.run()
    assert [("idle", NOW_US, 0), ("busy", NOW_US, 2)] == [(one.name, one.at_us, one.did) for one in sweeper.swept()]
