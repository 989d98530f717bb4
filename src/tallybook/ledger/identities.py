"""Which identities were taken: every event counts once, however often and however late it is sent again.

PostgreSQL, where many processes write, takes them at once; SQLite holds them in memory first (see `key_log`).
"""

from collections.abc import Sequence
from typing import Protocol

from sqlalchemy import Connection, select, text

from tallybook.ledger.key_log import IDENTITY, SAME_KEY, HeldIdentities, Identity, batch_holding
from tallybook.ledger.rows import fold, from_json, to_json, unfold
from tallybook.ledger.tables import event_keys

__all__ = ["DirectIdentities", "HeldIdentities", "Identities", "Identity", "batch_of"]

_NAMES = ", ".join(column.name for column in event_keys.c)


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
        keys = unfold("rows", IDENTITY, sqlite=False)
        self._claim = text(
            f"INSERT INTO event_keys ({_NAMES}) SELECT account_no, key_hi, key_lo, digest, :batch_no, seq"
            f" FROM ({keys}) s ORDER BY account_no, key_hi, key_lo, seq ON CONFLICT DO NOTHING"
        )
        taken = f"FROM ({keys}) s JOIN event_keys k ON {SAME_KEY} WHERE k.batch_no <> :batch_no OR k.seq <> s.seq"
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


def batch_of(connection: Connection, account_no: int, identity: tuple[int, int]) -> int | None:
    """Return the batch of an event by the two halves of its hash, None if no such event was accepted."""
    mine = (event_keys.c.key_hi == identity[0]) & (event_keys.c.key_lo == identity[1])
    number: int | None = connection.scalar(
        select(event_keys.c.batch_no).where(event_keys.c.account_no == account_no, mine)
    )
    if number is None and connection.dialect.name == "sqlite":
        return batch_holding(connection, account_no, identity)
    return number
