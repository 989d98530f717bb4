"""Events as they are kept and sent: one line of JSON each, with its id and time fixed when it happened.

A line never changes again, so sending it twice is a duplicate and never a second count. What `data` must hold is the
server's business; here only what could never be read is refused.
"""

import math
import uuid
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

import msgspec

from tallybook.client.clock import Clock, instant_of, instant_text
from tallybook.client.errors import EventInvalid

EVENT_BYTES_MAX = 64 * 1024
"""What the server takes for one event."""

DEPTH_MAX = 32
_NAME_CHARS_MAX = 256
_encoder = msgspec.json.Encoder(decimal_format="number")

Data = Mapping[str, object]
"""What an event says: JSON with exact numbers; Decimals are written as numbers, digit by digit."""


def make_event(
    type_: str,
    data: Data | None,
    clock: Clock,
    *,
    account: str | None,
    id_: str | None,
    source: str | None,
    time: datetime | str | None,
) -> dict[str, object]:
    """Return an event whose id and time are fixed.

    Raises:
        EventInvalid: If it could never be accepted.
    """
    event: dict[str, object] = {
        "id": _name(id_, "id") if id_ is not None else uuid.uuid4().hex,
        "type": _name(type_, "type"),
    }
    if account is not None:
        event["subject"] = _name(account, "account")
    if source is not None:
        event["source"] = _name(source, "source")
    event["time"] = _time(time, clock)
    if data is not None:
        if not isinstance(data, Mapping):
            raise EventInvalid("/data is not an object")
        event["data"] = _plain(data, "/data", 2)
    return event


def line_of(event: Mapping[str, object]) -> bytes:
    """Return the event as one line, with its line end.

    Raises:
        EventInvalid: If it is larger than the server takes.
    """
    try:
        line = _encoder.encode(event) + b"\n"
    except (msgspec.MsgspecError, UnicodeEncodeError, OverflowError) as error:
        raise EventInvalid(f"the event is not JSON: {error}") from None
    if len(line) > EVENT_BYTES_MAX:
        raise EventInvalid(f"the event has {len(line)} bytes; at most {EVENT_BYTES_MAX} can be sent")
    return line


def read_line(line: bytes) -> dict[str, object] | str:
    """Return the event of a line, or its text where it is no event."""
    try:
        event = msgspec.json.decode(line, type=dict[str, object])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return line.decode("utf-8", "replace")
    return event


def _name(value: object, field: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _NAME_CHARS_MAX or "\x00" in value:
        raise EventInvalid(f"{field} must be a string of 1 to {_NAME_CHARS_MAX} characters, without NUL")
    return value


def _time(time: datetime | str | None, clock: Clock) -> str:
    if time is None:
        return instant_text(instant_of(clock.now_us()))
    if isinstance(time, datetime):
        if time.tzinfo is None:
            raise EventInvalid("time has no offset; use an aware datetime, such as datetime.now(UTC)")
        return instant_text(time)
    return _name(time, "time")


def _plain(value: object, pointer: str, depth: int) -> object:
    """Return a copy that is JSON and nothing else, whatever becomes of the caller's own objects."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float | Decimal):
        if not (value.is_finite() if isinstance(value, Decimal) else math.isfinite(value)):
            raise EventInvalid(f"{pointer} is not a finite number")
        return value
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise EventInvalid(f"{pointer} is a time without offset")
        return instant_text(value)
    if depth > DEPTH_MAX:
        raise EventInvalid(f"{pointer} is nested deeper than {DEPTH_MAX} levels")
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise EventInvalid(f"{pointer} has a key that is not a string")
        return {key: _plain(inner, f"{pointer}/{key}", depth + 1) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, f"{pointer}/{index}", depth + 1) for index, inner in enumerate(value)]
    raise EventInvalid(f"{pointer} is a {type(value).__name__}, which JSON has no form for")
