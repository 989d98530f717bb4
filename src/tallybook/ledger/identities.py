"""Which identities were taken: every event counts once, however often and however late it is sent again.

Identities are hashes, so in `event_keys` each lies on a page of its own, and a commit of 4,000 events would write
4,000 pages. On SQLite they are therefore held in memory first (a temporary table, which rolls back with everything
else) and their list goes to `key_log` in the commit's transaction; some way behind, they move to `event_keys` range by
range, many to a page. A restart reads the list again. PostgreSQL, where many processes write, takes them at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from sqlalchemy import Connection, text

from tallybook.ledger.rows import fold, from_json, to_json, unfold
from tallybook.ledger.tables import event_keys

HELD_MAX = 250_000
"""Identities held in memory before they begin to move; about 15 MB."""
MOVED_MIN = 256
"""Fewest identities that move at once."""

Identity = tuple[int, int, int, int, int]
"""Account, the two halves of the hash, place in the batch, digest of the payload."""

_COLUMNS = [(name, "bigint") for name in ("account_no", "key_hi", "key_lo", "seq", "digest")]
_NAMES = ", ".join(column.name for column in event_keys.c)
_SAME = "k.account_no = s.account_no AND k.key_hi = s.key_hi AND k.key_lo = s.key_lo"


class Identities(Protocol):
    """Takes identities inside a commit's transaction; *keep* or *forget* follows, as the transaction ended."""

    def claim(self, connection: Connection, rows: Sequence[Identity], batch_no: int) -> list[list[int]]:
        """Take what is free; return (place in the batch, digest of the one that came first) of what was not."""
        ...

    def keep(self) -> None:
        """The transaction was committed."""
        ...

    def forget(self) -> None:
        """The transaction was rolled back."""
        ...


class DirectIdentities:
    """Takes identities in `event_keys` itself."""

    def __init__(self) -> None:
        keys = unfold("rows", _COLUMNS, sqlite=False)
        self._claim = text(
            f"INSERT INTO event_keys ({_NAMES}) SELECT account_no, key_hi, key_lo, digest, :batch_no, seq"
            f" FROM ({keys}) s ORDER BY account_no, key_hi, key_lo, seq ON CONFLICT DO NOTHING"
        )
        taken = f"FROM ({keys}) s JOIN event_keys k ON {_SAME} WHERE k.batch_no <> :batch_no OR k.seq <> s.seq"
        self._taken = text(fold(("s.seq", "k.digest"), taken, sqlite=False))

    def claim(self, connection: Connection, rows: Sequence[Identity], batch_no: int) -> list[list[int]]:
        """Take what is free, return what was not."""
        parameters = {"rows": to_json(rows), "batch_no": batch_no}
        if connection.execute(self._claim, parameters).rowcount == len(rows):
            return []
        return from_json(connection.scalar(self._taken, parameters))

    def keep(self) -> None:
        """Nothing to do: all of it is in the transaction."""

    def forget(self) -> None:
        """Nothing to do: all of it was in the transaction."""


# --- held in memory first ---------------------------------------------------------------------------------------------

_PLACE = ("account_no", "key_hi", "key_lo")
_LAST_PLACE = tuple(f"last_{name}" for name in _PLACE)
_FIRST = (0, 0, 0)
"""Before every identity: accounts are numbered from 1."""

_CREATE = text(
    "CREATE TEMP TABLE IF NOT EXISTS held_keys (account_no INTEGER NOT NULL, key_hi INTEGER NOT NULL,"
    " key_lo INTEGER NOT NULL, digest INTEGER NOT NULL, batch_no INTEGER NOT NULL, seq INTEGER NOT NULL,"
    " PRIMARY KEY (account_no, key_hi, key_lo)) WITHOUT ROWID"
)
_EMPTY = text("DELETE FROM temp.held_keys")
_LAST = text("SELECT max(batch_no) FROM key_log WHERE lane = :lane")
_LOAD = text(
    f"INSERT OR IGNORE INTO temp.held_keys ({_NAMES}) SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 4,"
    " batch_no, value ->> 3 FROM key_log, jsonb_each(keys)"
)
_COUNT = text("SELECT count(*) FROM temp.held_keys")
_UNFOLDED = f"SELECT * FROM ({unfold('rows', _COLUMNS, sqlite=True)}) LIMIT -1"
"""Once: without the limit, SQLite would take each number out of the JSON again for each use of it."""
_CLAIM = text(
    f"INSERT INTO temp.held_keys ({_NAMES}) SELECT account_no, key_hi, key_lo, digest, :batch_no, seq"
    f" FROM ({_UNFOLDED}) s WHERE true ON CONFLICT DO NOTHING"
)
_TAKEN = text(
    fold(
        ("seq", "taken"),
        f"FROM (SELECT s.seq, coalesce((SELECT digest FROM temp.held_keys k WHERE {_SAME}),"
        f" (SELECT digest FROM event_keys k WHERE {_SAME})) AS taken FROM ({_UNFOLDED}) s) WHERE taken IS NOT NULL",
        sqlite=True,
    )
)
_LOG = text("INSERT INTO key_log (lane, batch_no, keys) VALUES (:lane, :batch_no, :keys)")
_AFTER = "(account_no, key_hi, key_lo) > (:account_no, :key_hi, :key_lo)"
_UPTO = "(account_no, key_hi, key_lo) <= (:last_account_no, :last_key_hi, :last_key_lo)"
_RANGE = f"{_AFTER} AND {_UPTO}"
_BOUND = text(
    f"SELECT account_no, key_hi, key_lo FROM temp.held_keys WHERE {_RANGE}"
    " ORDER BY account_no, key_hi, key_lo LIMIT 1 OFFSET :count"
)
_GREATEST = text(
    "SELECT account_no, key_hi, key_lo FROM temp.held_keys ORDER BY account_no DESC, key_hi DESC, key_lo DESC LIMIT 1"
)
_MOVE = text(
    f"INSERT INTO event_keys ({_NAMES}) SELECT {_NAMES} FROM temp.held_keys WHERE {_RANGE}"
    " ORDER BY account_no, key_hi, key_lo ON CONFLICT DO NOTHING"
)
_DROP = text(f"DELETE FROM temp.held_keys WHERE {_RANGE}")
_FORGET_LOG = text("DELETE FROM key_log WHERE lane = :lane AND batch_no <= :batch_no")


@dataclass(frozen=True, slots=True)
class _Held:
    """What is known of the held identities as of the last commit.

    Attributes:
        where: Stands for the connection whose temporary table it is; another connection has none.
        last: The lane's last batch in the log; another one there was written by another process.
        count: How many are held.
        cursor, end: Up to where the present sweep has moved them, and where it ends.
        since: The last batch when that sweep began: all identities up to it are in `event_keys` when it ends.
    """

    where: object = None
    last: int | None = None
    count: int = 0
    cursor: tuple[int, ...] = _FIRST
    end: tuple[int, ...] | None = None
    since: int = 0


def _apart(rows: Sequence[Identity]) -> tuple[list[Identity], list[list[int]]]:
    """Part the first of each identity from those that say it again, with the digest of the first."""
    first: dict[tuple[int, ...], Identity] = {}
    for row in rows:
        first.setdefault(row[:3], row)
    again = [[row[3], first[row[:3]][4]] for row in rows if first[row[:3]] is not row]
    return list(first.values()), again


class HeldIdentities:
    """Takes identities in memory, behind a log; for SQLite, where one connection writes."""

    def __init__(self, lane: int, *, held_max: int = HELD_MAX, moved_min: int = MOVED_MIN) -> None:
        self._lane = lane
        self._held_max = held_max
        self._moved_min = moved_min
        self._now = self._kept = _Held()

    def claim(self, connection: Connection, rows: Sequence[Identity], batch_no: int) -> list[list[int]]:
        """Take what is free, return what was not."""
        self._load(connection)
        keys = to_json(rows)
        taken = from_json(connection.scalar(_TAKEN, {"rows": keys}))
        if taken:
            refused = {seq for seq, _ in taken}
            rows = [row for row in rows if row[3] not in refused]
            keys = to_json(rows)
        free = connection.execute(_CLAIM, {"rows": keys, "batch_no": batch_no}).rowcount if rows else 0
        if free < len(rows):
            rows, again = _apart(rows)
            taken += again
            keys = to_json(rows)
        if free:
            connection.execute(_LOG, {"lane": self._lane, "batch_no": batch_no, "keys": keys})
            self._now = replace(self._now, last=batch_no, count=self._now.count + free)
        if self._now.count > self._held_max:
            self._move(connection, batch_no, max(self._moved_min, 2 * free))
        return taken

    def keep(self) -> None:
        """The transaction was committed."""
        self._kept = self._now

    def forget(self) -> None:
        """The transaction was rolled back, and with it the temporary table."""
        self._now = self._kept

    def _load(self, connection: Connection) -> None:
        """See to it that the temporary table holds what the log says."""
        where = connection.info.setdefault("held_keys", object())
        last = connection.scalar(_LAST, {"lane": self._lane})
        if self._now.where is where and self._now.last == last:
            return
        connection.execute(_CREATE)
        connection.execute(_EMPTY)
        connection.execute(_LOAD)
        self._now = _Held(where, last, connection.scalar(_COUNT) or 0, since=last or 0)

    def _move(self, connection: Connection, batch_no: int, count: int) -> None:
        """Move the next *count* identities of the sweep to where they stay; after the last, begin a new sweep.

        A sweep ends at what was the greatest identity when it began, so that it ends even if ever greater ones come.
        """
        held = self._now
        end = held.end or tuple(connection.execute(_GREATEST).one())
        place = dict(zip(_PLACE, held.cursor, strict=True)) | dict(zip(_LAST_PLACE, end, strict=True))
        bound = connection.execute(_BOUND, place | {"count": count}).first()
        if bound is not None:
            place |= dict(zip(_LAST_PLACE, bound, strict=True))
        connection.execute(_MOVE, place)
        left = held.count - connection.execute(_DROP, place).rowcount
        if bound is not None:
            self._now = replace(held, count=left, cursor=tuple(bound), end=end)
            return
        connection.execute(_FORGET_LOG, {"lane": self._lane, "batch_no": held.since})
        self._now = replace(held, count=left, cursor=_FIRST, end=None, since=batch_no)
