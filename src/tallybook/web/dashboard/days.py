"""The days that a page looks at: read from its address, cut into steps that a chart can show, and offered as presets.

Days are those of the account's own calendar. Not for what is counted over them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from urllib.parse import urlencode

import msgspec

from tallybook.core.errors import RangeInvalid, RangeTooLarge
from tallybook.core.instant import to_datetime
from tallybook.core.window import Granularity, Span, checked_span, local_day, local_midnight_us, tile, zone
from tallybook.web.dashboard.page import Visit

DAYS_MAX = 1_100
"""Most days of one page: three years."""
POINTS_MAX = 400
"""Most steps of a chart; what would be more is cut coarser."""
STEPS = (Granularity.HOUR, Granularity.DAY, Granularity.WEEK, Granularity.MONTH)
_FINEST_UP_TO = ((2, Granularity.HOUR), (100, Granularity.DAY), (370, Granularity.WEEK))
_TIMES = {Granularity.HOUR: "wall", Granularity.MONTH: "month"}


class DaysQuery(msgspec.Struct, frozen=True):
    """Which days; *until* is the last that counts. A step that is none of ours is chosen by the length."""

    from_: str | None = msgspec.field(name="from", default=None)
    until: str | None = None
    step: str | None = None


@dataclass(frozen=True, slots=True)
class Preset:
    """A range that can be chosen at once."""

    title: str
    query: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class Days:
    """Whole days of one calendar, *last* counts too, cut into *windows*."""

    first: date
    last: date
    today: date
    tz: str
    step: Granularity
    span: Span
    windows: Sequence[Span]

    @property
    def times(self) -> str:
        """How the beginning of a window is shown."""
        return _TIMES.get(self.step, "day")

    @property
    def starts(self) -> list[str]:
        """When each window begins, on a wall of the calendar."""
        return [self.wall(window.start_us) for window in self.windows]

    @property
    def steps(self) -> Sequence[Granularity]:
        """The steps that can be chosen."""
        return STEPS

    def wall(self, instant_us: int) -> str:
        """Return the time on a wall: a day, or a day and its minute."""
        moment = to_datetime(instant_us).astimezone(zone(self.tz))
        return moment.strftime("%Y-%m-%dT%H:%M" if self.step in _TIMES else "%Y-%m-%d")

    def query(self, more: Mapping[str, str] | None = None) -> str:
        """Return the days as a query string, with *more* in it."""
        asked = {"from": self.first.isoformat(), "until": self.last.isoformat(), "step": str(self.step)}
        return urlencode({**asked, **{name: value for name, value in (more or {}).items() if value}})

    def presets(self, more: Mapping[str, str] | None = None) -> list[Preset]:
        """Return the ranges that most people ask for."""
        month = self.today.replace(day=1)
        before = month - timedelta(days=1)
        year = date(self.today.year - 1, self.today.month, 1)
        kept = {name: value for name, value in (more or {}).items() if value}
        return [
            Preset(
                title,
                urlencode({"from": first.isoformat(), "until": last.isoformat(), **kept}),
                (first, last) == (self.first, self.last),
            )
            for title, first, last in (
                ("Today", self.today, self.today),
                ("7 days", self.today - timedelta(days=6), self.today),
                ("30 days", self.today - timedelta(days=29), self.today),  # days: thirty are meant
                ("Month to date", month, self.today),
                ("Last month", before.replace(day=1), before),
                ("12 months", year, self.today),
            )
        ]


def read_days(visit: Visit, query: DaysQuery, default: Span | None = None) -> Days:
    """Return the days that are asked for; month to date, or those of *default*, unless the address says otherwise.

    Raises:
        RangeInvalid, RangeTooLarge: If they are none, or too many.
    """
    tz = "UTC" if visit.found is None else visit.found.timezone
    calendar = zone(tz)
    today = local_day(visit.now_us, calendar)
    usual = (today.replace(day=1), today)
    if default is not None:
        usual = (local_day(default.start_us, calendar), local_day(default.end_us - 1, calendar))
    last = _day(query.until, "until") or (usual[1] if query.from_ is None else today)
    first = _day(query.from_, "from") or (usual[0] if query.until is None else last.replace(day=1))
    if first > last:
        raise RangeInvalid("the last day lies before the first", parameter="until")
    if (last - first).days >= DAYS_MAX:
        raise RangeTooLarge(f"at most {DAYS_MAX} days can be shown at once")
    start_us = max(0, local_midnight_us(first, calendar))
    span = checked_span(start_us, local_midnight_us(last + timedelta(days=1), calendar))
    step = _step(query.step, (last - first).days + 1)
    windows = tile(span, step, calendar)
    while len(windows) > POINTS_MAX:
        step = STEPS[STEPS.index(step) + 1]
        windows = tile(span, step, calendar)
    return Days(first, last, today, tz, step, span, windows)


def _step(asked: str | None, days: int) -> Granularity:
    if asked in STEPS:
        return Granularity(asked)
    return next((step for length, step in _FINEST_UP_TO if days <= length), Granularity.MONTH)


def _day(text: str | None, parameter: str) -> date | None:
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise RangeInvalid(f"{parameter} must be a date such as 2026-03-01", parameter=parameter) from None
    if not 1970 <= day.year < 2200:
        raise RangeInvalid(f"{parameter} must lie between 1970 and 2200", parameter=parameter)
    return day
