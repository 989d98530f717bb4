"""What tells identities that were never taken from those that perhaps were, without a look at where they lie.

A ledger of millions has a page for almost each identity that a batch asks for, and nearly none of them is there. So
each that was ever taken has up to four bits set in a word that its hash says; where one of them is not set, there is
nothing to look for. The words are kept in the ledger, in parts, and read again at the next start.
"""

import sys
from array import array

from sqlalchemy import Connection

from tallybook.core.claims import WORDS, Claims, spots_of
from tallybook.ledger.hot import Hot
from tallybook.ledger.key_runs import all_entries

PARTS = 128
"""As so many rows it is kept; some of them are written with each commit that moves identities."""

_PART_WORDS = WORDS // PARTS

_PARTS = Hot("SELECT part, bits FROM key_sieve WHERE lane = :lane")
_KEEP = Hot(
    "INSERT INTO key_sieve (lane, part, bits) VALUES (:lane, :part, :bits)"
    " ON CONFLICT (lane, part) DO UPDATE SET bits = excluded.bits"
)


class Sieve:
    """Bits for the identities of one lane, in 16 MiB; only ever set, so that too many of them do no harm.

    Of ten million identities they let one new one in sixty through, of twenty million one in twelve.
    """

    def __init__(self, lane: int) -> None:
        self._lane = lane
        self._words = array("I", bytes(4 * WORDS))

    def add(self, entries: bytes) -> None:
        """Set the bits of the identities of *entries*."""
        words = self._words
        for at, mask in zip(*spots_of(entries), strict=True):
            words[at] |= mask

    def sift(self, claims: Claims) -> list[int]:
        """Return the places of those that were perhaps added; no other one was. Then add all."""
        words = self._words
        spots = list(zip(memoryview(claims.words).cast("I"), memoryview(claims.masks).cast("I"), strict=True))
        perhaps = [place for place, (at, mask) in enumerate(spots) if words[at] & mask == mask]
        for at, mask in spots:
            words[at] |= mask
        return perhaps

    def keep(self, connection: Connection, parts: range) -> None:
        """Write some parts to the ledger."""
        for part in parts:
            bits = _little(self._words[part * _PART_WORDS : (part + 1) * _PART_WORDS]).tobytes()
            _KEEP.change(connection, {"lane": self._lane, "part": part, "bits": bits})

    def read(self, connection: Connection) -> None:
        """Read what was kept; if anything is missing it is made anew from all that is in runs, and kept.

        That takes a second for some two million identities.
        """
        parts = _PARTS.rows(connection, {"lane": self._lane})
        for part, bits in parts:
            self._words[part * _PART_WORDS : (part + 1) * _PART_WORDS] = _little(array("I", bits))
        if len(parts) < PARTS:
            is_any = False
            for entries in all_entries(connection):
                is_any = True
                self.add(entries)
            if is_any:
                self.keep(connection, range(PARTS))


def _little(words: "array[int]") -> "array[int]":
    """Return words that are written with their lowest byte first, or read so."""
    if sys.byteorder == "big":
        words.byteswap()
    return words
