"""LiberClaw's usage API, spoken over our ledger: credits in a rolling window, messages by day and by agent.

Not for rules of counting: those are the flows'. Their document, and what we settled where it is silent:
docs/dialects/liberclaw.md.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Annotated

import msgspec

from tallybook.core.errors import ParameterInvalid
from tallybook.core.instant import DAY_US, day_text
from tallybook.core.key import USAGE_READ
from tallybook.core.limit import Limit, LimitKind
from tallybook.core.meter import Answer, Question
from tallybook.core.plan import Plan
from tallybook.core.resource import NO_RESOURCES
from tallybook.core.standing import counting_span
from tallybook.core.window import Span, last_days
from tallybook.web.endpoint import AccountOf, Ask, Endpoint, Refusal, Reply, Surface, json_reply
from tallybook.web.numbers import count_from_nanos, count_or_none, point_from_nanos
from tallybook.web.planned import limit_on_meter, limit_on_things, quantity_of

PREFIX = "/liberclaw"

NO_LIMIT = Limit("credits", LimitKind.ROLLING, meter="credits", window="P30D")
"""What is counted for an account whose plan limits no credits."""

AGENT = "agent"
NO_AGENT = "No agent"
"""The name of the row for messages that name no agent."""


# --- their parameters ----------------------------------------------------------------------------------------------


class DaysQuery(msgspec.Struct, frozen=True):
    """What the history and the agents take."""

    days: Annotated[int, msgspec.Meta(ge=1, le=90, description="Number of days (1-90), today included.")] = 30


# --- their JSON ----------------------------------------------------------------------------------------------------


class Usage(msgspec.Struct, frozen=True):
    """``/api/v1/usage``; a limit is null where the plan sets none."""

    credits_used: Decimal
    credits_limit: Decimal | None
    rolling_window_days: int
    agent_count: int
    agent_limit: int | None
    tier: str


class Day(msgspec.Struct, frozen=True):
    """One day with messages."""

    date: str
    message_count: int


class History(msgspec.Struct, frozen=True):
    """``/api/v1/usage/history``: newest first, days without messages left out."""

    days: list[Day]


class Agent(msgspec.Struct, frozen=True):
    """One agent with messages; a deleted one has no id and keeps its name."""

    agent_id: str | None
    agent_name: str
    message_count: int
    total_tokens: int


class Agents(msgspec.Struct, frozen=True):
    """``/api/v1/usage/per-agent``: most messages first."""

    agents: list[Agent]
    period_days: int


# --- from their parameters to our questions ------------------------------------------------------------------------


def read_history(days: int, now_us: int) -> list[Question]:
    """Return what the history asks: every message of each day."""
    return [Question("messages", last_days(now_us, days))]


def read_agents(days: int, now_us: int) -> list[Question]:
    """Return what the agents ask: messages and tokens of the same days, by agent."""
    windows = last_days(now_us, days)
    span = [Span(windows[0].start_us, windows[-1].end_us)]
    return [Question(meter, span, group_by=("agent_id",)) for meter in ("messages", "tokens")]


# --- from our answers to their JSON ----------------------------------------------------------------------------------


def write_usage(plan: Plan, spent: Answer, credits_limit: Limit, agents: int) -> Usage:
    """Return credits as numbers with a point, agents as integers."""
    allowed = credits_limit.quantity
    agent_limit = quantity_of(limit_on_things(plan, LimitKind.STOCK, AGENT))
    return Usage(
        credits_used=point_from_nanos(spent.value),
        credits_limit=None if allowed is None else point_from_nanos(allowed),
        rolling_window_days=credits_limit.window_us // DAY_US,
        agent_count=agents,
        agent_limit=count_or_none(agent_limit),
        tier=plan.tier,
    )


def write_history(answer: Answer) -> History:
    """Return the days that have messages, newest first."""
    rows = zip(answer.question.windows, answer.counts, strict=True)
    days = [Day(day_text(window.start_us), count) for window, count in rows if count]
    return History(days[::-1])


def write_agents(days: int, answers: Sequence[Answer], names: Mapping[str, str], deleted: Iterable[str]) -> Agents:
    """Return the agents that have messages, most first; those in *deleted* without their id."""
    messages, tokens = answers
    gone = frozenset(deleted)
    agents = [
        Agent(
            agent_id=None if agent_id in gone else agent_id,
            agent_name=NO_AGENT if agent_id is None else names.get(agent_id, agent_id),
            message_count=count_from_nanos(values[0]),
            total_tokens=count_from_nanos(tokens.groups.get((agent_id,), (0,))[0]),
        )
        for (agent_id,), values in messages.groups.items()
        if values[0]
    ]
    agents.sort(key=lambda agent: (-agent.message_count, -agent.total_tokens, agent.agent_name, agent.agent_id or ""))
    return Agents(agents, period_days=days)


# --- how it says no ------------------------------------------------------------------------------------------------

CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    409: "CONFLICT",
    413: "PAYLOAD_TOO_LARGE",
    414: "URI_TOO_LONG",
    415: "UNSUPPORTED_MEDIA_TYPE",
    422: "VALIDATION_ERROR",
    429: "RATE_LIMITED",
    503: "SERVICE_UNAVAILABLE",
}


class Problem(msgspec.Struct, frozen=True):
    """What is wrong with one parameter."""

    field: str
    message: str
    type: str


class ErrorShown(msgspec.Struct, frozen=True):
    """The error itself; *details* is null where no parameter is to blame."""

    code: str
    message: str
    status: int
    details: list[Problem] | None


class ErrorBody(msgspec.Struct, frozen=True):
    """Every refusal."""

    error: ErrorShown
    detail: str


def refuse(refusal: Refusal) -> Reply:
    """Return our error as LiberClaw's: a parameter that cannot be meant is a 422."""
    status = 422 if isinstance(refusal.error, ParameterInvalid) else refusal.status
    problems = [Problem(fault.name, fault.message, fault.kind) for fault in refusal.faults]
    shown = ErrorShown(CODES.get(status, "INTERNAL_ERROR"), refusal.message, status, problems or None)
    return json_reply(status, ErrorBody(shown, refusal.message))


# --- endpoints -----------------------------------------------------------------------------------------------------


def usage(ask: Ask[None, None]) -> Usage:
    """Answer ``GET /api/v1/usage``."""
    rooms, account, now_us = ask.rooms, ask.account, ask.now_us
    plan = rooms.accounts.plan_of(account)
    credits_limit = limit_on_meter(plan, LimitKind.ROLLING, "credits") or NO_LIMIT
    (spent,) = rooms.measure.ask(account, [Question("credits", [counting_span(credits_limit, account, now_us)])])
    live = rooms.inventory.counts(account).get(AGENT, NO_RESOURCES).live
    return write_usage(plan, spent, credits_limit, live)


def history(ask: Ask[DaysQuery, None]) -> History:
    """Answer ``GET /api/v1/usage/history``."""
    (answer,) = ask.rooms.measure.ask(ask.account, read_history(ask.query.days, ask.now_us))
    return write_history(answer)


def per_agent(ask: Ask[DaysQuery, None]) -> Agents:
    """Answer ``GET /api/v1/usage/per-agent``."""
    rooms, account = ask.rooms, ask.account
    answers = rooms.measure.ask(account, read_agents(ask.query.days, ask.now_us))
    used = [agent_id for (agent_id,) in answers[0].groups if agent_id is not None]
    names = rooms.measure.names(account, "agent_id", used)
    return write_agents(ask.query.days, answers, names, rooms.inventory.released(account, AGENT))


SURFACE = Surface(
    name="liberclaw",
    prefix=PREFIX,
    title="LiberClaw usage",
    refuse=refuse,
    error=ErrorBody,
    endpoints=(
        Endpoint(
            "GET",
            "/api/v1/usage",
            usage,
            USAGE_READ,
            "Credits, agents and tier",
            answer=Usage,
            account=AccountOf.KEY,
            example=Usage(Decimal("1250.5"), Decimal("5000.0"), 30, 3, 5, "free"),
        ),
        Endpoint(
            "GET",
            "/api/v1/usage/history",
            history,
            USAGE_READ,
            "Messages by day",
            answer=History,
            query=DaysQuery,
            account=AccountOf.KEY,
            example=History([Day("2026-01-15", 42), Day("2026-01-14", 18), Day("2026-01-13", 7)]),
            query_example="days=7",
        ),
        Endpoint(
            "GET",
            "/api/v1/usage/per-agent",
            per_agent,
            USAGE_READ,
            "Messages and tokens by agent",
            answer=Agents,
            query=DaysQuery,
            account=AccountOf.KEY,
            example=Agents(
                [Agent("550e8400-e29b-41d4-a716-446655440000", "Research Assistant", 156, 245_000)], period_days=30
            ),
            query_example="days=30",
        ),
    ),
)
