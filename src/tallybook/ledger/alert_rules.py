"""Rules of accounts for alerts, and budgets, in the ledger. What they mean is `core.rules`."""

from collections.abc import Collection

import msgspec
from sqlalchemy import Connection

from tallybook.core.rules import PLAIN, Own, own_of
from tallybook.ledger.hot import Hot
from tallybook.ledger.open import Ledger
from tallybook.ledger.rows import to_json, unfold
from tallybook.ledger.watch_changes import note_change

_NUMBERS = [("account_no", "bigint")]
_READ = {
    sqlite: Hot(
        "SELECT r.account_no, r.name, r.body FROM"
        f" ({unfold('numbers', _NUMBERS, sqlite=sqlite)}) s JOIN alert_rules r ON r.account_no = s.account_no"
    )
    for sqlite in (True, False)
}
_DROP = Hot("DELETE FROM alert_rules WHERE account_no = :account_no AND name = :name")
_PUT = Hot(
    "INSERT INTO alert_rules (account_no, name, body, changed_us) VALUES (:account_no, :name, :body, :changed_us)"
)


def read_own(connection: Connection, numbers: Collection[int]) -> dict[int, Own]:
    """Return what those of the accounts that have any rules or budgets have."""
    values = {"numbers": to_json([(number,) for number in numbers])}
    bodies: dict[int, dict[str, object]] = {}
    for account_no, name, body in _READ[connection.dialect.name == "sqlite"].rows(connection, values):
        bodies.setdefault(account_no, {})[name] = msgspec.json.decode(body)
    return {account_no: own_of(mine) for account_no, mine in bodies.items()}


def put_own(connection: Connection, account_no: int, name: str, body: object, now_us: int) -> None:
    """Keep rules (under the empty name) or a budget, inside the account's lane."""
    _DROP.change(connection, {"account_no": account_no, "name": name})
    text = msgspec.json.encode(body).decode()
    _PUT.change(connection, {"account_no": account_no, "name": name, "body": text, "changed_us": now_us})
    note_change(connection, account_no, now_us)


def drop_own(connection: Connection, account_no: int, name: str, now_us: int) -> bool:
    """Forget rules or a budget, inside the account's lane; say whether there were any."""
    found = _DROP.change(connection, {"account_no": account_no, "name": name}) > 0
    if found:
        note_change(connection, account_no, now_us)
    return found


class LedgerAlertRules:
    """Reads rules outside a lane, as of the last commit."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def own(self, account_no: int) -> Own:
        """Return the account's rules and budgets."""
        with self._ledger.reading() as connection:
            return read_own(connection, [account_no]).get(account_no, PLAIN)
