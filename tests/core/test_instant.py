"""Instants are read as RFC 3339 says, strictly, and written in UTC; nothing overflows, nothing is guessed."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallybook.core.errors import FieldInvalid, RangeInvalid
from tallybook.core.instant import (
    DAY_US,
    INSTANT_MAX_US,
    day_of,
    day_start_us,
    day_text,
    instant_text,
    parse_event_time,
    parse_instant,
    to_datetime,
)

NOON_US = 1_772_366_400_000_000  # 2026-03-01T12:00:00Z
instants = st.integers(0, INSTANT_MAX_US - 1)


@pytest.mark.parametrize(
    ("text", "after_noon_us"),
    [
        ("2026-03-01T12:00:00Z", 0),
        ("2026-03-01t12:00:00z", 0),
        ("2026-03-01 12:00:00Z", 0),
        ("2026-03-01T12:00:00+00:00", 0),
        ("2026-03-01T12:00:00-00:00", 0),
        ("2026-03-01T14:00:00+02:00", 0),
        ("2026-03-01T01:30:00-10:30", 0),
        ("2026-03-02T02:00:00+14:00", 0),
        ("2026-03-01T12:00:00.5Z", 500_000),
        ("2026-03-01T12:00:00.000001Z", 1),
        ("2026-03-01T12:00:00.1234567Z", 123_456),
        ("2026-03-01T12:00:00.123456789Z", 123_456),
        ("2026-03-01T12:00:00.123456789012Z", 123_456),
        ("2026-03-01T13:00:00.123456789+01:00", 123_456),
        ("2026-03-01T12:00:00.999999999Z", 999_999),
        ("2026-03-01T12:00:60Z", 59_999_999),
        ("2026-03-01T12:00:60.5Z", 59_999_999),
        ("2026-03-01T17:45:60+05:45", 59_999_999),
    ],
)
def test_an_event_time_is_read_to_the_microsecond(text: str, after_noon_us: int) -> None:
    """Offsets, lower case, long fractions and leap seconds all name their instant; more digits are cut off."""
    assert NOON_US + after_noon_us == parse_event_time(text, "/time")


def test_a_leap_second_is_the_last_microsecond_of_its_minute() -> None:
    """23:59:60 stays in its day, month and year."""
    last_us = parse_event_time("2016-12-31T23:59:60Z", "/time")
    assert last_us + 1 == parse_event_time("2017-01-01T00:00:00Z", "/time")


@pytest.mark.parametrize(
    "text",
    [
        *("", "now", "2026-03-01", "12:00:00Z", "2026-03-01T12:00Z", "2026-03-01T12Z", "20260301T120000Z"),
        *("2026-03-01T12:00:61Z", "2026-03-01T12:60:00Z", "2026-03-01T24:00:00Z", "2026-13-01T12:00:00Z"),
        *("2026-02-29T12:00:00Z", "2026-00-01T12:00:00Z", "0000-01-01T00:00:00Z", "2026-W10-7T12:00:00Z"),
        *("2026-03-01T12:00:00.Z", "2026-03-01T12:00:00,5Z", "2026-03-01T12:00:00.-5Z", "2026-03-01T12:00:00.٣Z"),
        *("2026-03-01T12:00:00ZZ", "2026-03-01T12:00:00Z+01:00Z", "2026-03-01T12:00:00.5+01:00Z"),
        *("2026-03-01T12:00:00+0100", "2026-03-01T12:00:00+01", "2026-03-01T12:00:00+24:00"),
        *("2026-03-01T12:00:00+01:60", "2026-03-01T12:00:00 01:00", "2026-03-01T12:00:00Z ", " 2026-03-01T12:00:00Z"),
        *("٢٠٢٦-03-01T12:00:00Z", "2026-03-01T12:00:00\x00Z", "2026-03-01T12:00:00Z\n", "2026-03-01_12:00:00Z"),
        *("1969-12-31T23:59:59.999999Z", "2200-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00"),
        *("9999-12-31T23:59:59-12:00", "1970-01-01T00:59:59+01:00", "2199-12-31T23:00:00-01:00"),
        *(5, None, True, 5.5, ["2026-03-01T12:00:00Z"]),
    ],
    ids=repr,
)
def test_anything_else_is_no_event_time_and_says_where(text: object) -> None:
    """Junk, impossible dates and instants outside [1970, 2200) are refused with the pointer."""
    with pytest.raises(FieldInvalid) as refused:
        parse_event_time(text, "/7/time")
    assert ("/7/time", None) == (refused.value.pointer, refused.value.detail.get("reason"))


@pytest.mark.parametrize("text", ["2026-03-01T12:00:00", "2026-03-01 12:00:00.5", "2026-03-01T12:00:60"])
def test_an_event_time_without_an_offset_has_a_refusal_of_its_own(text: str) -> None:
    """A naive time is never guessed to be UTC: its sender is told what is missing."""
    with pytest.raises(FieldInvalid, match="offset") as refused:
        parse_event_time(text, "/time")
    assert ("/time", "timestamp-needs-offset") == (refused.value.pointer, refused.value.detail["reason"])


@given(instant_us=instants)
def test_text_and_back_is_the_same_instant(instant_us: int) -> None:
    """What we write, both readers read, and the standard library agrees about what it means."""
    text = instant_text(instant_us)
    assert instant_us == parse_event_time(text, "")
    assert (instant_us, False) == parse_instant(text, "from")
    assert to_datetime(instant_us) == datetime.fromisoformat(text)


@given(instant_us=st.integers(2 * DAY_US, INSTANT_MAX_US - 2 * DAY_US), offset_min=st.integers(-1439, 1439))
def test_any_offset_names_the_same_instant(instant_us: int, offset_min: int) -> None:
    """An instant told in another offset is still that instant."""
    sign, (hours, minutes) = "-" if offset_min < 0 else "+", divmod(abs(offset_min), 60)
    local = to_datetime(instant_us).replace(tzinfo=None) + timedelta(minutes=offset_min)
    assert instant_us == parse_event_time(f"{local.isoformat()}{sign}{hours:02}:{minutes:02}", "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01", (NOON_US - DAY_US // 2, True)),
        ("1970-01-01", (0, True)),
        ("2200-01-01", (INSTANT_MAX_US, True)),
        ("2026-03-01T12:00:00Z", (NOON_US, False)),
        ("2026-03-01T12:00:00.000Z", (NOON_US, False)),
        ("2026-03-01T13:00:00+01:00", (NOON_US, False)),
        ("2026-03-01T13:00:00 01:00", (NOON_US, False)),
        ("2026-03-01 13:00:00.5 01:00", (NOON_US + 500_000, False)),
    ],
)
def test_a_query_may_name_a_day_or_an_instant(text: str, expected: tuple[int, bool]) -> None:
    """A bare date is its first instant in UTC; a space where a raw + was sent is understood."""
    assert expected == parse_instant(text, "from")


def test_a_naive_instant_is_utc_only_where_that_was_agreed() -> None:
    """A dialect may say that its naive date-times are UTC; otherwise the refusal hints at %2B."""
    assert (NOON_US, False) == parse_instant("2026-03-01T12:00:00", "to", naive_is_utc=True)
    with pytest.raises(RangeInvalid, match="%2B") as refused:
        parse_instant("2026-03-01T12:00:00", "to")
    assert "to" == refused.value.parameter


@pytest.mark.parametrize(
    "text",
    [
        *("", "today", "2026-02-29", "2026-3-1", "20260301", "2026-03-01T12:00", "2026-03-01T12:00:00 +01:00"),
        *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-12:00", "1969-12-31", "2200-01-02", "٢٠٢٦-03-01"),
        *("2026-03-01T12:00:00 1:00", "2026-03-01\n", "2200-01-01T00:00:00.000001Z", "9" * 5_000),
    ],
    ids=lambda text: repr(text)[:40],
)
def test_a_query_instant_that_is_none_names_its_parameter(text: str) -> None:
    """Junk and instants outside [1970, 2200] never overflow anything."""
    with pytest.raises(RangeInvalid) as refused:
        parse_instant(text, "from")
    assert ("invalid-range", "from") == (refused.value.code, refused.value.parameter)


@given(instant_us=instants)
def test_days_begin_at_midnight_utc(instant_us: int) -> None:
    """The day of an instant is the standard library's, and begins at most a day before it."""
    day = day_of(instant_us)
    assert to_datetime(instant_us).astimezone(UTC).date() == day == date.fromisoformat(day_text(instant_us))
    assert 0 <= instant_us - day_start_us(day) < DAY_US
