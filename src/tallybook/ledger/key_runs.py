"""Identities where they stay on SQLite: in runs, each in order and cut into blocks of a page, and merged as they age.

A run is written once, from end to end. When FAN of one level are there they are merged into one of the next, some
identities with each commit; so an identity is written once for each level, and few runs have to be asked for it. What
a run gives away is deleted from its front in the transaction that writes it elsewhere.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from itertools import chain

from sqlalchemy import Connection

from tallybook.core.claims import ENTRY_BYTES, IDENTITY_BYTES, split
from tallybook.ledger.bulk import Bulk
from tallybook.ledger.hot import Hot
from tallybook.ledger.key_held import count_up_to, find

BLOCK_ENTRIES = 125
"""Most identities of a block: so many fill a page of 4 KiB."""
FAN = 4
"""So many runs of a level are merged into one."""
BLOCKS_READ = 1_000
"""So many blocks are read at once where all are: 4 MiB."""

_WHOLE = Hot(
    "SELECT run_no, level, into_no FROM key_runs r WHERE lane = :lane AND upto_batch IS NULL"
    " AND NOT EXISTS (SELECT 1 FROM key_runs s WHERE s.into_no = r.run_no) ORDER BY run_no"
)
_BEGUN = Hot("SELECT run_no, upto_batch FROM key_runs WHERE lane = :lane AND upto_batch IS NOT NULL")
_BEGIN = Hot("INSERT INTO key_runs (lane, level, upto_batch) VALUES (:lane, :level, :upto_batch) RETURNING run_no")
_END = Hot("UPDATE key_runs SET upto_batch = NULL WHERE run_no = :run_no")
_GIVES = Hot("UPDATE key_runs SET into_no = :into_no WHERE run_no = :run_no")
_GAVE = Hot("DELETE FROM key_runs WHERE into_no = :into_no")
_LATEST = Hot("SELECT keys FROM key_blocks WHERE run_no = :run_no ORDER BY first DESC LIMIT 1")
_FRONT = Hot("SELECT first, keys FROM key_blocks WHERE run_no = :run_no ORDER BY first LIMIT :count")
_GIVE = Hot("DELETE FROM key_blocks WHERE run_no = :run_no AND first <= :upto")
_CUT = Hot("UPDATE key_blocks SET first = :start, keys = :keys WHERE run_no = :run_no AND first = :first")
_NEXT = Hot("SELECT block_no, keys FROM key_blocks WHERE block_no > :block_no ORDER BY block_no LIMIT :count")
_APPEND = Bulk(
    "INSERT INTO key_blocks (run_no, first, keys) SELECT * FROM ({rows}) s WHERE true",
    [("run_no", "bigint"), ("first", "blob"), ("keys", "blob")],
    sqlite=True,
)
_RUNS = Hot("SELECT run_no FROM key_runs ORDER BY level DESC, run_no DESC")
_PERHAPS = Bulk(
    "SELECT place, (SELECT b.keys FROM key_blocks b WHERE b.run_no = s.run_no AND b.first <= s.key"
    " ORDER BY b.first DESC LIMIT 1) FROM ({rows}) s",
    [("run_no", "bigint"), ("key", "blob"), ("place", "bigint")],
    sqlite=True,
)
"""The block of a run that has an identity, if the run has it."""


class KeyRuns:
    """The runs of one lane, inside its transactions; nothing of them is remembered from one to the next."""

    def __init__(self, lane: int) -> None:
        self._lane = {"lane": lane}

    def begin(self, connection: Connection, upto_batch: int) -> int:
        """Begin a run of what batches up to one took; return its number."""
        return self._open(connection, 0, upto_batch)

    def begun(self, connection: Connection) -> tuple[int, int, bytes] | None:
        """Return the number, the last batch and the last identity of a run that has not ended; None without one."""
        begun = _BEGUN.first(connection, self._lane)
        if begun is None:
            return None
        keys = _LATEST.scalar(connection, {"run_no": begun[0]}) or b""
        return *begun, keys[-ENTRY_BYTES:][:IDENTITY_BYTES]

    def append(self, connection: Connection, run_no: int, entries: Sequence[bytes]) -> None:
        """Write entries behind those that a run has; they are in their order."""
        blocks = (entries[at : at + BLOCK_ENTRIES] for at in range(0, len(entries), BLOCK_ENTRIES))
        _APPEND.change(connection, [(run_no, block[0][:IDENTITY_BYTES], b"".join(block)) for block in blocks])

    def end(self, connection: Connection, run_no: int) -> None:
        """The run has all that it is to have."""
        _END.change(connection, {"run_no": run_no})

    def merge(self, connection: Connection, count: int) -> None:
        """Merge about *count* identities at each level that has runs enough."""
        ready, giving = defaultdict[int, list[int]](list), defaultdict[tuple[int, int], list[int]](list)
        for run_no, level, into_no in _WHOLE.rows(connection, self._lane):
            if into_no is None:
                ready[level].append(run_no)
            else:
                giving[level, into_no].append(run_no)
        for (level, into_no), runs in giving.items():
            ready.pop(level, None)  # its next merge begins when this one has ended
            self._merge_some(connection, into_no, runs, count)
        for level, runs in ready.items():
            if len(runs) >= FAN:
                into_no = self._open(connection, level + 1, None)
                for run_no in runs:
                    _GIVES.change(connection, {"run_no": run_no, "into_no": into_no})

    def _open(self, connection: Connection, level: int, upto_batch: int | None) -> int:
        run_no: int = _BEGIN.scalar(connection, self._lane | {"level": level, "upto_batch": upto_batch})
        return run_no

    def _merge_some(self, connection: Connection, into_no: int, runs: Sequence[int], count: int) -> None:
        """Merge what comes first in *runs*, as far as all of them were read."""
        share = -(-count // (len(runs) * BLOCK_ENTRIES))
        fronts = [_FRONT.rows(connection, {"run_no": run_no, "count": share}) for run_no in runs]
        read = [front[-1][1][-ENTRY_BYTES:][:IDENTITY_BYTES] for front in fronts if len(front) == share]
        bound = min(read, default=None)
        given = [_give(connection, run_no, front, bound) for run_no, front in zip(runs, fronts, strict=True)]
        self.append(connection, into_no, sorted(chain.from_iterable(given)))
        if bound is None:
            _GAVE.change(connection, {"into_no": into_no})


def _give(
    connection: Connection, run_no: int, front: Sequence[tuple[bytes, bytes]], bound: bytes | None
) -> list[bytes]:
    """Delete from a run the entries of *front*, its first blocks, up to the identity *bound*; return them."""
    given, upto = list[bytes](), None
    for first, keys in front:
        block = split(keys)
        count = len(block) if bound is None else count_up_to(block, bound)
        given += block[:count]
        if not count:
            break
        if count < len(block):
            left = {"start": block[count][:IDENTITY_BYTES], "keys": b"".join(block[count:])}
            _CUT.change(connection, {"run_no": run_no, "first": first} | left)
            break
        upto = first
    if upto is not None:
        _GIVE.change(connection, {"run_no": run_no, "upto": upto})
    return given


# --- looking up -------------------------------------------------------------------------------------------------------


def look_up(connection: Connection, identities: Collection[bytes]) -> dict[bytes, bytes]:
    """Return, by their identities, the entries of those that are in a run."""
    left, found = sorted(identities), dict[bytes, bytes]()
    for (run_no,) in _RUNS.rows(connection, {}):  # the largest first
        rows = [(run_no, identity, place) for place, identity in enumerate(left)]
        for place, keys in _PERHAPS.each(connection, rows):
            entry = find(keys or b"", left[place])
            if entry is not None:
                found[left[place]] = entry
        left = [identity for identity in left if identity not in found]
        if not left:
            break
    return found


def all_entries(connection: Connection) -> Iterator[bytes]:
    """Yield all entries of all runs, block by block, in whatever order."""
    block_no = 0
    while blocks := _NEXT.rows(connection, {"block_no": block_no, "count": BLOCKS_READ}):
        yield from (keys for _, keys in blocks)
        block_no = blocks[-1][0]
