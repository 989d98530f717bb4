"""Events as they arrive: JSON decoded strictly, the CloudEvents envelope checked, identity and digest taken.

What an event's `data` must hold is the catalogue's business. Rejections are values (`EventError`), one per event:
one bad event never fails its batch.
"""

import json
import re
from collections.abc import Callable, Sized
from dataclasses import dataclass
from decimal import Context, Decimal, DecimalException
from enum import StrEnum
from typing import TypeGuard

import msgspec

from tallybook.core.clock import US_PER_S
from tallybook.core.errors import FieldInvalid, JsonMalformed, TooLarge
from tallybook.core.identity import identity, integers_of
from tallybook.core.ids import ID_BYTES_MAX, AccountId, check_text
from tallybook.core.instant import DAY_US, instant_text, parse_event_time
from tallybook.core.key import Caller

EVENTS_MAX = 10_000
EVENT_BYTES_MAX = 64 * 1024
DEPTH_MAX = 32
PAST_US = 35 * DAY_US
FUTURE_US = 5 * 60 * US_PER_S
DEFAULT_SOURCE = "default"
CALL = "call"
"""The event type that reports a call; its `call_id` joins it with the lease of that call."""
ERRORS_SHOWN_MAX = 100
_ATTRIBUTES = frozenset({"id", "source", "type", "subject", "time", "data", "specversion"})
"""Those of CloudEvents that are looked at one by one; all others are kept with the event."""


class Outcome(StrEnum):
    """What became of one event."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    REJECTED = "rejected"


class Event(msgspec.Struct, gc=False):
    """One event whose envelope is sound.

    Attributes:
        index: Its place in the request.
        sent: Its data as it was decoded: an object, or a struct where it came in the usual form.
        line: The event as sent, with the defaulted attributes filled in, as JSON: what the raw store keeps.
        key_hi, key_lo: 128-bit identity of (account, source, id) as two signed integers.
        digest: 64 bits of the payload (type, time as given, data): same identity, other digest = conflict.
    """

    index: int
    account_id: AccountId
    event_id: str
    type: str
    time_us: int
    sent: dict[str, object] | msgspec.Struct
    line: bytes
    key_hi: int
    key_lo: int
    digest: int

    @property
    def data(self) -> dict[str, object]:
        """Its data as an object."""
        if isinstance(self.sent, dict):
            return self.sent
        plain: dict[str, object] = msgspec.to_builtins(self.sent, builtin_types=(Decimal,))
        return plain

    @property
    def body(self) -> dict[str, object]:
        """The event as the raw store keeps it, decoded."""
        kept = _decoder.decode(self.line)
        assert isinstance(kept, dict)
        return kept


class EventError(msgspec.Struct, frozen=True, omit_defaults=False):
    """Why one event was not accepted; *pointer* is a JSON pointer into the request's body."""

    index: int
    id: str | None
    outcome: Outcome
    code: str
    pointer: str
    detail: str
    about: tuple[str, str, str] = ("", "", "")
    """What it said of itself: subject, source, type; empty where it said nothing that can be kept."""


@dataclass(frozen=True, slots=True)
class Admission:
    """The rules of one request: who sends, when it arrived, and how far back events may lie."""

    caller: Caller
    now_us: int
    backfill: bool = False


# --- JSON -------------------------------------------------------------------------------------------------------

_WIDE = Context(prec=500)
_DIGITS_MAX = 400
"""Numbers with more digits before or after the point than this are kept as they stand; no amount has so many."""


def exact_number(text: str) -> Decimal | int:
    """Read a JSON number with a point or exponent exactly, in one form whatever its spelling (1.50 is 1.5)."""
    try:
        value = Decimal(text)
    except DecimalException:
        raise JsonMalformed(f"the body holds a number that nobody can mean: {text[:32]}") from None
    if text[-1] == "0" or "e" in text or "E" in text:
        if len(text) > _DIGITS_MAX or not -_DIGITS_MAX < value.adjusted() < _DIGITS_MAX:
            return value
        value = value.normalize(_WIDE)
        if 0 <= value.adjusted() < 40 and value == value.to_integral_value():
            return int(value)
    return value


_decoder = msgspec.json.Decoder(float_hook=exact_number)
_encoder = msgspec.json.Encoder(order="sorted", decimal_format="number")
encode_json: Callable[[object], bytes] = _encoder.encode
encode_lines: Callable[[list[object]], bytes] = _encoder.encode_lines


def decode_json(body: bytes) -> object:
    """Decode one JSON document: UTF-8, no duplicate keys, numbers exact (int or Decimal).

    Raises:
        JsonMalformed: If it is anything else.
    """
    try:
        value: object = _decoder.decode(body)
        refuse_repeated_keys(body, _encoder.encode(value), lines=False)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise JsonMalformed(f"the body is not JSON: {_reason(error)}") from None
    except RecursionError:
        raise JsonMalformed(f"the body is nested deeper than {DEPTH_MAX} levels") from None
    return value


def decode_events(body: bytes, *, lines: bool = False, events_max: int | None = EVENTS_MAX) -> list[object]:
    """Decode a request of events: one object, an array of them, or (*lines*) one per line.

    Raises:
        JsonMalformed: If it is not JSON, or a key is said twice. Nothing of it counts then.
        TooLarge: Above *events_max* events.
    """
    value = _decode_lines(body) if lines else decode_json(body)
    events = value if isinstance(value, list) else [value]
    if events_max is not None:
        refuse_too_many(events, events_max)
    return events


def refuse_too_many(events: Sized, events_max: int = EVENTS_MAX) -> None:
    """Refuse, as TooLarge, a request of more than *events_max* events."""
    if len(events) > events_max:
        raise TooLarge(f"a request holds at most {events_max} events, this one has {len(events)}")


def _decode_lines(body: bytes) -> list[object]:
    try:
        events: list[object] = _decoder.decode_lines(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, JsonMalformed):
        raise _bad_line(body) from None
    try:
        refuse_repeated_keys(body, _encoder.encode(events), lines=True)
    except RecursionError:
        raise JsonMalformed(f"a line is nested deeper than {DEPTH_MAX} levels") from None
    return events


def _bad_line(body: bytes) -> JsonMalformed:
    """Say which line of a body that is not NDJSON is to blame."""
    for number, line in enumerate(body.split(b"\n"), start=1):
        try:
            decode_json(line.strip() or b"0")
        except JsonMalformed as error:
            return JsonMalformed(f"line {number}: {error.message}")
    return JsonMalformed("the body is not NDJSON: one JSON object per line")


def _reason(error: Exception) -> str:
    text = str(error)
    return text.removeprefix("JSON is malformed: ") if isinstance(error, msgspec.MsgspecError) else "not UTF-8"


def refuse_repeated_keys(body: bytes, written: bytes, *, lines: bool) -> None:
    """Refuse a body that says a key twice: of two amounts, neither can be believed.

    The decoder keeps the last of two equal keys, so a body that lost one has fewer colons when it was *written* again.
    Escaped colons could hide that; bodies with them are read key by key.

    Raises:
        JsonMalformed: Naming the key.
    """
    escaped = b"\\" in body and (b"\\u003a" in body or b"\\u003A" in body)
    if not escaped and body.count(b":") == written.count(b":"):
        return
    text, place = body.decode(), 0
    while (start := _NOT_SPACE.search(text, place)) is not None:
        try:
            _, place = _pairs.raw_decode(text, start.start())
        except JsonMalformed as error:
            line = f"line {text.count(chr(10), 0, start.start()) + 1}: " if lines else ""
            raise JsonMalformed(f"{line}{error.message}") from None


def _pairs_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    seen = dict(pairs)
    if len(seen) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise JsonMalformed(f"the key {twice[:64]!r} stands twice in one object")
    return seen


_NOT_SPACE = re.compile(r"\S")
_pairs = json.JSONDecoder(object_pairs_hook=_pairs_once, parse_int=str, parse_float=str)


# --- the envelope ---------------------------------------------------------------------------------------------------


def read_event(index: int, body: object, admission: Admission, *, any_time: bool = False) -> Event:
    """Check the envelope of one decoded event and take its identity; *any_time* lifts the acceptance window.

    Raises:
        FieldInvalid: With a pointer into the event (not yet into the request) and, in *reason*, a code of its own
            where the general one says too little.
    """
    if not isinstance(body, dict):
        raise FieldInvalid("an event must be a JSON object", pointer="")
    event_id, event_type, source = body.get("id"), body.get("type"), body.get("source", DEFAULT_SOURCE)
    if not _is_short(event_id):
        event_id = check_text(event_id, "/id")
    if not _is_short(event_type):
        event_type = check_text(event_type, "/type")
    if not _is_short(source):
        source = DEFAULT_SOURCE if source is None else check_text(source, "/source")
    account_id = _account_of(body, admission.caller)
    data = _check_data(body)
    time_us, given_us = _time_of(body, admission, any_time=any_time)
    payload = _bounded((event_type, given_us, data), "/data")
    if not body.keys() <= _ATTRIBUTES:
        extensions = {name: value for name, value in body.items() if name not in _ATTRIBUTES}
        _bounded(extensions, "")
        _check_tree(extensions, "", 1)
    if b"\\u0000" in payload or payload.count(b"{") + payload.count(b"[") > DEPTH_MAX:
        _check_tree(data, "/data", 2)
    key_hi, key_lo, digest = integers_of(identity(f"{account_id}\0{source}\0{event_id}", payload))
    if given_us is None or body.get("source") is None or body.get("subject") is None:
        body = {**body, "source": source, "subject": account_id, "time": body.get("time") or instant_text(time_us)}
    line = _encoder.encode(body)
    return Event(index, account_id, event_id, event_type, time_us, data, line, key_hi, key_lo, digest)


def _bounded(value: object, pointer: str) -> bytes:
    """Return *value* as JSON, unless that is too much for one event."""
    try:
        written = _encoder.encode(value)
    except RecursionError:
        raise _too_deep(pointer) from None
    if len(written) > EVENT_BYTES_MAX:
        raise FieldInvalid(f"an event is at most {EVENT_BYTES_MAX} bytes", pointer=pointer, reason="event-too-large")
    return written


def _too_deep(pointer: str) -> FieldInvalid:
    return FieldInvalid(f"is nested deeper than {DEPTH_MAX} levels", pointer=pointer, reason="too-deep")


def _is_short(value: object) -> TypeGuard[str]:
    """Whether *value* surely passes `check_text`; most do, and this is the cheaper look."""
    return type(value) is str and 0 < len(value) <= ID_BYTES_MAX // 4 and "\x00" not in value


def _account_of(body: dict[str, object], caller: Caller) -> AccountId:
    subject = body.get("subject")
    if subject is None:
        if caller.account_id is None:
            raise FieldInvalid("must name the account, as the key belongs to the operator", pointer="/subject")
        return caller.account_id
    if not _is_short(subject):
        subject = check_text(subject, "/subject")
    if caller.account_id is not None and subject != caller.account_id:
        raise FieldInvalid("must be the key's own account", pointer="/subject", reason="subject-forbidden")
    return AccountId(subject)


def _check_data(body: dict[str, object]) -> dict[str, object]:
    if body.get("specversion", "1.0") != "1.0":
        raise FieldInvalid('must be "1.0"', pointer="/specversion")
    if "data_base64" in body:
        raise FieldInvalid("binary data cannot be metered; send a JSON object as data", pointer="/data_base64")
    data = body.get("data")
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise FieldInvalid("must be a JSON object", pointer="/data")
    return data


def _time_of(body: dict[str, object], admission: Admission, *, any_time: bool) -> tuple[int, int | None]:
    """Return the event's instant, and what the sender gave (None where it is the time of receipt)."""
    given = body.get("time")
    if given is None:
        return admission.now_us, None
    time_us = parse_event_time(given, "/time")
    if any_time:
        return time_us, time_us
    if time_us > admission.now_us + FUTURE_US:
        raise FieldInvalid("lies more than 5 minutes ahead", pointer="/time", reason="timestamp-out-of-window")
    if time_us < admission.now_us - PAST_US and not admission.backfill:
        raise FieldInvalid(
            "lies more than 35 days back; the operator may import older events with backfill",
            pointer="/time",
            reason="timestamp-out-of-window",
        )
    return time_us, time_us


def _check_tree(value: object, pointer: str, depth: int) -> None:
    """Refuse NUL characters and nesting beyond DEPTH_MAX, wherever they are."""
    if isinstance(value, str):
        if "\x00" in value:
            raise FieldInvalid("must not contain a NUL character", pointer=pointer, reason="invalid-string")
    elif isinstance(value, dict | list):
        if depth > DEPTH_MAX:
            raise _too_deep(pointer)
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            _check_tree(key, pointer, depth)
            _check_tree(inner, f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')[:64]}", depth + 1)
