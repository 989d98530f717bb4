"""Looking at limits from inside ingest: which of them to watch, what was crossed, and what is told of it.

Everything here runs in the transaction that wrote the usage, by its snapshot: a crossing and its usage are one. Not for
when a threshold is crossed (see `core.alert`), nor for how it is noticed that one may be (see `ledger.watches`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec

from tallybook.core.alert import (
    FALLING,
    RECOVERED,
    BudgetAlert,
    Judgement,
    Told,
    judge,
    period_told,
    usage_alert,
)
from tallybook.core.crossing import Crossing
from tallybook.core.desk import Desk
from tallybook.core.errors import Conflict, NotFound, ParameterInvalid
from tallybook.core.gauge import budget_gauges, gauge_of
from tallybook.core.ids import new_id
from tallybook.core.instant import MINUTE_US, instant_text
from tallybook.core.limit import Limit, LimitKind, Mode
from tallybook.core.meter import Question
from tallybook.core.number import NANOS, to_text
from tallybook.core.period import billing_period
from tallybook.core.plan import Account
from tallybook.core.ports import PlanSource, UsageReader, UsageSnapshot
from tallybook.core.resource import NO_RESOURCES
from tallybook.core.rules import Budget, Own
from tallybook.core.scheme import Scheme
from tallybook.core.standing import counting_span, shown_period
from tallybook.core.threshold import Threshold, thresholds_of
from tallybook.core.watch import Gauge, Left, SpentReader, ToldBefore, WatchDesk, Watched
from tallybook.core.window import Span, zone

SHAPES_CACHED_MAX = 1_000
"""Most plan versions of which it is remembered what is to be watched."""
RECHECK_MIN_US, RECHECK_MAX_US = MINUTE_US, 15 * MINUTE_US
RECHECKS_A_WINDOW = 200
SLOTS_QUIET_US = 60 * MINUTE_US
"""How long an alert on concurrency stands at least: calls come and go, and nobody wants to hear of each."""
_encode = msgspec.json.Encoder().encode
_NOT_NOW = (Conflict, NotFound, ParameterInvalid)
"""A limit whose meter is being filled, or is no more: it is looked at when it can be."""


@dataclass(frozen=True, slots=True)
class _Figure:
    """One value of one subject as it stands."""

    subject: str
    value: str
    used: int
    quantity: int
    period_us: int
    closed: bool


class Watch:
    """Watches every account; it keeps nothing but what plan versions say."""

    def __init__(self, usage: UsageReader, plans: PlanSource, spent: SpentReader) -> None:
        self._usage = usage
        self._plans = plans
        self._spent = spent
        self._shapes: dict[tuple[str, int, int], Watched] = {}

    # --- what is to be watched -----------------------------------------------------------------------------------

    def watched(self, desk: Desk, account: Account, own: Own, scheme: Scheme, now_us: int) -> Watched:
        """Return what is to be watched of an account."""
        is_plain = own.is_plain and not account.has_own_limits and account.next_plan is None
        key = (account.plan_name, account.plan_version, scheme.version)
        if is_plain and key in self._shapes:
            return self._shapes[key]
        watched = self._make(desk, account, own, scheme, now_us)
        if is_plain:
            if len(self._shapes) >= SHAPES_CACHED_MAX:
                self._shapes.clear()
            self._shapes[key] = watched
        return watched

    def _make(self, desk: Desk, account: Account, own: Own, scheme: Scheme, now_us: int) -> Watched:
        in_force = self._plans.limits_of(account, now_us, desk)
        thresholds = self._plans.plan_of(account).alerts if own.rules.thresholds is None else own.rules.thresholds
        limits: dict[str, tuple[Limit, tuple[Threshold, ...]]] = {}
        for limit in in_force:
            told_at = thresholds_of(limit, thresholds)
            if limit.kind is not LimitKind.DURATION and limit.quantity is not None and told_at:
                limits[limit.name] = (limit, told_at)
        gauges: dict[int, list[Gauge]] = {}
        things: dict[str, list[str]] = {}
        for limit, told_at in limits.values():
            if limit.resource is not None:
                things.setdefault(limit.resource, []).append(limit.name)
            elif limit.meter is not None:
                gauge = gauge_of(limit, told_at, scheme)
                if gauge is not None:
                    gauges.setdefault(gauge.type_no, []).append(gauge)
        for budget in own.budgets:
            for gauge in budget_gauges(budget, self._spent.dearest(account), scheme):
                gauges.setdefault(gauge.type_no, []).append(gauge)
        return Watched(
            gauges={type_no: tuple(mine) for type_no, mine in gauges.items()},
            things={kind: tuple(names) for kind, names in things.items()},
            slots=tuple(name for name, (limit, _) in limits.items() if limit.kind is LimitKind.CONCURRENT),
            limits=limits,
            all_limits=tuple(in_force),
            budgets={budget.subject: budget for budget in own.budgets},
            marked=frozenset(g.subject for mine in gauges.values() for g in mine if g.mark is not None),
            bounds={g.subject: g for mine in gauges.values() for g in mine if g.least is not None},
            rules=own.rules,
            until_us=_until_us(desk, account, now_us),
        )

    # --- looking -------------------------------------------------------------------------------------------------

    def look(
        self, desk: WatchDesk, account: Account, watched: Watched, due: Sequence[tuple[str, int]], now_us: int
    ) -> list[Left]:
        """Look at (subject, period) exactly, tell what was crossed, and return what is left of each."""
        told = desk.told(account.no, [period_us for _, period_us in due])
        lefts: dict[tuple[str, int], int | None] = {}
        for figure in self._figures(desk, account, watched, due, told=told, now_us=now_us):
            before = told.get((figure.subject, figure.period_us), {}).get(figure.value, {})
            left, stands = _Case(desk, account, watched, now_us).settle(figure, before)
            if figure.subject in watched.marked:  # from which value on; from any, while a smaller one may end something
                left = 0 if stands else left if left is None else figure.used + left
            key = (figure.subject, figure.period_us)
            known = lefts.get(key, left)
            lefts[key] = left if known is None else known if left is None else min(known, left)
        self._look_again(desk, account, watched, lefts, now_us)
        return [Left(subject, period_us, left) for (subject, period_us), left in lefts.items()]

    def _look_again(
        self, desk: WatchDesk, account: Account, watched: Watched, seen: Iterable[tuple[str, int]], now_us: int
    ) -> None:
        for subject, _ in seen:
            limit = watched.limits[subject][0] if subject in watched.limits else None
            if limit is not None and limit.kind in FALLING:
                desk.look_again(account.no, subject, recheck_us(limit, now_us))

    def _figures(
        self,
        desk: WatchDesk,
        account: Account,
        watched: Watched,
        due: Sequence[tuple[str, int]],
        *,
        told: ToldBefore,
        now_us: int,
    ) -> Iterator[_Figure]:
        """Return the figure of each value of each subject that is due; none where it cannot be told just now."""
        counted: list[tuple[Limit, int]] = []
        for subject, period_us in due:
            if subject in watched.budgets:
                with suppress(*_NOT_NOW):
                    yield self._spent_of(desk.lane.snapshot, account, watched.budgets[subject], period_us, now_us)
            elif subject in watched.limits:
                limit, _ = watched.limits[subject]
                if limit.meter is None:
                    used = _count(desk.lane, account, limit, now_us)
                    yield _Figure(subject, "", used, _allowed(limit), 0, closed=False)
                else:
                    counted.append((limit, period_us))
        for limit, period_us, by_value in self._counted(desk.lane.snapshot, account, watched, counted, now_us):
            closed = period_us > 0 and _period(account, period_us).end_us <= now_us
            values = dict.fromkeys(told.get((limit.name, period_us), ()), 0) | by_value
            if limit.per is not None:
                values.setdefault("", 0)  # stands for every value that is yet to come
            for value, nanos in values.items():
                yield _Figure(limit.name, value, nanos, _allowed(limit), period_us, closed)

    def _spent_of(
        self, snapshot: UsageSnapshot, account: Account, budget: Budget, period_us: int, now_us: int
    ) -> _Figure:
        span = _period(account, period_us)
        spent = self._spent.spent(snapshot, account, span)
        return _Figure(budget.subject, "", spent, budget.amount, period_us, span.end_us <= now_us)

    def _counted(
        self,
        snapshot: UsageSnapshot,
        account: Account,
        watched: Watched,
        counted: Sequence[tuple[Limit, int]],
        now_us: int,
    ) -> Iterator[tuple[Limit, int, dict[str, int]]]:
        """Return what is used of limits on meters by value; all asked at once, if all can be answered."""
        asked = [(limit, period_us, _question(limit, account, period_us or now_us)) for limit, period_us in counted]
        try:
            answers = self._usage.ask_in(snapshot, account, [question for *_, question in asked]) if asked else []
        except _NOT_NOW:
            for one in counted if len(counted) > 1 else ():
                yield from self._counted(snapshot, account, watched, [one], now_us)
            return
        for (limit, period_us, _), answer in zip(asked, answers, strict=True):
            if limit.per is None:
                yield limit, period_us, {"": answer.value}
            else:
                per = limit.per
                others = [other for other in watched.all_limits if other is not limit]
                used = {
                    value: nanos
                    for (value,), (nanos,) in answer.groups.items()
                    if value is not None and not any(other.names(per, value, beside=limit) for other in others)
                }
                yield limit, period_us, used


class _Case:
    """One account being looked at: what follows from its figures."""

    def __init__(self, desk: WatchDesk, account: Account, watched: Watched, now_us: int) -> None:
        self._desk = desk
        self._account = account
        self._watched = watched
        self._now_us = now_us

    def settle(self, figure: _Figure, told: Mapping[int, Told]) -> tuple[int | None, bool]:
        """Write and tell what follows; return what is left until the next threshold, and whether any stands."""
        judged = self._judge(figure, told)
        standing = {percent for percent, before in told.items() if before.standing}
        stands = bool(judged.raised or standing - {*judged.recovered, *judged.silent})
        if not judged.changes:
            return judged.left, stands
        place = (self._account.no, figure.subject, figure.value, figure.period_us)
        ended = (*judged.recovered, *judged.silent)
        if ended:
            self._desk.rearm(*place, ended, now_us=self._now_us)
        if judged.recovered:
            body = self._body(new_id("alt"), figure, judged.recovered[0])
            self._desk.lane.tell(self._account.no, RECOVERED, msgspec.to_builtins(body), self._now_us)
        for threshold in judged.raised:
            before = told.get(threshold.percent)
            self._raise(figure, threshold, 0 if before is None else before.arm + 1)
        return judged.left, stands

    def _judge(self, figure: _Figure, told: Mapping[int, Told]) -> Judgement:
        budget = self._watched.budgets.get(figure.subject)
        if budget is not None:
            return judge(figure.used, figure.quantity, budget.thresholds, told, falls=False)
        limit, thresholds = self._watched.limits[figure.subject]
        judged = judge(
            figure.used,
            figure.quantity,
            thresholds,
            told,
            falls=limit.kind in FALLING,
            hysteresis=self._watched.rules.hysteresis,
        )
        if limit.kind is not LimitKind.CONCURRENT:
            return judged
        quiet_us = self._now_us - SLOTS_QUIET_US
        over = tuple(percent for percent in judged.recovered if told[percent].raised_us <= quiet_us)
        return Judgement(judged.raised, over, judged.silent, judged.left)

    def _raise(self, figure: _Figure, threshold: Threshold, arm: int) -> None:
        alert_id = new_id("alt")
        budget = self._watched.budgets.get(figure.subject)
        word = "usage" if budget is None else "budget"
        limit = None if budget is not None else self._watched.limits[figure.subject][0]
        crossing = Crossing(
            alert_id=alert_id,
            subject=figure.subject,
            value=figure.value,
            period_us=figure.period_us,
            percent=threshold.percent,
            arm=arm,
            event=f"{word}.{threshold.level}",
            body=_encode(self._body(alert_id, figure, threshold.percent)),
            quantity=figure.quantity,
            late=figure.closed,
            passed=limit is not None and limit.mode is Mode.HARD and figure.used > figure.quantity,
            recheck_us=None if limit is None or limit.kind not in FALLING else recheck_us(limit, self._now_us),
        )
        self._desk.cross(self._account.no, crossing, self._now_us)

    def _body(self, alert_id: str, figure: _Figure, percent: int) -> msgspec.Struct:
        account = self._account
        budget = self._watched.budgets.get(figure.subject)
        if budget is not None:
            return BudgetAlert(
                alert=alert_id,
                account=account.id,
                budget=budget.name,
                currency=budget.currency,
                threshold=percent,
                spent=to_text(figure.used),
                amount=to_text(figure.quantity),
                remaining=to_text(max(0, figure.quantity - figure.used)),
                exceeded=figure.used > figure.quantity,
                period=period_told(_period(account, figure.period_us)),
                occurred_at=instant_text(self._now_us),
            )
        limit = self._watched.limits[figure.subject][0]
        period = shown_period(limit, account, figure.period_us or self._now_us)
        figures = (percent, figure.used, figure.quantity)
        value = figure.value or None
        return usage_alert(alert_id, account.id, limit, value, figures=figures, period=period, now_us=self._now_us)


def recheck_us(limit: Limit, now_us: int) -> int:
    """Return when to see whether usage that falls by itself has fallen."""
    if limit.kind is not LimitKind.ROLLING:
        return now_us + RECHECK_MIN_US
    return now_us + min(RECHECK_MAX_US, max(RECHECK_MIN_US, limit.window_us // RECHECKS_A_WINDOW))


def _question(limit: Limit, account: Account, at_us: int) -> Question:
    assert limit.meter is not None  # only counted limits are asked
    filters = {dimension: (wanted,) for dimension, wanted in limit.filter.items()}
    groups = () if limit.per is None else (limit.per,)
    return Question(limit.meter, (counting_span(limit, account, at_us),), groups, filters)


def _count(desk: Desk, account: Account, limit: Limit, now_us: int) -> int:
    """Return what is used of a limit on things or on leases."""
    if limit.kind is LimitKind.CONCURRENT:
        return desk.slots_taken(account.no, limit.name, now_us)[0] * NANOS
    assert limit.resource is not None  # a limit without a meter is on things or on leases
    count = desk.snapshot.resource_counts(account.no).get(limit.resource, NO_RESOURCES)
    return NANOS * (count.lifetime if limit.kind is LimitKind.LIFETIME else count.live)


def _allowed(limit: Limit) -> int:
    assert limit.quantity is not None  # or it would not be watched
    return limit.quantity


def _period(account: Account, at_us: int) -> Span:
    return billing_period(at_us, account.anchor_day, zone(account.timezone))


def _until_us(desk: Desk, account: Account, now_us: int) -> int:
    """Return when the account's limits change by themselves, 0 for never."""
    times = [] if account.next_plan is None else [account.next_plan.starts_us]
    if account.has_own_limits:
        for add_on in desk.own_limits(account.no).add_ons:
            times += [add_on.starts_us, *([] if add_on.ends_us is None else [add_on.ends_us])]
    return min((time for time in times if time > now_us), default=0)
