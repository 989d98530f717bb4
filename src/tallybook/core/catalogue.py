"""The catalogue: which event types and meters there are, read from TOML or JSON and checked.

The built-in catalogue is data; an operator's file of the same form extends it and overrides it name by name, and
meters can be added while the house runs. How events are read by it is `shape`.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

from tallybook.core.errors import FieldInvalid, NotFound, StartRefused
from tallybook.core.ids import check_fields
from tallybook.core.meter import INCREMENT_S_MAX, Aggregation, Condition, Increments, Meter, Operator, plain_field
from tallybook.core.number import parse_nanos, to_text

METERS_MAX = 500
FIELDS_MAX = 64
DIMENSIONS_MAX = 8
UNMETERED = "*"
"""The event type that stands for every type which no meter reads."""

_Choice = TypeVar("_Choice", bound=StrEnum)

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", re.ASCII)


class Kind(StrEnum):
    """What a field of an event holds; a scalar is a text, number or boolean, read as text."""

    TEXT = "text"
    ENUM = "enum"
    INTEGER = "integer"
    QUANTITY = "quantity"
    BOOLEAN = "boolean"
    SCALAR = "scalar"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of an event's data; *low* and *high* (nanos) are inclusive."""

    name: str
    kind: Kind = Kind.TEXT
    required: bool = False
    values: tuple[str, ...] = ()
    low: int | None = None
    high: int | None = None
    label: str | None = None


@dataclass(frozen=True, slots=True)
class EventType:
    """What the data of one event type holds; other fields are kept and ignored."""

    name: str
    fields: Mapping[str, Field] = field(default_factory=dict)
    description: str = ""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All event types and meters, by name."""

    events: Mapping[str, EventType]
    meters: Mapping[str, Meter]

    def meter(self, name: str) -> Meter:
        """Return the meter called *name*.

        Raises:
            NotFound: Naming it.
        """
        meter = self.meters.get(name)
        if meter is None:
            raise NotFound(f"there is no meter called {name[:64]!r}", parameter="meter")
        return meter

    def meters_of(self, event_type: str) -> list[Meter]:
        """Return the meters that read *event_type*, in the order of their names."""
        return sorted((m for m in self.meters.values() if m.event_type == event_type), key=lambda m: m.name)

    def with_meter(self, meter: Meter) -> "Catalogue":
        """Return a catalogue that also has *meter*, or has it in place of the one of that name.

        Raises:
            FieldInvalid: If it does not fit its event type or there are METERS_MAX already.
        """
        if meter.name not in self.meters and len(self.meters) >= METERS_MAX:
            raise FieldInvalid(f"there can be at most {METERS_MAX} meters", pointer="/name")
        _check_meter(meter, self.events.get(meter.event_type))
        return Catalogue(self.events, {**self.meters, meter.name: meter})


def load_catalogue(builtin: str, own: str | None = None, *, own_name: str = "catalogue") -> Catalogue:
    """Read the built-in catalogue and, over it, the operator's.

    Raises:
        StartRefused: Naming the file, the line and what is wrong there.
    """
    catalogue = _merge(Catalogue({}, {}), builtin, "the built-in catalogue")
    return catalogue if own is None else _merge(catalogue, own, own_name)


def _merge(base: Catalogue, text: str, source: str) -> Catalogue:
    try:
        document = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise StartRefused(f"{source}: {error}") from None
    try:
        _only(document, {"events", "meters"}, "")
        events = dict(base.events)
        for name, body in _table(document, "events", "").items():
            events[name] = read_event_type(name, body, f"/events/{_escape(name)}")
        catalogue = Catalogue(events, base.meters)
        for name, body in _table(document, "meters", "").items():
            pointer = f"/meters/{_escape(name)}"
            try:
                catalogue = catalogue.with_meter(read_meter(name, body, pointer))
            except FieldInvalid as error:
                place = error.pointer or ""
                raise FieldInvalid(
                    error.message, pointer=place if place.startswith("/meters/") else pointer + place
                ) from None
        _refuse_orphans(catalogue, _table(document, "events", ""))
    except FieldInvalid as error:
        line = _line_of(text, error.pointer or "")
        raise StartRefused(f"{source}, line {line}: {(error.pointer or '/')[1:]} {error.message}") from None
    return catalogue


def _refuse_orphans(catalogue: Catalogue, changed: Mapping[str, object]) -> None:
    """Refuse event types that were changed so that a meter from before works on them no longer."""
    for name in changed:
        for meter in catalogue.meters_of(name):
            try:
                _check_meter(meter, catalogue.events[name])
            except FieldInvalid as error:
                message = f"leaves the meter {meter.name} without what it needs: {error.message}"
                raise FieldInvalid(message, pointer=f"/events/{_escape(name)}") from None


def _line_of(text: str, pointer: str) -> int:
    """Return the line of a TOML file on which the key at *pointer*, or the nearest table around it, stands."""
    path = [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]
    header, best = re.compile(r"\s*\[+\s*([^\]]+?)\s*\]+"), 1
    depth, table = 0, []
    for number, line in enumerate(text.splitlines(), start=1):
        match = header.match(line)
        if match:
            table = [part.strip("\"'") for part in re.findall(r'"[^"]*"|\'[^\']*\'|[^.\s]+', match[1])]
            if len(table) > depth and table == path[: len(table)]:
                depth, best = len(table), number
        elif table == path[: len(table)] and len(path) > len(table) >= depth:
            key = line.split("=", 1)[0].strip().strip("\"'")
            if key == path[len(table)]:
                depth, best = len(table) + 1, number
    return best


# --- event types ---------------------------------------------------------------------------------------------------


def read_event_type(name: str, body: object, pointer: str) -> EventType:
    """Read one event type.

    Raises:
        FieldInvalid: With a pointer below *pointer*.
    """
    table = _object(body, pointer)
    _only(table, {"description", "fields"}, pointer)
    fields = _table(table, "fields", pointer)
    if len(fields) > FIELDS_MAX:
        raise FieldInvalid(f"must have at most {FIELDS_MAX} fields", pointer=f"{pointer}/fields")
    check_fields(fields, f"{pointer}/fields")
    read = {key: _read_field(key, value, f"{pointer}/fields/{_escape(key)}") for key, value in fields.items()}
    for key, spec in read.items():
        if spec.label is not None and spec.label not in read:
            raise FieldInvalid("must name another field of the type", pointer=f"{pointer}/fields/{_escape(key)}/label")
    return EventType(name, read, _text(table, "description", pointer))


def _read_field(name: str, body: object, pointer: str) -> Field:
    table = _object(body, pointer)
    _only(table, {"kind", "required", "values", "min", "max", "label"}, pointer)
    kind = _choice(table.get("kind", "text"), Kind, f"{pointer}/kind")
    values = _texts(table.get("values", []), f"{pointer}/values")
    if bool(values) != (kind is Kind.ENUM):
        raise FieldInvalid("must be given for an enum, and only there", pointer=f"{pointer}/values")
    required = table.get("required", False)
    if not isinstance(required, bool):
        raise FieldInvalid("must be true or false", pointer=f"{pointer}/required")
    low, high = (
        None if table.get(key) is None else parse_nanos(table[key], f"{pointer}/{key}") for key in ("min", "max")
    )
    label = _text(table, "label", pointer) or None
    return Field(name, kind, required, values, low, high, label)


# --- meters -----------------------------------------------------------------------------------------------------


def read_meter(name: str, body: object, pointer: str = "") -> Meter:
    """Read one meter, from the catalogue's TOML or the API's JSON.

    Raises:
        FieldInvalid: With a pointer below *pointer*.
    """
    if not _NAME.fullmatch(name):
        raise FieldInvalid("must be letters, digits, _ . - (at most 64), a letter first", pointer="/name")
    table = _object(body, pointer)
    known = {"event", "aggregation", "field", "fields", "dimensions", "where", "unit", "description", "priced_by"}
    _only(table, known | {"rounding"}, pointer)
    event_type = _text(table, "event", pointer)
    if not event_type:
        raise FieldInvalid("must name the event type", pointer=f"{pointer}/event")
    if "field" in table and "fields" in table:
        raise FieldInvalid("give either field or fields", pointer=f"{pointer}/fields")
    single = _text(table, "field", pointer)
    fields = (single,) if single else _texts(table.get("fields", []), f"{pointer}/fields")
    dimensions = _texts(table.get("dimensions", []), f"{pointer}/dimensions")
    where = _table(table, "where", pointer)
    for names, place in ((fields, "field"), (dimensions, "dimensions"), (where, "where")):
        check_fields(names, f"{pointer}/{place}")
    if "rounding" in table:
        fields = _rounded(table, fields, pointer)
    return Meter(
        name=name,
        event_type=event_type,
        aggregation=_choice(table.get("aggregation"), Aggregation, f"{pointer}/aggregation"),
        fields=fields,
        dimensions=dimensions,
        conditions=_read_conditions(where, f"{pointer}/where"),
        unit=_text(table, "unit", pointer),
        description=_text(table, "description", pointer),
        priced_by=_text(table, "priced_by", pointer) or None,
    )


def _rounded(table: Mapping[str, object], fields: tuple[str, ...], pointer: str) -> tuple[str, ...]:
    """Return the field whose values are rounded up before they are added up."""
    place = f"{pointer}/rounding"
    told = _object(table["rounding"], place)
    _only(told, {"first", "next"}, place)
    if len(fields) != 1 or table.get("aggregation") != Aggregation.SUM:
        raise FieldInvalid("is for the sum of one field", pointer=place)
    increments = []
    for key in ("first", "next"):
        value = told.get(key)
        if type(value) is not int or not 1 <= value <= INCREMENT_S_MAX:
            raise FieldInvalid(f"must be a whole number from 1 to {INCREMENT_S_MAX}", pointer=f"{place}/{key}")
        increments.append(value)
    return (Increments(*increments).field(fields[0]),)


def _read_conditions(table: Mapping[str, object], pointer: str) -> tuple[Condition, ...]:
    conditions = []
    for name, value in sorted(table.items()):
        place = f"{pointer}/{_escape(name)}"
        if isinstance(value, str | list):
            values = _texts([value] if isinstance(value, str) else value, place)
            conditions.append(Condition(name, Operator.IN, values))
            continue
        bounds = _object(value, place)
        _only(bounds, {"gte", "lt"}, place)
        for key, bound in sorted(bounds.items()):
            conditions.append(Condition(name, Operator(key), (to_text(parse_nanos(bound, f"{place}/{key}")),)))
    return tuple(conditions)


def _check_meter(meter: Meter, event: EventType | None) -> None:
    """Refuse a meter that cannot work on its event type."""
    takes_field = meter.aggregation is not Aggregation.COUNT
    if takes_field and not meter.fields:
        raise FieldInvalid(f"must name what to aggregate by {meter.aggregation}", pointer="/field")
    if len(meter.fields) > 1 and meter.aggregation is not Aggregation.SUM:
        raise FieldInvalid("several fields can only be summed", pointer="/fields")
    if len(meter.dimensions) > DIMENSIONS_MAX:
        raise FieldInvalid(f"must be at most {DIMENSIONS_MAX}", pointer="/dimensions")
    if event is None:
        return
    for name in (plain_field(whole)[0] for whole in meter.fields):
        spec = event.fields.get(name)
        if spec is None:
            raise FieldInvalid(f"{name!r} is not a field of {event.name}", pointer="/field")
        if meter.aggregation is not Aggregation.UNIQUE and spec.kind not in {Kind.INTEGER, Kind.QUANTITY}:
            raise FieldInvalid(f"{name!r} is not a number", pointer="/field")
    for index, name in enumerate(meter.dimensions):
        if name not in event.fields:
            raise FieldInvalid(f"{name!r} is not a field of {event.name}", pointer=f"/dimensions/{index}")
    for condition in meter.conditions:
        spec = event.fields.get(condition.field)
        if spec is None:
            raise FieldInvalid(f"is not a field of {event.name}", pointer=f"/where/{_escape(condition.field)}")
        if condition.operator is not Operator.IN and spec.kind not in {Kind.INTEGER, Kind.QUANTITY}:
            raise FieldInvalid("is not a number", pointer=f"/where/{_escape(condition.field)}")


# --- reading plain data ---------------------------------------------------------------------------------------------


def _escape(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")


def _object(value: object, pointer: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise FieldInvalid("must be an object", pointer=pointer)
    return value


def _table(table: Mapping[str, object], key: str, pointer: str) -> Mapping[str, object]:
    return _object(table.get(key, {}), f"{pointer}/{key}")


def _only(table: Mapping[str, object], known: set[str], pointer: str) -> None:
    for key in table:
        if key not in known:
            raise FieldInvalid(
                f"is not known; known are {', '.join(sorted(known))}", pointer=f"{pointer}/{_escape(key)}"
            )


def _text(table: Mapping[str, object], key: str, pointer: str) -> str:
    value = table.get(key, "")
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > 1024 or "\x00" in value:
        raise FieldInvalid("must be a text of at most 1024 characters", pointer=f"{pointer}/{key}")
    return value


def _texts(value: object, pointer: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item and "\x00" not in item for item in value):
        raise FieldInvalid("must be a list of texts", pointer=pointer)
    if len(set(value)) != len(value) or len(value) > FIELDS_MAX:
        raise FieldInvalid(f"must be at most {FIELDS_MAX} different texts", pointer=pointer)
    return tuple(value)


def _choice(value: object, kind: type[_Choice], pointer: str) -> _Choice:
    try:
        return kind(str(value)) if isinstance(value, str) else kind("")
    except ValueError:
        raise FieldInvalid(f"must be one of {', '.join(kind)}", pointer=pointer) from None
