"""Where one account stands against its limits at one instant, read from one snapshot.

The same reading serves those who only look and those who decide inside a lane. Not for what is asked (see `demand`).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice

from tallybook.core.event import FUTURE_US
from tallybook.core.figures import rule_of
from tallybook.core.hold import Decision, Standing
from tallybook.core.instant import MINUTE_US
from tallybook.core.limit import Limit, LimitKind, LimitState
from tallybook.core.meter import Answer, Question
from tallybook.core.number import NANOS
from tallybook.core.period import billing_period
from tallybook.core.plan import Account
from tallybook.core.ports import UsageReader, UsageSnapshot
from tallybook.core.recall import HeldBy, Holds, Known
from tallybook.core.resource import NO_RESOURCES, ResourceCount
from tallybook.core.window import Span, all_time, floor_minute, zone

VALUES_MAX = 100
"""Most values of a limit's *per* dimension that are told, those with most usage first."""


class Look:
    """One account's limits at one instant, from one snapshot."""

    def __init__(
        self,
        usage: UsageReader,
        snapshot: UsageSnapshot,
        holds: Holds,
        account: Account,
        now_us: int,
        *,
        known: Known,
    ) -> None:
        self._usage = usage
        self._snapshot = snapshot
        self._holds = holds
        self._known = known
        self.account = account
        self.now_us = now_us
        self._things: Mapping[str, ResourceCount] | None = None
        self._held: HeldBy | None = None
        self._slots: dict[str, tuple[int, int | None]] = {}

    def states(self, limits: Sequence[Limit]) -> Iterator[LimitState]:
        """Return the states of all *limits*, their usage asked at once."""
        counted = [limit for limit in limits if limit.meter is not None]
        questions = [self._question(limit) for limit in counted]
        answers = self._usage.ask_in(self._snapshot, self.account, questions) if questions else []
        by_name = {limit.name: answer for limit, answer in zip(counted, answers, strict=True)}
        for limit in limits:
            if limit.meter is None:
                yield self._uncounted(limit)
            elif limit.per is None:
                yield self._state(limit, by_name[limit.name].value)
            else:
                held = {value: 0 for name, value in self._holdings() if name == limit.name}
                for value, used in _by_value(limit, by_name[limit.name], limits, held):
                    yield self._state(limit, used, value)

    def standings(self, asked: Mapping[tuple[str, str], tuple[Limit, int]]) -> list[Standing]:
        """Return how each limit stands against what is asked of it, their usage asked at once."""
        counted = [(limit, value) for (_, value), (limit, _) in asked.items() if limit.meter is not None]
        values = self._values([self._question(limit, value) for limit, value in counted])
        used = {(limit.name, value): nanos for (limit, value), nanos in zip(counted, values, strict=True)}
        standings = []
        for (name, value), (limit, nanos) in asked.items():
            if limit.meter is None:
                state = self._uncounted(limit)
            else:
                state = self._state(limit, used[name, value], value or None)
            standings.append(Standing(state, nanos))
        return standings

    def _values(self, questions: Sequence[Question]) -> list[int]:
        """Return the answers to questions about one window; what is not remembered is asked at once."""
        found = [self._known.find(question) for question in questions]
        missing = [question for question, known in zip(questions, found, strict=True) if known is None]
        answers = iter(self._usage.ask_in(self._snapshot, self.account, missing) if missing else ())
        values = []
        for question, known in zip(questions, found, strict=True):
            nanos = next(answers).value if known is None else known[0]
            assert nanos is not None  # only a first use may be missing
            if known is None and self._known.counts[0] is not None:
                self._known.keep(question, nanos, rule_of(self._usage.scheme, question))
            values.append(nanos)
        return values

    def _first_us(self, question: Question) -> int | None:
        """Return the start of the first minute with usage."""
        known = self._known.find(question, "first")
        if known is not None:
            return known[0]
        first_us = self._usage.first_use_us(self._snapshot, self.account, question)
        rule = None if self._known.counts[0] is None else rule_of(self._usage.scheme, question, is_first=True)
        if rule is not None:
            self._known.keep(question, first_us, rule)
        return first_us

    def with_end(self, standing: Standing) -> Standing:
        """Return the standing with the instant when its limit next frees something."""
        return replace(standing, frees_at_us=self._frees_at_us(standing.state))

    def _state(self, limit: Limit, used: int, value: str | None = None) -> LimitState:
        return LimitState(
            limit, used, shown_period(limit, self.account, self.now_us), value, self._holding(limit, value)
        )

    def _uncounted(self, limit: Limit) -> LimitState:
        """Return the state of a limit on things or leases, or on the length of one item."""
        if limit.kind is LimitKind.CONCURRENT:
            return LimitState(limit, self._taken(limit)[0] * NANOS)
        if limit.resource is None:
            return LimitState(limit, 0)
        if self._things is None:
            self._things = self._snapshot.resource_counts(self.account.no)
        count = self._things.get(limit.resource, NO_RESOURCES)
        used = NANOS * (count.lifetime if limit.kind is LimitKind.LIFETIME else count.live)
        return LimitState(limit, used, held=self._holding(limit, None))

    def _taken(self, limit: Limit) -> tuple[int, int | None]:
        known = self._slots.get(limit.name)
        if known is None:
            known = self._slots[limit.name] = self._holds.slots_taken(self.account.no, limit.name, self.now_us)
        return known

    def _holding(self, limit: Limit, value: str | None) -> int:
        held = self._holdings().get((limit.name, value or ""))
        return 0 if held is None else held.nanos

    def _holdings(self) -> HeldBy:
        if self._held is None:
            self._held = self._known.find_held(self.now_us)
        if self._held is None:
            self._held = self._holds.held(self.account.no, self.now_us)
            self._known.held = self._held, self.now_us
        return self._held

    def _question(self, limit: Limit, value: str = "") -> Question:
        assert limit.meter is not None  # only counted limits are asked
        filters = {dimension: (wanted,) for dimension, wanted in limit.filter.items()}
        if limit.per is not None and value:
            filters[limit.per] = (value,)
        groups = (limit.per,) if limit.per is not None and not value else ()
        return Question(limit.meter, (counting_span(limit, self.account, self.now_us),), groups, filters)

    def _frees_at_us(self, state: LimitState) -> int | None:
        limit = state.limit
        times: list[int | None] = []
        held = self._holdings().get((limit.name, state.value or "")) if state.held else None
        if held is not None:
            times.append(held.ends_us)
        if limit.kind is LimitKind.CONCURRENT:
            times.append(self._taken(limit)[1])
        elif limit.kind is LimitKind.PERIOD and state.period is not None:
            times.append(state.period.end_us)
        elif limit.kind is LimitKind.ROLLING and state.used:
            first_us = self._first_us(self._question(limit, state.value or ""))
            times.append(None if first_us is None else first_us + limit.window_us + MINUTE_US)
        return min((time for time in times if time is not None), default=None)


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


def same_until_us(decision: Decision, account: Account, now_us: int) -> int:
    """Return the instant at which *decision*, made at *now_us*, may change though nothing is written.

    That is *now_us* itself where leases or reservations may run out, or exceptions begin and end.
    """
    states = [standing.state for standing in decision.standings]
    if account.has_own_limits or any(state.held or state.limit.kind is LimitKind.CONCURRENT for state in states):
        return now_us
    ends_us = [state.period.end_us for state in states if state.period is not None]
    return min(floor_minute(now_us) + MINUTE_US, account.same_until_us(now_us), *ends_us)


def _by_value(
    limit: Limit, answer: Answer, limits: Sequence[Limit], held: Mapping[str, int]
) -> Iterator[tuple[str | None, int]]:
    """Return (value, used) of a limit by dimension, most used first; one without a value while there is none."""
    per = limit.per
    assert per is not None  # or it would not have been grouped
    used = dict(held) | {
        value: nanos
        for (value,), (nanos,) in answer.groups.items()
        if value is not None and not any(other.names(per, value, beside=limit) for other in limits)
    }
    if not used:
        yield None, 0
    yield from islice(sorted(used.items(), key=lambda item: (-item[1], item[0])), VALUES_MAX)
