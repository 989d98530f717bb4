"""Usage over the native API: any meter of an account over any span, cut and grouped; and accounts ranked by a meter."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tallybook.core.errors import NotFound, ParameterInvalid, RangeTooLarge
from tallybook.core.instant import day_of, instant_text, parse_instant
from tallybook.core.key import USAGE_READ
from tallybook.core.meter import GROUP_DIMENSIONS_MAX, Aggregation, Answer, Meter, Question
from tallybook.core.number import to_text
from tallybook.core.window import Granularity, Span, checked_span, local_day, local_midnight_us, tile, zone
from tallybook.web.endpoint import AccountOf, Ask, Endpoint

METERS_MAX = 20
ROWS_MAX = 50_000
"""Most rows of one answer, all its meters together."""

CELLS_MAX = 1_000_000
"""Most groups times windows that are looked at for one answer."""

RANKED_DEFAULT, RANKED_MAX = 100, 1_000

From = Annotated[
    str | None, Meta(description="A date, or an RFC 3339 instant; default: the first of the month of `to`.")
]
To = Annotated[str | None, Meta(description="The first instant that no longer counts; default: the end of today.")]
Zone = Annotated[str, Meta(description="IANA time zone of bare dates, days, weeks and months.")]


class UsageQuery(msgspec.Struct, frozen=True):
    """What ``GET /v1/accounts/{account_id}/usage`` takes."""

    meter: Annotated[tuple[str, ...], Meta(min_length=1, max_length=METERS_MAX, description="Which meters.")]
    from_: From = msgspec.field(name="from", default=None)
    to: To = None
    granularity: Granularity = Granularity.TOTAL
    group_by: Annotated[
        str | None, Meta(description=f"Up to {GROUP_DIMENSIONS_MAX} dimensions, separated by commas.")
    ] = None
    filter: Annotated[
        dict[str, tuple[str, ...]], Meta(max_length=8, description="`filter[dimension]=value`; repeated: any of them.")
    ] = {}
    tz: Zone = "UTC"


class RankingQuery(msgspec.Struct, frozen=True):
    """What ``GET /v1/usage`` takes."""

    meter: str
    from_: From = msgspec.field(name="from", default=None)
    to: To = None
    group_by: Literal["account"] = "account"
    limit: Annotated[int, Meta(ge=1, le=RANKED_MAX)] = RANKED_DEFAULT
    tz: Zone = "UTC"


class UsageRow(msgspec.Struct, frozen=True):
    """The value of one window and group; half-open, so that rows neither overlap nor leave gaps."""

    start: str
    end: str
    group: dict[str, str | None]
    value: str


class MeterUsage(msgspec.Struct, frozen=True):
    """One meter's part of an answer about several."""

    meter: str
    unit: str
    total: str
    rows: list[UsageRow]


class UsageAnswer(msgspec.Struct, frozen=True):
    """Usage of an account. Asked about several meters, `meters` has what otherwise stands in the answer itself."""

    account: str
    from_: str = msgspec.field(name="from")
    to: str
    granularity: str
    tz: str
    meter: str | UnsetType = UNSET
    unit: str | UnsetType = UNSET
    total: str | UnsetType = UNSET
    rows: list[UsageRow] | UnsetType = UNSET
    meters: list[MeterUsage] | UnsetType = UNSET


class RankingAnswer(msgspec.Struct, frozen=True):
    """Accounts by their usage, most first; those without any are left out."""

    meter: str
    unit: str
    from_: str = msgspec.field(name="from")
    to: str
    rows: list[UsageRow]


# --- the account's usage -------------------------------------------------------------------------------------------


def get_usage(ask: Ask[UsageQuery, None]) -> UsageAnswer:
    """Answer about one meter, or several, from one snapshot."""
    query = ask.query
    span = read_span(query.from_, query.to, query.tz, ask.now_us)
    windows = tile(span, query.granularity, zone(query.tz))
    sheet = _Sheet(span, windows, _read_group_by(query.group_by), query.filter)
    measure, names = ask.rooms.measure, list(dict.fromkeys(query.meter))
    meters = [measure.scheme.catalogue.meter(name) for name in names]
    if len(windows) * len(names) > ROWS_MAX:
        raise RangeTooLarge(f"an answer has at most {ROWS_MAX} rows; ask for coarser windows", parameter="granularity")
    if sheet.group_by and len(windows) > 1:
        sheet.check_cells(measure.ask(ask.account, [sheet.question(meter, (span,)) for meter in meters]))
    questions = [sheet.question(meter, windows) for meter in meters]
    totals = {meter.name: sheet.total_question(meter) for meter in meters if meter.aggregation not in _ADDED_UP}
    answers = measure.ask(ask.account, [*questions, *totals.values()])
    asked = dict(zip(totals, answers[len(names) :], strict=True))
    written = [
        MeterUsage(meter.name, meter.unit, to_text(sheet.total(answer, asked.get(meter.name))), sheet.rows(answer))
        for meter, answer in zip(meters, answers, strict=False)
    ]
    if sum(len(usage.rows) for usage in written) > ROWS_MAX:
        raise RangeTooLarge(f"an answer has at most {ROWS_MAX} rows; group by less", parameter="group_by")
    answer = UsageAnswer(
        ask.account.id, instant_text(span.start_us), instant_text(span.end_us), str(query.granularity), query.tz
    )
    if len(names) > 1:
        return msgspec.structs.replace(answer, meters=written)
    (only,) = written
    return msgspec.structs.replace(answer, meter=only.meter, unit=only.unit, total=only.total, rows=only.rows)


_ADDED_UP = frozenset({Aggregation.COUNT, Aggregation.SUM})
"""Meters of which the total is the sum of the rows; of the others it is asked for."""


class _Sheet:
    """The windows and dimensions that all rows of an answer share; *windows* tile *span*."""

    def __init__(
        self,
        span: Span,
        windows: Sequence[Span],
        group_by: tuple[str, ...],
        filters: Mapping[str, tuple[str, ...]],
    ) -> None:
        self.group_by = group_by
        self._filters = filters
        self._span = span
        self._windows = windows
        cuts = [instant_text(us) for us in [*(window.start_us for window in windows), span.end_us]]
        self._edges = list(pairwise(cuts))

    def question(self, meter: Meter, windows: Sequence[Span]) -> Question:
        """Return what is asked about *meter* for its rows."""
        return Question(meter.name, windows, self.group_by, self._filters)

    def total_question(self, meter: Meter) -> Question:
        """Return what is asked about *meter* for its total, where rows cannot be added up."""
        return Question(meter.name, (self._span,) if self._windows else (), (), self._filters)

    def check_cells(self, totals: Sequence[Answer]) -> None:
        """Refuse before there is an answer that would not fit."""
        if sum(len(total.groups) for total in totals) * len(self._windows) > CELLS_MAX:
            raise RangeTooLarge("there are too many groups for so many windows; ask for less", parameter="group_by")

    def total(self, rows: Answer, asked: Answer | None) -> int:
        """Return the total in nanos: what was asked for it, or else the sum of all rows."""
        if asked is not None:
            return asked.value if self._windows else 0
        return sum(map(sum, rows.groups.values()))

    def rows(self, answer: Answer) -> list[UsageRow]:
        """Return every window where the answer is not grouped, else those where a group has usage."""
        if not self.group_by:
            values = zip(self._edges, answer.values, strict=True)
            return [UsageRow(start, end, {}, to_text(nanos)) for (start, end), nanos in values]
        groups = sorted(answer.groups.items(), key=lambda item: [(value is None, value or "") for value in item[0]])
        return list(self._grouped(groups))

    def _grouped(self, groups: Sequence[tuple[tuple[str | None, ...], Sequence[int]]]) -> Iterator[UsageRow]:
        named = [(dict(zip(self.group_by, key, strict=True)), values) for key, values in groups]
        for index, (start, end) in enumerate(self._edges):
            for group, values in named:
                if values[index]:
                    yield UsageRow(start, end, group, to_text(values[index]))


def _read_group_by(text: str | None) -> tuple[str, ...]:
    names = () if text is None else tuple(name.strip() for name in text.split(","))
    if not all(names) or len(names) > GROUP_DIMENSIONS_MAX or len(set(names)) != len(names):
        message = f"group_by must be 1 to {GROUP_DIMENSIONS_MAX} different dimensions, separated by commas"
        raise ParameterInvalid(message, parameter="group_by")
    return names


def read_span(start: str | None, end: str | None, tz: str, now_us: int) -> Span:
    """Return the span from *start* to *end*; bare dates are midnights in *tz*, missing ones make the month to date.

    Raises:
        RangeInvalid: If it ends before it starts, or either cannot be read.
        ZoneUnknown: If *tz* is no zone.
    """
    calendar = zone(tz)
    if end is None:
        end_us = local_midnight_us(local_day(now_us, calendar) + timedelta(days=1), calendar)
    else:
        end_us = _read(end, "to", tz)
    if start is not None:
        return checked_span(_read(start, "from", tz), end_us, empty_allowed=True)
    first = local_day(max(0, end_us - 1), calendar).replace(day=1)
    return checked_span(max(0, local_midnight_us(first, calendar)), end_us, empty_allowed=True)


def _read(text: str, parameter: str, tz: str) -> int:
    instant_us, bare = parse_instant(text, parameter)
    return max(0, local_midnight_us(day_of(instant_us), zone(tz))) if bare else instant_us


# --- accounts ranked -----------------------------------------------------------------------------------------------


def get_ranking(ask: Ask[RankingQuery, None]) -> RankingAnswer:
    """Rank accounts by one meter."""
    query = ask.query
    span = read_span(query.from_, query.to, query.tz, ask.now_us)
    meter = ask.rooms.measure.scheme.catalogue.meter(query.meter)
    edge = instant_text(span.start_us), instant_text(span.end_us)
    ranked = ask.rooms.measure.ranking(meter.name, span, query.limit)
    rows = [UsageRow(*edge, {"account": account_id}, to_text(nanos)) for account_id, nanos in ranked]
    return RankingAnswer(meter.name, meter.unit, *edge, rows)


_DAY = ("2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z")
_NEXT = ("2026-03-02T00:00:00Z", "2026-03-03T00:00:00Z")

ENDPOINTS = (
    Endpoint(
        "GET",
        "/v1/accounts/{account_id}/usage",
        get_usage,
        USAGE_READ,
        "Usage of an account",
        answer=UsageAnswer,
        query=UsageQuery,
        account=AccountOf.PATH,
        errors=(RangeTooLarge("the answer would have too many rows", parameter="to"),),
        description=(
            "Windows are half-open; without `group_by` they tile the whole span, zeros included; with it there are "
            "rows only where there is usage. Values are exact decimal strings."
        ),
        query_example="meter=call_seconds&from=2026-03-01&to=2026-03-03&granularity=day",
        example=UsageAnswer(
            "acme",
            _DAY[0],
            _NEXT[1],
            "day",
            "UTC",
            "call_seconds",
            "s",
            "100.5",
            [UsageRow(*_DAY, {}, "42.5"), UsageRow(*_NEXT, {}, "58")],
        ),
    ),
    Endpoint(
        "GET",
        "/v1/usage",
        get_ranking,
        USAGE_READ,
        "Accounts ranked by usage",
        answer=RankingAnswer,
        query=RankingQuery,
        operator_only=True,
        errors=(NotFound("there is no such meter", parameter="meter"),),
        query_example="meter=messages&group_by=account&limit=10",
        example=RankingAnswer("messages", "messages", *_DAY, [UsageRow(*_DAY, {"account": "acme"}, "420")]),
    ),
)
