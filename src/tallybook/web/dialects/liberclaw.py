"""LiberClaw's usage API, spoken over our ledger: credits in a rolling window, messages by day and by agent.

Not for rules of counting: those are the flows'. Their document, and what we settled where it is silent:
docs/dialects/liberclaw.md.
"""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Annotated

import msgspec

from tallybook.core.errors import ParameterInvalid
from tallybook.core.instant import day_text
from tallybook.core.meter import Answer, Question
from tallybook.core.window import Span, last_days
from tallybook.web.endpoint import AccountOf, Ask, Endpoint, Refusal, Reply, Surface, json_reply
from tallybook.web.numbers import count_from_nanos, counts_from_nanos, point_from_nanos

PREFIX = "/liberclaw"

WINDOW_DAYS = 30
"""The rolling window of an account whose plan limits no credits."""

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


def write_history(answer: Answer) -> History:
    """Return the days that have messages, newest first."""
    rows = zip(answer.question.windows, counts_from_nanos(answer.values), strict=True)
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
    413: "PAYLOAD_TOO_LARGE",
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
