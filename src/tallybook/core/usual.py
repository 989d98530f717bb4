"""Bodies of requests decoded in one step: msgspec checks the envelope and the data of a known type as it decodes.

Everything that is not usual is left to `event` and `shape`: other attributes or fields, rare spellings, and all that is
wrong. They know what to say of it, and read what is usual to the same end, only more slowly.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from tallybook.core.errors import JsonMalformed
from tallybook.core.event import (
    EVENTS_MAX,
    decode_events,
    decode_json,
    exact_number,
    refuse_repeated_keys,
    refuse_too_many,
)
from tallybook.core.form import Form, Sent, form_of
from tallybook.core.shape import TypeReader

_FIELDS_MAX = 64
"""Types with more fields than this are not read here: what is read here is far below the bounds of one event."""
_NUL = b"\\u0000"

encoder = msgspec.json.Encoder(decimal_format="number")
"""Writes events in the usual form and their data; fields stand in the order of the structs, as the digest has them."""
_plain = msgspec.json.Decoder(float_hook=exact_number)
_raws = msgspec.json.Decoder(list[msgspec.Raw])
_raws_of_lines = msgspec.json.Decoder(msgspec.Raw).decode_lines


@dataclass(frozen=True, slots=True)
class Batch:
    """The body of a request that is an array of events, or (*lines*) has one on each line; not decoded yet."""

    body: bytes
    lines: bool = False


class _NoType(Sent, tag_field="type", tag="\0"):
    """Stands in the union so that it is never of one type only, whose tag could be left out."""


class Usual:
    """Decodes the events of one scheme.

    Attributes:
        forms: The usual form of each type that has one, by the struct that its events are decoded into.
    """

    def __init__(self, readers: Mapping[str, TypeReader]) -> None:
        """Make the forms of the types that *readers* read."""
        forms = [form_of(name, reader) for name, reader in readers.items() if len(reader.event.fields) <= _FIELDS_MAX]
        self.forms: Mapping[type, Form] = {form.struct: form for form in forms}
        union: Any = _NoType
        for struct in self.forms:
            union |= struct
        self._many = msgspec.json.Decoder(list[union], float_hook=exact_number)
        self._one = msgspec.json.Decoder(union, float_hook=exact_number)

    def decode(self, batch: Batch) -> tuple[list[Any], list[bytes]]:
        """Return the events of a request, each as `Sent` or decoded plainly, and as lines of JSON.

        Raises:
            JsonMalformed: If it is not JSON, or a key is said twice. Nothing of it counts then.
            TooLarge: For too many events.
        """
        try:
            events = self._decode(batch)
            written = encoder.encode_lines(events)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, JsonMalformed):
            events = decode_events(batch.body, lines=batch.lines)  # it says what is wrong
            written = encoder.encode_lines(events)
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


def plainly(line: bytes) -> object:
    """Return an event that was decoded as `Sent`, and written as *line*, decoded plainly."""
    return decode_json(line)
