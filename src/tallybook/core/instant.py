"""Instants as text and back: RFC 3339 in, UTC out, always integer microseconds since the epoch.

Not for spans and calendars (see `window`).
"""

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from tallybook.core.errors import FieldInvalid, RangeInvalid

MINUTE_US = 60 * 1_000_000
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
INSTANT_MAX_US = (datetime(2200, 1, 1, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
"""Queries and events stay inside [1970, 2200): far from every overflow of calendar arithmetic."""

TEXTS_KEPT_MAX = 16_384
"""Names of days, and of hours, that are remembered: answers are full of the same ones."""

_RFC3339 = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)[Tt ](?P<minute>(?:[01]\d|2[0-3]):\d\d):(?P<second>\d\d)(?P<fraction>\.\d{1,12})?"
    r"(?P<offset>[Zz]|[+-]\d\d:[0-5]\d)?",
    re.ASCII,
)
_USUAL_CHARS_MAX = len("2026-03-01T12:00:00.123456Z")
_SECOND = re.compile(r"\d{4}-\d\d-\d\dT(?!24)\d\d:\d\d:\d\d", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


def parse_event_time(text: object, pointer: str) -> int:
    """Return the instant of an event's `time` (RFC 3339 with an offset) in microseconds.

    Digits beyond the microsecond are cut off. ``23:59:60`` is a leap second and counts as the last microsecond
    of its minute.

    Raises:
        FieldInvalid: With *pointer*: not RFC 3339, no offset, or outside [1970, 2200).
    """
    if not isinstance(text, str):
        raise FieldInvalid("must be an RFC 3339 string", pointer=pointer)
    if len(text) <= _USUAL_CHARS_MAX:
        instant_us = usual_us(text)
        if instant_us is not None:
            return instant_us
    try:
        moment = _parse_slowly(text, naive_is_utc=False)
    except _NeedsOffset:
        raise FieldInvalid(
            "must carry an offset such as Z or +02:00", pointer=pointer, reason="timestamp-needs-offset"
        ) from None
    except ValueError:
        raise FieldInvalid("must be an RFC 3339 instant such as 2026-03-01T12:00:00Z", pointer=pointer) from None
    instant_us = (moment - EPOCH) // timedelta(microseconds=1)
    if not 0 <= instant_us < INSTANT_MAX_US:
        raise FieldInvalid("must lie between 1970 and 2200", pointer=pointer)
    return instant_us


@lru_cache(maxsize=16_384)
def usual_us(text: str) -> int | None:
    """Return the instant of the usual form, UTC with at most six digits after the second, or None.

    Events come second by second, so most seconds have been read before, and many instants.
    """
    second, fraction = text[:19], text[20:-1]
    if text[19:] != "Z" and not (
        text[19:20] == "." and text[-1] == "Z" and 0 < len(fraction) <= 6 and fraction.isascii() and fraction.isdigit()
    ):
        return None
    second_us = _second_us(second)
    return second_us if second_us is None or not fraction else second_us + int(fraction.ljust(6, "0"))


@lru_cache(maxsize=8192)
def _second_us(text: str) -> int | None:
    """Return the instant of ``2026-03-01T12:00:00`` in UTC; None where the slower way has to look."""
    if _SECOND.fullmatch(text) is None:
        return None
    try:
        instant_us = (datetime.fromisoformat(text).replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
    except ValueError:
        return None
    return instant_us if 0 <= instant_us < INSTANT_MAX_US else None


class _NeedsOffset(ValueError):
    """A date-time without an offset where one is required."""


def _parse_slowly(text: str, *, naive_is_utc: bool) -> datetime:
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(text)
    offset = match["offset"]
    if offset is None:
        if not naive_is_utc:
            raise _NeedsOffset(text)
        offset = "Z"
    second, fraction = match["second"], (match["fraction"] or ".0")[:7]
    if second == "60":
        second, fraction = "59", ".999999"
    fraction = fraction.ljust(7, "0")
    return datetime.fromisoformat(f"{match['day']}T{match['minute']}:{second}{fraction}{offset.upper()}")


def parse_instant(text: str, parameter: str, *, naive_is_utc: bool = False) -> tuple[int, bool]:
    """Return a query's instant in microseconds and whether it was a bare date (then 00:00 UTC of that day).

    A space that stands where a raw ``+`` was sent in a query string is understood.

    Raises:
        RangeInvalid: Naming *parameter*: unparsable, without an offset (unless *naive_is_utc*), or outside
            [1970, 2200).
    """
    try:
        if _DAY.fullmatch(text):
            moment, bare = datetime.combine(date.fromisoformat(text), datetime.min.time(), UTC), True
        else:
            if len(text) > 6 and text[-6] == " ":
                text = f"{text[:-6]}+{text[-5:]}"
            moment, bare = _parse_slowly(text, naive_is_utc=naive_is_utc), False
        instant_us = (moment - EPOCH) // timedelta(microseconds=1)
    except _NeedsOffset:
        raise RangeInvalid(
            f"{parameter} must carry an offset such as Z or %2B02:00 (a raw + is a space in a query)",
            parameter=parameter,
        ) from None
    except (ValueError, OverflowError):
        raise RangeInvalid(
            f"{parameter} must be a date (2026-03-01) or an RFC 3339 instant (2026-03-01T12:00:00Z; "
            "write + as %2B in a query)",
            parameter=parameter,
        ) from None
    if not 0 <= instant_us <= INSTANT_MAX_US:
        raise RangeInvalid(f"{parameter} must lie between 1970 and 2200", parameter=parameter)
    return instant_us, bare


def to_datetime(instant_us: int) -> datetime:
    """Return the instant as an aware UTC datetime."""
    return EPOCH + timedelta(microseconds=instant_us)


def day_of(instant_us: int) -> date:
    """Return the UTC calendar day the instant falls on."""
    return date.fromordinal(EPOCH_ORDINAL + instant_us // DAY_US)


def day_start_us(day: date) -> int:
    """Return 00:00:00 UTC of *day*."""
    return (day.toordinal() - EPOCH_ORDINAL) * DAY_US


def day_text(instant_us: int) -> str:
    """Return the UTC day as ``2026-03-01``."""
    return _day_text(instant_us // DAY_US)


@lru_cache(maxsize=TEXTS_KEPT_MAX)
def _day_text(day: int) -> str:
    return date.fromordinal(EPOCH_ORDINAL + day).isoformat()


def instant_text(instant_us: int) -> str:
    """Return the instant as ``2026-03-01T00:00:00Z``, with a fraction only where there is one."""
    if instant_us % HOUR_US == 0:
        return _hour_text(instant_us // HOUR_US)
    seconds, micros = divmod(instant_us, 1_000_000)
    text = _second_text(seconds)
    return f"{text}.{micros:06d}".rstrip("0") + "Z" if micros else f"{text}Z"


@lru_cache(maxsize=TEXTS_KEPT_MAX)
def _second_text(second: int) -> str:
    return (EPOCH + timedelta(seconds=second)).isoformat()[:19]


@lru_cache(maxsize=TEXTS_KEPT_MAX)
def _hour_text(hour: int) -> str:
    return f"{(EPOCH + timedelta(hours=hour)).isoformat()[:19]}Z"
