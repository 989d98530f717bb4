"""WontoPos's usage API, spoken over our ledger: what each subscribed API was called, how it fared and what it cost.

Not for rules of counting or pricing: those are the flows'. Their document, and what we settled where it is silent:
docs/dialects/wontopos.md.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from functools import partial

import msgspec

from tallybook.core.errors import Invalid, NotFound, RangeInvalid, RangeTooLarge
from tallybook.core.instant import DAY_US, HOUR_US, day_of, day_text, instant_text, parse_instant
from tallybook.core.key import USAGE_READ
from tallybook.core.limit import LimitKind
from tallybook.core.meter import Answer, Question
from tallybook.core.number import NANOS
from tallybook.core.resource import Resource
from tallybook.core.window import Granularity, Span, Windows, all_time, start_texts, tile, today_us, zone
from tallybook.web.endpoint import AccountOf, Ask, Endpoint, Refusal, Reply, Surface, json_reply
from tallybook.web.numbers import (
    cents_from_nanos,
    count_from_nanos,
    count_or_none,
    percentage_from_nanos,
    whole_mean,
    whole_means,
)
from tallybook.web.planned import limit_on_meter, quantity_of
from tallybook.web.things import all_things

PREFIX = "/wontopos"

DAYS_BACK = 30
POINTS_MAX = 9_000
"""Most points of one timeseries: a year of hours."""

REQUESTS_PER_MINUTE_MAX = 600_000
"""Of one key, unless the settings say otherwise; told in X-RateLimit headers on every answer."""

SUBSCRIPTION = "api_subscription"
METERS = ("requests", "request_errors", "request_latency_ms", "request_latency_count")
UTC = zone("UTC")

# --- their parameters ----------------------------------------------------------------------------------------------


class Step(StrEnum):
    """How time is cut."""

    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class SummaryQuery(msgspec.Struct, frozen=True):
    """What ``/v1/usage`` takes; *granularity* is checked, and cuts only a timeseries."""

    from_: str | None = msgspec.field(default=None, name="from")
    to: str | None = None
    granularity: Step = Step.DAY


class DetailQuery(SummaryQuery, frozen=True):
    """What ``/v1/usage/{api_id}`` takes."""

    endpoint: str | None = None


# --- their JSON ----------------------------------------------------------------------------------------------------


class Period(msgspec.Struct, frozen=True):
    """The range as it was understood; a bare *to* is shown as its midnight and its whole day counts."""

    from_: str = msgspec.field(name="from")
    to: str


class ApiLine(msgspec.Struct, frozen=True):
    """One API of the summary."""

    api_id: str
    name: str
    requests: int
    errors: int
    avg_latency_ms: int
    cost_usd: Decimal


class Summary(msgspec.Struct, frozen=True):
    """``/v1/usage``: most requests first."""

    period: Period
    total_requests: int
    total_errors: int
    total_cost_usd: Decimal
    by_api: list[ApiLine]


class TimePoint(msgspec.Struct, frozen=True, gc=False):
    """One bucket of an API's time."""

    date: str
    requests: int
    errors: int
    avg_latency_ms: int


class Detail(msgspec.Struct, frozen=True):
    """``/v1/usage/{api_id}``; *plan_limit* and *usage_percentage* are null where the plan sets no limit."""

    api_id: str
    name: str
    period: Period
    total_requests: int
    total_errors: int
    avg_latency_ms: int
    cost_usd: Decimal
    plan_limit: int | None
    usage_percentage: Decimal | None
    timeseries: list[TimePoint]


# --- from their parameters to our questions ------------------------------------------------------------------------


def read_period(query: SummaryQuery, now_us: int) -> tuple[Span, Period]:
    """Return the range, and how it is echoed: from 30 days ago to today, unless it is given.

    Raises:
        RangeInvalid: If an end is not an instant, or the range is inverted.
    """
    to_us, bare = today_us(now_us).start_us, True
    from_us = to_us - DAYS_BACK * DAY_US
    if query.from_ is not None:
        from_us, _ = parse_instant(query.from_, "from", naive_is_utc=True)
    if query.to is not None:
        to_us, bare = parse_instant(query.to, "to", naive_is_utc=True)
    echoed = Period(instant_text(from_us), instant_text(to_us))
    end_us = to_us + DAY_US if bare else to_us
    if end_us < from_us or (bare and end_us == from_us):
        raise RangeInvalid("to must not be before from", parameter="from" if query.to is None else "to")
    return Span(from_us, end_us), echoed


def read_points(span: Span, step: Step) -> Windows:
    """Return the buckets of a timeseries.

    Raises:
        RangeTooLarge: If there are more than POINTS_MAX.
    """
    if span.end_us - span.start_us > POINTS_MAX * (HOUR_US if step is Step.HOUR else DAY_US):
        raise RangeTooLarge(
            f"the range has more than {POINTS_MAX} points of one {step}; ask for a shorter or coarser one",
            parameter="granularity",
        )
    return tile(span, Granularity(step), UTC)


def read_summary(span: Span) -> list[Question]:
    """Return what the summary asks of every API."""
    return [Question(meter, [span], group_by=("api_id",)) for meter in (*METERS, "request_cost_usd")]


def read_detail(api_id: str, endpoint: str | None, points: Sequence[Span], span: Span) -> list[Question]:
    """Return what the detail asks of one API."""
    filters = {"api_id": (api_id,)} if endpoint is None else {"api_id": (api_id,), "endpoint": (endpoint,)}
    asked = *((meter, points) for meter in METERS), ("request_cost_usd", [span])
    return [Question(meter, windows, filters=filters) for meter, windows in asked]


def read_ever(api_id: str) -> Question:
    """Return what tells whether an API was ever used."""
    return Question("requests", [all_time()], filters={"api_id": (api_id,)})


# --- from our answers to their JSON ----------------------------------------------------------------------------------


def write_summary(period: Period, answers: Sequence[Answer], names: Mapping[str, str]) -> Summary:
    """Return the summary of the APIs in *names* (all that were used in the range or are subscribed)."""
    lines = [
        write_line(api_id, name, [answer.groups.get((api_id,), (0,))[0] for answer in answers])
        for api_id, name in names.items()
    ]
    lines.sort(key=lambda line: (-line.requests, line.name, line.api_id))
    return Summary(
        period,
        total_requests=sum(line.requests for line in lines),
        total_errors=sum(line.errors for line in lines),
        total_cost_usd=sum((line.cost_usd for line in lines), cents_from_nanos(0)),
        by_api=lines,
    )


def write_line(api_id: str, name: str, values: Sequence[int]) -> ApiLine:
    """Return one API from its values in the order of `read_summary`; its cost is rounded here, once."""
    requests, errors, latency, timed, cost = values
    return ApiLine(
        api_id,
        name,
        requests=count_from_nanos(requests),
        errors=count_from_nanos(errors),
        avg_latency_ms=latency_from_nanos(latency, timed),
        cost_usd=cents_from_nanos(cost),
    )


def latency_from_nanos(total: int, count: int) -> int:
    """Return the mean over the requests that were timed, as an integer."""
    return whole_mean(total, count)


def write_names(shown: Iterable[str], seen: Mapping[str, str], subscribed: Iterable[Resource]) -> dict[str, str]:
    """Return the name of each API in *shown*: its subscription's (past or not), else the latest seen, else its id."""
    given = {resource.resource_id: resource.name for resource in subscribed if resource.name}
    return {api_id: given.get(api_id) or seen.get(api_id, api_id) for api_id in shown}


def write_detail(line: ApiLine, period: Period, limit: int | None, points: list[TimePoint]) -> Detail:
    """Return the detail of the API that *line* sums up, against its *limit* in nanos."""
    return Detail(
        line.api_id,
        line.name,
        period,
        line.requests,
        line.errors,
        line.avg_latency_ms,
        line.cost_usd,
        plan_limit=count_or_none(limit),
        usage_percentage=percentage_from_nanos(line.requests * NANOS, limit),
        timeseries=points,
    )


def write_points(step: Step, answers: Sequence[Answer]) -> list[TimePoint]:
    """Return one point a bucket, ascending, zeros included."""
    requests, errors, latency, timed = answers
    texts = start_texts(requests.question.windows, _POINT_TEXTS[step])
    is_whole = latency.is_whole and timed.is_whole
    means = whole_means(*((latency.counts, timed.counts) if is_whole else (latency.values, timed.values)))
    return list(map(TimePoint, texts, requests.counts, errors.counts, means))


def point_text(instant_us: int, step: Step) -> str:
    """Return the name of the bucket that holds the instant: its hour, its day, its Monday, or the 1st of its month."""
    if step is Step.HOUR:
        return instant_text(instant_us - instant_us % HOUR_US)
    if step is Step.DAY:
        return day_text(instant_us)
    day = day_of(instant_us)
    first = day - timedelta(days=day.weekday()) if step is Step.WEEK else day.replace(day=1)
    return first.isoformat()


_POINT_TEXTS = {step: partial(point_text, step=step) for step in Step}


# --- how it says no ------------------------------------------------------------------------------------------------

CODES = {
    400: ("invalid_parameter", "invalid_request_error"),
    401: ("authentication_failed", "authentication_error"),
    403: ("insufficient_scope", "permission_error"),
    404: ("not_found", "not_found_error"),
    405: ("method_not_allowed", "invalid_request_error"),
    409: ("conflict", "invalid_request_error"),
    413: ("payload_too_large", "invalid_request_error"),
    414: ("uri_too_long", "invalid_request_error"),
    415: ("unsupported_media_type", "invalid_request_error"),
    429: ("rate_limit_exceeded", "rate_limit_error"),
    503: ("service_unavailable", "api_error"),
}
INTERNAL = ("internal_error", "api_error")


class ErrorShown(msgspec.Struct, frozen=True, omit_defaults=True):
    """The error itself; *required_scope* only where a key lacks one."""

    code: str
    type: str
    message: str
    status: int
    request_id: str
    required_scope: str | None = None


class ErrorBody(msgspec.Struct, frozen=True):
    """Every refusal."""

    error: ErrorShown


def refuse(refusal: Refusal) -> Reply:
    """Return our error as WontoPos's: whatever is invalid is a 400."""
    status = 400 if isinstance(refusal.error, Invalid) else refusal.status
    code, kind = CODES.get(status, INTERNAL)
    shown = ErrorShown(code, kind, refusal.message, status, refusal.request_id, refusal.required_scope)
    return json_reply(status, ErrorBody(shown))


# --- endpoints -----------------------------------------------------------------------------------------------------


def summary(ask: Ask[SummaryQuery, None]) -> Summary:
    """Answer ``GET /v1/usage``."""
    rooms, account = ask.rooms, ask.account
    span, period = read_period(ask.query, ask.now_us)
    answers = rooms.measure.ask(account, read_summary(span))
    used = [api_id for (api_id,) in answers[0].groups if api_id is not None]
    subscribed = all_things(rooms.inventory, account, SUBSCRIPTION)
    shown = {*used, *(one.resource_id for one in subscribed if one.live)}
    return write_summary(period, answers, write_names(shown, rooms.measure.names(account, "api_id", shown), subscribed))


def detail(ask: Ask[DetailQuery, None]) -> Detail:
    """Answer ``GET /v1/usage/{api_id}``."""
    rooms, account, api_id, query = ask.rooms, ask.account, ask.path["api_id"], ask.query
    span, period = read_period(query, ask.now_us)
    points = read_points(span, query.granularity)
    *answers, cost = rooms.measure.ask(account, read_detail(api_id, query.endpoint, points, span))
    subscribed = [one for one in all_things(rooms.inventory, account, SUBSCRIPTION) if one.resource_id == api_id]
    if not (subscribed or any(answers[0].counts) or rooms.measure.ask(account, [read_ever(api_id)])[0].value):
        raise NotFound("there is no such API")
    names = write_names([api_id], rooms.measure.names(account, "api_id", [api_id]), subscribed)
    plan = rooms.accounts.plan_of(account)
    line = write_line(api_id, names[api_id], [answer.total for answer in (*answers, cost)])
    limit = limit_on_meter(plan, LimitKind.PERIOD, "requests", {"api_id": api_id})
    return write_detail(line, period, quantity_of(limit), write_points(query.granularity, answers))


_get = partial(Endpoint, "GET", scope=USAGE_READ, account=AccountOf.KEY, query_example="from=2026-03-01&to=2026-03-30")

SURFACE = Surface(
    name="wontopos",
    prefix=PREFIX,
    title="WontoPos usage",
    refuse=refuse,
    error=ErrorBody,
    requests_per_minute_max=REQUESTS_PER_MINUTE_MAX,
    endpoints=(
        _get("/v1/usage", summary, summary="All APIs", answer=Summary, query=SummaryQuery),
        _get("/v1/usage/{api_id}", detail, summary="One API", answer=Detail, query=DetailQuery, errors=(NotFound,)),
    ),
)
