"""Cursors of lists: opaque to clients, bound to who asked for what, and refused after any change.

A cursor holds no secret; its seal only keeps clients from making them up and one tenant from using another's.
"""

import base64
import binascii
import hashlib
import hmac
import json

from tallybook.web.errors import CursorInvalid

CURSOR_CHARS_MAX = 2048
_SEAL_BYTES = 16


def seal_cursor(secret: bytes, bound_to: tuple[str, ...], place: tuple[str, ...]) -> str:
    """Return the cursor that continues after *place*, for requests that are *bound_to* the same words."""
    payload = json.dumps(place).encode()
    return base64.urlsafe_b64encode(_seal(secret, bound_to, payload) + payload).decode().rstrip("=")


def open_cursor(secret: bytes, bound_to: tuple[str, ...], cursor: str) -> tuple[str, ...]:
    """Return the place that `seal_cursor` was given.

    Raises:
        CursorInvalid: If it is none of ours, was changed, or was given to another request.
    """
    try:
        if len(cursor) > CURSOR_CHARS_MAX:
            raise ValueError
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        seal, payload = raw[:_SEAL_BYTES], raw[_SEAL_BYTES:]
        if not hmac.compare_digest(seal, _seal(secret, bound_to, payload)):
            raise ValueError
        return tuple(json.loads(payload))
    except (ValueError, binascii.Error):
        raise CursorInvalid("cursor is not one that this endpoint gave to this key", parameter="cursor") from None


def _seal(secret: bytes, bound_to: tuple[str, ...], payload: bytes) -> bytes:
    words = json.dumps(bound_to).encode()
    return hmac.digest(secret, len(words).to_bytes(4, "big") + words + payload, hashlib.sha256)[:_SEAL_BYTES]
