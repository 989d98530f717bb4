"""Explore: any meter, grouped, filtered, cut and compared as one likes; a chart, the table under it, and both as files.

Everything that is asked stands in the address, so that it can be shared.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated
from urllib.parse import urlencode

import msgspec
from msgspec import Meta

from tallybook.core.errors import NotFound, RangeInvalid, RangeTooLarge
from tallybook.core.instant import to_datetime
from tallybook.core.key import USAGE_READ
from tallybook.core.meter import Meter, Question
from tallybook.core.number import to_text
from tallybook.core.window import Granularity, Span, checked_span, local_day, local_midnight_us, zone
from tallybook.web.dashboard.csvfile import csv_reply, text_cell
from tallybook.web.dashboard.page import Page, Visit
from tallybook.web.dashboard.sheet import Asked, Sheet, make_sheet, texts
from tallybook.web.endpoint import Reply

POINTS_MAX = 800
"""Most windows of a chart."""
TOP_DEFAULT, TOP_MAX = 8, 50
FILTER_VALUES_MAX = 100
PREFERRED = ("call_seconds", "messages", "requests", "credits", "tokens", "workflow_runs")
"""The meter shown first is the first of these that has usage."""
GRANULARITIES = (Granularity.HOUR, Granularity.DAY, Granularity.WEEK, Granularity.MONTH)
TOPS = (5, 8, 20, 50)
ZONES = (
    "UTC",
    "America/Los_Angeles",
    "America/New_York",
    "America/Sao_Paulo",
    "Europe/London",
    "Europe/Paris",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Asia/Singapore",
    "Asia/Tokyo",
    "Australia/Sydney",
)
_TIMES = {Granularity.MINUTE: "wall", Granularity.HOUR: "wall", Granularity.MONTH: "month"}


class ExploreQuery(msgspec.Struct, frozen=True):
    """All that can be asked; *until* is the last day that counts."""

    meter: str | None = None
    from_: str | None = msgspec.field(name="from", default=None)
    until: str | None = None
    granularity: Granularity = Granularity.DAY
    group_by: str | None = None
    filter: Annotated[dict[str, tuple[str, ...]], Meta(max_length=8)] = {}
    tz: str | None = None
    compare: str | None = None
    top: Annotated[int, Meta(ge=1, le=TOP_MAX)] = TOP_DEFAULT


@dataclass(frozen=True, slots=True)
class Choice:
    """A dimension one can filter by, and the values that were used."""

    dimension: str
    values: Sequence[tuple[str, str]]
    """(value, name)"""
    chosen: str


def read_asked(visit: Visit) -> Asked:
    """Return what is asked.

    Raises:
        NotFound: For a meter that does not exist.
        RangeInvalid: If the days are none, or too many.
    """
    query: ExploreQuery = visit.query
    tz = query.tz or visit.account.timezone
    span = _span(query.from_, query.until, tz, visit.now_us)
    meter = _meter(visit, query.meter, span)
    group_by = query.group_by if query.group_by in meter.dimensions else None
    asked = Asked(
        meter=meter,
        span=span,
        granularity=query.granularity,
        tz=tz,
        group_by=group_by,
        filters={name: values for name, values in query.filter.items() if name in meter.dimensions},
        compare=query.compare is not None,
        top=query.top,
    )
    if len(asked.windows(span)) > POINTS_MAX:
        raise RangeTooLarge(f"this would be more than {POINTS_MAX} points: choose fewer days, or coarser steps")
    return asked


def _meter(visit: Visit, name: str | None, span: Span) -> Meter:
    measure = visit.rooms.measure
    catalogue = measure.scheme.catalogue
    if name is not None:
        return catalogue.meter(name)
    known = [catalogue.meters[one] for one in PREFERRED if one in catalogue.meters] or list(catalogue.meters.values())
    if not known:
        raise NotFound("there are no meters")
    answers = measure.ask(visit.account, [Question(meter.name, (span,)) for meter in known])
    return next((meter for meter, answer in zip(known, answers, strict=True) if answer.value), known[0])


def _span(first: str | None, last: str | None, tz: str, now_us: int) -> Span:
    calendar = zone(tz)
    last_day = _day(last, "until") if last else local_day(now_us, calendar)
    first_day = _day(first, "from") if first else last_day.replace(day=1)
    if first_day > last_day:
        raise RangeInvalid("the last day lies before the first", parameter="until")
    start, end = first_day, last_day + timedelta(days=1)
    return checked_span(max(0, local_midnight_us(start, calendar)), local_midnight_us(end, calendar))


def _day(text: str, parameter: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise RangeInvalid(f"{parameter} must be a date such as 2026-03-01", parameter=parameter) from None


# --- the page --------------------------------------------------------------------------------------------------------


def get_explore(visit: Visit) -> Reply:
    """Show the page."""
    asked = read_asked(visit)
    sheet = make_sheet(visit.rooms, visit.account, asked)
    meters = visit.rooms.measure.scheme.catalogue.meters
    return visit.html(
        "explore.html",
        asked=asked,
        sheet=sheet,
        first_day=_wall(asked.span.start_us, asked)[:10],
        last_day=_wall(asked.span.end_us - 1, asked)[:10],
        meters=[meters[name] for name in sorted(meters)],
        choices=_choices(visit, asked),
        granularities=GRANULARITIES,
        tops=TOPS,
        zones=[*dict.fromkeys((asked.tz, visit.account.timezone, *ZONES))],
        spec=_spec(sheet, visit.now_us),
        starts=[_wall(window.start_us, asked) for window in sheet.windows],
        times=_TIMES.get(asked.granularity, "day"),
        csv=f"{visit.here}/explore.csv?{_query(asked)}",
        top_max=TOP_MAX,
    )


def _choices(visit: Visit, asked: Asked) -> list[Choice]:
    """Ask which values each dimension of the meter had in the span, most used first."""
    dimensions = asked.meter.dimensions
    questions = [Question(asked.meter.name, (asked.span,), (dimension,)) for dimension in dimensions]
    choices = []
    for dimension, answer in zip(dimensions, visit.rooms.measure.ask(visit.account, questions), strict=True):
        used = {key[0]: values[0] for key, values in answer.groups.items() if key[0] is not None}
        ranked = sorted(used, key=lambda value: (-used[value], value))[:FILTER_VALUES_MAX]
        names = visit.rooms.measure.names(visit.account, dimension, ranked)
        chosen = next(iter(asked.filters.get(dimension, ())), "")
        if chosen and chosen not in ranked:
            ranked.append(chosen)
        choices.append(Choice(dimension, [(value, names.get(value, value)) for value in ranked], chosen))
    return choices


def _spec(sheet: Sheet, now_us: int) -> dict[str, object]:
    asked = sheet.asked
    stacked = asked.group_by is not None and sheet.is_added_up
    series: list[dict[str, object]] = [
        {"name": line.name, "values": texts(line.values), "rest": line.is_rest, "color": index}
        for index, line in enumerate(sheet.lines)
    ]
    if asked.compare and asked.group_by is None and sheet.lines:
        (line,) = sheet.lines
        before = [*texts(line.before), *["0"] * len(line.values)][: len(line.values)]
        series.append({"name": "Period before", "values": before, "before": True, "color": 0})
    return {
        "kind": "bar" if stacked else "line",
        "labels": [_wall(window.start_us, asked) for window in sheet.windows],
        "times": _TIMES.get(asked.granularity, "day"),
        "unit": asked.meter.unit,
        "stacked": stacked,
        "partial": bool(sheet.windows) and sheet.windows[-1].end_us > now_us,
        "series": series,
    }


def _wall(instant_us: int, asked: Asked) -> str:
    """Return the time on a wall in the zone that was asked for: a day, or a day and its minute."""
    moment = to_datetime(instant_us).astimezone(zone(asked.tz))
    return moment.strftime("%Y-%m-%dT%H:%M" if asked.granularity in _TIMES else "%Y-%m-%d")


def _query(asked: Asked) -> str:
    """Return what is asked as a query string."""
    pairs: list[tuple[str, str]] = [
        ("meter", asked.meter.name),
        ("from", _wall(asked.span.start_us, asked)[:10]),
        ("until", _wall(asked.span.end_us - 1, asked)[:10]),
        ("granularity", str(asked.granularity)),
        ("tz", asked.tz),
        ("top", str(asked.top)),
    ]
    if asked.group_by is not None:
        pairs.append(("group_by", asked.group_by))
    if asked.compare:
        pairs.append(("compare", "1"))
    pairs += [(f"filter[{name}]", value) for name, values in asked.filters.items() for value in values]
    return urlencode(pairs)


# --- the file --------------------------------------------------------------------------------------------------------


def get_csv(visit: Visit) -> Reply:
    """Give what is seen as a file: a row for each window, a column for each line."""
    asked = read_asked(visit)
    sheet = make_sheet(visit.rooms, visit.account, asked)
    header = ["start", "end"]
    columns: list[Sequence[int]] = []
    for line in sheet.lines:
        header.append(line.name)
        columns.append(line.values)
        if asked.compare:
            header.append(f"{line.name}, period before")
            columns.append([*line.before, *[0] * len(line.values)][: len(line.values)])
    rows = (
        [text_cell(_instant(window.start_us, asked)), text_cell(_instant(window.end_us, asked))]
        + [to_text(column[index]) for column in columns]
        for index, window in enumerate(sheet.windows)
    )
    return csv_reply(f"{asked.meter.name}.csv", header, rows)


def _instant(instant_us: int, asked: Asked) -> str:
    return to_datetime(instant_us).astimezone(zone(asked.tz)).isoformat()


PAGES = (
    Page("explore", "GET", "/accounts/{account_id}/explore", get_explore, USAGE_READ, query=ExploreQuery),
    Page("explore", "GET", "/accounts/{account_id}/explore.csv", get_csv, USAGE_READ, query=ExploreQuery),
)
