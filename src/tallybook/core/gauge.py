"""Gauges: by how much events of a type can bring a limit, or a budget, nearer to its next threshold at most.

A gauge may say too much, never too little; where nothing can be said beforehand it asks to be looked at each time.
"""

from collections.abc import Iterator, Mapping, Sequence

from tallybook.core.alert import needed
from tallybook.core.errors import Conflict, NotFound, ParameterInvalid
from tallybook.core.limit import Limit, LimitKind
from tallybook.core.meter import Aggregation, Question
from tallybook.core.rules import Budget
from tallybook.core.scheme import Scheme
from tallybook.core.shape import type_in
from tallybook.core.threshold import Threshold
from tallybook.core.view import View, make_view
from tallybook.core.watch import Gauge
from tallybook.core.window import all_time


def gauge_of(limit: Limit, thresholds: Sequence[Threshold], scheme: Scheme) -> Gauge | None:
    """Return the gauge of a limit on a meter, None while the meter cannot be asked."""
    assert limit.meter is not None  # others are not gauged
    assert limit.quantity is not None  # or there is nothing to tell
    view = _view(limit.meter, scheme)
    if view is None:
        return None
    by_period = limit.kind is LimitKind.PERIOD
    type_no = view.generation.type_no
    if view.is_mark:
        is_least = view.meter.aggregation is Aggregation.MIN
        return Gauge(limit.name, type_no, by_period, mark=view.place, is_least=is_least)
    if view.meter.priced_by is not None:
        return Gauge(limit.name, type_no, by_period, always=True)
    least = min(needed(limit.quantity, threshold.percent) for threshold in thresholds)
    can_bound = not view.is_unique and _only_rises(view, scheme)
    slots = view.slots if view.meter.aggregation is Aggregation.SUM else ()
    return Gauge(limit.name, type_no, by_period, slots, least=least if can_bound else None)


def budget_gauges(budget: Budget, dearest: Mapping[str, int] | None, scheme: Scheme) -> Iterator[Gauge]:
    """Return the gauges of a budget: one for each priced meter, or for every type where prices say nothing."""
    if dearest is None:
        for generation in scheme.serving.values():
            yield Gauge(budget.subject, generation.type_no, by_period=True, always=True)
        return
    for name, price in dearest.items():
        view = _view(name, scheme)
        if view is None or price <= 0:
            continue
        type_no = view.generation.type_no
        if view.is_mark or view.is_unique:
            yield Gauge(budget.subject, type_no, by_period=True, always=True)
        else:
            slots = view.slots if view.meter.aggregation is Aggregation.SUM else ()
            yield Gauge(budget.subject, type_no, by_period=True, slots=slots, price=price)


def _view(meter: str, scheme: Scheme) -> View | None:
    try:
        return make_view(scheme, Question(meter, (all_time(),)))
    except (Conflict, NotFound, ParameterInvalid):
        return None


def _only_rises(view: View, scheme: Scheme) -> bool:
    """Whether no event takes anything away, so that a part is never more than the whole."""
    fields = type_in(scheme.catalogue, view.meter.event_type).fields
    if view.meter.aggregation is Aggregation.COUNT:
        return True
    return all((low := fields[name].low) is not None and low >= 0 for name in view.meter.fields)
