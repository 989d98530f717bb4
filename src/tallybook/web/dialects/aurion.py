"""Aurion's usage API, spoken over our ledger: a tenant's month against its plan, and its days, weeks or months.

Not for rules of counting: those are the flows'. Their document, and what we settled where it is silent:
docs/dialects/aurion.md.
"""

from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum

import msgspec

from tallybook.core.errors import ParameterInvalid, RangeInvalid, RangeTooLarge
from tallybook.core.instant import DAY_US, day_text, instant_text, parse_instant
from tallybook.core.key import USAGE_READ
from tallybook.core.limit import LimitKind
from tallybook.core.meter import Answer, Question
from tallybook.core.plan import Plan
from tallybook.core.window import Granularity, Span, Windows, all_time, month_of, start_texts, tile, today_us, zone
from tallybook.web.endpoint import AccountOf, Ask, Endpoint, Refusal, Reply, Surface, json_reply
from tallybook.web.numbers import (
    MINUTE_PLACES_FINE,
    count_from_nanos,
    minutes_carried,
    minutes_from_nanos,
    number_from_nanos,
    percentage_from_nanos,
)
from tallybook.web.planned import limit_on_meter, quantity_of

PREFIX = "/aurion"

ROWS_MAX = 3_660
"""Most rows of one answer: ten years of days."""

ROW_US = {"day": DAY_US, "week": 7 * DAY_US, "month": 28 * DAY_US}  # days: the shortest month there is
"""The shortest that each bucket can be."""

VOICE = {"channel": ("voice",)}
SECOND_US = 1_000_000
UTC = zone("UTC")


# --- their parameters ----------------------------------------------------------------------------------------------


class Bucket(StrEnum):
    """How the range is cut."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class EventType(StrEnum):
    """What the rows are about; the rest of a row is zero."""

    VOICE = "voice"
    API = "api"
    LLM = "llm"
    STORAGE = "storage"


class DetailsQuery(msgspec.Struct, frozen=True):
    """What ``/api/v1/usage/details`` takes."""

    start_date: str | None = None
    end_date: str | None = None
    group_by: Bucket = Bucket.DAY
    event_type: EventType | None = None


# --- their JSON ----------------------------------------------------------------------------------------------------


class Period(msgspec.Struct, frozen=True):
    """A calendar month, its last second included."""

    start: str
    end: str


class Share(msgspec.Struct, frozen=True):
    """Used of a limit; limit and percentage are null where the plan is unlimited."""

    used: int | Decimal
    limit: int | Decimal | None
    percentage: Decimal | None


class Summary(msgspec.Struct, frozen=True):
    """``/api/v1/usage/summary``."""

    period: Period
    voice_minutes: Share
    api_calls: Share
    storage_mb: Share
    plan: str
    billing_status: str


class Tokens(msgspec.Struct, frozen=True, gc=False):
    """Tokens of language models."""

    input: int
    output: int


class Row(msgspec.Struct, frozen=True, gc=False):
    """One bucket of ``/api/v1/usage/details``; *storage_mb* only where storage was asked for."""

    date: str
    voice_minutes: int | Decimal
    api_calls: int
    llm_tokens: Tokens
    storage_mb: int | Decimal | msgspec.UnsetType = msgspec.UNSET


class Details(msgspec.Struct, frozen=True):
    """``/api/v1/usage/details``: oldest first."""

    data: list[Row]


# --- from their parameters to our questions ------------------------------------------------------------------------


def read_summary(now_us: int) -> list[Question]:
    """Return what the summary asks: this calendar month, and the latest snapshot of storage whenever it was taken."""
    month = [month_of(now_us)]
    return [
        Question("call_seconds", month, filters=VOICE),
        Question("requests", month),
        Question("storage_mb", [all_time()]),
    ]


def read_limits(plan: Plan) -> tuple[int | None, int | None, int | None]:
    """Return what the plan allows of voice (seconds), calls and storage, in nanos; None where it is unlimited."""
    voice = limit_on_meter(plan, LimitKind.PERIOD, "call_seconds", {"channel": "voice"})
    calls = limit_on_meter(plan, LimitKind.PERIOD, "requests")
    storage = limit_on_meter(plan, LimitKind.STOCK, "storage_mb")
    return quantity_of(voice), quantity_of(calls), quantity_of(storage)


def read_windows(query: DetailsQuery, now_us: int) -> Windows:
    """Return the buckets of the range: from the month's first day to the end of today, unless it is given.

    Raises:
        RangeInvalid: If a date is not one, the end lies before the start, or there are more than ROWS_MAX buckets.
    """
    start_us, (end_us, bare) = month_of(now_us).start_us, (today_us(now_us).start_us, True)
    if query.start_date is not None:
        start_us, _ = parse_instant(query.start_date, "start_date", naive_is_utc=True)
    if query.end_date is not None:
        end_us, bare = parse_instant(query.end_date, "end_date", naive_is_utc=True)
    end_us += DAY_US if bare else 0
    if end_us < start_us or (bare and end_us == start_us):
        parameter = "start_date" if query.end_date is None else "end_date"
        raise RangeInvalid("end_date must not lie before start_date", parameter=parameter)
    if end_us - start_us > ROWS_MAX * ROW_US[query.group_by]:
        raise RangeTooLarge(
            f"the range has more than {ROWS_MAX} rows of one {query.group_by}; ask for a shorter one",
            parameter="end_date",
        )
    return tile(Span(start_us, end_us), Granularity(query.group_by), UTC)


def read_details(event_type: EventType | None, windows: Sequence[Span]) -> dict[str, Question]:
    """Return what the rows of *event_type* ask, of all types if it is None; only storage must be asked for by name."""
    questions: dict[str, dict[str, Question]] = {
        "voice": {"voice": Question("call_seconds", windows, filters=VOICE)},
        "api": {"api": Question("requests", windows)},
        "llm": {"input": Question("input_tokens", windows), "output": Question("output_tokens", windows)},
        "storage": {"storage": Question("storage_mb", windows)},
    }
    if event_type is not None:
        return questions[event_type]
    return questions["voice"] | questions["api"] | questions["llm"]


# --- from our answers to their JSON ----------------------------------------------------------------------------------


def write_period(now_us: int) -> Period:
    """Return the calendar month of *now_us*."""
    month = month_of(now_us)
    return Period(instant_text(month.start_us), instant_text(month.end_us - SECOND_US))


def write_minutes(used: int, limit: int | None) -> Share:
    """Return seconds used of a limit in seconds, both as minutes."""
    shown = None if limit is None else minutes_from_nanos(limit)
    return Share(minutes_from_nanos(used, MINUTE_PLACES_FINE), shown, percentage_from_nanos(used, limit))


def write_count(used: int, limit: int | None) -> Share:
    """Return a count of a limit."""
    shown = None if limit is None else number_from_nanos(limit)
    return Share(count_from_nanos(used), shown, percentage_from_nanos(used, limit))


def write_quantity(used: int, limit: int | None) -> Share:
    """Return a quantity, exactly, of a limit."""
    shown = None if limit is None else number_from_nanos(limit)
    return Share(number_from_nanos(used), shown, percentage_from_nanos(used, limit))


def write_details(windows: Sequence[Span], answers: dict[str, Answer]) -> Details:
    """Return one row a bucket, oldest first; what was not asked is 0."""
    zeros = [0] * len(windows)
    minutes = minutes_carried(answers["voice"].values if "voice" in answers else zeros)
    calls, tokens_in, tokens_out = (
        answers[name].counts if name in answers else zeros for name in ("api", "input", "output")
    )
    rows = list(map(Row, start_texts(windows, day_text), minutes, calls, map(Tokens, tokens_in, tokens_out)))
    if "storage" in answers:
        stored = map(number_from_nanos, answers["storage"].values)
        rows = [msgspec.structs.replace(row, storage_mb=megabytes) for row, megabytes in zip(rows, stored, strict=True)]
    return Details(rows)


# --- how it says no ------------------------------------------------------------------------------------------------

WORDS = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "payload_too_large",
    414: "uri_too_long",
    415: "unsupported_media_type",
    422: "validation_error",
    429: "rate_limited",
    503: "service_unavailable",
}


class Problem(msgspec.Struct, frozen=True):
    """What is wrong with one parameter."""

    field: str
    message: str


class ErrorBody(msgspec.Struct, frozen=True):
    """Every refusal."""

    error: str
    message: str
    detail: str
    details: list[Problem]


def refuse(refusal: Refusal) -> Reply:
    """Return our error as Aurion's: a parameter that cannot be meant is a 422."""
    status = 422 if isinstance(refusal.error, ParameterInvalid) else refusal.status
    problems = [Problem(fault.name, fault.message) for fault in refusal.faults]
    body = ErrorBody(WORDS.get(status, "internal_error"), refusal.message, refusal.message, problems)
    return json_reply(status, body)


# --- endpoints -----------------------------------------------------------------------------------------------------


def summary(ask: Ask[None, None]) -> Summary:
    """Answer ``GET /api/v1/usage/summary``."""
    rooms, account, now_us = ask.rooms, ask.account, ask.now_us
    plan = rooms.accounts.plan_of(account)
    spoken, called, stored = rooms.measure.ask(account, read_summary(now_us))
    voice_limit, call_limit, storage_limit = read_limits(plan)
    return Summary(
        write_period(now_us),
        write_minutes(spoken.value, voice_limit),
        write_count(called.value, call_limit),
        write_quantity(stored.value, storage_limit),
        plan.tier,
        account.billing_status,
    )


def details(ask: Ask[DetailsQuery, None]) -> Details:
    """Answer ``GET /api/v1/usage/details``."""
    windows = read_windows(ask.query, ask.now_us)
    questions = read_details(ask.query.event_type, windows)
    answers = ask.rooms.measure.ask(ask.account, list(questions.values()))
    return write_details(windows, dict(zip(questions, answers, strict=True)))


SURFACE = Surface(
    name="aurion",
    prefix=PREFIX,
    title="Aurion usage",
    refuse=refuse,
    error=ErrorBody,
    endpoints=(
        Endpoint(
            "GET",
            "/api/v1/usage/summary",
            summary,
            USAGE_READ,
            "This month against the plan",
            answer=Summary,
            account=AccountOf.KEY,
            example=Summary(
                Period("2026-03-01T00:00:00Z", "2026-03-31T23:59:59Z"),
                Share(320, 1000, Decimal("32.0")),
                Share(12_450, 50_000, Decimal("24.9")),
                Share(245, 5000, Decimal("4.9")),
                "professional",
                "active",
            ),
        ),
        Endpoint(
            "GET",
            "/api/v1/usage/details",
            details,
            USAGE_READ,
            "Usage by day, week or month",
            answer=Details,
            query=DetailsQuery,
            account=AccountOf.KEY,
            errors=(RangeInvalid, RangeTooLarge),
            example=Details([Row("2026-03-01", 45, 1850, Tokens(125_000, 42_000))]),
            query_example="start_date=2026-03-01&end_date=2026-03-01",
        ),
    ),
)
