"""Where an account stands against the limits of its plan. Not for what limits are (see `core.limit`)."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice

from tallybook.core.event import FUTURE_US
from tallybook.core.instant import MINUTE_US
from tallybook.core.limit import Limit, LimitKind, LimitState
from tallybook.core.meter import Answer, Question
from tallybook.core.number import NANOS
from tallybook.core.plan import Account
from tallybook.core.ports import PlanSource, ResourceStore, UsageReader
from tallybook.core.resource import NO_RESOURCES, ResourceCount
from tallybook.core.window import Span, all_time, billing_period, floor_minute, zone

VALUES_MAX = 100
"""Most values of a limit's *per* dimension that are told, those with most usage first."""


class Limits:
    """Reads limits; every figure is exact and holds all that was acknowledged before."""

    def __init__(self, usage: UsageReader, resources: ResourceStore, plans: PlanSource) -> None:
        self._usage = usage
        self._resources = resources
        self._plans = plans

    def states(self, account: Account, now_us: int) -> list[LimitState]:
        """Return where the account stands against each limit of its plan, in the plan's order.

        All usage is read from one snapshot. A limit with *per* has one state for each value that has usage and is not
        the subject of a limit of its own, most used first; while there is none, one state without a value.
        """
        limits = self._plans.plan_of(account).limits
        counted = [limit for limit in limits if limit.meter is not None]
        spans = {limit.name: counting_span(limit, account, now_us) for limit in counted}
        questions = [_question(limit, spans[limit.name]) for limit in counted]
        answers = self._usage.ask(account, questions) if questions else []
        by_name = {limit.name: answer for limit, answer in zip(counted, answers, strict=True)}
        owned = any(limit.resource is not None for limit in limits)
        things = self._resources.counts(account.no) if owned else {}
        states: list[LimitState] = []
        for limit in limits:
            if limit.meter is None:
                states.append(LimitState(limit, _owned(limit, things)))
            else:
                period = shown_period(limit, account, now_us)
                states.extend(_states(limit, by_name[limit.name], period, limits))
        return states


def counting_span(limit: Limit, account: Account, now_us: int) -> Span:
    """Return the span whose usage counts against *limit*.

    A rolling window begins at a whole minute and ends after the last instant at which an event may lie, so that an
    event that was sent with a clock slightly ahead counts at once.
    """
    if limit.kind is LimitKind.PERIOD:
        return billing_period(now_us, account.anchor_day, zone(account.timezone))
    if limit.kind is LimitKind.ROLLING:
        minute_us = floor_minute(now_us)
        return Span(max(0, minute_us - limit.window_us), minute_us + MINUTE_US + FUTURE_US)
    return all_time()


def shown_period(limit: Limit, account: Account, now_us: int) -> Span | None:
    """Return the span that people are told *limit* counts over; None where it counts what there ever was, or is."""
    if limit.kind is LimitKind.PERIOD:
        return counting_span(limit, account, now_us)
    if limit.kind is LimitKind.ROLLING:
        return Span(counting_span(limit, account, now_us).start_us, floor_minute(now_us) + MINUTE_US)
    return None


def _question(limit: Limit, span: Span) -> Question:
    assert limit.meter is not None  # only counted limits are asked
    filters = {dimension: (value,) for dimension, value in limit.filter.items()}
    return Question(limit.meter, (span,), () if limit.per is None else (limit.per,), filters)


def _states(limit: Limit, answer: Answer, period: Span | None, limits: Sequence[Limit]) -> Iterator[LimitState]:
    if limit.per is None:
        yield LimitState(limit, answer.value, period)
        return
    per = limit.per
    used = {
        value: nanos
        for (value,), (nanos,) in answer.groups.items()
        if value is not None and not any(other.names(per, value, beside=limit) for other in limits)
    }
    if not used:
        yield LimitState(limit, 0, period)
    for value, nanos in islice(sorted(used.items(), key=lambda item: (-item[1], item[0])), VALUES_MAX):
        yield LimitState(limit, nanos, period, value)


def _owned(limit: Limit, things: Mapping[str, ResourceCount]) -> int:
    """Return how many things, in nanos, count against a limit that is not of a meter."""
    if limit.resource is None:
        return 0  # leases, and the length of one item
    count = things.get(limit.resource, NO_RESOURCES)
    return NANOS * (count.lifetime if limit.kind is LimitKind.LIFETIME else count.live)
