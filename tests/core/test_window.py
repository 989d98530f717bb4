"""Windows tile time and periods follow each other, in any zone: each instant is counted once, none is lost."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from tallybook.core.cover import MINUTES, Level, cover, in_minutes
from tallybook.core.errors import RangeInvalid, RangeTooLarge, ZoneUnknown
from tallybook.core.instant import DAY_US, HOUR_US, INSTANT_MAX_US, MINUTE_US, parse_event_time, to_datetime
from tallybook.core.period import billing_period
from tallybook.core.window import (
    WINDOWS_MAX,
    Granularity,
    Span,
    all_time,
    checked_span,
    floor_minute,
    last_days,
    last_months,
    local_day,
    month_bucket,
    month_of,
    month_start_minute,
    tile,
    today_us,
    zone,
)
from tests.support.events import INTERESTING_US, ZONES, at, instants, spans

CALENDAR = (Granularity.DAY, Granularity.WEEK, Granularity.MONTH)
zones = st.sampled_from(ZONES)
BUCKET_US = {Level.MINUTE: MINUTE_US, Level.HOUR: HOUR_US, Level.DAY: DAY_US}


def local(instant_us: int, name: str) -> datetime:
    """The wall clock of a zone, as the standard library has it."""
    return to_datetime(instant_us).astimezone(zone(name))


# --- tiling ---------------------------------------------------------------------------------------------------------


@given(span=spans(), granularity=st.sampled_from(Granularity), name=zones)
def test_windows_tile_their_span(span: Span, granularity: Granularity, name: str) -> None:
    """Windows are ascending, touch each other, begin and end with the span, and none is empty."""
    if granularity is Granularity.MINUTE:
        span = Span(span.start_us, min(span.end_us, span.start_us + 2 * DAY_US))
    if granularity is Granularity.HOUR:
        span = Span(span.start_us, min(span.end_us, span.start_us + 90 * DAY_US))
    windows = tile(span, granularity, zone(name))
    assert (span.start_us, span.end_us) == (windows[0].start_us, windows[-1].end_us)
    assert all(window.start_us < window.end_us for window in windows)
    assert all(left.end_us == right.start_us for left, right in pairwise(windows))


@given(start_us=instants(), days=st.integers(1, 40), granularity=st.sampled_from(CALENDAR), name=zones)
def test_calendar_windows_begin_with_a_local_day(start_us: int, days: int, granularity: Granularity, name: str) -> None:
    """Each cut is the first instant of a local day (of a Monday, of the 1st), and no such day is passed over."""
    windows = tile(Span(start_us, start_us + days * DAY_US), granularity, zone(name))
    for window in windows[1:]:
        day = local(window.start_us, name).date()
        assert local(window.start_us - 1, name).date() < day
        assert granularity is not Granularity.WEEK or day.weekday() == 0
        assert granularity is not Granularity.MONTH or day.day == 1
    if granularity is Granularity.DAY:
        for window in windows:
            assert local(window.start_us, name).date() == local(window.end_us - 1, name).date()


@given(start_us=instants(), hours=st.integers(1, 100), name=zones)
def test_hours_begin_at_a_full_local_hour(start_us: int, hours: int, name: str) -> None:
    """Each cut is a full hour of the zone, also where its offset has half hours; none lasts longer than an hour.

    Where the clock itself changes by half an hour, a full hour of the old time is one by the new time's half hour.
    """
    windows = tile(Span(start_us, start_us + hours * HOUR_US), Granularity.HOUR, zone(name))
    assert all(window.end_us - window.start_us <= HOUR_US for window in windows)
    for window in windows[1:]:
        before, wall = local(window.start_us - 1, name), local(window.start_us, name)
        if before.utcoffset() == wall.utcoffset():
            assert (0, 0, 0) == (wall.minute, wall.second, wall.microsecond)
        else:
            assert (59, 59, 999_999) == (before.minute, before.second, before.microsecond)


@pytest.mark.parametrize(
    ("name", "day", "hours"),
    [
        ("Europe/Paris", "2026-03-29", 23),
        ("Europe/Paris", "2026-10-25", 25),
        ("Europe/Paris", "2026-10-26", 24),
        ("Australia/Lord_Howe", "2026-04-05", 24.5),
        ("Australia/Lord_Howe", "2026-10-04", 23.5),
        ("America/Santiago", "2026-09-06", 23),
        ("Africa/Cairo", "2026-04-24", 23),
        ("America/Havana", "2026-11-01", 25),
        ("Asia/Kolkata", "2026-03-29", 24),
    ],
)
def test_a_day_is_as_long_as_its_zone_says(name: str, day: str, hours: float) -> None:
    """Also the days that begin at 01:00 because their midnight does not exist."""
    tz = zone(name)
    around = Span(at(f"{day}T00:00:00Z") - 2 * DAY_US, at(f"{day}T00:00:00Z") + 3 * DAY_US)
    (window,) = [w for w in tile(around, Granularity.DAY, tz) if local_day(w.start_us, tz) == date.fromisoformat(day)]
    assert hours * HOUR_US == window.end_us - window.start_us


def test_a_day_that_a_zone_skipped_has_no_window() -> None:
    """Samoa went from 2011-12-29 to 2011-12-31: no window between them, and still they tile time."""
    tz = zone("Pacific/Apia")
    span = Span(at("2011-12-29T10:00:00Z"), at("2012-01-01T10:00:00Z"))
    windows = tile(span, Granularity.DAY, tz)
    assert [date(2011, 12, 29), date(2011, 12, 31), date(2012, 1, 1)] == [local_day(w.start_us, tz) for w in windows]
    assert span.end_us - span.start_us == sum(w.end_us - w.start_us for w in windows)


def test_an_empty_span_has_no_window() -> None:
    """Nor does one that ends before it starts."""
    assert () == tile(Span(5, 5), Granularity.TOTAL, zone("UTC"))
    assert () == tile(Span(5, 4), Granularity.DAY, zone("UTC"))


def test_too_many_windows_are_refused_at_the_bound() -> None:
    """WINDOWS_MAX windows pass, one more does not, and the refusal says what to do."""
    start_us = at("2026-03-01T00:00:00Z")
    assert WINDOWS_MAX == len(tile(Span(start_us, start_us + WINDOWS_MAX * MINUTE_US), Granularity.MINUTE, zone("UTC")))
    with pytest.raises(RangeTooLarge, match="coarser"):
        tile(Span(start_us, start_us + WINDOWS_MAX * MINUTE_US + 1), Granularity.MINUTE, zone("UTC"))
    assert 1 == len(tile(all_time(), Granularity.TOTAL, zone("UTC")))


@pytest.mark.parametrize(
    "name",
    ["", "../../etc/passwd", "/etc/passwd", "A" * 300, "Europe", "Europe/Pariss", "tzdata.zi", "a\x00b", "\ud800", "é"],
)
def test_what_is_no_zone_is_refused(name: str) -> None:
    """Paths, folders, junk and over-long names are no zones, and no file is read by them."""
    with pytest.raises(ZoneUnknown) as refused:
        zone(name)
    assert ("unknown-timezone", "tz") == (refused.value.code, refused.value.parameter)


# --- covering ---------------------------------------------------------------------------------------------------------


def bucket_spans(level: Level, low: int, high: int) -> list[Span]:
    """What the rollup buckets [low, high) of a level span."""
    if level is not Level.MONTH:
        return [Span(b * BUCKET_US[level], (b + 1) * BUCKET_US[level]) for b in range(low, high)]
    firsts = [date(month // 12, month % 12 + 1, 1) for month in range(low, high + 1)]
    return [Span(at(f"{a}T00:00:00Z"), at(f"{b}T00:00:00Z")) for a, b in pairwise(firsts)]


def covered(windows: list[Span]) -> list[list[Span]]:
    """For each window, the spans of what its cover adds up, in order."""
    found = cover(windows)
    parts: list[list[Span]] = [[] for _ in windows]
    for segment in found.segments:
        for number, span in enumerate(bucket_spans(segment.level, segment.low, segment.high)):
            parts[segment.window + segment.stride * number].append(span)
    for index, span in found.edges:
        assert span.end_us - span.start_us < MINUTE_US
        parts[index].append(span)
    return [sorted(part) for part in parts]


@given(span=spans(days_max=900), granularity=st.sampled_from([*CALENDAR, Granularity.TOTAL]), name=zones)
@example(span=Span(5, 7), granularity=Granularity.TOTAL, name="UTC")
@example(span=Span(59_999_999, 60_000_001), granularity=Granularity.TOTAL, name="UTC")
@example(span=Span(0, INSTANT_MAX_US), granularity=Granularity.TOTAL, name="UTC")
def test_a_cover_adds_up_to_its_windows_exactly(span: Span, granularity: Granularity, name: str) -> None:
    """Buckets and edges of a window touch each other and span it from end to end: nothing twice, nothing missing."""
    windows = tile(span, granularity, zone(name))
    for window, parts in zip(windows, covered(windows), strict=True):
        assert (window.start_us, window.end_us) == (parts[0].start_us, parts[-1].end_us)
        assert all(left.end_us == right.start_us for left, right in pairwise(parts))


@given(
    cuts=st.lists(instants(), min_size=2, max_size=12, unique=True).map(sorted),
    gaps=st.lists(st.booleans(), min_size=12, max_size=12),
)
def test_a_cover_of_windows_with_gaps_leaves_the_gaps_out(cuts: list[int], gaps: list[bool]) -> None:
    """Windows need not touch: each is covered by itself."""
    windows = [Span(a, b) for (a, b), gap in zip(pairwise(cuts), gaps, strict=False) if not gap]
    for window, parts in zip(windows, covered(windows), strict=True):
        assert window.end_us - window.start_us == sum(part.end_us - part.start_us for part in parts)
        assert all(window.start_us <= part.start_us < part.end_us <= window.end_us for part in parts)


@given(start_us=instants(), granularity=st.sampled_from([Granularity.MINUTE, Granularity.HOUR]), name=zones)
def test_a_cover_of_fine_windows_adds_up(start_us: int, granularity: Granularity, name: str) -> None:
    """So it is for minutes and hours, also in zones that are half an hour off."""
    windows = tile(Span(start_us, start_us + 3 * HOUR_US), granularity, zone(name))
    for window, parts in zip(windows, covered(windows), strict=True):
        assert (window.start_us, window.end_us) == (parts[0].start_us, parts[-1].end_us)
        assert window.end_us - window.start_us == sum(part.end_us - part.start_us for part in parts)


def test_long_runs_of_buckets_are_one_segment() -> None:
    """A year of UTC days is one range of the ledger's key, and so is a span of whole years."""
    year = Span(at("2026-01-01T00:00:00Z"), at("2027-01-01T00:00:00Z"))
    (days,) = cover(tile(year, Granularity.DAY, zone("UTC"))).segments
    assert (Level.DAY, 365, 1) == (days.level, days.high - days.low, days.stride)
    (months,) = cover([year]).segments
    assert (Level.MONTH, 12, 0) == (months.level, months.high - months.low, months.stride)
    assert not cover([year]).edges


@given(span=spans(days_max=800), granularity=st.sampled_from(Granularity), name=st.sampled_from(ZONES))
def test_minutes_stand_for_the_same_windows_as_their_segments(span: Span, granularity: Granularity, name: str) -> None:
    """Minute by minute at their borders, each belongs to the window that its bucket belongs to; and they are fewer."""
    assume(granularity not in {Granularity.MINUTE, Granularity.HOUR} or span.end_us - span.start_us < 9 * DAY_US)
    segments = cover(tile(span, granularity, zone(name))).segments
    found = in_minutes(segments)
    expected: dict[int, int] = {}
    for segment in segments:
        for bucket in range(segment.low, segment.high):
            size = MINUTES.get(segment.level)
            bounds = [month_start_minute(bucket + n) if size is None else (bucket + n) * size for n in (0, 1)]
            expected |= dict.fromkeys(
                (bounds[0], bounds[1] - 1), segment.window + segment.stride * (bucket - segment.low)
            )
    for minute, window in expected.items():
        held = [w + s * ((minute - low) // size) for low, high, w, s, size in found if low <= minute < high]
        assert [window] == held
    assert all(before[1] <= after[0] for before, after in pairwise(found))
    assert len(found) <= sum(s.high - s.low if s.level is Level.MONTH else 1 for s in segments)


def test_an_awkward_span_is_covered_by_few_segments() -> None:
    """Whatever its ends, a span needs at most seven runs of buckets and two edges."""
    found = cover([Span(at("2024-01-30T21:58:30Z"), at("2026-11-02T03:04:05Z"))])
    assert [Level.MINUTE, Level.HOUR, Level.DAY, Level.MONTH, Level.DAY, Level.HOUR, Level.MINUTE] == [
        segment.level for segment in found.segments
    ]
    assert [30_000_000, 5_000_000] == [span.end_us - span.start_us for _, span in found.edges]


# --- billing periods --------------------------------------------------------------------------------------------------


@given(at_us=instants(), anchor_day=st.integers(1, 31), name=zones)
@example(at_us=at("2024-02-29T00:00:00Z"), anchor_day=31, name="UTC")
@example(at_us=at("2025-02-28T00:00:00Z") - 1, anchor_day=29, name="UTC")
def test_each_instant_is_in_exactly_one_period(at_us: int, anchor_day: int, name: str) -> None:
    """A period holds its instant, touches the next and the last one, and every instant in it has the same period."""
    tz = zone(name)
    period = billing_period(at_us, anchor_day, tz)
    assert at_us in period
    for inside_us in (period.start_us, (period.start_us + period.end_us) // 2, period.end_us - 1):
        assert period == billing_period(inside_us, anchor_day, tz)
    assert period.end_us == billing_period(period.end_us, anchor_day, tz).start_us
    assume(period.start_us)
    assert period.start_us == billing_period(period.start_us - 1, anchor_day, tz).end_us


@pytest.mark.parametrize("anchor_day", [1, 15, 28, 29, 30, 31])
@pytest.mark.parametrize("name", ZONES)
def test_anchors_do_not_drift_over_leap_years(anchor_day: int, name: str) -> None:
    """Over seven years each month has one period, which begins on the anchor or on the month's last day before it."""
    tz = zone(name)
    period = billing_period(at("2023-06-15T12:00:00Z"), anchor_day, tz)
    for _ in range(7 * 12):
        following = billing_period(period.end_us, anchor_day, tz)
        began, begins = local_day(period.start_us, tz), local_day(following.start_us, tz)
        assert 1 == (begins.year * 12 + begins.month) - (began.year * 12 + began.month)
        last = (begins.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)
        assert min(anchor_day, last.day) == begins.day
        period = following


def test_anchor_31_begins_on_the_last_day_of_short_months() -> None:
    """Jan 31, Feb 28 or 29, Mar 31: the anchor is kept in mind."""
    starts, at_us = [], at("2024-01-31T00:00:00Z")
    for _ in range(4):
        starts.append(local_day(at_us, zone("UTC")).isoformat())
        at_us = billing_period(at_us, 31, zone("UTC")).end_us
    assert ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"] == starts


# --- spans people ask for ---------------------------------------------------------------------------------------------


@given(now_us=instants(), count=st.integers(1, 400))
def test_last_days_and_months_end_with_now(now_us: int, count: int) -> None:
    """Exactly so many touching UTC days or months, oldest first; now is in the last."""
    assume(now_us > 401 * 31 * DAY_US)
    for windows in (last_days(now_us, count), last_months(now_us, count)):
        assert count == len(windows)
        assert now_us in windows[-1]
        assert all(left.end_us == right.start_us for left, right in pairwise(windows))
    assert today_us(now_us) == last_days(now_us, 1)[0]
    assert month_of(now_us) == last_months(now_us, 1)[0]
    moment = datetime.fromtimestamp(now_us // 1_000_000, UTC)
    assert moment.year * 12 + moment.month - 1 == month_bucket(now_us)


@given(instant_us=instants())
def test_a_minute_is_floored(instant_us: int) -> None:
    """The start of a minute lies at most a minute back."""
    assert 0 <= instant_us - floor_minute(instant_us) < MINUTE_US
    assert 0 == floor_minute(instant_us) % MINUTE_US


def test_a_span_that_ends_where_it_starts_is_refused_unless_agreed() -> None:
    """Inverted spans always are; the refusal names `to`."""
    assert Span(3, 4) == checked_span(3, 4)
    assert Span(3, 3) == checked_span(3, 3, empty_allowed=True)
    for start_us, end_us, empty_allowed in ((3, 3, False), (4, 3, True), (4, 3, False)):
        with pytest.raises(RangeInvalid) as refused:
            checked_span(start_us, end_us, empty_allowed=empty_allowed)
        assert "to" == refused.value.parameter


def test_interesting_instants_are_what_their_texts_say() -> None:
    """The instants around which all tests of windows play are in range and ascending."""
    assert sorted(INTERESTING_US) == list(INTERESTING_US)
    assert all(0 < instant_us < INSTANT_MAX_US for instant_us in INTERESTING_US)
    assert parse_event_time("2026-03-01T00:00:00Z", "") in INTERESTING_US
