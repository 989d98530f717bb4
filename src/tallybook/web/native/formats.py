"""The forms in which events may come: CloudEvents structured, batch and binary, plain JSON, and lines of JSON.

Not for what an event must hold (see `tallybook.core.event`).
"""

import re
from collections.abc import Mapping
from urllib.parse import unquote_to_bytes

from starlette.datastructures import Headers

from tallybook.core.errors import FieldInvalid, JsonMalformed
from tallybook.core.event import decode_events, decode_json
from tallybook.core.usual import Batch
from tallybook.web.endpoint import JSON, RawBody
from tallybook.web.wire import media_type

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
LINES = ("application/x-ndjson", "application/ndjson", "application/jsonl")
MEDIA = (STRUCTURED, BATCH, JSON, *LINES)

_OPENING = re.compile(rb"[ \t\r\n]*\[")

ATTRIBUTE_PREFIX = "ce-"
ATTRIBUTES_MAX = 64
"""Most ``ce-`` headers of one event in binary mode."""


def read_events(body: RawBody) -> tuple[list[object] | Batch, bool]:
    """Return the events of a request, or what they are decoded from; and whether it was one object.

    Raises:
        MediaUnsupported: For a Content-Type that is none of MEDIA.
        JsonMalformed: For a body that is not what its Content-Type says; nothing of it counts.
        TooLarge: For too many events.
    """
    if f"{ATTRIBUTE_PREFIX}specversion" in body.headers or f"{ATTRIBUTE_PREFIX}id" in body.headers:
        return [_read_binary(body)], True
    media = media_type(body.headers, MEDIA)
    if media in LINES:
        return Batch(body.data, lines=True), False
    if media != STRUCTURED and _OPENING.match(body.data):
        return Batch(body.data), False
    events, lone = decode_events(body.data), _OPENING.match(body.data) is None
    if media == STRUCTURED and not lone:
        raise JsonMalformed(f"{STRUCTURED} carries one event as an object; for an array say {BATCH}")
    if media == BATCH:
        raise JsonMalformed(f"{BATCH} carries an array of events; for one object say {STRUCTURED}")
    return events, lone


def _read_binary(body: RawBody) -> dict[str, object]:
    """Read binary mode: the attributes are headers, the body is the data."""
    event: dict[str, object] = dict(_attributes(body.headers))
    if body.data.strip():
        media_type(body.headers, (JSON,))
        event["data"] = decode_json(body.data)
    return event


def _attributes(headers: Headers) -> Mapping[str, str]:
    attributes: dict[str, str] = {}
    for name, value in headers.items():
        if not name.startswith(ATTRIBUTE_PREFIX):
            continue
        attribute = name.removeprefix(ATTRIBUTE_PREFIX)
        if attribute in attributes:
            raise FieldInvalid(f"the header {name} is given twice", pointer=f"/{attribute}")
        attributes[attribute] = _text(attribute, value)
        if len(attributes) > ATTRIBUTES_MAX:
            raise FieldInvalid(f"an event has at most {ATTRIBUTES_MAX} attributes", pointer="")
    return attributes


def _text(attribute: str, value: str) -> str:
    """Undo the percent-encoding that the CloudEvents HTTP binding asks for; the header itself may be UTF-8."""
    try:
        return unquote_to_bytes(value.encode("latin-1")).decode()
    except UnicodeDecodeError:
        raise FieldInvalid("is not UTF-8", pointer=f"/{attribute}") from None
