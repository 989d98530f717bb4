"""On SQLite identities are kept in runs; those that were taken become some, wherever they were."""

import struct
from collections.abc import Iterator, Sequence
from itertools import islice

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision: str | None = "0011"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

RUN_ENTRIES = 500_000
"""Most identities of a run made here: so many are sorted in memory, in some 60 MB."""
_BLOCK_ENTRIES, _SEQ_BITS, _IDENTITY_BYTES = 125, 20, 16
_ENTRY = struct.Struct(">qqqq")
"""The two halves of an identity, the digest, and a place in the bundle; before that one, from now on, the batch."""
_HEAD, _ACCOUNT = struct.Struct(">III"), struct.Struct(">qI")
"""Of a list: how many accounts and entries, and a number that nobody needs; of an account in it."""


def upgrade() -> None:
    op.create_table(
        "key_runs",
        sa.Column("run_no", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        *(
            sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=name in {"upto_batch", "into_no"})
            for name in ("lane", "level", "upto_batch", "into_no")
        ),
        sa.PrimaryKeyConstraint("run_no"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "key_blocks",
        sa.Column("block_no", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("run_no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("first", sa.LargeBinary(), nullable=False),
        sa.Column("keys", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("block_no"),
        sa.UniqueConstraint("run_no", "first"),
    )
    connection = op.get_bind()
    if connection.dialect.name != "sqlite":  # on PostgreSQL they stay where they are
        return
    entries = _taken(connection)
    while run := sorted(islice(entries, RUN_ENTRIES)):
        _write(connection, run)
    for table in ("event_keys", "key_log", "key_sieve"):  # the first commit makes another sieve
        connection.execute(sa.text(f"DELETE FROM {table}"))


def _taken(connection: sa.Connection) -> Iterator[bytes]:
    """Yield the entries of all identities: those that are listed, then those that are stored and not listed as well."""
    listed = set[bytes]()
    for batch_no, keys in connection.exec_driver_sql("SELECT batch_no, keys FROM key_log"):
        at = 0
        while at < len(keys):
            accounts, count, _ = _HEAD.unpack_from(keys, at)
            start = at + _HEAD.size + accounts * _ACCOUNT.size
            at = start + count * _ENTRY.size
            for *known_by, seq in _ENTRY.iter_unpack(keys[start:at]):
                entry = _ENTRY.pack(*known_by, (batch_no << _SEQ_BITS) + seq)
                listed.add(entry[:_IDENTITY_BYTES])
                yield entry
    stored = connection.exec_driver_sql("SELECT key_hi, key_lo, digest, batch_no, seq FROM event_keys")
    for *known_by, batch_no, seq in stored:
        entry = _ENTRY.pack(*known_by, (batch_no << _SEQ_BITS) + seq)
        if entry[:_IDENTITY_BYTES] not in listed:
            yield entry


def _write(connection: sa.Connection, run: Sequence[bytes]) -> None:
    """Write entries, which are in their order, as one run."""
    begun = connection.execute(sa.text("INSERT INTO key_runs (lane, level) VALUES (0, 0) RETURNING run_no"))
    run_no = begun.scalar_one()
    blocks = [run[at : at + _BLOCK_ENTRIES] for at in range(0, len(run), _BLOCK_ENTRIES)]
    connection.execute(
        sa.text("INSERT INTO key_blocks (run_no, first, keys) VALUES (:run_no, :first, :keys)"),
        [{"run_no": run_no, "first": block[0][:_IDENTITY_BYTES], "keys": b"".join(block)} for block in blocks],
    )
