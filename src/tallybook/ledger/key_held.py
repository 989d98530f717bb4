"""Identities in memory: found at once, and given back in their order."""

import struct
from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from tallybook.core.claims import ENTRY_BYTES, IDENTITY_BYTES, split

BUCKETS = 4096
"""By the first bits of an identity; of half a million, each has 4 KB to search."""

_FIRST = struct.Struct(f">H{ENTRY_BYTES - 2}x")
_SHIFT = 16 - (BUCKETS.bit_length() - 1)


class Held:
    """Entries (see `core.claims`) of identities that all differ."""

    def __init__(self) -> None:
        self._buckets = [bytearray() for _ in range(BUCKETS)]
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, entries: bytes) -> None:
        """Hold some more."""
        buckets = self._buckets
        for (first,), entry in zip(_FIRST.iter_unpack(entries), split(entries), strict=True):
            buckets[first >> _SHIFT] += entry
        self._count += len(entries) // ENTRY_BYTES

    def find(self, identity: bytes) -> bytes | None:
        """Return the entry of an identity, None if it is not held."""
        return find(self._buckets[bucket_of(identity)], identity)

    def bucket(self, number: int) -> list[bytes]:
        """Return the entries of one of BUCKETS buckets in the order of their identities, as are the buckets."""
        return sorted(split(self._buckets[number]))


def bucket_of(identity: bytes) -> int:
    """Return which bucket an identity is in."""
    return int.from_bytes(identity[:2]) >> _SHIFT


def find(entries: bytes | bytearray, identity: bytes) -> bytes | None:
    """Return the entry of an identity, None if it is not among *entries*, in whatever order they are."""
    at = entries.find(identity)
    while at >= 0 and at % ENTRY_BYTES:
        at = entries.find(identity, at + 1)
    return None if at < 0 else bytes(entries[at : at + ENTRY_BYTES])


def find_sorted(entries: bytes, identity: bytes) -> bytes | None:
    """Return the entry of an identity, None if it is not among *entries*, which are in their order."""

    def at(place: int) -> bytes:
        return entries[place * ENTRY_BYTES : place * ENTRY_BYTES + IDENTITY_BYTES]

    place = bisect_left(range(len(entries) // ENTRY_BYTES), identity, key=at)
    return entries[place * ENTRY_BYTES : (place + 1) * ENTRY_BYTES] if at(place) == identity else None


def count_up_to(entries: Sequence[bytes], identity: bytes) -> int:
    """Return how many of *entries*, which are in their order, have at most this identity."""
    return bisect_right(entries, identity, key=lambda entry: entry[:IDENTITY_BYTES])
