"""How events of one type are read, and which of their parts the ledger's rollups keep.

A shape is what all meters over a type need together: dimensions, conditions, summed fields, marks and distinct
values. Meters of the same type are views over the same rollups, so one event costs one row, however many meters
read it, and a meter that fits the shape is complete the moment it is added.
"""

import hashlib
import struct
from collections.abc import Callable, Iterable, Mapping

import msgspec

from tallybook.core.aggregate import Reading, mark_last, mark_max, mark_min
from tallybook.core.catalogue import UNMETERED, Catalogue, EventType, Field, Kind
from tallybook.core.errors import FieldInvalid
from tallybook.core.event import Event
from tallybook.core.ids import ID_BYTES_MAX, NAME_BYTES_MAX, check_text
from tallybook.core.meter import Aggregation, Condition, Increments, Meter, Operator, plain_field
from tallybook.core.number import NANOS, QUANTITY_MAX, parse_nanos, to_text

Value = str | int | bool
Known = dict[str, Value]
"""The checked fields of one event: texts, numbers in nanos, booleans."""

FLAG = "1"
_TEXTS = {Kind.TEXT, Kind.ENUM, Kind.SCALAR}
_MARKS = (Aggregation.MIN, Aggregation.MAX, Aggregation.LAST)
CLOSED = frozenset({Kind.ENUM, Kind.BOOLEAN})
"""Kinds of which there are few values, all known beforehand."""


class Shape(msgspec.Struct, frozen=True):
    """What the rollups of one event type keep; each tuple is sorted and without repeats.

    *closed* are the dimensions whose values were a closed list when the shape was made: summaries keep them, and fold
    the others away.
    """

    event_type: str
    dimensions: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    fields: tuple[str, ...] = ()
    marks: tuple[tuple[Aggregation, str], ...] = ()
    uniques: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()

    @property
    def summarised(self) -> frozenset[str] | None:
        """The columns of a series that summaries keep; None of events that no meter reads, which have no summaries."""
        if self.event_type == UNMETERED:
            return None
        return frozenset(self.closed).union(condition.flag for condition in self.conditions)

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the values in a series: the dimensions, then one flag a condition."""
        return self.dimensions + tuple(condition.flag for condition in self.conditions)

    def covers(self, other: "Shape") -> bool:
        """Whether everything that *other* keeps is kept by this one too."""
        return all(
            set(mine) >= set(theirs)
            for mine, theirs in (
                (self.dimensions, other.dimensions),
                (self.conditions, other.conditions),
                (self.fields, other.fields),
                (self.marks, other.marks),
                (self.uniques, other.uniques),
            )
        )


def shape_of(event: EventType, meters: Iterable[Meter], kept: Iterable[str] = ()) -> Shape:
    """Return the shape that serves *meters*, all over *event*, where the dimensions *kept* are there anyway.

    A condition on a dimension whose values are a closed list needs nothing of its own. Other dimensions hold free text,
    which may be folded together beyond the cap on series: conditions on them are remembered by a flag.
    """
    meters = list(meters)
    dimensions = {name for meter in meters for name in meter.dimensions}
    closed = {name for name in {*dimensions, *kept} if name in event.fields and event.fields[name].kind in CLOSED}
    conditions = {
        c.flag: c for m in meters for c in m.conditions if c.operator is not Operator.IN or c.field not in closed
    }
    summed = (Aggregation.SUM, Aggregation.COUNT)
    return Shape(
        event_type=event.name,
        dimensions=tuple(sorted(dimensions)),
        conditions=tuple(conditions[flag] for flag in sorted(conditions)),
        fields=tuple(sorted({name for m in meters if m.aggregation in summed for name in m.fields})),
        marks=tuple(sorted({(m.aggregation, name) for m in meters if m.aggregation in _MARKS for name in m.fields})),
        uniques=tuple(sorted({name for m in meters if m.aggregation is Aggregation.UNIQUE for name in m.fields})),
        closed=tuple(sorted(dimensions & closed)),
    )


def meter_filters(meter: Meter, shape: Shape) -> dict[str, tuple[str, ...]]:
    """Return the values that a series must have in some columns for *meter* to count it."""
    flagged = set(shape.conditions)
    return {c.flag: (FLAG,) for c in meter.conditions if c in flagged} | {
        c.field: c.values for c in meter.conditions if c not in flagged
    }


# --- reading events ---------------------------------------------------------------------------------------------------


class TypeReader:
    """Reads events of one type: checks the fields, then says what each shape in use keeps of them.

    *shapes* are (type number, shape): the one that serves and, while a new one is filled, that one too.
    """

    def __init__(self, event: EventType, shapes: Iterable[tuple[int, Shape]]) -> None:
        self.event = event
        self.shapes = tuple(shapes)
        self._fields = [(f.name, sure_chars(f), f.required, converter(f)) for f in event.fields.values()]
        self._kinds = {f.name: f.kind for f in event.fields.values()}
        self._labels = [(f.name, f.label) for f in event.fields.values() if f.label is not None]
        self._shapes = [_compile(type_no, shape, self._kinds) for type_no, shape in self.shapes]

    def check(self, event: Event) -> Known:
        """Return the event's checked fields.

        Raises:
            FieldInvalid: With a pointer into the event.
        """
        get = event.data.get
        known: Known = {}
        for name, chars, required, convert in self._fields:
            value = get(name)
            if type(value) is str and 0 < len(value) <= chars:
                known[name] = value
            elif value is not None and value != "":
                known[name] = convert(value, f"/data/{name}")
            elif required:
                raise FieldInvalid(f"is required for events of type {event.type}", pointer=f"/data/{name}")
        return known

    def readings(self, event: Event, known: Known) -> tuple[Reading, ...]:
        """Return what each shape keeps of the event."""
        shapes = self._shapes
        if len(shapes) == 1:
            return (shapes[0](event, known),)
        return tuple([read(event, known) for read in shapes])

    def labels(self, known: Known) -> list[tuple[str, str, str]]:
        """Return (dimension, value, display name) for what the event gives a name to."""
        if not self._labels:
            return []
        return [
            (name, as_text(known[name]), str(known[label]))
            for name, label in self._labels
            if name in known and label in known
        ]


def readers(catalogue: Catalogue, shapes: Mapping[str, list[tuple[int, Shape]]]) -> dict[str, TypeReader]:
    """Return a reader for each event type that the catalogue knows; *shapes* are those in use, by type."""
    types = {name: type_in(catalogue, name) for name in {*catalogue.events, *shapes}}
    return {name: TypeReader(event, shapes.get(name, ())) for name, event in types.items() if name != UNMETERED}


def type_in(catalogue: Catalogue, name: str) -> EventType:
    """Return the event type called *name*; one that is only known from its meters requires nothing.

    What its meters calculate with must then be numbers; everything else may be any text, number or boolean.
    """
    known = catalogue.events.get(name)
    if known is not None:
        return known
    meters = catalogue.meters_of(name)
    fields = {m.name: [plain_field(name)[0] for name in m.fields] for m in meters}
    names = {n for m in meters for n in (*m.dimensions, *fields[m.name], *(c.field for c in m.conditions))}
    numbers = {n for m in meters if m.aggregation is not Aggregation.UNIQUE for n in fields[m.name]}
    numbers |= {c.field for m in meters for c in m.conditions if c.operator is not Operator.IN}
    return EventType(name, {n: Field(n, Kind.QUANTITY if n in numbers else Kind.SCALAR) for n in sorted(names)})


def _compile(type_no: int, shape: Shape, kinds: Mapping[str, Kind]) -> Callable[[Event, Known], Reading]:
    """Return the function that says what *shape* keeps of an event; the usual parts of shapes cost no call."""
    dimensions, fields = shape.dimensions, shape.fields
    texts = all(kinds.get(name) in _TEXTS for name in dimensions)
    tests = [(condition.field, condition_test(condition)) for condition in shape.conditions]
    rest = bool(shape.marks or shape.uniques)
    derived = [(name, *plain_field(name)) for name in fields if name.startswith("^")]

    def read(event: Event, known: Known) -> Reading:
        if derived:
            known = _with_rounded(known, derived)
        get = known.get
        values = tuple(map(get, dimensions))
        if not texts:
            values = tuple([None if value is None else as_text(value) for value in values])
        if tests:
            values += tuple([FLAG if test(get(name)) else None for name, test in tests])
        sums = tuple(map(get, fields))
        if not rest:
            return Reading(type_no, values, sums)  # type: ignore[arg-type]
        return Reading(type_no, values, sums, _marks(shape, event, known), _uniques(shape, known))  # type: ignore[arg-type]

    return read


def _with_rounded(known: Known, derived: Iterable[tuple[str, str, Increments | None]]) -> Known:
    """Return the fields with those that rollups keep rounded up."""
    found = dict(known)
    for name, field, increments in derived:
        nanos = known.get(field)
        if isinstance(nanos, int) and increments is not None:
            found[name] = increments.rounded(nanos)
    return found


def _marks(shape: Shape, event: Event, known: Known) -> tuple[tuple[int, str], ...]:
    return tuple(
        (place, _mark(aggregation, nanos, event))
        for place, (aggregation, name) in enumerate(shape.marks)
        if isinstance(nanos := known.get(name), int)
    )


def _uniques(shape: Shape, known: Known) -> tuple[tuple[int, int, int], ...]:
    return tuple((place, *_hashed(as_text(known[name]))) for place, name in enumerate(shape.uniques) if name in known)


# --- one field --------------------------------------------------------------------------------------------------------

Converter = Callable[[object, str], Value]


def converter(field: Field) -> Converter:
    """Return the function that checks a value of *field*; it raises FieldInvalid with the pointer it is given."""
    if field.kind is Kind.TEXT:
        return _text_converter(_text_bytes_max(field))
    if field.kind is Kind.ENUM:
        return _enum_converter(field.values)
    if field.kind is Kind.BOOLEAN:
        return _boolean
    if field.kind is Kind.SCALAR:
        return _scalar
    return _number_converter(field)


def _text_bytes_max(field: Field) -> int:
    return ID_BYTES_MAX if not field.name.endswith("name") else NAME_BYTES_MAX


def sure_chars(field: Field) -> int:
    """Return how long a text may be to be taken as it stands, without asking the converter; most are that short."""
    return _text_bytes_max(field) // 4 if field.kind is Kind.TEXT else 0


def _text_converter(bytes_max: int) -> Converter:
    def convert(value: object, pointer: str) -> str:
        return check_text(value, pointer, bytes_max=bytes_max)

    return convert


def _enum_converter(values: tuple[str, ...]) -> Converter:
    known = frozenset(values)

    def convert(value: object, pointer: str) -> str:
        if type(value) is str and value in known:
            return value
        raise FieldInvalid(f"must be one of {', '.join(values)}", pointer=pointer)

    return convert


def _number_converter(field: Field) -> Converter:
    low, high, whole = field.low, field.high, field.kind is Kind.INTEGER
    least, most = whole_bounds(field)

    def convert(value: object, pointer: str) -> int:
        if type(value) is int and least <= value <= most:
            return value * NANOS
        nanos = parse_nanos(value, pointer)
        if whole and type(value) is not int:
            raise FieldInvalid("must be a whole number", pointer=pointer)
        if (low is not None and nanos < low) or (high is not None and nanos > high):
            raise FieldInvalid(_bounds(low, high), pointer=pointer, reason="invalid-amount")
        return nanos

    return convert


def whole_bounds(field: Field) -> tuple[int, int]:
    """Return the least and the greatest whole number that a number's field may hold."""
    least = -QUANTITY_MAX if field.low is None else -(-field.low // NANOS)
    return least, QUANTITY_MAX if field.high is None else field.high // NANOS


def _bounds(low: int | None, high: int | None) -> str:
    if low is None or high is None:
        return f"must be at least {to_text(low)}" if low is not None else f"must be at most {to_text(high or 0)}"
    return f"must be between {to_text(low)} and {to_text(high)}"


def _boolean(value: object, pointer: str) -> bool:
    if isinstance(value, bool):
        return value
    raise FieldInvalid("must be true or false", pointer=pointer)


def _scalar(value: object, pointer: str) -> str:
    if isinstance(value, bool):
        return as_text(value)
    if isinstance(value, str):
        return check_text(value, pointer)
    return to_text(parse_nanos(value, pointer))


def as_text(value: Value) -> str:
    """Return a checked value as dimensions and sets of distinct values have it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else to_text(value)


def condition_test(condition: Condition) -> Callable[[Value | None], bool]:
    """Return the function that says whether a checked field, None where it is missing, meets *condition*."""
    values = condition.values
    if condition.operator is Operator.IN:
        return lambda value: value is not None and as_text(value) in values
    bound, at_least = parse_nanos(values[0]), condition.operator is Operator.GTE

    def compare(value: Value | None) -> bool:
        if value is None:
            return False
        nanos = value if type(value) is int else parse_nanos(value)
        return (nanos >= bound) is at_least

    return compare


def _mark(aggregation: Aggregation, nanos: int, event: Event) -> str:
    if aggregation is Aggregation.LAST:
        return mark_last(nanos, event.time_us, event.key_hi)
    return mark_max(nanos) if aggregation is Aggregation.MAX else mark_min(nanos)


def _hashed(text: str) -> tuple[int, int]:
    high, low = struct.unpack(">qq", hashlib.blake2b(text.encode(), digest_size=16).digest())
    return high, low
