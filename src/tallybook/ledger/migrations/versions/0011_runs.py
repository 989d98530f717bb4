"""Identities on their way are listed in runs; those that are on it arrive. Notes of raw batches go the same way."""

import struct
from collections import defaultdict
from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision: str | None = "0010"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_ENTRY = struct.Struct(">qqqqqi")
"""As they were listed: a row of `event_keys`, in the order of its columns."""
_ARRIVE = sa.text(
    "INSERT INTO event_keys (account_no, key_hi, key_lo, digest, batch_no, seq)"
    " VALUES (:account_no, :key_hi, :key_lo, :digest, :batch_no, :seq) ON CONFLICT DO NOTHING"
)
_COLUMNS = ("account_no", "key_hi", "key_lo", "digest", "batch_no", "seq")
_SIEVE_BITS, _SIEVE_PARTS = 1 << 26, 128
_PART_BITS = _SIEVE_BITS // _SIEVE_PARTS


def upgrade() -> None:
    connection = op.get_bind()
    if connection.dialect.name == "sqlite":  # on PostgreSQL there never were any
        listed = connection.execute(sa.text("SELECT keys FROM key_log")).scalars().all()
        arriving = sorted(entry for keys in listed for entry in _ENTRY.iter_unpack(keys))
        if arriving:
            connection.execute(_ARRIVE, [dict(zip(_COLUMNS, entry, strict=True)) for entry in arriving])
        _let_through(connection, [key_lo for _, _, key_lo, *_ in arriving])
        connection.execute(sa.text("DELETE FROM key_log"))
    op.create_table(
        "raw_recent",
        *(
            sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False)
            for name in ("batch_no", "account_no", "hour")
        ),
        sa.PrimaryKeyConstraint("batch_no", "account_no", "hour"),
        sqlite_with_rowid=False,
    )


def _let_through(connection: sa.Connection, arriving: Sequence[int]) -> None:
    """Add identities to what is kept of the sieve."""
    parts = connection.execute(sa.text("SELECT lane, part, bits FROM key_sieve")).all()
    by_part: defaultdict[int, list[int]] = defaultdict(list)
    for key_lo in arriving:
        spot = key_lo % _SIEVE_BITS
        by_part[spot // _PART_BITS].append(spot)
    for lane, part, bits in parts:
        mine = bytearray(bits)
        for spot in by_part[part]:
            mine[spot % _PART_BITS >> 3] |= 1 << (spot & 7)
        connection.execute(
            sa.text("UPDATE key_sieve SET bits = :bits WHERE lane = :lane AND part = :part"),
            {"lane": lane, "part": part, "bits": bytes(mine)},
        )
