"""Spans of time and the calendars that cut them: half-open, exact, in any zone, DST included.

`tile` cuts a span into calendar windows; `cover` says which rollup buckets add up to those windows; periods are the
anchored months that limits and invoices count over. Rollup buckets are UTC: minutes, hours, days and months.
Not for reading or writing instants as text (see `instant`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import IntEnum, StrEnum
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import msgspec

from tallybook.core.errors import RangeInvalid, RangeTooLarge, ZoneUnknown
from tallybook.core.instant import DAY_US, EPOCH, HOUR_US, INSTANT_MAX_US, MINUTE_US, day_of, day_start_us

WINDOWS_MAX = 50_000
"""Most windows of one answer: 34 days of minutes, 5 years of hours."""


class Span(msgspec.Struct, frozen=True, order=True, gc=False):
    """The instants from *start_us* up to, not including, *end_us* (microseconds since the epoch)."""

    start_us: int
    end_us: int

    def __contains__(self, instant_us: int) -> bool:
        return self.start_us <= instant_us < self.end_us


class Granularity(StrEnum):
    """How a span is cut; weeks begin on Monday, months on the 1st, in the asked zone."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    TOTAL = "total"


class Level(IntEnum):
    """The sizes of rollup buckets, by their number in the ledger."""

    MINUTE = 0
    HOUR = 1
    DAY = 2
    MONTH = 3


class Segment(msgspec.Struct, gc=False):
    """A run of rollup buckets: bucket b in [low, high) belongs to window ``window + stride * (b - low)``."""

    level: Level
    low: int
    high: int
    window: int
    stride: int


_UTC_KEY = "UTC"
"""The zone that most questions are asked in, and in which calendars are plain arithmetic."""

_BUCKETS = {MINUTE_US: (Level.MINUTE, MINUTE_US), HOUR_US: (Level.HOUR, HOUR_US), DAY_US: (Level.DAY, DAY_US)}


@dataclass(frozen=True, slots=True)
class Cover:
    """What adds up to a list of windows: rollup *segments*, and *edges* shorter than a minute.

    An edge is (window, span); its events have to be read one by one.
    """

    segments: tuple[Segment, ...]
    edges: tuple[tuple[int, Span], ...]


# --- zones -----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """Return the IANA zone called *name*.

    Raises:
        ZoneUnknown: If there is none, or the name is not a plain zone name.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ZoneUnknown("the time zone must be an IANA name such as Europe/Paris", parameter="tz") from None


def local_midnight_us(day: date, tz: ZoneInfo) -> int:
    """Return the first instant of *day* in *tz*, also where midnight itself is skipped by a clock change."""
    if tz.key == _UTC_KEY:
        return day_start_us(day)
    moment = datetime(day.year, day.month, day.day, tzinfo=tz).astimezone(UTC)
    return (moment - EPOCH) // timedelta(microseconds=1)


def local_day(instant_us: int, tz: ZoneInfo) -> date:
    """Return the calendar day of the instant in *tz*."""
    return (EPOCH + timedelta(microseconds=instant_us)).astimezone(tz).date()


# --- cutting a span into windows -----------------------------------------------------------------------------------


def tile(span: Span, granularity: Granularity, tz: ZoneInfo) -> list[Span]:
    """Cut *span* into the calendar windows of *granularity* in *tz*, the first and last clipped to the span.

    The windows are ascending, disjoint and add up to the span. A local day that a zone skipped altogether has no
    window. An empty span has none.

    Raises:
        RangeTooLarge: If there would be more than WINDOWS_MAX.
    """
    if span.start_us >= span.end_us:
        return []
    if granularity is Granularity.TOTAL:
        return [span]
    cuts = [span.start_us]
    for cut in _boundaries(span, granularity, tz):
        if cut >= span.end_us:
            break
        if cut > cuts[-1]:
            cuts.append(cut)
            if len(cuts) > WINDOWS_MAX:
                raise RangeTooLarge(
                    f"the span has more than {WINDOWS_MAX} windows of one {granularity}; ask for a coarser one",
                    parameter="granularity",
                )
    cuts.append(span.end_us)
    return [Span(start, end) for start, end in pairwise(cuts)]


def _boundaries(span: Span, granularity: Granularity, tz: ZoneInfo) -> Iterator[int]:
    if granularity is Granularity.MINUTE:
        yield from range(span.start_us - span.start_us % MINUTE_US, span.end_us, MINUTE_US)
    elif granularity is Granularity.HOUR:
        yield from _hours(span, tz)
    else:
        yield from (local_midnight_us(day, tz) for day in _days(local_day(span.start_us, tz), granularity))


def _hours(span: Span, tz: ZoneInfo) -> Iterator[int]:
    at_us = span.start_us
    if tz.key == _UTC_KEY:
        yield from range(at_us + HOUR_US - at_us % HOUR_US, span.end_us + HOUR_US, HOUR_US)
        return
    while at_us < span.end_us:
        offset = (EPOCH + timedelta(microseconds=at_us)).astimezone(tz).utcoffset()
        assert offset is not None  # aware by construction
        at_us += HOUR_US - (at_us + offset // timedelta(microseconds=1)) % HOUR_US
        yield at_us


def _days(first: date, granularity: Granularity) -> Iterator[date]:
    if granularity is Granularity.MONTH:
        months = first.year * 12 + first.month - 1
        while True:
            yield date(months // 12, months % 12 + 1, 1)
            months += 1
    step = timedelta(days=1)
    if granularity is Granularity.WEEK:
        first, step = first - timedelta(days=first.weekday()), timedelta(days=7)
    while True:
        yield first
        first += step


# --- covering windows with rollup buckets --------------------------------------------------------------------------


def month_bucket(instant_us: int) -> int:
    """Return the number of the instant's UTC month: year * 12 + month - 1."""
    day = day_of(instant_us)
    return day.year * 12 + day.month - 1


def _month_start_minute(month: int) -> int:
    return day_start_us(date(month // 12, month % 12 + 1, 1)) // MINUTE_US


def cover(windows: Sequence[Span]) -> Cover:
    """Return the fewest rollup buckets, and the sub-minute edges, that add up to each of *windows*.

    Args:
        windows: Ascending and disjoint; gaps between them are fine.
    """
    segments: list[Segment] = []
    edges: list[tuple[int, Span]] = []
    for index, window in enumerate(windows):
        level = _BUCKETS.get(window.end_us - window.start_us)
        if level is not None and window.start_us % level[1] == 0:
            low = window.start_us // level[1]
            run = segments[-1] if segments else None
            if run and run.stride and run.high == low and run.level is level[0] and index - run.window == low - run.low:
                run.high = low + 1
            else:
                _add(segments, level[0], low, low + 1, index)
            continue
        low = -(-window.start_us // MINUTE_US)
        high = window.end_us // MINUTE_US
        if low > high:
            edges.append((index, window))
            continue
        if window.start_us < low * MINUTE_US:
            edges.append((index, Span(window.start_us, low * MINUTE_US)))
        for part, first, last in _buckets(low, high):
            _add(segments, part, first, last, index)
        if high * MINUTE_US < window.end_us:
            edges.append((index, Span(high * MINUTE_US, window.end_us)))
    return Cover(tuple(segments), tuple(edges))


def _add(segments: list[Segment], level: Level, low: int, high: int, window: int) -> None:
    """Append a segment, or lengthen the last one where windows follow each other bucket by bucket."""
    if segments and high - low == 1:
        last = segments[-1]
        runs = last.stride == 1 or last.high - last.low == 1
        if last.high == low and last.level == level and runs and window == last.window + (low - last.low):
            last.high, last.stride = high, 1
            return
    segments.append(Segment(level, low, high, window, 0))


def _buckets(low: int, high: int) -> Iterator[tuple[Level, int, int]]:
    """Cut the minutes [low, high) into the coarsest aligned buckets, in ascending order."""
    for level, start, end in _peel(low, high, 60, Level.MINUTE, Level.HOUR):
        if level is not Level.HOUR:
            yield level, start, end
            continue
        for inner, first, last in _peel(start, end, 24, Level.HOUR, Level.DAY):
            if inner is not Level.DAY:
                yield inner, first, last
                continue
            yield from _months(first, last)


def _peel(low: int, high: int, size: int, fine: Level, coarse: Level) -> Iterator[tuple[Level, int, int]]:
    first, last = -(-low // size), high // size
    if first >= last:
        if low < high:
            yield fine, low, high
        return
    if low < first * size:
        yield fine, low, first * size
    yield coarse, first, last
    if last * size < high:
        yield fine, last * size, high


def _months(low: int, high: int) -> Iterator[tuple[Level, int, int]]:
    """Cut the days [low, high) into whole months and the days around them."""
    minutes_a_day = DAY_US // MINUTE_US
    first = month_bucket(low * DAY_US - 1) + 1 if low else month_bucket(0)
    last = month_bucket(high * DAY_US)
    if first >= last:
        yield Level.DAY, low, high
        return
    start, end = _month_start_minute(first) // minutes_a_day, _month_start_minute(last) // minutes_a_day
    if low < start:
        yield Level.DAY, low, start
    yield Level.MONTH, first, last
    if end < high:
        yield Level.DAY, end, high


# --- spans that people ask for -----------------------------------------------------------------------------------


def checked_span(start_us: int, end_us: int, *, empty_allowed: bool = False) -> Span:
    """Return the span, or refuse one that ends before (or, unless *empty_allowed*, where) it starts.

    Raises:
        RangeInvalid: Naming ``to``.
    """
    if end_us < start_us or (end_us == start_us and not empty_allowed):
        raise RangeInvalid("to must be after from", parameter="to")
    return Span(start_us, end_us)


def floor_minute(instant_us: int) -> int:
    """Return the start of the instant's minute."""
    return instant_us - instant_us % MINUTE_US


def today_us(now_us: int) -> Span:
    """Return the UTC day of *now_us*."""
    start_us = now_us - now_us % DAY_US
    return Span(start_us, start_us + DAY_US)


def last_days(now_us: int, days: int) -> list[Span]:
    """Return the last *days* UTC days, oldest first, today (the day of *now_us*) last."""
    first_us = today_us(now_us).start_us - (days - 1) * DAY_US
    return [Span(start, start + DAY_US) for start in range(first_us, first_us + days * DAY_US, DAY_US)]


def month_of(instant_us: int) -> Span:
    """Return the UTC calendar month of the instant."""
    return _month_span(month_bucket(instant_us))


def last_months(now_us: int, months: int) -> list[Span]:
    """Return the last *months* UTC calendar months, oldest first, this month last."""
    last = month_bucket(now_us)
    return [_month_span(month) for month in range(last - months + 1, last + 1)]


def _month_span(month: int) -> Span:
    return Span(_month_start_minute(month) * MINUTE_US, _month_start_minute(month + 1) * MINUTE_US)


def all_time() -> Span:
    """Return the span that holds every event."""
    return Span(0, INSTANT_MAX_US)
