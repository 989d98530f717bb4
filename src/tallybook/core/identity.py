"""What tells events apart: the hash of an event's name, and the digest of what it says.

Neither may ever change: ledgers hold them.
"""

import struct
from hashlib import blake2b

_empty_name, _empty_payload = blake2b(digest_size=16), blake2b(digest_size=8)
"""Copied for each event, which is cheaper than making them anew."""
_integers = struct.Struct(">qqq")


def identity(name: str, payload: bytes) -> bytes:
    """Return the 128-bit identity of the event called *name*, and then the 64-bit digest of its payload."""
    named, said = _empty_name.copy(), _empty_payload.copy()
    named.update(name.encode())
    said.update(payload)
    return named.digest() + said.digest()


def integers_of(identity: bytes) -> tuple[int, int, int]:
    """Return what `identity` returned as three signed integers: two halves, and the digest."""
    high, low, digest = _integers.unpack(identity)
    return high, low, digest
