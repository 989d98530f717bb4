"""What accounts have besides their plans: limits of their own, and add-ons. What they mean is `core.allowance`."""

import msgspec
from sqlalchemy import Connection, delete, insert, select

from tallybook.core.allowance import AddOn, OwnLimits
from tallybook.core.limit import Limit, read_limit, write_limit
from tallybook.ledger.limit_tables import add_ons, limit_overrides
from tallybook.ledger.open import Ledger


class LedgerOwnLimits:
    """Reads exceptions outside a lane, as of the last commit."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def own_limits(self, account_no: int) -> OwnLimits:
        """Return the account's exceptions from its plan."""
        with self._ledger.reading() as connection:
            return read_own_limits(connection, account_no)


def read_own_limits(connection: Connection, account_no: int) -> OwnLimits:
    """Return the account's exceptions, by name and by when they start."""
    bodies = connection.scalars(
        select(limit_overrides.c.body)
        .where(limit_overrides.c.account_no == account_no)
        .order_by(limit_overrides.c.limit_name)
    )
    rows = connection.execute(
        select(add_ons).where(add_ons.c.account_no == account_no).order_by(add_ons.c.starts_us, add_ons.c.add_on_id)
    )
    return OwnLimits(
        tuple(read_limit(msgspec.json.decode(body), "") for body in bodies),
        tuple(AddOn(r.add_on_id, r.limit_name, int(r.quantity), r.starts_us, r.ends_us) for r in rows),
    )


def put_override(connection: Connection, account_no: int, limit: Limit) -> None:
    """Keep a limit of the account's own in place of the one of that name."""
    drop_override(connection, account_no, limit.name)
    body = msgspec.json.encode(write_limit(limit)).decode()
    connection.execute(insert(limit_overrides), {"account_no": account_no, "limit_name": limit.name, "body": body})


def drop_override(connection: Connection, account_no: int, limit_name: str) -> None:
    """Forget a limit of the account's own, if there is one."""
    mine = (limit_overrides.c.account_no == account_no) & (limit_overrides.c.limit_name == limit_name)
    connection.execute(delete(limit_overrides).where(mine))


def put_add_on(connection: Connection, account_no: int, add_on: AddOn) -> None:
    """Keep a new add-on."""
    row = {
        "account_no": account_no,
        "add_on_id": add_on.add_on_id,
        "limit_name": add_on.limit,
        "quantity": str(add_on.quantity),
        "starts_us": add_on.starts_us,
        "ends_us": add_on.ends_us,
    }
    connection.execute(insert(add_ons), row)


def drop_add_on(connection: Connection, account_no: int, add_on_id: str) -> bool:
    """Forget an add-on; say whether there was one."""
    mine = (add_ons.c.account_no == account_no) & (add_ons.c.add_on_id == add_on_id)
    return connection.execute(delete(add_ons).where(mine)).rowcount > 0
