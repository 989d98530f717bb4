"""Which identities were taken: every event counts once, however often and however late it is sent again.

PostgreSQL, where many processes write, takes them in a table; SQLite holds them in memory first (see `key_log`).
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import Connection, select, text

from tallybook.core.claims import ENTRY, IDENTITY
from tallybook.ledger.key_log import Asked, HeldIdentities, Taken, batch_holding
from tallybook.ledger.rows import fold, from_json, to_json, unfold
from tallybook.ledger.tables import event_keys

__all__ = ["Asked", "DirectIdentities", "HeldIdentities", "Identities", "batch_of"]

_NAMES = ", ".join(column.name for column in event_keys.c)


class Identities(Protocol):
    """Takes identities inside a commit's transaction; *keep* or *forget* follows, as the transaction ended."""

    def claim(self, connection: Connection, asked: Sequence[Asked], batch_no: int) -> list[Taken]:
        """Take what is free; return what was not."""
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
        named = [(name, "bigint") for name in ("account_no", "key_hi", "key_lo", "digest", "seq")]
        keys = unfold("rows", named, sqlite=False)
        self._claim = text(
            f"INSERT INTO event_keys ({_NAMES}) SELECT account_no, key_hi, key_lo, digest, :batch_no, seq"
            f" FROM ({keys}) s ORDER BY account_no, key_hi, key_lo, seq ON CONFLICT DO NOTHING"
        )
        taken = (
            f"FROM ({keys}) s JOIN event_keys k"
            " ON k.account_no = s.account_no AND k.key_hi = s.key_hi AND k.key_lo = s.key_lo"
            " WHERE k.batch_no <> :batch_no OR k.seq <> s.seq"
        )
        self._taken = text(fold(("s.seq", "k.digest = s.digest"), taken, sqlite=False))

    def claim(self, connection: Connection, asked: Sequence[Asked], batch_no: int) -> list[Taken]:
        """Take what is free, return what was not."""
        rows, firsts, first = list[tuple[int, ...]](), list[int](), 0
        for of_bundle in asked:
            owners = of_bundle.owners()
            entries = ENTRY.iter_unpack(of_bundle.claims.entries)
            rows += [(owners[seq], hi, lo, digest, first + seq) for hi, lo, digest, seq in entries]
            firsts.append(first)
            first += len(owners)
        parameters = {"rows": to_json(rows), "batch_no": batch_no}
        if connection.execute(self._claim, parameters).rowcount == len(rows):
            return []
        taken = []
        for seq, is_same in from_json(connection.scalar(self._taken, parameters)):
            bundle = bisect_right(firsts, seq) - 1
            taken.append((bundle, seq - firsts[bundle], bool(is_same)))
        return taken

    def keep(self) -> None:
        """Nothing to do: all of it is in the transaction."""

    def forget(self) -> None:
        """Nothing to do: all of it was in the transaction."""


def batch_of(connection: Connection, account_no: int, identity: tuple[int, int]) -> int | None:
    """Return the batch of an event by the two halves of its hash, None if no such event was accepted."""
    if connection.dialect.name == "sqlite":
        return batch_holding(connection, IDENTITY.pack(*identity))
    mine = (event_keys.c.key_hi == identity[0]) & (event_keys.c.key_lo == identity[1])
    number: int | None = connection.scalar(
        select(event_keys.c.batch_no).where(event_keys.c.account_no == account_no, mine)
    )
    return number
