"""Which rollup buckets add up to windows: as few as possible, the coarsest that fit, and the edges that no bucket fits.

Not for what the windows are (see `window`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import pairwise

import msgspec

from tallybook.core.instant import DAY_US, HOUR_US, MINUTE_US
from tallybook.core.window import Span, Windows, month_bucket, month_start_minute


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


MINUTES = {Level.MINUTE: 1, Level.HOUR: 60, Level.DAY: 1440}
"""How many minutes a bucket has; months differ."""
Minutes = tuple[int, int, int, int, int]
"""Minutes [low, high) and, as for a segment, a window and a stride, by buckets of so many minutes."""
_BUCKETS = {MINUTE_US: (Level.MINUTE, MINUTE_US), HOUR_US: (Level.HOUR, HOUR_US), DAY_US: (Level.DAY, DAY_US)}


@dataclass(frozen=True, slots=True)
class Cover:
    """What adds up to a list of windows: rollup *segments*, and *edges* shorter than a minute.

    An edge is (window, span); its events have to be read one by one.
    """

    segments: tuple[Segment, ...]
    edges: tuple[tuple[int, Span], ...]


def cover(windows: Sequence[Span]) -> Cover:
    """Return the fewest rollup buckets, and the sub-minute edges, that add up to each of *windows*.

    Args:
        windows: Ascending and disjoint; gaps between them are fine.
    """
    if not isinstance(windows, Windows):
        return _cover(windows)
    if not isinstance(windows.covered, Cover):
        windows.covered = _cover(windows)
        assert isinstance(windows.covered, Cover)  # this moment
    return windows.covered


def _cover(windows: Sequence[Span]) -> Cover:
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


def in_minutes(segments: Sequence[Segment]) -> list[Minutes]:
    """Return the minutes that *segments* stand for, as few spans of them as say the same."""
    found: list[Minutes] = []
    for segment in segments:
        for span in _minutes_of(segment):
            last = found[-1] if found else None
            if last is not None and last[1] == span[0] and last[2:4] == span[2:4] == (span[2], 0):
                found[-1] = (last[0], *span[1:])
            else:
                found.append(span)
    return found


def _minutes_of(segment: Segment) -> list[Minutes]:
    low, high, window, stride = segment.low, segment.high, segment.window, segment.stride
    if segment.level is not Level.MONTH:
        size = MINUTES[segment.level]
        return [(low * size, high * size, window, stride, size)]
    if not stride:  # which may be all months there are
        return [(month_start_minute(low), month_start_minute(high), window, 0, 1)]
    starts = [month_start_minute(month) for month in range(low, high + 1)]
    return [(first, last, window + place * stride, 0, 1) for place, (first, last) in enumerate(pairwise(starts))]


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
    start, end = month_start_minute(first) // minutes_a_day, month_start_minute(last) // minutes_a_day
    if low < start:
        yield Level.DAY, low, start
    yield Level.MONTH, first, last
    if end < high:
        yield Level.DAY, end, high
