"""The identities that a bundle's events ask for, laid out as ledgers take them: a commit has little to do for each.

Not for what makes an identity (see `identity`), nor for who has it already, which only a ledger knows.
"""

import struct
import sys
from array import array
from collections.abc import Collection, Sequence
from itertools import pairwise

import msgspec

ENTRY = struct.Struct(">qqqq")
"""The two halves of an identity, the digest of the payload, a place: at first that of the event in its bundle."""
IDENTITY = struct.Struct(">qq")
"""The first two of them, in whose order, as bytes, identities are kept."""
ENTRY_BYTES, IDENTITY_BYTES = ENTRY.size, IDENTITY.size
_SEQ_BYTES = 8

WORDS = 1 << 22
"""Over so many words of 30 bits identities are spread, each with up to four bits of its own (see `ledger.sieve`)."""

_PAIRS = [1 << (pair & 31) % 30 | 1 << (pair >> 5) % 30 for pair in range(1024)]
_ENTRY = struct.Struct(">24sq")
_SPLIT = struct.Struct(f"{ENTRY_BYTES}s")
_SPOT = struct.Struct(">8xII16x")


class Claims(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Identities in the order of their bytes.

    Attributes:
        entries: An `ENTRY` for each; of equal identities the one of the earlier event comes first.
        words: Which of WORDS words each has its bits in, and *masks*, which bits: native 32-bit numbers.
        repeats: Places of those that are the same as the one before.
    """

    entries: bytes = b""
    words: bytes = b""
    masks: bytes = b""
    repeats: list[int] = []

    def __len__(self) -> int:
        return len(self.entries) // ENTRY_BYTES

    def identity(self, place: int) -> bytes:
        """Return the one at *place*."""
        return self.entries[place * ENTRY_BYTES : place * ENTRY_BYTES + IDENTITY_BYTES]

    def seq(self, place: int) -> int:
        """Return which event of the bundle asks for the one at *place*."""
        return int(ENTRY.unpack_from(self.entries, place * ENTRY_BYTES)[3])

    def digest(self, place: int) -> int:
        """Return the digest of that event's payload."""
        return digest_of(self.entries, place)

    def less(self, seqs: Collection[int]) -> "Claims":
        """Return those of other events than these."""
        return _laid_out([entry for entry in split(self.entries) if ENTRY.unpack(entry)[3] not in seqs])

    def entries_less(self, places: Collection[int]) -> bytes:
        """Return the entries but for those at some places."""
        return b"".join([entry for place, entry in enumerate(split(self.entries)) if place not in places])


def split(entries: bytes | bytearray) -> list[bytes]:
    """Return entries one by one."""
    return [entry for (entry,) in _SPLIT.iter_unpack(entries)]


def digest_of(entries: bytes, place: int = 0) -> int:
    """Return the digest in the entry at *place*."""
    return int(ENTRY.unpack_from(entries, place * ENTRY_BYTES)[2])


def placed(entries: bytes, base: int) -> bytes:
    """Return entries with *base* added to the place of each; no sum may have more than 63 bits."""
    # one addition for all of them: as a number, the entries are digits to base 2^256 that do not carry
    ones = int.from_bytes(_ENTRY.pack(b"", 1) * (len(entries) // ENTRY_BYTES))
    return (int.from_bytes(entries) + base * ones).to_bytes(len(entries))


def claims_of(identities: Sequence[bytes]) -> Claims:
    """Return the claims of events, each given by what `identity` returned."""
    if len(identities) == 1:
        return _claim_of(identities[0])
    return _laid_out(sorted(map(_ENTRY.pack, identities, range(len(identities)))))


def spots_of(entries: bytes) -> "tuple[array[int], array[int]]":
    """Return words and masks of entries."""
    spots = list(_SPOT.iter_unpack(entries))
    return (
        array("I", [word % WORDS for _, word in spots]),
        array("I", [_PAIRS[bits & 1023] | _PAIRS[bits >> 10 & 1023] for bits, _ in spots]),
    )


def _laid_out(entries: list[bytes]) -> Claims:
    """Return the claims of entries that are in their order."""
    repeats = list[int]()
    if len({entry[:IDENTITY_BYTES] for entry in entries}) < len(entries):
        entries.sort(key=_by_seq)  # they were in the order of their digests
        following = enumerate(pairwise(entries), start=1)
        repeats = [place for place, (one, other) in following if one[:IDENTITY_BYTES] == other[:IDENTITY_BYTES]]
    packed = b"".join(entries)
    words, masks = spots_of(packed)
    return Claims(packed, words.tobytes(), masks.tobytes(), repeats)


def _by_seq(entry: bytes) -> tuple[bytes, bytes]:
    return entry[:IDENTITY_BYTES], entry[-_SEQ_BYTES:]


def _claim_of(known_by: bytes) -> Claims:
    """Return the claims of one event: most requests have no more."""
    entry = _ENTRY.pack(known_by, 0)
    bits, word = _SPOT.unpack(entry)
    mask = _PAIRS[bits & 1023] | _PAIRS[bits >> 10 & 1023]
    return Claims(entry, (word % WORDS).to_bytes(4, sys.byteorder), mask.to_bytes(4, sys.byteorder))
