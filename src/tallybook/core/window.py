"""Spans of time and the calendars that cut them: half-open, exact, in any zone, DST included.

`tile` cuts a span into calendar windows; `cover` says which rollup buckets add up to those windows; periods are the
anchored months that limits and invoices count over. Rollup buckets are UTC: minutes, hours, days and months.
Not for reading or writing instants as text (see `instant`).
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo

import msgspec

from tallybook.core.errors import FieldInvalid, RangeInvalid, RangeTooLarge, ZoneUnknown
from tallybook.core.instant import DAY_US, EPOCH, HOUR_US, INSTANT_MAX_US, MINUTE_US, day_of, day_start_us

WINDOWS_MAX = 50_000
"""Most windows of one answer: 34 days of minutes, 5 years of hours."""
WINDOWS_KEPT_MAX, WINDOWS_KEPT_LONG = 64, 1_000
"""Lists of windows that are remembered, and how long one may be: people ask for the same days again and again."""


MONTHS_KEPT_MAX = 1_200
"""Most months of which the first minute is remembered."""


class Span(msgspec.Struct, frozen=True, order=True, gc=False):
    """The instants from *start_us* up to, not including, *end_us* (microseconds since the epoch)."""

    start_us: int
    end_us: int

    def __contains__(self, instant_us: int) -> bool:
        return self.start_us <= instant_us < self.end_us


class Windows(tuple[Span, ...]):  # noqa: SLOT001 - a tuple that can be told one thing more
    """Windows that many questions are asked about; what covers them is worked out once (see `cover`)."""

    covered: object = None
    """Kept here by `cover`."""
    starts: tuple[Callable[[int], str], tuple[str, ...]] | None = None
    """Kept here by `start_texts`."""


def start_texts(windows: Sequence[Span], write: Callable[[int], str]) -> tuple[str, ...]:
    """Return the start of each of *windows* as *write* tells it; windows that are asked for again know theirs."""
    if not isinstance(windows, Windows):
        return tuple([write(window.start_us) for window in windows])
    if windows.starts is None or windows.starts[0] is not write:
        windows.starts = write, tuple([write(window.start_us) for window in windows])
    return windows.starts[1]


class Granularity(StrEnum):
    """How a span is cut; weeks begin on Monday, months on the 1st, in the asked zone."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    TOTAL = "total"


_UTC_KEY = "UTC"
"""The zone that most questions are asked in, and in which calendars are plain arithmetic."""

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


def read_zone(value: object, pointer: str) -> str:
    """Read the name of a zone in a body.

    Raises:
        FieldInvalid: If it is none.
    """
    try:
        if isinstance(value, str):
            zone(value)
            return value
    except ZoneUnknown:
        pass  # told below, like what is no text at all
    raise FieldInvalid("must be an IANA name such as Europe/Paris", pointer=pointer)


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


def tile(span: Span, granularity: Granularity, tz: ZoneInfo) -> Windows:
    """Cut *span* into the calendar windows of *granularity* in *tz*, the first and last clipped to the span.

    The windows are ascending, disjoint and add up to the span. A local day that a zone skipped altogether has no
    window. An empty span has none.

    Raises:
        RangeTooLarge: If there would be more than WINDOWS_MAX.
    """
    key = span, granularity, tz
    windows = _TILED.get(key)
    if windows is None:
        windows = _tile(span, granularity, tz)
        if len(windows) <= WINDOWS_KEPT_LONG:
            if len(_TILED) >= WINDOWS_KEPT_MAX:
                _TILED.clear()
            _TILED[key] = windows
    return windows


_TILED: dict[tuple[Span, Granularity, ZoneInfo], Windows] = {}


def _tile(span: Span, granularity: Granularity, tz: ZoneInfo) -> Windows:
    if span.start_us >= span.end_us:
        return Windows()
    if granularity is Granularity.TOTAL:
        return Windows((span,))
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
    return Windows(Span(start, end) for start, end in pairwise(cuts))


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


def month_bucket(instant_us: int) -> int:
    """Return the number of the instant's UTC month: year * 12 + month - 1."""
    day = day_of(instant_us)
    return day.year * 12 + day.month - 1


@lru_cache(maxsize=MONTHS_KEPT_MAX)
def month_start_minute(month: int) -> int:
    """Return the minute at which the UTC month with this number begins."""
    return day_start_us(date(month // 12, month % 12 + 1, 1)) // MINUTE_US


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


def last_days(now_us: int, days: int) -> Windows:
    """Return the last *days* UTC days, oldest first, today (the day of *now_us*) last."""
    return _days_until(now_us // DAY_US, days)


@lru_cache(maxsize=WINDOWS_KEPT_MAX)
def _days_until(today: int, days: int) -> Windows:
    return Windows(Span(day * DAY_US, (day + 1) * DAY_US) for day in range(today - days + 1, today + 1))


def month_of(instant_us: int) -> Span:
    """Return the UTC calendar month of the instant."""
    return _month_span(month_bucket(instant_us))


def last_months(now_us: int, months: int) -> Windows:
    """Return the last *months* UTC calendar months, oldest first, this month last."""
    return _months_until(month_bucket(now_us), months)


@lru_cache(maxsize=WINDOWS_KEPT_MAX)
def _months_until(last: int, months: int) -> Windows:
    return Windows(_month_span(month) for month in range(last - months + 1, last + 1))


def _month_span(month: int) -> Span:
    return Span(month_start_minute(month) * MINUTE_US, month_start_minute(month + 1) * MINUTE_US)


def all_time() -> Span:
    """Return the span that holds every event."""
    return Span(0, INSTANT_MAX_US)
