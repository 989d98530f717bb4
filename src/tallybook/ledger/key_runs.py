"""Runs: identities in the order of `event_keys`, packed, as `key_log` lists them and as they move."""

import struct
from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, repeat
from operator import sub

from tallybook.core.claims import ENTRY, Claims

RUNS_MAX = 256
"""Most runs from which identities move at once."""
PLACE_BITS = 24
PLACE_MAX = (1 << PLACE_BITS) - 1
"""An event's place in its batch takes the last bits of a number, and that of the batch those before."""

Key = tuple[int, bytes]
"""Account and identity."""

_HEAD = struct.Struct(">III")
"""Of how many accounts a run is, how many identities it has, the place in the batch of its bundle's first event."""
_ACCOUNT = struct.Struct(">qI")
"""An account, and how many identities of it there are."""
_IDENTITY = struct.Struct("16s16x")
_IDENTITY_BYTES, _BYTES = 16, ENTRY.size


@dataclass(frozen=True, slots=True)
class Run:
    """Identities account by account, those of one account in their order; the first *moved* have moved.

    Attributes:
        numbers: The accounts, in their order, and *ends*: up to where the identities of each stand.
        entries: An `ENTRY` for each.
        base: What to add to the places of its events: the number of the batch, then their first place in there.
    """

    numbers: Sequence[int]
    ends: Sequence[int]
    entries: bytes
    base: int
    moved: int = 0

    def __len__(self) -> int:
        return len(self.entries) // _BYTES

    @property
    def left(self) -> int:
        """How many have not moved."""
        return len(self) - self.moved

    def identities(self) -> list[bytes]:
        """Return all of them."""
        return identities_of(self.entries)

    def key(self, place: int) -> Key:
        """Return what tells the one at *place* from others."""
        at = place * _BYTES
        return self.numbers[bisect_right(self.ends, place)], self.entries[at : at + _IDENTITY_BYTES]

    def upto(self, bound: Key | None) -> int:
        """Return where those end whose key is at most *bound*; without one, all."""
        if bound is None:
            return len(self)
        account_no, identity = bound
        nth = bisect_right(self.numbers, account_no)
        end = self.ends[nth - 1] if nth else 0
        if not nth or self.numbers[nth - 1] != account_no:
            return max(self.moved, end)
        start = max(self.moved, self.ends[nth - 2] if nth > 1 else 0)
        return bisect_right(range(end), identity, start, end, key=self._identity) if start < end else self.moved

    def _identity(self, place: int) -> bytes:
        return self.entries[place * _BYTES : place * _BYTES + _IDENTITY_BYTES]

    def rows(self, upto: int) -> list[tuple[int, ...]]:
        """Return account, `ENTRY` and base of those that have not moved, up to one place."""
        nth, base = bisect_right(self.ends, self.moved), self.base
        counts = (
            chain([self.ends[nth] - self.moved], map(sub, self.ends[nth + 1 :], self.ends[nth:])) if self.left else ()
        )
        owners = chain.from_iterable(map(repeat, self.numbers[nth:], counts))
        entries = ENTRY.iter_unpack(self.entries[self.moved * _BYTES : upto * _BYTES])
        return [(owner, *entry, base) for owner, entry in zip(owners, entries, strict=False)]


def identities_of(entries: bytes) -> list[bytes]:
    """Return the identities of so many `ENTRY`."""
    return [identity for (identity,) in _IDENTITY.iter_unpack(entries)]


# --- as they are listed ---------------------------------------------------------------------------------------------


def write_run(numbers: Sequence[int], claims: Claims, refused: Collection[int], first: int) -> bytes:
    """Return the run of claims less those at *refused* places, to be put behind other runs of its batch.

    Args:
        numbers: Of the accounts, in the order of the claims' counts.
        claims: All of a bundle.
        refused: Places in them.
        first: Place in the batch of the bundle's first event.
    """
    ends = list(accumulate(claims.counts))
    out = {bisect_right(ends, place) for place in refused}
    accounts, chunks, entries = [], [], claims.entries
    for nth in sorted(range(len(ends)), key=numbers.__getitem__):
        start, end = ends[nth] - claims.counts[nth], ends[nth]
        chunk = entries[start * _BYTES : end * _BYTES]
        if nth in out:
            left = (place for place in range(start, end) if place not in refused)
            chunk = b"".join([entries[place * _BYTES : (place + 1) * _BYTES] for place in left])
        if chunk:
            accounts.append(_ACCOUNT.pack(numbers[nth], len(chunk) // _BYTES))
            chunks.append(chunk)
    count = len(claims) - len(refused)
    return b"".join((_HEAD.pack(len(accounts), count, first), *accounts, *chunks))


def read_runs(batch_no: int, written: bytes) -> Iterator[Run]:
    """Yield the runs of a batch."""
    at = 0
    while at < len(written):
        accounts, count, first = _HEAD.unpack_from(written, at)
        start = at + _HEAD.size + accounts * _ACCOUNT.size
        listed = list(_ACCOUNT.iter_unpack(written[at + _HEAD.size : start]))
        ends = list(accumulate(counted for _, counted in listed))
        at = start + count * _BYTES
        yield Run([account_no for account_no, _ in listed], ends, written[start:at], (batch_no << PLACE_BITS) + first)


def find_digest(written: bytes, identity: bytes) -> int | None:
    """Return the digest that the runs of a batch have behind an identity, None if it is not among them."""
    at = 0
    while at < len(written):
        accounts, count, _ = _HEAD.unpack_from(written, at)
        start = at + _HEAD.size + accounts * _ACCOUNT.size
        at = start + count * _BYTES
        place = written.find(identity, start, at)
        while place >= 0 and (place - start) % _BYTES:
            place = written.find(identity, place + 1, at)
        if place >= 0:
            return int(ENTRY.unpack_from(written, place)[2])
    return None


# --- as they move ---------------------------------------------------------------------------------------------------


def joined(runs: Sequence[Run]) -> tuple[Run, ...]:
    """Return the same as at most RUNS_MAX runs."""
    share = -(-len(runs) // RUNS_MAX)
    return tuple(runs) if share <= 1 else tuple(_join(runs[at : at + share]) for at in range(0, len(runs), share))


def _join(runs: Sequence[Run]) -> Run:
    rows = sorted(
        (account_no, ENTRY.pack(hi, lo, digest, base + place))
        for run in runs
        for account_no, hi, lo, digest, place, base in run.rows(len(run))
    )
    counted: dict[int, int] = {}
    for account_no, _ in rows:
        counted[account_no] = counted.get(account_no, 0) + 1
    return Run(list(counted), list(accumulate(counted.values())), b"".join([entry for _, entry in rows]), 0)


def bound_of(runs: Sequence[Run], count: int) -> Key | None:
    """Return the key up to which about *count* identities lie, None if there are no more than that."""
    left = sum(run.left for run in runs)
    if left <= count:
        return None
    longest = max(runs, key=lambda run: run.left)
    return longest.key(longest.moved + longest.left * count // left)
