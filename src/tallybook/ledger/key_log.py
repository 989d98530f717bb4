"""Identities on SQLite: held in memory behind a log, and some way behind moved to where they stay.

Identities are hashes, so in `event_keys` each lies on a page of its own, and a commit of 4,000 events would write
4,000 pages. So a commit holds the identities that it takes in memory and writes their list to `key_log`, in its own
transaction. Once many are held they move to `event_keys` in the order of that table, many to a page, some with each
commit. A restart reads the list again.
"""

import struct
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection

from tallybook.ledger.bulk import Bulk
from tallybook.ledger.hot import Hot
from tallybook.ledger.sieve import PARTS, Sieve
from tallybook.ledger.tables import event_keys

HELD_MAX = 150_000
"""Identities held in memory before they begin to move; half as many again come until they have: about 30 MB."""
MOVED_MIN = 256
"""Fewest identities that move at once."""
RUNS_MAX = 64
"""Most sorted lists from which identities move."""

Identity = tuple[int, int, int, int, int]
"""Account, the two halves of the hash, place in the batch, digest of the payload."""
IDENTITY = [(name, "bigint") for name in ("account_no", "key_hi", "key_lo", "seq", "digest")]
"""Its columns."""
SAME_KEY = "k.account_no = s.account_no AND k.key_hi = s.key_hi AND k.key_lo = s.key_lo"

_ENTRY = struct.Struct(">qqqqqi")
"""A row of `event_keys` as the log has it: what tells it from others comes first, so that entries sort by that."""
_KEY = struct.Struct(">qqq")
_BYTES, _KEY_BYTES = _ENTRY.size, _KEY.size

_LAST = Hot("SELECT max(batch_no) FROM key_log WHERE lane = :lane")
_LOGGED = Hot("SELECT batch_no, keys FROM key_log WHERE lane = :lane ORDER BY batch_no")
_LISTED = Hot("SELECT keys FROM key_log WHERE lane = :lane AND batch_no = :batch_no")
_LOG = Hot("INSERT INTO key_log (lane, batch_no, keys) VALUES (:lane, :batch_no, :keys)")
_FORGET_LOG = Hot("DELETE FROM key_log WHERE lane = :lane AND batch_no <= :upto")
_HOLDING = Hot("SELECT batch_no FROM key_log WHERE instr(keys, :key) > 0 LIMIT 1")
_STORED = Bulk(f"SELECT s.seq, k.digest FROM ({{rows}}) s CROSS JOIN event_keys k ON {SAME_KEY}", IDENTITY, sqlite=True)
_NAMES = [column.name for column in event_keys.c]
_MOVE = Bulk(
    f"INSERT INTO event_keys ({', '.join(_NAMES)}) SELECT * FROM ({{rows}}) s WHERE true ON CONFLICT DO NOTHING",
    [(name, "bigint") for name in _NAMES],
    sqlite=True,
)


@dataclass(frozen=True, slots=True)
class _Run:
    """Entries in their order, packed, of which the first *moved* have moved."""

    entries: bytes
    moved: int = 0

    @property
    def left(self) -> int:
        """How many have not moved."""
        return len(self.entries) // _BYTES - self.moved

    def key(self, place: int) -> bytes:
        """Return what tells the entry at *place* from others."""
        return self.entries[place * _BYTES : place * _BYTES + _KEY_BYTES]

    def upto(self, bound: bytes | None) -> int:
        """Return where the entries end whose key is at most *bound*; without one, all."""
        end = self.moved + self.left
        return end if bound is None else bisect_right(range(end), bound, self.moved, key=self.key)


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
    runs: tuple[_Run, ...] = ()
    upto: int = 0
    total: int = 0


class HeldIdentities:
    """Takes identities in memory, behind a log; for SQLite, where one connection writes."""

    def __init__(self, lane: int, *, held_max: int = HELD_MAX, moved_min: int = MOVED_MIN) -> None:
        self._lane = lane
        self._held_max = held_max
        self._moved_min = moved_min
        self._sieve = Sieve(lane)
        self._new: list[bytes] = []
        self._now = self._kept = _State()

    def claim(self, connection: Connection, rows: Sequence[Identity], batch_no: int) -> list[list[int]]:
        """Take what is free; return (place in the batch, digest of the one that came first) of what was not."""
        self._load(connection)
        entries = [_ENTRY.pack(account_no, hi, lo, digest, batch_no, seq) for account_no, hi, lo, seq, digest in rows]
        taken = self._taken(connection, rows, entries)
        if taken:
            entries = [entry for entry, row in zip(entries, rows, strict=True) if row[3] not in taken]
        if entries:
            entries.sort()
            _LOG.change(connection, {"lane": self._lane, "batch_no": batch_no, "keys": b"".join(entries)})
            self._hold(_keys(entries), batch_no)
        if len(self._now.held) > self._held_max and not self._now.runs:
            self._begin(connection)
        if self._now.runs:
            self._move(connection, max(self._moved_min, 2 * len(entries)))
        return [[seq, digest] for seq, digest in taken.items()]

    def keep(self) -> None:
        """The transaction was committed."""
        self._new = []
        self._kept = self._now

    def forget(self) -> None:
        """The transaction was rolled back."""
        for key in self._new:
            self._kept.held.pop(key, None)
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
        for batch_no, entries in _LOGGED.rows(connection, {"lane": self._lane}):
            held.update(dict.fromkeys(_keys(_split(entries)), batch_no))
            self._sieve.add(lo for _, _, lo, *_ in _ENTRY.iter_unpack(entries))
        self._now = _State(where, last, held)

    def _hold(self, keys: list[bytes], batch_no: int) -> None:
        self._now.held.update(dict.fromkeys(keys, batch_no))
        self._new += keys
        self._now = replace(self._now, last=batch_no)

    # --- what was taken before ----------------------------------------------------------------------------------------

    def _taken(self, connection: Connection, rows: Sequence[Identity], entries: Sequence[bytes]) -> dict[int, int]:
        """Return place -> digest of the one that came first, for all that cannot be taken."""
        hashes = [row[2] for row in rows]
        perhaps = [rows[place] for place in self._sieve.perhaps(hashes)]
        self._sieve.add(hashes)
        taken = self._found(connection, perhaps) if perhaps else {}
        keys = _keys(entries)
        if len(set(keys)) < len(keys):
            first: dict[bytes, Identity] = {}
            for row, key in zip(rows, keys, strict=True):
                if first.setdefault(key, row) is not row:
                    taken.setdefault(row[3], first[key][4])
        return taken

    def _found(self, connection: Connection, rows: Sequence[Identity]) -> dict[int, int]:
        """Return place -> digest of those that are held or stored."""
        held, moving = self._now.held, self._now.moving
        by_batch: dict[int, list[tuple[int, bytes]]] = {}
        left = []
        for row in rows:
            key = _KEY.pack(*row[:3])
            batch_no = held.get(key) or moving.get(key)
            if batch_no is None:
                left.append(row)
            else:
                by_batch.setdefault(batch_no, []).append((row[3], key))
        found: dict[int, int] = dict(_STORED.rows(connection, left)) if left else {}
        for batch_no, sought in by_batch.items():
            run = _Run(_LISTED.scalar(connection, {"lane": self._lane, "batch_no": batch_no}))
            for seq, key in sought:
                found[seq] = _ENTRY.unpack_from(run.entries, (run.upto(key) - 1) * _BYTES)[3]
        return found

    # --- moving ------------------------------------------------------------------------------------------------------

    def _begin(self, connection: Connection) -> None:
        """Begin to move all that are held."""
        now = self._now
        runs = _joined([entries for _, entries in _LOGGED.rows(connection, {"lane": self._lane})])
        self._now = replace(now, held={}, moving=now.held, runs=runs, upto=now.last or 0, total=len(now.held))

    def _move(self, connection: Connection, count: int) -> None:
        """Move about *count* identities, those that come first of all that have not moved.

        As large a part of the sieve is kept, which has had all of them since they were taken.
        """
        now = self._now
        bound = _bound(now.runs, count)
        rows: list[tuple[int, ...]] = []
        left: list[_Run] = []
        for run in now.runs:
            end = run.upto(bound)
            rows += _ENTRY.iter_unpack(run.entries[run.moved * _BYTES : end * _BYTES])
            left.append(_Run(run.entries, end))
        rows.sort()
        _MOVE.change(connection, rows)
        self._sieve.keep(connection, range(self._kept_parts(now.runs), self._kept_parts(left)))
        if bound is not None:
            self._now = replace(now, runs=tuple(left))
            return
        _FORGET_LOG.change(connection, {"lane": self._lane, "upto": now.upto})
        self._now = replace(now, moving={}, runs=())

    def _kept_parts(self, runs: Sequence[_Run]) -> int:
        """Return how many parts of the sieve are kept by the time that only *runs* are left."""
        return PARTS - sum(run.left for run in runs) * PARTS // self._now.total


def batch_holding(connection: Connection, account_no: int, identity: tuple[int, int]) -> int | None:
    """Return the batch of an identity that has not moved, None if it is not among those."""
    found: int | None = _HOLDING.scalar(connection, {"key": _KEY.pack(account_no, *identity)})
    return found


def _split(entries: bytes) -> list[bytes]:
    return [entries[at : at + _BYTES] for at in range(0, len(entries), _BYTES)]


def _keys(entries: Sequence[bytes]) -> list[bytes]:
    return [entry[:_KEY_BYTES] for entry in entries]


def _joined(lists: Sequence[bytes]) -> tuple[_Run, ...]:
    """Return packed entries as runs, sorting together what would be too many of them."""
    share = -(-len(lists) // RUNS_MAX)
    groups = [lists[at : at + share] for at in range(0, len(lists), share)]
    return tuple(_Run(g[0] if len(g) == 1 else b"".join(sorted(_split(b"".join(g))))) for g in groups)


def _bound(runs: Sequence[_Run], count: int) -> bytes | None:
    """Return the key up to which about *count* entries lie, None if there are no more than that."""
    left = sum(run.left for run in runs)
    if left <= count:
        return None
    longest = max(runs, key=lambda run: run.left)
    return longest.key(longest.moved + longest.left * count // left)
