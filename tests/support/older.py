"""Ledgers brought back to how an earlier release left them."""

import json
import struct

from sqlalchemy import Connection, text

from tallybook.ledger.key_runs import PLACE_BITS, PLACE_MAX, read_runs
from tallybook.ledger.open import Ledger

_ENTRY = struct.Struct(">qqqqqi")
_KEY_LOG = (
    "CREATE TABLE key_log (lane BIGINT NOT NULL, batch_no BIGINT NOT NULL, keys TEXT NOT NULL,"
    " PRIMARY KEY (lane, batch_no))"
)


def list_keys_as_json(ledger: Ledger) -> None:
    """Bring identities that have not moved back to how they were listed up to revision 0009."""
    list_keys_packed(ledger)
    with ledger.writing() as connection:
        rows = connection.execute(text("SELECT lane, batch_no, keys FROM key_log")).all()
        for sql in ("DROP TABLE key_sieve", "DROP TABLE key_log", _KEY_LOG):
            connection.execute(text(sql))
        for lane, batch_no, entries in rows:
            unpacked = _ENTRY.iter_unpack(entries)
            keys = [[account_no, hi, lo, seq, digest] for account_no, hi, lo, digest, _, seq in unpacked]
            _list(connection, lane, batch_no, json.dumps(keys, separators=(",", ":")))
        connection.execute(text("UPDATE alembic_version SET version_num = '0009'"))


def list_keys_packed(ledger: Ledger) -> None:
    """Bring them, and notes of raw batches, back to how they were at revision 0010."""
    with ledger.writing() as connection:
        rows = connection.execute(text("SELECT lane, batch_no, keys FROM key_log")).all()
        connection.execute(text("DELETE FROM key_log"))
        for lane, batch_no, listed in rows:
            entries = [
                (*row[:4], row[4] + row[5] >> PLACE_BITS, row[4] + row[5] & PLACE_MAX)
                for run in read_runs(batch_no, listed)
                for row in run.rows(len(run))
            ]
            _list(connection, lane, batch_no, b"".join(_ENTRY.pack(*entry) for entry in sorted(entries)))
        move = "INSERT INTO raw_index (account_no, hour, batch_no) SELECT account_no, hour, batch_no FROM raw_recent"
        for sql in (move, "DROP TABLE raw_recent", "UPDATE alembic_version SET version_num = '0010'"):
            connection.execute(text(sql))


def _list(connection: Connection, lane: int, batch_no: int, keys: str | bytes) -> None:
    row = {"lane": lane, "batch_no": batch_no, "keys": keys}
    connection.execute(text("INSERT INTO key_log (lane, batch_no, keys) VALUES (:lane, :batch_no, :keys)"), row)
