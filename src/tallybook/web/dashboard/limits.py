"""Limits and plan: every limit as a bar, what comes back of a rolling window, the plan beside others, billing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from tallybook.core.hold import Standing
from tallybook.core.instant import DAY_US, HOUR_US
from tallybook.core.key import USAGE_READ
from tallybook.core.limit import Limit, LimitKind
from tallybook.core.meter import Meter, Question
from tallybook.core.number import to_text
from tallybook.core.plan import Account, BillingStatus, Plan
from tallybook.core.standing import counting_span
from tallybook.core.threshold import thresholds_of
from tallybook.core.window import Span
from tallybook.web.dashboard.page import Page, Visit
from tallybook.web.dashboard.words import SECONDS, Unit, kind_of, title_of, unit_of, window_words
from tallybook.web.endpoint import Reply

if TYPE_CHECKING:
    from tallybook.core.lease import Lease

BAR_UNITS = 1_000
"""The length of a bar in its drawing."""
PLANS_COMPARED_MAX = 6
RETURNS_MAX = 366
HOURS_IN_PARTS_MAX = 48
"""A window up to so many hours is shown hour by hour, a longer one in spans of 24 hours."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A limit drawn: lengths and places in BAR_UNITS."""

    used: int
    held: int
    end: int
    marks: tuple[tuple[int, int], ...]
    """(place, percent) of each threshold."""


@dataclass(frozen=True, slots=True)
class Row:
    """One limit as the page shows it; quantities in nanos of *unit*."""

    key: str
    title: str
    about: str
    limit: Limit
    unit: Unit
    value: str | None
    name: str | None
    used: int
    held: int
    quantity: int | None
    remaining: int | None
    percent: int | None
    level: str
    bar: Bar | None
    resets_us: int | None
    frees_us: int | None

    @property
    def over(self) -> int:
        """How much more was used than is allowed."""
        return 0 if self.quantity is None else max(0, self.used - self.quantity)


@dataclass(frozen=True, slots=True)
class Return:
    """What of a rolling window comes back between two instants."""

    start_us: int
    end_us: int
    nanos: int


@dataclass(frozen=True, slots=True)
class Window:
    """A rolling limit and when its usage comes back."""

    row: Row
    words: str
    returns: Sequence[Return]
    upcoming: Return | None
    spec: dict[str, object]


def get_limits(visit: Visit) -> Reply:
    """Show the page."""
    rooms, account, now_us = visit.rooms, visit.account, visit.now_us
    standings = rooms.limits.standings(account, now_us)
    plan = rooms.accounts.plan_of(account)
    rows = _rows(visit, standings, plan)
    rolling = [row for row in rows if row.limit.kind is LimitKind.ROLLING]
    slots = any(row.limit.kind is LimitKind.CONCURRENT for row in rows)
    leases: Sequence[Lease] = rooms.leases.live(account, now_us) if slots else []
    return visit.html(
        "limits.html",
        plan=plan,
        rows=[row for row in rows if row.limit.kind is not LimitKind.DURATION],
        durations=[row for row in rows if row.limit.kind is LimitKind.DURATION],
        windows=[_window(visit, row) for row in rolling],
        leases=leases,
        comparison=_compare(visit, plan),
        grace=_grace(account, now_us),
        period=rooms.accounts.period(account, now_us),
    )


# --- the bars --------------------------------------------------------------------------------------------------------


def _rows(visit: Visit, standings: Sequence[Standing], plan: Plan) -> list[Row]:
    meters, account = visit.rooms.measure.scheme.catalogue.meters, visit.account
    names: dict[str, dict[str, str]] = {}
    for dimension in {s.state.limit.per for s in standings if s.state.limit.per is not None}:
        names[dimension] = dict(visit.rooms.measure.names(account, dimension))
    return [_row(standing, plan, _unit(standing.state.limit, meters), names) for standing in standings]


def _unit(limit: Limit, meters: Mapping[str, Meter]) -> Unit:
    if limit.kind is LimitKind.DURATION:
        return unit_of(SECONDS)
    meter = meters.get(limit.meter or "")
    return Unit("") if meter is None else unit_of(meter.unit)


def _row(standing: Standing, plan: Plan, unit: Unit, names: dict[str, dict[str, str]]) -> Row:
    state = standing.state
    limit, period = state.limit, state.period
    percents = [threshold.percent for threshold in thresholds_of(limit, plan.alerts)]
    percent = None if not state.quantity else 100 * state.used // state.quantity
    return Row(
        key=f"{limit.name}:{state.value or ''}",
        title=title_of(limit.name),
        about=kind_of(limit),
        limit=limit,
        unit=unit,
        value=state.value,
        name=names.get(limit.per or "", {}).get(state.value or ""),
        used=state.used,
        held=state.held,
        quantity=state.quantity,
        remaining=state.remaining,
        percent=percent,
        level=_level(percent, percents),
        bar=_bar(state.used, state.held, state.quantity, percents),
        resets_us=period.end_us if period is not None and limit.kind is LimitKind.PERIOD else None,
        frees_us=standing.frees_at_us,
    )


def _level(percent: int | None, thresholds: Sequence[int]) -> str:
    """Say how near the end is: bad at the limit, warn from the first threshold on."""
    if percent is None:
        return ""
    if percent >= 100:
        return "bad"
    return "warn" if thresholds and percent >= min(thresholds) else "good"


def _bar(used: int, held: int, quantity: int | None, thresholds: Sequence[int]) -> Bar | None:
    """Return the bar, as long as what is allowed, or as what was used where that is more."""
    if not quantity:
        return None
    whole = max(quantity, used + held)
    return Bar(
        used=BAR_UNITS * used // whole,
        held=BAR_UNITS * held // whole,
        end=BAR_UNITS * quantity // whole,
        marks=tuple(
            (place, percent)
            for percent in thresholds
            if 0 < (place := BAR_UNITS * quantity * percent // (100 * whole)) < BAR_UNITS
        ),
    )


# --- rolling windows -------------------------------------------------------------------------------------------------


def _window(visit: Visit, row: Row) -> Window:
    """Ask when the usage of a rolling limit comes back: the oldest first."""
    limit, account = row.limit, visit.account
    assert limit.meter is not None  # a rolling limit counts a meter
    span = counting_span(limit, account, visit.now_us)
    step = HOUR_US if limit.window_us <= HOURS_IN_PARTS_MAX * HOUR_US else DAY_US  # days: spans of 24 hours
    edges = [*range(span.start_us, span.end_us, step), span.end_us][: RETURNS_MAX + 1]
    spans = [Span(start, end) for start, end in pairwise(edges)]
    filters = {dimension: (value,) for dimension, value in limit.filter.items()}
    if limit.per is not None and row.value is not None:
        filters[limit.per] = (row.value,)
    (answer,) = visit.rooms.measure.ask(account, [Question(limit.meter, spans, (), filters)])
    returns = [
        Return(part.start_us + limit.window_us, part.end_us + limit.window_us, nanos)
        for part, nanos in zip(spans, answer.values, strict=True)
    ]
    upcoming = next((one for one in returns if one.nanos), None)
    assert limit.window is not None
    return Window(row, window_words(limit.window), returns, upcoming, _returns_spec(row, returns, step))


def _returns_spec(row: Row, returns: Sequence[Return], step: int) -> dict[str, object]:
    word = "h" if step == HOUR_US else "d"
    noun = "hours" if step == HOUR_US else "days"
    return {
        "kind": "bar",
        "labels": [f"+{index + 1} {word}" for index in range(len(returns))],
        "titles": [f"In {index} to {index + 1} {noun}" for index in range(len(returns))],
        "unit": row.unit.name,
        "series": [{"name": "Comes back", "values": [to_text(row.unit.nanos(one.nanos)) for one in returns]}],
    }


# --- the plan --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Comparison:
    """The account's plan beside others of its family; a cell is None where a plan has no such limit."""

    plans: Sequence[Plan]
    lines: Sequence[tuple[str, str, Unit, Sequence[Limit | None]]]


def _compare(visit: Visit, mine: Plan) -> Comparison | None:
    """Put the plans of one family side by side: those whose names begin alike, as ``aurion-starter`` does."""
    family, dash, _ = mine.name.rpartition("-")
    others = [plan for plan in visit.rooms.accounts.plans() if dash and plan.name.rpartition("-")[0] == family]
    plans = [mine if plan.name == mine.name else plan for plan in others]
    plans.sort(key=lambda plan: [_size(plan, limit.name) for limit in mine.limits])
    plans = plans[:PLANS_COMPARED_MAX]
    if len(plans) < 2:
        return None
    meters = visit.rooms.measure.scheme.catalogue.meters
    known = {limit.name: limit for plan in plans for limit in plan.limits}
    return Comparison(
        plans,
        [
            (title_of(name), kind_of(limit), _unit(limit, meters), [plan.limit(name) for plan in plans])
            for name, limit in known.items()
        ],
    )


def _size(plan: Plan, name: str) -> tuple[int, int]:
    limit = plan.limit(name)
    return (1, 0) if limit is None or limit.quantity is None else (0, limit.quantity)


def _grace(account: Account, now_us: int) -> int | None:
    """Return how many days of grace are left, begun ones counted; None where the account pays."""
    if account.billing_status != BillingStatus.PAST_DUE or account.grace_ends_us is None:
        return None
    return -((now_us - account.grace_ends_us) // DAY_US)  # days: of 24 hours, as grace is told


PAGES = (Page("limits", "GET", "/accounts/{account_id}/limits", get_limits, USAGE_READ),)
