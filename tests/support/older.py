"""Ledgers brought back to how an earlier release left them, as if all events had been those of the first account."""

import json
import struct

from sqlalchemy import Connection, text

from tallybook.core.claims import ENTRY
from tallybook.ledger.key_log import SEQ_BITS
from tallybook.ledger.open import Ledger

SEQ_MASK = (1 << SEQ_BITS) - 1
_ENTRY = struct.Struct(">qqqqqi")
_HEAD = struct.Struct(">IIIqI")
_KEY_LOG = (
    "CREATE TABLE key_log (lane BIGINT NOT NULL, batch_no BIGINT NOT NULL, keys TEXT NOT NULL,"
    " PRIMARY KEY (lane, batch_no))"
)
_STORE = (
    "INSERT INTO event_keys (account_no, key_hi, key_lo, digest, batch_no, seq)"
    " VALUES (1, :hi, :lo, :digest, :batch_no, :seq) ON CONFLICT DO NOTHING"
)


def list_keys_as_json(ledger: Ledger) -> None:
    """Bring identities that are not in runs back to how they were listed up to revision 0009."""
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
    list_keys_by_account(ledger)
    with ledger.writing() as connection:
        rows = connection.execute(text("SELECT lane, batch_no, keys FROM key_log")).all()
        connection.execute(text("DELETE FROM key_log"))
        for lane, batch_no, listed in rows:
            entries = [(1, *entry[:3], batch_no, entry[3]) for entry in ENTRY.iter_unpack(listed[_HEAD.size :])]
            _list(connection, lane, batch_no, b"".join(_ENTRY.pack(*entry) for entry in entries))
        move = "INSERT INTO raw_index (account_no, hour, batch_no) SELECT account_no, hour, batch_no FROM raw_recent"
        for sql in (move, "DROP TABLE raw_recent", "UPDATE alembic_version SET version_num = '0010'"):
            connection.execute(text(sql))


def list_keys_by_account(ledger: Ledger) -> None:
    """Bring all identities back to where they were at revision 0011."""
    with ledger.writing() as connection:
        blocks = connection.execute(text("SELECT keys FROM key_blocks")).scalars().all()
        stored = [
            {"hi": hi, "lo": lo, "digest": digest, "batch_no": place >> SEQ_BITS, "seq": place & SEQ_MASK}
            for keys in blocks
            for hi, lo, digest, place in ENTRY.iter_unpack(keys)
        ]
        if stored:
            connection.execute(text(_STORE), stored)
        rows = connection.execute(text("SELECT lane, batch_no, keys FROM key_log")).all()
        for sql in ("DELETE FROM key_log", "DELETE FROM key_sieve", "DROP TABLE key_runs", "DROP TABLE key_blocks"):
            connection.execute(text(sql))
        for lane, batch_no, listed in rows:
            entries = [(*entry[:3], entry[3] & SEQ_MASK) for entry in ENTRY.iter_unpack(listed)]
            run = b"".join(ENTRY.pack(*entry) for entry in entries)
            _list(connection, lane, batch_no, _HEAD.pack(1, len(entries), 0, 1, len(entries)) + run)
        connection.execute(text("UPDATE alembic_version SET version_num = '0011'"))


def _list(connection: Connection, lane: int, batch_no: int, keys: str | bytes) -> None:
    row = {"lane": lane, "batch_no": batch_no, "keys": keys}
    connection.execute(text("INSERT INTO key_log (lane, batch_no, keys) VALUES (:lane, :batch_no, :keys)"), row)
