"""The usual form of one event type: structs that msgspec decodes its events into, and what is read of them.

What a struct does not hold is not usual; `event` and `shape` read that, and what is usual to the same end.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Annotated, Any, Literal, cast

import msgspec
from msgspec import UNSET, UnsetType

from tallybook.core.aggregate import Dimensions, Reading
from tallybook.core.catalogue import EventType, Field, Kind
from tallybook.core.errors import FieldInvalid
from tallybook.core.event import CALL, Event
from tallybook.core.ids import ID_BYTES_MAX, AccountId
from tallybook.core.meter import Condition
from tallybook.core.number import NANOS
from tallybook.core.shape import (
    FLAG,
    Converter,
    Known,
    Shape,
    TypeReader,
    Value,
    as_text,
    condition_test,
    converter,
    sure_chars,
    whole_bounds,
)

_TIME_CHARS_MAX = 40
_TEXTS = (Kind.TEXT, Kind.ENUM)
_UNCHECKED = (Kind.QUANTITY, Kind.SCALAR)
"""Kinds of fields that msgspec decodes to whatever stands there."""

_NOTHING = (0, 0)
_VALUES_KEPT_MAX = 1024
"""Values of a field of which it is remembered whether they meet a condition: mostly there are few, such as statuses."""

_Short = Annotated[str, msgspec.Meta(min_length=1, max_length=ID_BYTES_MAX // 4)]
_Account = Annotated[AccountId, msgspec.Meta(min_length=1, max_length=ID_BYTES_MAX // 4)]
_Time = Annotated[str, msgspec.Meta(min_length=1, max_length=_TIME_CHARS_MAX)]
Labels = list[tuple[str, str, str]]
Part = tuple[Dimensions, list[int]]
"""The series that an event counts in, and the row that it is there, whose place and minute are still open (0)."""


class Sent(msgspec.Struct, kw_only=True, gc=False, omit_defaults=True):
    """An event in the usual form; each type has a struct of its own, with its own data."""

    id: _Short
    source: _Short | None = None
    subject: _Account | None = None
    time: _Time | None = None
    specversion: Literal["1.0"] | UnsetType = UNSET
    data: msgspec.Struct


@dataclass(frozen=True, slots=True)
class Form:
    """How events of a type are read, of whom all but the data is known to be sound.

    The functions take the data of an event; *part* and *readings* raise FieldInvalid for data that is not usual.

    Attributes:
        name: What the type is called.
        struct: What its events are decoded into.
        type_no: Whose rollups *part* is for.
        part: What an event adds, for types of one generation that only counts and sums; None for others.
        readings: What each generation takes of an event.
        labels: Which values an event gives a name to, None if events of the type never do.
        call_id: Which call an event reports, None of types that report none.
    """

    name: str
    struct: type[Sent]
    type_no: int
    part: Callable[[Any], Part] | None
    readings: Callable[[Event, Any], tuple[Reading, ...]]
    labels: Callable[[Any], Labels] | None
    call_id: Callable[[Any], object] | None


def form_of(name: str, reader: TypeReader) -> Form:
    """Return the usual form of the type called *name*."""
    fields = _Fields(reader.event)
    known, type_no, part = fields.known(fields.names), 0, None
    if len(reader.shapes) == 1 and _is_plain(reader.shapes[0][1], fields):
        type_no, part = reader.shapes[0][0], _part(reader.shapes[0][1], fields)
    return Form(
        name=name,
        struct=fields.struct(name),
        type_no=type_no,
        part=part,
        readings=lambda event, data: reader.readings(event, known(data)),
        labels=fields.labels(),
        call_id=attrgetter(fields.place["call_id"]) if name == CALL and "call_id" in fields.place else None,
    )


class _Fields:
    """The fields of a type as those of a struct: sorted, so that it is written as the digest has it."""

    def __init__(self, event: EventType) -> None:
        self.event = event
        self.names = sorted(event.fields)
        self.place = {name: f"f{number}" for number, name in enumerate(self.names)}
        self.kinds = {name: event.fields[name].kind for name in self.names}

    def struct(self, name: str) -> type[Sent]:
        """Return the struct of events of this type."""
        fields: list[Any] = []
        for field in map(self.event.fields.__getitem__, self.names):
            kind, missing = _usual_kind(field)
            fields.append((self.place[field.name], kind) if field.required else (self.place[field.name], kind, missing))
        rename = {place: name for name, place in self.place.items()}
        settings: dict[str, Any] = {"kw_only": True, "omit_defaults": True, "forbid_unknown_fields": True, "gc": False}
        data = msgspec.defstruct("Data", fields, rename=rename, **settings)
        event = msgspec.defstruct("Usual", [("data", data)], bases=(Sent,), tag_field="type", tag=name, **settings)
        return cast("type[Sent]", event)

    def getter(self, names: list[str]) -> Callable[[Any], tuple[Any, ...]]:
        """Return the function that picks fields out of the data."""
        places = [self.place[name] for name in names]
        if len(places) > 1:
            return cast("Callable[[Any], tuple[Any, ...]]", attrgetter(*places))
        if not places:
            return lambda _data: ()
        get = attrgetter(places[0])
        return lambda data: (get(data),)

    def labels(self) -> Callable[[Any], Labels] | None:
        """Return the function that says which values an event gives a name to, None if events of the type never do."""
        pairs = [(f.name, f.label) for f in self.event.fields.values() if f.label is not None]
        if not pairs:
            return None
        known = self.known(self.names)
        if len(pairs) > 1 or any(self.kinds[name] not in _TEXTS for pair in pairs for name in pair):
            return lambda data: _labels_of(pairs, known(data))
        ((name, label),) = pairs
        get = self.getter([name, label])

        def read(data: Any) -> Labels:
            value, text = get(data)
            return [(name, value, text)] if value is not None and text is not None else []

        return read

    def known(self, names: list[str]) -> Callable[[Any], Known]:
        """Return the function that makes checked fields of the data, as `shape` does."""
        get = self.getter(names)
        checks = [(name, _check(self.event.fields[name])) for name in names]

        def read(data: Any) -> Known:
            values = zip(checks, get(data), strict=True)
            return {name: value for (name, check), sent in values if (value := check(sent)) is not None}

        return read


def _labels_of(pairs: list[tuple[str, str]], known: Known) -> Labels:
    return [(n, as_text(known[n]), str(known[label])) for n, label in pairs if n in known and label in known]


def _usual_kind(field: Field) -> tuple[Any, object]:
    """Return the type of what a field usually holds, and what stands for nothing; null is never usual."""
    if field.kind is Kind.TEXT:
        return Annotated[str, msgspec.Meta(min_length=1, max_length=sure_chars(field))], None
    if field.kind is Kind.ENUM:
        return Literal[field.values], None
    if field.kind is Kind.BOOLEAN:
        return bool, None
    if field.kind is Kind.INTEGER:
        least, most = whole_bounds(field)
        return Annotated[int, msgspec.Meta(ge=least, le=most)], UNSET
    return Any, UNSET


def _check(field: Field) -> Callable[[Any], Value | None]:
    """Return the function that checks one field of the data; most was checked when it was decoded."""
    if field.kind is Kind.INTEGER:
        return lambda value: None if value is UNSET else value * NANOS
    if field.kind in {*_TEXTS, Kind.BOOLEAN}:
        return lambda value: cast("Value | None", value)
    least, most = whole_bounds(field) if field.kind is Kind.QUANTITY else (1, 0)
    return _checked_by(converter(field), least, most)


def _checked_by(convert: Converter, least: int, most: int) -> Callable[[Any], Value | None]:
    def check(value: Any) -> Value | None:
        if type(value) is int and least <= value <= most:
            return value * NANOS
        if value is UNSET:
            return None
        if value is None or value == "":
            raise FieldInvalid("is not usual", pointer="/data")
        return convert(value, "/data")

    return check


# --- what events of a plain shape add ---------------------------------------------------------------------------------


def _is_plain(shape: Shape, fields: _Fields) -> bool:
    """Whether *shape* only counts and sums, and its dimensions are texts."""
    texts = all(fields.kinds.get(name) in _TEXTS for name in shape.dimensions)
    read = {*shape.fields, *(condition.field for condition in shape.conditions)}
    return texts and read <= set(fields.names) and not shape.marks and not shape.uniques


def _part(shape: Shape, fields: _Fields) -> Callable[[Any], Part]:
    """Return the function that says what an event adds to rollups of a plain shape."""
    dimensions, flags = fields.getter(list(shape.dimensions)), [_flag(c, fields) for c in shape.conditions]
    unchecked = [n for n in fields.names if fields.kinds[n] in _UNCHECKED and n not in shape.fields]
    kept = [(attrgetter(fields.place[n]), _nanos(fields.event.fields[n])) for n in shape.fields]
    check_others = fields.known(unchecked)
    if not flags and not kept and not unchecked:
        return lambda data: (dimensions(data), [0, 0, 1])

    def read(data: Any) -> Part:
        series, row = dimensions(data), [0, 0, 1]
        for get, nanos in kept:
            value = get(data)
            row += _NOTHING if value is UNSET else (1, value * NANOS if nanos is None else nanos(value))
        if unchecked:
            check_others(data)
        for pick, flag in flags:
            series += flag(pick(data))
        return series, row

    return read


def _nanos(field: Field) -> Callable[[Any], int] | None:
    """Return the function that checks a number and returns it in nanos; None where decoding has checked it."""
    return None if field.kind is Kind.INTEGER else cast("Callable[[Any], int]", _check(field))


def _flag(condition: Condition, fields: _Fields) -> tuple[Callable[[Any], Any], Callable[[Any], tuple[str | None]]]:
    """Return the functions that pick a field, and say whether it meets *condition*, as a series has it."""
    check, test = _check(fields.event.fields[condition.field]), condition_test(condition)

    def flag(sent: Any) -> tuple[str | None]:
        return (FLAG,) if test(check(sent)) else (None,)

    get = attrgetter(fields.place[condition.field])
    return get, flag if fields.kinds[condition.field] in _UNCHECKED else lru_cache(maxsize=_VALUES_KEPT_MAX)(flag)
