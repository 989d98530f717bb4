"""Settling without an event: the plainest events that count a quantity on the meters it was asked of.

A platform that has an event to tell gives it with the commit; this is for those that know nothing but how much.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from tallybook.core.catalogue import Catalogue, EventType, Field, Kind
from tallybook.core.demand import Usage, split_demand
from tallybook.core.errors import FieldInvalid
from tallybook.core.hold import Wanted
from tallybook.core.limit import Limit
from tallybook.core.meter import Aggregation, Meter, Operator
from tallybook.core.number import NANOS, parse_nanos, to_decimal
from tallybook.core.shape import type_in

EVENTS_MAX = 1_000
"""Most events that one commit without an event writes: of a meter that counts, no larger quantity can be settled so."""

_COUNTED = frozenset({Aggregation.COUNT, Aggregation.SUM})
_UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class PlainEvent:
    """An event's type and data."""

    type: str
    data: Mapping[str, object]


def plain_events(catalogue: Catalogue, limits: Sequence[Limit], real: Sequence[Wanted]) -> list[PlainEvent]:
    """Return the events that count *real*; what a type requires beyond the quantity is filled in as plain as can be.

    Raises:
        NotFound: For a limit that is not there.
        FieldInvalid: Where nothing but the real event can tell what was used.
    """
    events: list[PlainEvent] = []
    meters: dict[str, str] = {}
    for usage, nanos in split_demand(limits, real):
        if not nanos:
            continue
        meter = _meter_of(catalogue, usage)
        if meters.setdefault(meter.event_type, meter.name) != meter.name:
            raise _needed(f"the meters {meters[meter.event_type]} and {meter.name} read the same events")
        events += _events_of(meter, type_in(catalogue, meter.event_type), dict(usage[1]), nanos)
    if len(events) > EVENTS_MAX:
        raise _needed(f"more than {EVENTS_MAX} events would be needed; send them and release the reservation")
    return events


def _needed(why: str) -> FieldInvalid:
    return FieldInvalid(f"is required: {why}", pointer="/event")


def _meter_of(catalogue: Catalogue, usage: Usage) -> Meter:
    subject = usage[0]
    if not subject.startswith("meter "):
        raise _needed(f"only an event says which {subject.partition(' ')[2]} it is")
    meter = catalogue.meter(subject.removeprefix("meter "))
    if meter.aggregation not in _COUNTED or any(c.operator is Operator.LT for c in meter.conditions):
        raise _needed(f"the meter {meter.name} is no plain sum or count")
    return meter


def _events_of(meter: Meter, event: EventType, dimensions: Mapping[str, str], nanos: int) -> Iterator[PlainEvent]:
    data: dict[str, object] = dict(_filled(event))
    for condition in meter.conditions:
        value = condition.values[0]
        data[condition.field] = value if condition.operator is Operator.IN else _number(event, condition.field, value)
    data |= dimensions
    if meter.aggregation is Aggregation.SUM:
        data[meter.fields[0]] = _written(event.fields.get(meter.fields[0]), nanos)
        yield PlainEvent(event.name, data)
        return
    count, rest = divmod(nanos, NANOS)
    if rest:
        raise FieldInvalid(f"must be whole: {meter.name} are counted", pointer="/items/0/quantity")
    for _ in range(min(count, EVENTS_MAX + 1)):
        yield PlainEvent(event.name, data)


def _filled(event: EventType) -> Iterator[tuple[str, object]]:
    """Yield what the type requires, said as plain as can be."""
    for field in event.fields.values():
        if not field.required:
            continue
        if field.kind is Kind.ENUM:
            yield field.name, field.values[0]
        elif field.kind in {Kind.INTEGER, Kind.QUANTITY}:
            yield field.name, _written(field, max(0, field.low or 0))
        elif field.kind is Kind.BOOLEAN:
            yield field.name, False
        else:
            yield field.name, _UNKNOWN


def _number(event: EventType, name: str, text: str) -> int | Decimal:
    return _written(event.fields.get(name), parse_nanos(text))


def _written(field: Field | None, nanos: int) -> int | Decimal:
    if field is not None and field.kind is Kind.INTEGER and nanos % NANOS:
        raise FieldInvalid(f"must be whole, as {field.name} is", pointer="/items/0/quantity")
    return nanos // NANOS if nanos % NANOS == 0 else to_decimal(nanos)
