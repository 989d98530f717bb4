"""Ledgers brought back to how an earlier release left them."""

import json
import struct

from sqlalchemy import text

from tallybook.ledger.open import Ledger

_ENTRY = struct.Struct(">qqqqqi")
_KEY_LOG = (
    "CREATE TABLE key_log (lane BIGINT NOT NULL, batch_no BIGINT NOT NULL, keys TEXT NOT NULL,"
    " PRIMARY KEY (lane, batch_no))"
)


def list_keys_as_json(ledger: Ledger) -> None:
    """Bring identities that have not moved back to how they were listed up to revision 0009."""
    with ledger.writing() as connection:
        rows = connection.execute(text("SELECT lane, batch_no, keys FROM key_log")).all()
        for sql in ("DROP TABLE key_sieve", "DROP TABLE key_log", _KEY_LOG):
            connection.execute(text(sql))
        for lane, batch_no, entries in rows:
            unpacked = _ENTRY.iter_unpack(entries)
            keys = [[account_no, hi, lo, seq, digest] for account_no, hi, lo, digest, _, seq in unpacked]
            row = {"lane": lane, "batch_no": batch_no, "keys": json.dumps(keys, separators=(",", ":"))}
            connection.execute(text("INSERT INTO key_log (lane, batch_no, keys) VALUES (:lane, :batch_no, :keys)"), row)
        connection.execute(text("UPDATE alembic_version SET version_num = '0009'"))
