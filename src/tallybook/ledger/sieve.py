"""What tells identities that were never taken from those that perhaps were, without a look at where they lie.

A ledger of millions has a page for almost each identity that a batch asks for, and nearly none of them is there. So
one bit is set for each that was ever taken, by its hash; where the bit is not set, there is nothing to look for. It is
kept in the ledger, in parts, and read again at the next start.
"""

from collections.abc import Iterable

from sqlalchemy import Connection

from tallybook.core.claims import SPOTS, Claims
from tallybook.ledger.hot import Hot

BYTES = SPOTS // 8
"""8 MiB: of ten million identities it lets one new one in seven through, of fifty million one in two."""
PARTS = 128
"""As so many rows it is kept; some of them are written with each commit that moves identities."""

_MASK = SPOTS - 1
_PART_BYTES = BYTES // PARTS
_READ_AT_ONCE = 50_000

_PARTS = Hot("SELECT part, bits FROM key_sieve WHERE lane = :lane")
_KEEP = Hot(
    "INSERT INTO key_sieve (lane, part, bits) VALUES (:lane, :part, :bits)"
    " ON CONFLICT (lane, part) DO UPDATE SET bits = excluded.bits"
)
_STORED = Hot(
    "SELECT account_no, key_hi, key_lo FROM event_keys WHERE (account_no, key_hi, key_lo) > (:account_no, :hi, :lo)"
    " ORDER BY account_no, key_hi, key_lo LIMIT :count"
)


class Sieve:
    """Bits for the identities of one lane; only ever set, so that too many of them do no harm."""

    def __init__(self, lane: int) -> None:
        self._lane = lane
        self._bits = bytearray(BYTES)

    def add(self, hashes: Iterable[int]) -> None:
        """Set the bits of identities, given by the second halves of their hashes."""
        bits = self._bits
        for number in hashes:
            bits[(number & _MASK) >> 3] |= 1 << (number & 7)

    def sift(self, claims: Claims) -> list[int]:
        """Return the places of those that were perhaps added; no other one was. Then add all."""
        bits, spots = self._bits, list(zip(memoryview(claims.octets).cast("I"), claims.bits, strict=True))
        perhaps = [place for place, (at, bit) in enumerate(spots) if bits[at] & bit]
        for at, bit in spots:
            bits[at] |= bit
        return perhaps

    def keep(self, connection: Connection, parts: range) -> None:
        """Write some parts to the ledger."""
        for part in parts:
            at = part * _PART_BYTES
            bits = bytes(self._bits[at : at + _PART_BYTES])
            _KEEP.change(connection, {"lane": self._lane, "part": part, "bits": bits})

    def read(self, connection: Connection) -> None:
        """Read what was kept; if anything is missing it is made anew from all that is stored, and kept.

        That takes a second for half a million to a million identities.
        """
        parts = _PARTS.rows(connection, {"lane": self._lane})
        for part, bits in parts:
            at = part * _PART_BYTES
            self._bits[at : at + _PART_BYTES] = bits
        if len(parts) < PARTS and self._read_stored(connection):
            self.keep(connection, range(PARTS))

    def _read_stored(self, connection: Connection) -> bool:
        """Add all that is stored; False if that is nothing."""
        place = (0, 0, 0)
        while True:
            asked = dict(zip(("account_no", "hi", "lo"), place, strict=True)) | {"count": _READ_AT_ONCE}
            found = _STORED.rows(connection, asked)
            self.add(lo for _, _, lo in found)
            if len(found) < _READ_AT_ONCE:
                return bool(found) or place != (0, 0, 0)
            place = found[-1]
