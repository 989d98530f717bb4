"""Events in their usual form, read in one step: msgspec checks the envelope and the data of a known type as it decodes.

Everything that is not usual is left to `event` and `shape`: other attributes or fields, rare spellings, and all that is
wrong. They know what to say of it, and read what is usual to the same end, only more slowly.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from operator import attrgetter
from typing import Annotated, Any, Literal, cast

import msgspec

from tallybook.core.aggregate import Reading
from tallybook.core.catalogue import EventType, Field, Kind
from tallybook.core.errors import FieldInvalid, JsonMalformed
from tallybook.core.event import (
    DEFAULT_SOURCE,
    EVENTS_MAX,
    FUTURE_US,
    PAST_US,
    Admission,
    Event,
    decode_events,
    decode_json,
    exact_number,
    identify,
    refuse_repeated_keys,
    refuse_too_many,
)
from tallybook.core.ids import ID_BYTES_MAX, AccountId
from tallybook.core.instant import instant_text, parse_event_time
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

_FIELDS_MAX = 64
"""Types with more fields than this are not read here: what is read here is far below the bounds of one event."""
_TIME_CHARS_MAX = 40
_NUL = b"\\u0000"
_TEXTS = (Kind.TEXT, Kind.ENUM)

_Short = Annotated[str, msgspec.Meta(min_length=1, max_length=ID_BYTES_MAX // 4)]
_Account = Annotated[AccountId, msgspec.Meta(min_length=1, max_length=ID_BYTES_MAX // 4)]
_Time = Annotated[str, msgspec.Meta(min_length=1, max_length=_TIME_CHARS_MAX)]
Labels = list[tuple[str, str, str]]


@dataclass(frozen=True, slots=True)
class Batch:
    """The body of a request that is an array of events, or (*lines*) has one on each line; not decoded yet."""

    body: bytes
    lines: bool = False


class Sent(msgspec.Struct, kw_only=True, gc=False, omit_defaults=True):
    """An event in the usual form; each type has a struct of its own, with its own data."""

    id: _Short
    source: _Short | None = None
    subject: _Account | None = None
    time: _Time | None = None
    specversion: Literal["1.0"] | msgspec.UnsetType = msgspec.UNSET
    data: msgspec.Struct


class _NoType(Sent, tag_field="type", tag="\0"):
    """Stands in the union so that it is never of one type only, whose tag could be left out."""


@dataclass(frozen=True, slots=True)
class _Reads:
    """What is known of a type: its name, and what its rollups and its names take of an event."""

    type: str
    readings: Callable[[Event, Any], tuple[Reading, ...]]
    labels: Callable[[Any], Labels] | None


class Usual:
    """Reads the events of one scheme; *readers* are those of the types that have a usual form."""

    def __init__(self, readers: Mapping[str, TypeReader]) -> None:
        self._reads: dict[type, _Reads] = {}
        for name, reader in readers.items():
            if len(reader.event.fields) <= _FIELDS_MAX:
                fields = _Fields(reader.event)
                struct = fields.struct(name)
                self._reads[struct] = _Reads(name, _readings(reader, fields), fields.labels())
        union: Any = _NoType
        for struct in self._reads:
            union |= struct
        self._many = msgspec.json.Decoder(list[union], float_hook=exact_number)
        self._one = msgspec.json.Decoder(union, float_hook=exact_number)

    def decode(self, batch: Batch) -> tuple[list[object], list[bytes]]:
        """Return the events of a request, each as `Sent` or decoded plainly, and as lines of JSON.

        Raises:
            JsonMalformed: If it is not JSON, or a key is said twice. Nothing of it counts then.
            TooLarge: For too many events.
        """
        try:
            events = self._decode(batch)
            written = _encoder.encode_lines(events)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, JsonMalformed):
            events = decode_events(batch.body, lines=batch.lines)  # it says what is wrong
            written = _encoder.encode_lines(events)
        refuse_too_many(events, EVENTS_MAX)
        refuse_repeated_keys(batch.body, written, lines=batch.lines)
        return events, written.split(b"\n")

    def _decode(self, batch: Batch) -> list[object]:
        if b"\\" in batch.body and _NUL in batch.body:
            return decode_events(batch.body, lines=batch.lines, events_max=None)
        try:
            return cast("list[object]", self._together(batch))
        except msgspec.ValidationError:
            raws = _raws_of_lines(batch.body) if batch.lines else _raws.decode(batch.body)
            return [self._decode_one(raw) for raw in raws]

    def _together(self, batch: Batch) -> list[Any]:
        return self._one.decode_lines(batch.body) if batch.lines else self._many.decode(batch.body)

    def _decode_one(self, raw: msgspec.Raw) -> object:
        try:
            return self._one.decode(raw)
        except msgspec.ValidationError:
            return _plain.decode(raw)

    def read(self, index: int, sent: Sent, line: bytes, admission: Admission) -> tuple[Event, Any, Any] | None:
        """Return the event with its readings and labels; None if it must be read the longer way after all."""
        reads = self._reads[type(sent)]
        account_id, source, time_us = sent.subject, sent.source, admission.now_us
        own, given_us = admission.caller.account_id, None
        try:
            if sent.time is not None:
                time_us = given_us = parse_event_time(sent.time, "/time")
                if not _is_in_window(time_us, admission):
                    return None
            if own is not None and account_id is not None and own != account_id:
                return None
            if source is None or account_id is None or given_us is None:
                account_id, source = account_id or own, source or DEFAULT_SOURCE
                if account_id is None:
                    return None
                line = _fill_in(sent, source, account_id, time_us)
            payload = _encoder.encode((reads.type, given_us, sent.data))
            key_hi, key_lo, digest = identify(f"{account_id}\0{source}\0{sent.id}", payload)
            event = Event(index, account_id, sent.id, reads.type, time_us, sent.data, line, key_hi, key_lo, digest)
            readings = reads.readings(event, sent.data)
        except FieldInvalid:
            return None
        return event, readings, () if reads.labels is None else reads.labels(sent.data)


def _is_in_window(time_us: int, admission: Admission) -> bool:
    now_us = admission.now_us
    return time_us <= now_us + FUTURE_US and (time_us >= now_us - PAST_US or admission.backfill)


def plainly(line: bytes) -> object:
    """Return an event that was decoded as `Sent`, and written as *line*, decoded plainly."""
    return decode_json(line)


def _fill_in(sent: Sent, source: str, account_id: AccountId, time_us: int) -> bytes:
    sent.source, sent.subject = source, account_id
    if sent.time is None:
        sent.time = instant_text(time_us)
    return _encoder.encode(sent)


_encoder = msgspec.json.Encoder(decimal_format="number")
_plain = msgspec.json.Decoder(float_hook=exact_number)
_raws = msgspec.json.Decoder(list[msgspec.Raw])
_raws_of_lines = msgspec.json.Decoder(msgspec.Raw).decode_lines


# --- the data of one type ---------------------------------------------------------------------------------------------


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
        known = self.known()
        if len(pairs) > 1 or any(self.kinds[name] not in _TEXTS for pair in pairs for name in pair):
            return lambda data: _labels_of(pairs, known(data))
        ((name, label),) = pairs
        get = self.getter([name, label])

        def read(data: Any) -> Labels:
            value, text = get(data)
            return [(name, value, text)] if value is not None and text is not None else []

        return read

    def known(self) -> Callable[[Any], Known]:
        """Return the function that makes checked fields of the data, as `shape` does."""
        get = self.getter(self.names)
        checks = [(name, _check(self.event.fields[name])) for name in self.names]

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
        return Annotated[int, msgspec.Meta(ge=least, le=most)], None
    return Any, msgspec.UNSET


def _check(field: Field) -> Callable[[Any], Value | None]:
    """Return the function that checks one field of the data; most was checked when it was decoded."""
    if field.kind is Kind.INTEGER:
        return lambda value: None if value is None else value * NANOS
    if field.kind in {*_TEXTS, Kind.BOOLEAN}:
        return lambda value: cast("Value | None", value)
    least, most = whole_bounds(field) if field.kind is Kind.QUANTITY else (1, 0)
    return _checked_by(converter(field), least, most)


def _checked_by(convert: Converter, least: int, most: int) -> Callable[[Any], Value | None]:
    def check(value: Any) -> Value | None:
        if type(value) is int and least <= value <= most:
            return value * NANOS
        if value is msgspec.UNSET:
            return None
        if value is None or value == "":
            raise FieldInvalid("is not usual", pointer="/data")
        return convert(value, "/data")

    return check


# --- what its rollups take --------------------------------------------------------------------------------------------


def _readings(reader: TypeReader, fields: _Fields) -> Callable[[Event, Any], tuple[Reading, ...]]:
    if len(reader.shapes) != 1 or not _is_plain(reader.shapes[0][1], fields):
        known = fields.known()
        return lambda event, data: reader.readings(event, known(data))
    return _plain_reading(*reader.shapes[0], fields)


def _is_plain(shape: Shape, fields: _Fields) -> bool:
    texts = all(fields.kinds.get(name) in _TEXTS for name in shape.dimensions)
    read = {*shape.fields, *(condition.field for condition in shape.conditions)}
    return texts and read <= set(fields.names) and not shape.marks and not shape.uniques


def _plain_reading(type_no: int, shape: Shape, fields: _Fields) -> Callable[[Event, Any], tuple[Reading, ...]]:
    """Return the reading of a shape whose dimensions are texts, and which only counts and sums."""
    dimensions, summed = fields.getter(list(shape.dimensions)), len(shape.fields)
    tested = [condition.field for condition in shape.conditions]
    unchecked = [n for n, kind in fields.kinds.items() if kind in {Kind.QUANTITY, Kind.SCALAR}]
    names = list(dict.fromkeys([*shape.fields, *tested, *unchecked]))
    if not names:
        return lambda _event, data: (Reading(type_no, dimensions(data), ()),)
    get = fields.getter(names)
    checks = [_check(fields.event.fields[n]) if fields.kinds[n] is not Kind.INTEGER else None for n in names]
    tests = [(names.index(condition.field), condition_test(condition)) for condition in shape.conditions]

    def read(_event: Event, data: Any) -> tuple[Reading, ...]:
        values: list[Any] = [
            check(value) if check is not None else None if value is None else value * NANOS
            for check, value in zip(checks, get(data), strict=True)
        ]
        series = dimensions(data)
        if tests:
            series += tuple([FLAG if test(values[place]) else None for place, test in tests])
        return (Reading(type_no, series, tuple(values[:summed])),)

    return read
