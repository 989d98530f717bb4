"""Unpaid invoices in the ledger. What follows from them is `core.arrears`; `accounts` shows it with each account."""

from sqlalchemy import Connection, delete, insert, select

from tallybook.core.arrears import Arrears
from tallybook.core.ids import AccountId
from tallybook.ledger.limit_tables import billing
from tallybook.ledger.open import Ledger
from tallybook.ledger.tables import accounts

TOLD_MAX = 500
"""Most accounts that one look finds."""


class LedgerArrears:
    """Finds accounts whose grace is over."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def untold(self, now_us: int) -> list[AccountId]:
        """Return accounts that are suspended by now and of which nobody told so."""
        owner = accounts.c.account_no == billing.c.account_no
        due = billing.c.told_us.is_(None) & (billing.c.grace_ends_us <= now_us)
        with self._ledger.reading() as connection:
            found = connection.scalars(select(accounts.c.account_id).where(owner, due).limit(TOLD_MAX))
            return [AccountId(account_id) for account_id in found]


def read_arrears(connection: Connection, account_no: int) -> Arrears | None:
    """Return what an account owes, None if it pays."""
    row = connection.execute(select(billing).where(billing.c.account_no == account_no)).first()
    return None if row is None else Arrears(row.since_us, row.grace_ends_us, row.told_us)


def put_arrears(connection: Connection, account_no: int, arrears: Arrears) -> None:
    """Keep what an account owes."""
    drop_arrears(connection, account_no)
    row = {"since_us": arrears.since_us, "grace_ends_us": arrears.grace_ends_us, "told_us": arrears.told_us}
    connection.execute(insert(billing), {"account_no": account_no, **row})


def drop_arrears(connection: Connection, account_no: int) -> None:
    """Note that an account pays."""
    connection.execute(delete(billing).where(billing.c.account_no == account_no))
