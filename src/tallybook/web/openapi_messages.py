"""The `webhooks` section of an OpenAPI document: every type of message that receivers get, with its JSON Schema.

Not for the operations that clients call (see `openapi`).
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tallybook.core.message import Message, MessageType

Json = dict[str, Any]

_HEADERS = (
    ("webhook-id", "The message's id: the same on every attempt and replay."),
    ("webhook-timestamp", "Seconds since 1970 of this attempt."),
    ("webhook-signature", "As Standard Webhooks writes it: one signature for each valid secret, separated by spaces."),
)
_EXAMPLE_ID, _EXAMPLE_US = "msg_97d57bb3917eba3e6af8c0f1", 1_773_577_800_000_000


def webhooks(messages: Sequence[MessageType], schema_of: Callable[[type[msgspec.Struct]], Json]) -> Json:
    """Return the section for *messages*; *schema_of* gives the schema of their data."""
    return {message.name: {"post": _operation(message, schema_of(message.data))} for message in messages}


def _operation(message: MessageType, data: Json) -> Json:
    envelope = {
        "type": "object",
        "required": ["id", "type", "timestamp", "data"],
        "properties": {
            "id": {"type": "string"},
            "type": {"const": message.name},
            "timestamp": {"type": "string", "format": "date-time"},
            "data": data,
        },
    }
    return {
        "operationId": f"message_{message.name.replace('.', '_')}",
        "summary": message.about,
        "parameters": [
            {"name": name, "in": "header", "required": True, "description": about, "schema": {"type": "string"}}
            for name, about in _HEADERS
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": envelope, "example": example_of(message)}},
        },
        "responses": {
            "2XX": {"description": "Taken; it is not sent again."},
            "410": {"description": "Nothing more is wanted: the endpoint is disabled."},
            "default": {"description": "It is sent again, as the schedule of docs/webhooks.md says."},
        },
        "security": [],
    }


def example_of(message: MessageType) -> Json:
    """Return an example as it would arrive."""
    sent = Message(_EXAMPLE_ID, message.name, None, msgspec.json.encode(message.example), _EXAMPLE_US)
    shown: Json = msgspec.json.decode(sent.envelope())
    return shown
