"""Billing periods: anchored months in an account's time zone."""

import calendar
from bisect import bisect_right
from datetime import date
from zoneinfo import ZoneInfo

from tallybook.core.window import Span, local_day, local_midnight_us

PERIODS_KEPT_MAX = 1_000
_PERIODS: dict[tuple[int, ZoneInfo], Span] = {}
"""The period that was asked for last, by anchor day and zone: most questions are about now."""


def billing_period(at_us: int, anchor_day: int, tz: ZoneInfo) -> Span:
    """Return the anchored month that holds *at_us*: it begins at local midnight of *anchor_day*.

    In a month that is shorter than *anchor_day* the period begins on the month's last day, without drifting:
    anchor 31 gives Jan 31, Feb 28 or 29, Mar 31.
    """
    known = _PERIODS.get((anchor_day, tz))
    if known is not None and known.start_us <= at_us < known.end_us:
        return known
    if len(_PERIODS) >= PERIODS_KEPT_MAX:
        _PERIODS.clear()
    period = _PERIODS[anchor_day, tz] = _billing_period(at_us, anchor_day, tz)
    return period


def _billing_period(at_us: int, anchor_day: int, tz: ZoneInfo) -> Span:
    day = local_day(at_us, tz)
    months = day.year * 12 + day.month - 1
    starts = [_anchor_us(month, anchor_day, tz) for month in range(months - 1, months + 3)]
    index = bisect_right(starts, at_us)
    return Span(starts[index - 1], starts[index])


def _anchor_us(month: int, anchor_day: int, tz: ZoneInfo) -> int:
    year, number = month // 12, month % 12 + 1
    return local_midnight_us(date(year, number, min(anchor_day, calendar.monthrange(year, number)[1])), tz)
