"""Reading reservations and leases outside a lane: for checks and for showing limits. Deciding is `desk`'s side."""

from collections.abc import Mapping

from sqlalchemy import Connection, select

from tallybook.core.hold import Held
from tallybook.core.ids import AccountId
from tallybook.core.lease import Lease
from tallybook.core.ports import UsageSnapshot
from tallybook.ledger.desk import read_live_leases, read_slots_taken
from tallybook.ledger.held import read_held
from tallybook.ledger.limit_tables import leases
from tallybook.ledger.open import Ledger
from tallybook.ledger.tables import accounts
from tallybook.ledger.usage import Snapshot

SWEPT_MAX = 500
"""Most leases that one sweep looks at."""

LEASES_SHOWN_MAX = 1_000
"""Most leases that are shown of an account."""


class LedgerHolds:
    """Looks at what is reserved and leased, as of the last commit."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def within(self, snapshot: UsageSnapshot) -> "HoldsInSnapshot":
        """Return what is held as *snapshot* sees it; it needs no connection besides the one that the snapshot has."""
        assert isinstance(snapshot, Snapshot)  # ours are the only ones
        return HoldsInSnapshot(snapshot.connection)

    def leases_live(self, account_no: int, now_us: int) -> list[Lease]:
        """Return the live leases of an account, the oldest first, at most LEASES_SHOWN_MAX."""
        with self._ledger.reading() as connection:
            return read_live_leases(connection, account_no, now_us, LEASES_SHOWN_MAX)

    def run_out(self, now_us: int) -> list[tuple[AccountId, str]]:
        """Return (account, lease) of leases that ran out and that nobody has ended yet."""
        table = leases.c
        over = (table.expires_us <= now_us) | (table.deadline_us <= now_us)
        owner = accounts.c.account_no == table.account_no
        found = select(accounts.c.account_id, table.lease_id).where(owner, table.ended_us.is_(None), over)
        with self._ledger.reading() as connection:
            rows = connection.execute(found.limit(SWEPT_MAX))
            return [(AccountId(account_id), lease_id) for account_id, lease_id in rows]


class HoldsInSnapshot:
    """What is reserved and leased in one snapshot; not for use after it ends."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def held(self, account_no: int, now_us: int) -> Mapping[tuple[str, str], Held]:
        """Return what live reservations hold, by (limit, value)."""
        return read_held(self._connection, account_no, now_us)

    def slots_taken(self, account_no: int, limit: str, now_us: int) -> tuple[int, int | None]:
        """Return how many leases of a limit are live, and when the first of them runs out."""
        return read_slots_taken(self._connection, account_no, limit, now_us)
