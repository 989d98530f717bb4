"""Identities on SQLite: held in memory behind a log, and many at once written to where they stay.

Identities are hashes, so wherever they are kept in order each lies on a page of its own, and a commit of 4,000 events
would write 4,000 pages. So a commit holds the identities that it takes in memory and writes their list to `key_log`,
in its own transaction. Once many are held they are written as a run (see `key_runs`), some with each commit. A restart
reads the list again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection

from tallybook.core.claims import ENTRY, ENTRY_BYTES, Claims, digest_of, placed
from tallybook.ledger.hot import Hot
from tallybook.ledger.key_held import BUCKETS, Held, bucket_of, find, find_sorted
from tallybook.ledger.key_runs import KeyRuns, look_up
from tallybook.ledger.sieve import PARTS, Sieve

HELD_MAX = 400_000
"""Identities held in memory before they begin to move; half as many again come until they have: about 25 MB."""
MOVED_MIN = 1_000
"""Fewest identities that move at once."""
SEQ_BITS = 20
"""The place of an entry, in the log and in runs, is that of its event in the bundle, after the number of the batch."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a bundle asks for: its claims, and the number of the account of each of its events."""

    claims: Claims
    owners: Callable[[], Sequence[int]]


Taken = tuple[int, int, bool]
"""A claim that was not free: which bundle, which event of it, and whether the one that came first says the same."""

_LAST = Hot("SELECT max(batch_no) FROM key_log WHERE lane = :lane")
_LOGGED = Hot("SELECT batch_no, keys FROM key_log WHERE lane = :lane ORDER BY batch_no")
_LOG = Hot("INSERT INTO key_log (lane, batch_no, keys) VALUES (:lane, :batch_no, :keys)")
_FORGET_LOG = Hot("DELETE FROM key_log WHERE lane = :lane AND batch_no <= :upto")
_HOLDING = Hot("SELECT keys FROM key_log WHERE instr(keys, :key) > 0")


@dataclass(frozen=True, slots=True)
class _State:
    """What is known of the held identities as of the last commit.

    Attributes:
        where: Stands for the connection that they were read through.
        last: The lane's last batch in the log; another one there was written by another process.
        held: What later batches took than those that move at present.
        moving: What is being written as run *run_no*; *moved* buckets have been, and *upto* is its last batch.
    """

    where: object = None
    last: int | None = None
    held: Held = field(default_factory=Held)
    moving: Held = field(default_factory=Held)
    run_no: int | None = None
    moved: int = 0
    upto: int = 0


class HeldIdentities:
    """Takes identities in memory, behind a log; for SQLite, where one connection writes."""

    def __init__(self, lane: int, *, held_max: int = HELD_MAX, moved_min: int = MOVED_MIN) -> None:
        self._lane = lane
        self._held_max = held_max
        self._moved_min = moved_min
        self._due = moved_min
        """How many have come since some moved; at first so many that the first commit moves some."""
        self._sieve = Sieve(lane)
        self._runs = KeyRuns(lane)
        self._fresh: list[bytes] = []
        """Entries that this transaction takes, bundle by bundle."""
        self._now = self._kept = _State()

    def claim(self, connection: Connection, asked: Sequence[Asked], batch_no: int) -> list[Taken]:
        """Take what is free; return what was not. One transaction may hold several batches."""
        self._load(connection)
        if self._now.run_no is None and len(self._now.held) > self._held_max and not self._fresh:
            self._begin(connection)
        taken, before = list[Taken](), len(self._fresh)
        every = [of_bundle.claims for of_bundle in asked]
        perhaps = [self._sieve.sift(claims) for claims in every]
        known = self._look_up(connection, every, perhaps)
        for bundle, claims in enumerate(every):
            refused = self._refused(claims, perhaps[bundle], known)
            taken += [(bundle, claims.seq(place), is_same) for place, is_same in refused.items()]
            entries = claims.entries_less(refused) if refused else claims.entries
            self._fresh.append(placed(entries, batch_no << SEQ_BITS))
        if keys := b"".join(self._fresh[before:]):
            _LOG.change(connection, {"lane": self._lane, "batch_no": batch_no, "keys": keys})
            self._now = replace(self._now, last=batch_no)
        self._move(connection, len(keys) // ENTRY_BYTES)
        return taken

    def keep(self) -> None:
        """The transaction was committed."""
        for entries in self._fresh:
            self._now.held.add(entries)
        self._fresh = []
        self._kept = self._now

    def forget(self) -> None:
        """The transaction was rolled back."""
        self._fresh = []
        self._now = self._kept

    def _load(self, connection: Connection) -> None:
        """See to it that what is held is what the log says."""
        where = connection.info.setdefault("held_keys", object())
        last = _LAST.scalar(connection, {"lane": self._lane})
        if self._now.where is where and self._now.last == last:
            return
        held, moving = Held(), Held()
        run_no, upto, moved_last = self._runs.begun(connection) or (None, 0, b"")
        self._sieve.read(connection)
        for batch_no, keys in _LOGGED.rows(connection, {"lane": self._lane}):
            (moving if batch_no <= upto else held).add(keys)
            self._sieve.add(keys)
        moved = bucket_of(moved_last) + 1 if moved_last else 0
        self._now = _State(where, last, held, moving, run_no, moved, upto)

    def _look_up(
        self, connection: Connection, every: Sequence[Claims], perhaps: Sequence[Sequence[int]]
    ) -> dict[bytes, bytes]:
        """Return the entries of those that earlier batches took, by their identities; all others are free."""
        held, moving = self._now.held, self._now.moving
        known, left = dict[bytes, bytes](), set[bytes]()
        for claims, places in zip(every, perhaps, strict=True):
            for place in places:
                identity = claims.identity(place)
                entry = held.find(identity) or moving.find(identity)
                if entry is None:
                    left.add(identity)
                else:
                    known[identity] = entry
        return known | look_up(connection, left) if left else known

    def _refused(self, claims: Claims, perhaps: Sequence[int], known: Mapping[bytes, bytes]) -> dict[int, bool]:
        """Return, for the places of claims that are not free, whether the one that came first says the same."""
        refused = {}
        for place in perhaps:
            identity = claims.identity(place)
            just_taken = (find_sorted(entries, identity) for entries in self._fresh)
            entry = known.get(identity) or next(filter(None, just_taken), None)
            if entry is not None:
                refused[place] = claims.digest(place) == digest_of(entry)
        first = 0
        for place in claims.repeats:
            first = first if claims.identity(first) == claims.identity(place) else place - 1
            refused.setdefault(place, claims.digest(place) == claims.digest(first))
        return refused

    # --- moving ------------------------------------------------------------------------------------------------------

    def _move(self, connection: Connection, come: int) -> None:
        """Move identities, and merge runs, twice as many as have come meanwhile."""
        self._due += come
        if not come or 2 * self._due < self._moved_min:
            return
        count, self._due = 2 * self._due, 0
        if self._now.run_no is not None:
            self._write(connection, self._now.run_no, count)
        self._runs.merge(connection, count)

    def _begin(self, connection: Connection) -> None:
        """Begin to move all that are held."""
        now, upto = self._now, self._now.last or 0
        run_no = self._runs.begin(connection, upto)
        self._now = replace(now, held=Held(), moving=now.held, run_no=run_no, moved=0, upto=upto)

    def _write(self, connection: Connection, run_no: int, count: int) -> None:
        """Write about *count* identities to the run, those that come first of all that have not moved.

        As large a part of the sieve is kept, which has had all of them since they were taken.
        """
        now, moved = self._now, self._now.moved
        entries = list[bytes]()
        while moved < BUCKETS and len(entries) < count:
            entries += now.moving.bucket(moved)
            moved += 1
        self._runs.append(connection, run_no, entries)
        self._sieve.keep(connection, range(now.moved * PARTS // BUCKETS, moved * PARTS // BUCKETS))
        if moved < BUCKETS:
            self._now = replace(now, moved=moved)
            return
        self._runs.end(connection, run_no)
        _FORGET_LOG.change(connection, {"lane": self._lane, "upto": now.upto})
        last = now.last if (now.last or 0) > now.upto else None
        self._now = replace(now, last=last, moving=Held(), run_no=None)


def batch_holding(connection: Connection, identity: bytes) -> int | None:
    """Return the batch of an identity, None if it was not taken."""
    entry = look_up(connection, [identity]).get(identity)
    if entry is None:
        logged = (find(keys, identity) for (keys,) in _HOLDING.rows(connection, {"key": identity}))
        entry = next(filter(None, logged), None)
    return None if entry is None else int(ENTRY.unpack(entry)[3]) >> SEQ_BITS
