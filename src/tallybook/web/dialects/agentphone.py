"""AgentPhone's usage API, spoken over our ledger: a project's limits, its counters, its days and its months.

Not for rules of counting: those are the flows'. Their document, and what we settled where it is silent:
docs/dialects/agentphone.md.
"""

from collections.abc import Sequence
from decimal import Decimal
from functools import partial
from itertools import accumulate, pairwise
from typing import Annotated

import msgspec

from tallybook.core.errors import ParameterInvalid
from tallybook.core.instant import DAY_US, day_text, instant_text
from tallybook.core.key import USAGE_READ
from tallybook.core.limit import LimitKind
from tallybook.core.meter import Answer, Question
from tallybook.core.plan import Plan
from tallybook.core.resource import NO_RESOURCES
from tallybook.core.window import (
    Span,
    all_time,
    floor_minute,
    last_days,
    last_months,
    start_texts,
    today_us,
)
from tallybook.web.endpoint import AccountOf, Ask, Endpoint, Refusal, Reply, Surface, json_reply
from tallybook.web.numbers import count_from_nanos, count_or_none, minutes_or_none
from tallybook.web.planned import limit_on_meter, limit_on_things, quantity_of

PREFIX = "/agentphone"

ROLLING_DAYS = (30, 7, 1)
SUCCESS, FAILED = "success", "failed"
VOICE = {"channel": "voice"}
NUMBER = "phone_number"


# --- their parameters ----------------------------------------------------------------------------------------------


class DailyQuery(msgspec.Struct, frozen=True):
    """What ``/v1/usage/daily`` takes."""

    days: Annotated[int, msgspec.Meta(ge=1, le=365, description="Number of days to return (1-365).")] = 30


class MonthlyQuery(msgspec.Struct, frozen=True):
    """What ``/v1/usage/monthly`` takes."""

    months: Annotated[int, msgspec.Meta(ge=1, le=24, description="Number of months to return (1-24).")] = 6


# --- their JSON ----------------------------------------------------------------------------------------------------


class PlanLimits(msgspec.Struct, frozen=True, rename="camel"):
    """What the plan allows; null where it sets no limit."""

    numbers: int | None
    messages_per_month: int | None
    voice_minutes_per_month: int | Decimal | None
    max_call_duration_minutes: int | Decimal | None
    concurrent_calls: int | None


class PlanShown(msgspec.Struct, frozen=True):
    """The plan by its tier."""

    name: str
    limits: PlanLimits


class Numbers(msgspec.Struct, frozen=True):
    """Phone numbers ever provisioned, released ones included."""

    used: int
    limit: int | None
    remaining: int | None


def _camel(name: str) -> str:
    """Return ``messagesLast24h`` for ``messages_last_24h``."""
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


class Stats(msgspec.Struct, frozen=True, rename=_camel):
    """Eleven counters: totals are all time, the others roll back from now."""

    total_messages: int
    messages_last_24h: int
    messages_last_7d: int
    messages_last_30d: int
    total_calls: int
    calls_last_24h: int
    calls_last_7d: int
    calls_last_30d: int
    total_webhook_deliveries: int
    successful_webhook_deliveries: int
    failed_webhook_deliveries: int


class Usage(msgspec.Struct, frozen=True, rename="camel"):
    """``/v1/usage``."""

    plan: PlanShown
    numbers: Numbers
    stats: Stats
    period_start: str
    period_end: str


class Day(msgspec.Struct, frozen=True, gc=False):
    """One day of ``/v1/usage/daily``."""

    date: str
    messages: int
    calls: int
    webhooks: int


class Daily(msgspec.Struct, frozen=True):
    """``/v1/usage/daily``: oldest first, today last."""

    data: list[Day]
    days: int


class Month(msgspec.Struct, frozen=True):
    """One month of ``/v1/usage/monthly``."""

    month: str
    messages: int
    calls: int
    webhooks: int


class Monthly(msgspec.Struct, frozen=True):
    """``/v1/usage/monthly``: oldest first, this month last."""

    data: list[Month]
    months: int


# --- from their parameters to our questions ------------------------------------------------------------------------


def read_usage(now_us: int) -> list[Question]:
    """Return what ``/v1/usage`` asks: everything once, cut where the rolling windows begin.

    A rolling window begins on the minute N x 24 h ago and runs to the end of today, so that an event up to five minutes
    ahead of our clock counts in it as it counts in today.
    """
    everything, today = all_time(), today_us(now_us)
    begins = [floor_minute(now_us) - days * DAY_US for days in ROLLING_DAYS]
    cuts = [everything.start_us, *begins, today.end_us, everything.end_us]
    windows = [Span(start, end) for start, end in pairwise(cuts)]
    return [
        Question("messages", windows),
        Question("calls", windows),
        Question("deliveries", [everything], group_by=("status",)),
    ]


def read_series(windows: Sequence[Span]) -> list[Question]:
    """Return what the daily and the monthly breakdown ask."""
    return [Question(meter, windows) for meter in ("messages", "calls", "deliveries")]


# --- from our answers to their JSON ----------------------------------------------------------------------------------


def write_limits(plan: Plan) -> PlanLimits:
    """Return what the plan allows, null where it sets no limit."""
    numbers = limit_on_things(plan, LimitKind.LIFETIME, NUMBER)
    messages = limit_on_meter(plan, LimitKind.PERIOD, "messages")
    voice = limit_on_meter(plan, LimitKind.PERIOD, "call_seconds", VOICE)
    duration = limit_on_things(plan, LimitKind.DURATION)
    calls = limit_on_things(plan, LimitKind.CONCURRENT)
    return PlanLimits(
        numbers=count_or_none(quantity_of(numbers)),
        messages_per_month=count_or_none(quantity_of(messages)),
        voice_minutes_per_month=minutes_or_none(quantity_of(voice)),
        max_call_duration_minutes=minutes_or_none(quantity_of(duration)),
        concurrent_calls=count_or_none(quantity_of(calls)),
    )


def write_numbers(used: int, limit: int | None) -> Numbers:
    """Return how many numbers are used of how many; what remains is never below zero."""
    return Numbers(used, limit, None if limit is None else max(0, limit - used))


def write_stats(answers: Sequence[Answer]) -> Stats:
    """Return the eleven counters from the answers to `read_usage`."""
    messages, calls, deliveries = answers
    outcomes = {status: count_from_nanos(values[0]) for (status,), values in deliveries.groups.items()}
    message_totals, call_totals = _rolled_back(messages), _rolled_back(calls)
    return Stats(
        *message_totals,
        *call_totals,
        total_webhook_deliveries=sum(outcomes.values()),
        successful_webhook_deliveries=outcomes.get(SUCCESS, 0),
        failed_webhook_deliveries=outcomes.get(FAILED, 0),
    )


def _rolled_back(answer: Answer) -> tuple[int, int, int, int]:
    """Return (all time, last day, last 7, last 30) of windows cut at the beginnings of the rolling ones."""
    older, month, week, day, ahead = answer.counts
    last_day, last_week, last_month = accumulate((day, week, month))
    return older + last_month + ahead, last_day, last_week, last_month


def write_daily(windows: Sequence[Span], answers: Sequence[Answer]) -> Daily:
    """Return the days, oldest first."""
    counts = [answer.counts for answer in answers]
    return Daily(list(map(Day, start_texts(windows, day_text), *counts)), days=len(windows))


def write_monthly(windows: Sequence[Span], answers: Sequence[Answer]) -> Monthly:
    """Return the months, oldest first."""
    rows = zip(windows, *(answer.counts for answer in answers), strict=True)
    return Monthly([Month(day_text(window.start_us)[:7], *counts) for window, *counts in rows], months=len(windows))


# --- how it says no ------------------------------------------------------------------------------------------------

CODES = {
    400: ("BAD_REQUEST", "invalid_request_error"),
    401: ("UNAUTHORIZED", "authentication_error"),
    403: ("FORBIDDEN", "permission_error"),
    404: ("NOT_FOUND", "not_found_error"),
    405: ("METHOD_NOT_ALLOWED", "invalid_request_error"),
    409: ("CONFLICT", "invalid_request_error"),
    413: ("PAYLOAD_TOO_LARGE", "invalid_request_error"),
    414: ("URI_TOO_LONG", "invalid_request_error"),
    415: ("UNSUPPORTED_MEDIA_TYPE", "invalid_request_error"),
    422: ("VALIDATION_ERROR", "validation_error"),
    429: ("RATE_LIMITED", "rate_limit_error"),
    503: ("SERVICE_UNAVAILABLE", "api_error"),
}
INTERNAL = ("INTERNAL_ERROR", "api_error")


class Problem(msgspec.Struct, frozen=True):
    """What is wrong with one parameter."""

    field: str
    message: str
    type: str


class Located(msgspec.Struct, frozen=True):
    """The same, as the `detail` of a 422 says it."""

    loc: list[str]
    msg: str
    type: str


class ErrorShown(msgspec.Struct, frozen=True):
    """The error itself."""

    message: str
    code: str
    type: str
    details: list[Problem]


class ErrorBody(msgspec.Struct, frozen=True):
    """Every refusal; *detail* is the message, or for 422 the list of what is wrong."""

    error: ErrorShown
    detail: str | list[Located]


def refuse(refusal: Refusal) -> Reply:
    """Return our error as AgentPhone's: a parameter that cannot be meant is a 422."""
    status = 422 if isinstance(refusal.error, ParameterInvalid) else refusal.status
    code, kind = CODES.get(status, INTERNAL)
    problems = [Problem(fault.name, fault.message, fault.kind) for fault in refusal.faults]
    located = [Located([fault.place, fault.name], fault.message, fault.kind) for fault in refusal.faults]
    shown = ErrorShown(refusal.message, code, kind, problems)
    return json_reply(status, ErrorBody(shown, located if status == 422 else refusal.message))


# --- endpoints -----------------------------------------------------------------------------------------------------


def usage(ask: Ask[None, None]) -> Usage:
    """Answer ``GET /v1/usage``."""
    rooms, account, now_us = ask.rooms, ask.account, ask.now_us
    plan = rooms.accounts.plan_of(account)
    limits = write_limits(plan)
    stats = write_stats(rooms.measure.ask(account, read_usage(now_us)))
    ever = rooms.inventory.counts(account).get(NUMBER, NO_RESOURCES).lifetime
    period = rooms.accounts.period(account, now_us)
    return Usage(
        PlanShown(plan.tier.lower(), limits),
        write_numbers(ever, limits.numbers),
        stats,
        instant_text(period.start_us),
        instant_text(period.end_us),
    )


def daily(ask: Ask[DailyQuery, None]) -> Daily:
    """Answer ``GET /v1/usage/daily``."""
    windows = last_days(ask.now_us, ask.query.days)
    return write_daily(windows, ask.rooms.measure.ask(ask.account, read_series(windows)))


def monthly(ask: Ask[MonthlyQuery, None]) -> Monthly:
    """Answer ``GET /v1/usage/monthly``."""
    windows = last_months(ask.now_us, ask.query.months)
    return write_monthly(windows, ask.rooms.measure.ask(ask.account, read_series(windows)))


_get = partial(Endpoint, "GET", scope=USAGE_READ, account=AccountOf.KEY)

SURFACE = Surface(
    name="agentphone",
    prefix=PREFIX,
    title="AgentPhone usage",
    refuse=refuse,
    error=ErrorBody,
    endpoints=(
        _get("/v1/usage", usage, summary="Current usage and limits", answer=Usage),
        _get("/v1/usage/daily", daily, summary="By day", answer=Daily, query=DailyQuery, query_example="days=7"),
        _get(
            "/v1/usage/monthly",
            monthly,
            summary="By month",
            answer=Monthly,
            query=MonthlyQuery,
            example=Monthly([Month("2024-12", 510, 124, 634)], months=1),
            query_example="months=1",
        ),
    ),
)
