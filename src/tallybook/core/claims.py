"""The identities that a bundle's events ask for, laid out as ledgers take them: a commit has little to do for each.

Not for what makes an identity (see `identity`), nor for who has it already, which only a ledger knows.
"""

import struct
import sys
from array import array
from collections.abc import Sequence
from itertools import chain, compress, groupby, repeat
from operator import itemgetter

import msgspec

SPOTS = 1 << 26
"""How many places identities are spread over, so that a ledger may keep a bit for each (see `ledger.sieve`)."""

ENTRY = struct.Struct(">qqqq")
"""The two halves of an identity, the digest of the payload, the place of the event in its bundle."""
_ENTRY = struct.Struct(">24sq")
_SPOT = struct.Struct(">12xI16x")
_account = itemgetter(0)


class Claims(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Identities account by account, those of one account in their order.

    Attributes:
        counts: How many there are of each account, in the order of the bundle's accounts.
        entries: An `ENTRY` for each; of equal identities the one of the earlier event comes first.
        octets: In which byte of a map of `SPOTS` bits the bit of each stands, as native 32-bit numbers.
        bits: Which bit of that byte it is, as the byte that has it set.
    """

    counts: list[int] = []
    entries: bytes = b""
    octets: bytes = b""
    bits: bytes = b""

    def __len__(self) -> int:
        return len(self.bits)

    def seq(self, place: int) -> int:
        """Return which event of the bundle asks for the one at *place*."""
        return int(ENTRY.unpack_from(self.entries, place * ENTRY.size)[3])

    def digest(self, place: int) -> int:
        """Return the digest of that event's payload."""
        return int(ENTRY.unpack_from(self.entries, place * ENTRY.size)[2])

    def of(self, wanted: Sequence[bool]) -> "Claims":
        """Return those of the accounts that are wanted, told in their order."""
        places = list(compress(range(len(self)), chain.from_iterable(map(repeat, wanted, self.counts))))
        size, spots = ENTRY.size, memoryview(self.octets)
        return Claims(
            counts=[count if is_wanted else 0 for count, is_wanted in zip(self.counts, wanted, strict=True)],
            entries=b"".join([self.entries[place * size : (place + 1) * size] for place in places]),
            octets=b"".join([spots[place * 4 : place * 4 + 4] for place in places]),
            bits=bytes([self.bits[place] for place in places]),
        )


def claims_of(accounts: Sequence[int], identities: Sequence[bytes]) -> Claims:
    """Return the claims of events, given by the place of their account and what `identity` returned."""
    if len(accounts) == 1:
        return _claim_of(identities[0])
    asked = sorted(zip(accounts, [known_by[:16] for known_by in identities], range(len(accounts)), strict=True))
    entries = b"".join([_ENTRY.pack(identities[seq], seq) for _, _, seq in asked])
    spots = [spot for (spot,) in _SPOT.iter_unpack(entries)]
    counted = {account: len(list(of_account)) for account, of_account in groupby(asked, _account)}
    return Claims(
        counts=[counted.get(account, 0) for account in range(max(counted, default=-1) + 1)],
        entries=entries,
        octets=array("I", [spot % SPOTS >> 3 for spot in spots]).tobytes(),
        bits=bytes([1 << (spot & 7) for spot in spots]),
    )


def _claim_of(known_by: bytes) -> Claims:
    """Return the claims of one event: most requests have no more."""
    entry = _ENTRY.pack(known_by, 0)
    (spot,) = _SPOT.unpack(entry)
    return Claims([1], entry, (spot % SPOTS >> 3).to_bytes(4, sys.byteorder), (1 << (spot & 7)).to_bytes())
