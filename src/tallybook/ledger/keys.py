"""API keys in the ledger, found by the hash of their token; the token itself is nowhere.

Not for how keys look and what they may do (see `core.key`).
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from tallybook.core.errors import Conflict, NotFound
from tallybook.core.ids import AccountId
from tallybook.core.key import Key
from tallybook.ledger.hot import Hot
from tallybook.ledger.open import Ledger
from tallybook.ledger.tables import accounts, api_keys

_COLUMNS = ("name", "hint", "scopes", "created_us", "revoked_us")
_KEYS = select(api_keys.c.key_id, accounts.c.account_id, *(api_keys.c[name] for name in _COLUMNS)).outerjoin_from(
    api_keys, accounts, api_keys.c.account_no == accounts.c.account_no
)
_FIND = Hot(
    f"SELECT k.key_id, a.account_id, {', '.join(f'k.{name}' for name in _COLUMNS)}"
    " FROM api_keys k LEFT JOIN accounts a ON a.account_no = k.account_no WHERE k.token_hash = :token_hash"
)


class LedgerKeys:
    """Reads, keeps and revokes keys."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def find(self, token_hash: str) -> Key | None:
        """Return the key, also if it was revoked; None if there is none. One indexed look-up."""
        with self._ledger.reading() as connection:
            row = _FIND.first(connection, {"token_hash": token_hash})
        return None if row is None else from_row(row)

    def put(self, key: Key, token_hash: str) -> None:
        """Keep a new key.

        Raises:
            Conflict: If this token is known already.
            NotFound: If its account is not.
        """
        try:
            with self._ledger.writing() as connection:
                number = None if key.account_id is None else _number_of(connection, key.account_id)
                connection.execute(insert(api_keys), to_row(key, token_hash, number))
        except IntegrityError:
            raise Conflict("this token is in use already") from None

    def page(self, account_id: AccountId | None, after: str, limit: int) -> Sequence[Key]:
        """Return up to *limit* keys of the account (None: every key) whose id comes after *after*."""
        wanted = _KEYS.where(api_keys.c.key_id > after).order_by(api_keys.c.key_id).limit(limit)
        if account_id is not None:
            wanted = wanted.where(accounts.c.account_id == account_id)
        with self._ledger.reading() as connection:
            return [from_row(row) for row in connection.execute(wanted)]

    def revoke(self, key_id: str, now_us: int) -> Key | None:
        """Revoke the key, unless it was before, and return it; None if there is none."""
        mine = api_keys.c.key_id == key_id
        with self._ledger.writing() as connection:
            connection.execute(update(api_keys).where(mine, api_keys.c.revoked_us.is_(None)).values(revoked_us=now_us))
            row = connection.execute(_KEYS.where(mine)).first()
        return None if row is None else from_row(row)


def _number_of(connection: Connection, account_id: AccountId) -> int:
    number: int | None = connection.scalar(select(accounts.c.account_no).where(accounts.c.account_id == account_id))
    if number is None:
        raise NotFound("there is no such account")
    return number


def from_row(row: Sequence[Any]) -> Key:
    """Return the key that a row of `api_keys`, joined with its account, holds."""
    key_id, account_id, name, hint, scopes, created_us, revoked_us = row
    return Key(
        key_id=key_id,
        account_id=None if account_id is None else AccountId(account_id),
        name=name,
        hint=hint,
        scopes=frozenset(scopes.split()),
        created_us=created_us,
        revoked_us=revoked_us,
    )


def to_row(key: Key, token_hash: str, account_no: int | None) -> dict[str, object]:
    """Return the row of `api_keys` for *key*."""
    return {
        "key_id": key.key_id,
        "token_hash": token_hash,
        "account_no": account_no,
        "name": key.name,
        "hint": key.hint,
        "scopes": " ".join(sorted(key.scopes)),
        "created_us": key.created_us,
        "revoked_us": key.revoked_us,
    }
