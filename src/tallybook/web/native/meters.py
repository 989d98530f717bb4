"""Meters over the native API: what is measured, and new meters added while the house runs."""

from typing import Any

import msgspec

from tallybook.core.errors import FieldInvalid
from tallybook.core.key import ADMIN, USAGE_READ
from tallybook.core.meter import Meter, Operator, plain_field
from tallybook.web.endpoint import Ask, Endpoint, JsonBody


class Rounding(msgspec.Struct, frozen=True):
    """How each value is rounded up before it is added up: `first` at least, then by `next`."""

    first: int
    next: int


class MeterBody(msgspec.Struct, frozen=True):
    """A meter to be added."""

    event: str
    aggregation: str
    field: str = ""
    dimensions: list[str] = []
    where: dict[str, Any] = {}
    unit: str = ""
    description: str = ""
    rounding: Rounding | None = None


class MeterAnswer(msgspec.Struct, frozen=True):
    """A named aggregation over the events of one type."""

    name: str
    event: str
    aggregation: str
    fields: list[str]
    dimensions: list[str]
    where: dict[str, Any]
    unit: str
    description: str
    rounding: Rounding | None = None


class MetersAnswer(msgspec.Struct, frozen=True):
    """Every meter, by name."""

    meters: list[MeterAnswer]


def write_meter(meter: Meter) -> MeterAnswer:
    """Return the meter as JSON has it."""
    where: dict[str, Any] = {}
    for condition in meter.conditions:
        if condition.operator is Operator.IN:
            where[condition.field] = list(condition.values)
        else:
            where.setdefault(condition.field, {})[str(condition.operator)] = condition.values[0]
    return MeterAnswer(
        name=meter.name,
        event=meter.event_type,
        aggregation=str(meter.aggregation),
        fields=[plain_field(name)[0] for name in meter.fields],
        dimensions=list(meter.dimensions),
        where=where,
        unit=meter.unit,
        description=meter.description,
        rounding=next((Rounding(told.first, told.next) for _, told in map(plain_field, meter.fields) if told), None),
    )


def list_meters(ask: Ask[None, None]) -> MetersAnswer:
    """Return every meter."""
    meters = ask.rooms.measure.scheme.catalogue.meters
    return MetersAnswer([write_meter(meters[name]) for name in sorted(meters)])


def put_meter(ask: Ask[None, JsonBody]) -> MeterAnswer:
    """Add a meter."""
    body = ask.body.value
    if not isinstance(body, dict):
        raise FieldInvalid("must be an object", pointer="")
    return write_meter(ask.rooms.metering.put(ask.path["name"], body))


_EXAMPLE = MeterAnswer("faxes", "fax", "count", [], ["direction"], {}, "faxes", "")

ENDPOINTS = (
    Endpoint(
        "GET",
        "/v1/meters",
        list_meters,
        USAGE_READ,
        "All meters",
        answer=MetersAnswer,
        example=MetersAnswer([_EXAMPLE]),
    ),
    Endpoint(
        "PUT",
        "/v1/meters/{name}",
        put_meter,
        ADMIN,
        "Add a meter",
        answer=MeterAnswer,
        body=JsonBody,
        body_documented=MeterBody,
        operator_only=True,
        errors=(FieldInvalid("must name the event type", pointer="/event"),),
        description=(
            "`aggregation` is count, sum, min, max, last or unique. A meter counts events that came before it too: "
            "until they are added up, questions about it answer 409."
        ),
        body_example={"event": "fax", "aggregation": "count", "dimensions": ["direction"], "unit": "faxes"},
        example=_EXAMPLE,
    ),
)
