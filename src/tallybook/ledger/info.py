"""Facts about the ledger itself that every server of it shares; and the questions a health check asks.

Not for usage, nor for anything that a request changes.
"""

import secrets

from sqlalchemy import text

from tallybook.ledger.open import Ledger

_SECRET_BYTES = 32
_REMEMBER = text("INSERT INTO ledger_info (key, value) VALUES (:key, :value) ON CONFLICT DO NOTHING")
_RECALL = text("SELECT value FROM ledger_info WHERE key = :key")


def shared_secret(ledger: Ledger, key: str) -> bytes:
    """Return the secret called *key*, made by whichever server asks first."""
    with ledger.reading() as connection:
        found = connection.scalar(_RECALL, {"key": key})
    if found is None:
        with ledger.writing() as connection:
            connection.execute(_REMEMBER, {"key": key, "value": secrets.token_hex(_SECRET_BYTES)})
            found = connection.scalar(_RECALL, {"key": key})
    return bytes.fromhex(str(found))


def check_reachable(ledger: Ledger) -> None:
    """Ask the ledger for nothing.

    Raises:
        Unavailable: If it does not answer.
    """
    with ledger.reading() as connection:
        connection.execute(text("SELECT 1"))


def size_bytes(ledger: Ledger) -> int:
    """Return how much the ledger takes on disk, roughly: without write-ahead logs."""
    asked = (
        "SELECT (SELECT page_count FROM pragma_page_count) * (SELECT page_size FROM pragma_page_size)"
        if ledger.is_sqlite
        else "SELECT pg_database_size(current_database())"
    )
    with ledger.reading() as connection:
        return int(connection.execute(text(asked)).scalar_one())
