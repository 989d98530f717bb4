"""Identities on SQLite: held in memory behind a log, and some way behind moved to where they stay.

Identities are hashes, so in `event_keys` each lies on a page of its own, and a commit of 4,000 events would write
4,000 pages. So a commit holds the identities that it takes in memory and writes their list to `key_log`, in its own
transaction. Once many are held they move to `event_keys` in the order of that table, many to a page, some with each
commit. A restart reads the list again.
"""

import struct
from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

from sqlalchemy import Connection

from tallybook.core.claims import ENTRY, Claims
from tallybook.ledger.bulk import Bulk
from tallybook.ledger.hot import Hot
from tallybook.ledger.key_runs import (
    PLACE_BITS,
    PLACE_MAX,
    Run,
    bound_of,
    find_digest,
    identities_of,
    joined,
    read_runs,
    write_run,
)
from tallybook.ledger.sieve import PARTS, Sieve
from tallybook.ledger.tables import event_keys

HELD_MAX = 250_000
"""Identities held in memory before they begin to move; half as many again come until they have: about 30 MB."""
MOVED_MIN = 256
"""Fewest identities that move at once."""

Asked = tuple[Sequence[int], Claims]
"""The numbers of a bundle's accounts and its claims; those of an account whose number is 0 are passed over."""
Taken = tuple[int, int, bool]
"""A claim that was not free: which bundle, which event of it, and whether the one that came first says the same."""

_LAST = Hot("SELECT max(batch_no) FROM key_log WHERE lane = :lane")
_LOGGED = Hot("SELECT batch_no, keys FROM key_log WHERE lane = :lane ORDER BY batch_no")
_LISTED = Hot("SELECT keys FROM key_log WHERE lane = :lane AND batch_no = :batch_no")
_LOG = Hot("INSERT INTO key_log (lane, batch_no, keys) VALUES (:lane, :batch_no, :keys)")
_FORGET_LOG = Hot("DELETE FROM key_log WHERE lane = :lane AND batch_no <= :upto")
_HOLDING = Hot("SELECT batch_no FROM key_log WHERE instr(keys, :key) > 0 LIMIT 1")
_STORED = Bulk(
    "SELECT s.place, k.digest FROM ({rows}) s CROSS JOIN event_keys k"
    " ON k.account_no = s.account_no AND k.key_hi = s.key_hi AND k.key_lo = s.key_lo",
    [(name, "bigint") for name in ("account_no", "key_hi", "key_lo", "place")],
    sqlite=True,
)
_NAMES = [column.name for column in event_keys.c]
_MOVE = Bulk(
    f"INSERT INTO event_keys ({', '.join(_NAMES)})"
    f" SELECT account_no, key_hi, key_lo, digest, (base + place) >> {PLACE_BITS}, (base + place) & {PLACE_MAX}"
    " FROM ({rows}) s WHERE true ON CONFLICT DO NOTHING",
    [(name, "bigint") for name in ("account_no", "key_hi", "key_lo", "digest", "place", "base")],
    sqlite=True,
)
_HALVES = struct.Struct(">qq")


@dataclass(frozen=True, slots=True)
class _State:
    """What is known of the held identities as of the last commit.

    Attributes:
        where: Stands for the connection that they were read through.
        last: The lane's last batch in the log; another one there was written by another process.
        held: The batch of each identity; *moving*, the same of those that move at present.
        runs: Those again, in order; *upto* is the last batch of them, *total* how many they are together.
    """

    where: object = None
    last: int | None = None
    held: dict[bytes, int] = field(default_factory=dict)
    moving: dict[bytes, int] = field(default_factory=dict)
    runs: tuple[Run, ...] = ()
    upto: int = 0
    total: int = 0


@dataclass(slots=True)
class _Batch:
    """What a batch has taken so far.

    Attributes:
        fresh: Its identities, each with its number.
        listed: The runs that list them.
        events: How many events the bundles had that it was taken from.
    """

    number: int
    fresh: dict[bytes, int] = field(default_factory=dict)
    listed: bytes = b""
    events: int = 0


class _Sought:
    """The claims of one bundle on their way: those of accounts with a number."""

    def __init__(self, numbers: Sequence[int], claims: Claims) -> None:
        self.numbers = numbers
        self.claims = claims if all(numbers) else claims.of([bool(number) for number in numbers])
        self.identities = identities_of(self.claims.entries)
        self.perhaps: list[int] = []
        """Places of those that were perhaps taken before."""
        self.stored: dict[int, int] = {}
        """Digests of those that are in `event_keys`, by place."""


class HeldIdentities:
    """Takes identities in memory, behind a log; for SQLite, where one connection writes."""

    def __init__(self, lane: int, *, held_max: int = HELD_MAX, moved_min: int = MOVED_MIN) -> None:
        self._lane = lane
        self._held_max = held_max
        self._moved_min = moved_min
        self._sieve = Sieve(lane)
        self._new: list[dict[bytes, int]] = []
        self._now = self._kept = _State()

    def claim(self, connection: Connection, asked: Sequence[Asked], batch_no: int) -> list[Taken]:
        """Take what is free; return what was not."""
        self._load(connection)
        batch, taken = _Batch(batch_no), list[Taken]()
        every = [_Sought(numbers, claims) for numbers, claims in asked]
        for sought in every:
            sought.perhaps = self._sieve.sift(sought.claims)
        self._look_up(connection, every)
        for bundle, sought in enumerate(every):
            refused = self._take(connection, sought, batch)
            taken += [(bundle, sought.claims.seq(place), is_same) for place, is_same in refused.items()]
            batch.events += len(asked[bundle][1])
        if batch.fresh:
            _LOG.change(connection, {"lane": self._lane, "batch_no": batch_no, "keys": batch.listed})
            self._hold(batch)
        if len(self._now.held) > self._held_max and not self._now.runs:
            self._begin(connection)
        if self._now.runs:
            self._move(connection, max(self._moved_min, 2 * len(batch.fresh)))
        return taken

    def keep(self) -> None:
        """The transaction was committed."""
        self._new = []
        self._kept = self._now

    def forget(self) -> None:
        """The transaction was rolled back."""
        for fresh in self._new:
            for identity in fresh:
                self._kept.held.pop(identity, None)
        self._new = []
        self._now = self._kept

    def _load(self, connection: Connection) -> None:
        """See to it that what is held is what the log says."""
        where = connection.info.setdefault("held_keys", object())
        last = _LAST.scalar(connection, {"lane": self._lane})
        if self._now.where is where and self._now.last == last:
            return
        held: dict[bytes, int] = {}
        self._sieve.read(connection)
        for batch_no, run in self._listed(connection):
            held.update(dict.fromkeys(run.identities(), batch_no))
            self._sieve.add(lo for _, lo, *_ in ENTRY.iter_unpack(run.entries))
        self._now = _State(where, last, held)

    def _listed(self, connection: Connection) -> Iterator[tuple[int, Run]]:
        """Yield all that is listed, with its batch."""
        for batch_no, listed in _LOGGED.rows(connection, {"lane": self._lane}):
            for run in read_runs(batch_no, listed):
                yield batch_no, run

    def _hold(self, batch: _Batch) -> None:
        self._now.held.update(batch.fresh)
        self._new.append(batch.fresh)
        self._now = replace(self._now, last=batch.number)

    # --- what was taken before ----------------------------------------------------------------------------------------

    def _look_up(self, connection: Connection, every: Sequence[_Sought]) -> None:
        """Look up the digests of all that are perhaps stored, in one statement."""
        held, moving = self._now.held, self._now.moving
        left, places = [], list[tuple[_Sought, int]]()
        for sought in every:
            ends = list(accumulate(sought.claims.counts)) if sought.perhaps else []
            for place in sought.perhaps:
                identity = sought.identities[place]
                if identity not in held and identity not in moving:
                    account_no = sought.numbers[bisect_right(ends, place)]
                    left.append((account_no, *_HALVES.unpack(identity), len(places)))
                    places.append((sought, place))
        for nth, digest in _STORED.rows(connection, left) if left else ():
            places[nth][0].stored[places[nth][1]] = digest

    def _take(self, connection: Connection, sought: _Sought, batch: _Batch) -> dict[int, bool]:
        """Take what is free; return, for the places of what was not, whether the one that came first says the same."""
        claims, identities = sought.claims, sought.identities
        refused = self._found(connection, sought, batch) if sought.perhaps else {}
        mine = dict.fromkeys(identities, batch.number)
        if len(mine) < len(identities):
            refused |= _repeated(claims, identities, refused)
        if refused:
            mine = dict.fromkeys([key for place, key in enumerate(identities) if place not in refused], batch.number)
        batch.fresh.update(mine)
        batch.listed += write_run(sought.numbers, claims, refused, batch.events)
        return refused

    def _found(self, connection: Connection, sought: _Sought, batch: _Batch) -> dict[int, bool]:
        """Return, for the places of identities that are held or stored, whether the first one says the same."""
        claims = sought.claims
        found = {place: claims.digest(place) == digest for place, digest in sought.stored.items()}
        by_batch: dict[int, list[int]] = {}
        for place in sought.perhaps:
            identity = sought.identities[place]
            batch_no = self._now.held.get(identity) or self._now.moving.get(identity) or batch.fresh.get(identity)
            if batch_no is not None and place not in found:
                by_batch.setdefault(batch_no, []).append(place)
        for batch_no, places in by_batch.items():
            listed = self._list_of(connection, batch_no, batch)
            found |= {place: claims.digest(place) == find_digest(listed, sought.identities[place]) for place in places}
        return found

    def _list_of(self, connection: Connection, batch_no: int, current: _Batch) -> bytes:
        if batch_no == current.number:
            return current.listed
        listed: bytes = _LISTED.scalar(connection, {"lane": self._lane, "batch_no": batch_no})
        return listed

    # --- moving ------------------------------------------------------------------------------------------------------

    def _begin(self, connection: Connection) -> None:
        """Begin to move all that are held."""
        now = self._now
        runs = joined([run for _, run in self._listed(connection)])
        self._now = replace(now, held={}, moving=now.held, runs=runs, upto=now.last or 0, total=sum(map(len, runs)))

    def _move(self, connection: Connection, count: int) -> None:
        """Move about *count* identities, those that come first of all that have not moved.

        As large a part of the sieve is kept, which has had all of them since they were taken.
        """
        now = self._now
        bound = bound_of(now.runs, count)
        rows: list[tuple[int, ...]] = []
        left: list[Run] = []
        for run in now.runs:
            end = run.upto(bound)
            rows += run.rows(end)
            left.append(replace(run, moved=end))
        rows.sort()
        _MOVE.change(connection, rows)
        self._sieve.keep(connection, range(self._kept_parts(now.runs), self._kept_parts(left)))
        if bound is not None:
            self._now = replace(now, runs=tuple(left))
            return
        _FORGET_LOG.change(connection, {"lane": self._lane, "upto": now.upto})
        self._now = replace(now, moving={}, runs=())

    def _kept_parts(self, runs: Sequence[Run]) -> int:
        """Return how many parts of the sieve are kept by the time that only *runs* are left."""
        return PARTS - sum(run.left for run in runs) * PARTS // self._now.total


def _repeated(claims: Claims, identities: Sequence[bytes], refused: Collection[int]) -> dict[int, bool]:
    """Return, for places whose identity the bundle has taken just before, whether both say the same."""
    repeated, first = {}, 0
    for place in range(1, len(identities)):
        if identities[place] != identities[first]:
            first = place
        elif place not in refused:
            repeated[place] = claims.digest(place) == claims.digest(first)
    return repeated


def batch_holding(connection: Connection, identity: tuple[int, int]) -> int | None:
    """Return the batch of an identity that has not moved, None if it is not among those."""
    found: int | None = _HOLDING.scalar(connection, {"key": _HALVES.pack(*identity)})
    return found
