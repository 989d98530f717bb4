"""Calls, minutes and workflow runs of a range by day, and the inventory of now: one summary for all who show it.

Anyreach's API answers with it, and the dashboard's usage page shows it; its shape is that of Anyreach's document
(docs/dialects/anyreach.md). Not for rules of counting: those are the flows'.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from tallybook.core.errors import RangeInvalid, RangeTooLarge
from tallybook.core.instant import DAY_US, day_text, parse_instant
from tallybook.core.meter import Answer, Question
from tallybook.core.resource import NO_RESOURCES, ResourceCount
from tallybook.core.window import Granularity, Span, month_of, start_texts, tile, today_us, zone
from tallybook.web.numbers import (
    count_from_nanos,
    mean_from_nanos,
    minutes_each,
    minutes_from_nanos,
)

RANGE_DAYS_MAX = 366
DURATION_PLACES = 2
UTC = zone("UTC")


# --- their parameters ----------------------------------------------------------------------------------------------


class SummaryQuery(msgspec.Struct, frozen=True):
    """What ``/admin/usage/summary`` takes."""

    from_: str | None = msgspec.field(default=None, name="from")
    to: str | None = None


# --- their JSON ----------------------------------------------------------------------------------------------------


class Point(msgspec.Struct, frozen=True, gc=False):
    """One UTC day."""

    day: str
    calls: int
    voice_minutes: int | Decimal
    chat_minutes: int | Decimal
    workflow_runs: int


class Summary(msgspec.Struct, frozen=True):
    """``/admin/usage/summary``: a flat object; the inventory is of now, whatever the range."""

    total_calls: int
    voice_calls: int
    chat_calls: int
    inbound_calls: int
    outbound_calls: int
    voice_minutes: int | Decimal
    chat_minutes: int | Decimal
    avg_call_duration_sec: int | Decimal
    workflow_runs_total: int
    workflow_runs_success: int
    workflow_runs_failed: int
    daily: list[Point]
    total_agents: int
    total_phone_numbers: int
    shared_phone_numbers: int
    total_web_widgets: int
    total_datasets: int
    active_datasets: int


# --- from their parameters to our questions ------------------------------------------------------------------------


def read_span(query: SummaryQuery, now_us: int) -> Span:
    """Return the range: the month's first day to the end of today, unless it is given.

    Raises:
        RangeInvalid: If an end is not an instant, the range is empty or inverted, or longer than RANGE_DAYS_MAX.
    """
    start_us, end_us = month_of(now_us).start_us, today_us(now_us).end_us
    if query.from_ is not None:
        start_us, _ = parse_instant(query.from_, "from", naive_is_utc=True)
    if query.to is not None:
        end_us, _ = parse_instant(query.to, "to", naive_is_utc=True)
    if end_us <= start_us:
        raise RangeInvalid("to must be after from", parameter="to")
    if end_us - start_us > RANGE_DAYS_MAX * DAY_US:
        raise RangeTooLarge(f"the range must not be longer than {RANGE_DAYS_MAX} days", parameter="to")
    return Span(start_us, end_us)


def read_summary(span: Span) -> list[Question]:
    """Return what the summary asks; totals of minutes and runs are the sums of their days."""
    days = tile(span, Granularity.DAY, UTC)
    return [
        Question("calls", [span], group_by=("channel", "direction")),
        Question("calls", days),
        Question("call_seconds", days, group_by=("channel",)),
        Question("workflow_runs", days),
        Question("workflow_outcomes", [span], group_by=("status",)),
    ]


# --- from our answers to their JSON ----------------------------------------------------------------------------------


def write_daily(answers: Sequence[Answer]) -> list[Point]:
    """Return one point a day, ascending."""
    _, calls, seconds, runs, _ = answers
    days = calls.question.windows
    zeros = [0] * len(days)
    voice, chat = (seconds.groups.get((channel,), zeros) for channel in ("voice", "chat"))
    lasted = minutes_each(voice), minutes_each(chat)
    counted = calls.counts, *lasted, runs.counts
    return list(map(Point, start_texts(days, day_text), *counted))


def write_summary(answers: Sequence[Answer], inventory: Mapping[str, ResourceCount]) -> Summary:
    """Return the whole object from the answers to `read_summary` and the inventory of now."""
    calls, _, seconds, runs, outcomes = answers
    channels, directions = Counter[str | None](), Counter[str | None]()
    for (channel, direction), (value,) in calls.groups.items():
        channels[channel] += value
        directions[direction] += value
    lasted = {channel: sum(values) for (channel,), values in seconds.groups.items()}
    ended = {status: count_from_nanos(values[0]) for (status,), values in outcomes.groups.items()}
    return Summary(
        total_calls=count_from_nanos(channels.total()),
        voice_calls=count_from_nanos(channels["voice"]),
        chat_calls=count_from_nanos(channels["chat"]),
        inbound_calls=count_from_nanos(directions["inbound"]),
        outbound_calls=count_from_nanos(directions["outbound"]),
        voice_minutes=minutes_from_nanos(lasted.get("voice", 0)),
        chat_minutes=minutes_from_nanos(lasted.get("chat", 0)),
        avg_call_duration_sec=mean_from_nanos(lasted.get("voice", 0), channels["voice"], DURATION_PLACES),
        workflow_runs_total=count_from_nanos(runs.total),
        workflow_runs_success=ended.get("success", 0),
        workflow_runs_failed=ended.get("failed", 0),
        daily=write_daily(answers),
        **write_inventory(inventory),
    )


def write_inventory(inventory: Mapping[str, ResourceCount]) -> dict[str, int]:
    """Return the six totals of what exists now."""
    numbers, datasets = (inventory.get(kind, NO_RESOURCES) for kind in ("phone_number", "dataset"))
    return {
        "total_agents": inventory.get("agent", NO_RESOURCES).live,
        "total_phone_numbers": numbers.live,
        "shared_phone_numbers": numbers.shared,
        "total_web_widgets": inventory.get("web_widget", NO_RESOURCES).live,
        "total_datasets": datasets.live,
        "active_datasets": datasets.active,
    }
