"""Identities on their way are listed in a packed form; those that are on it arrive. A sieve before all of them."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision: str | None = "0009"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_ARRIVE = (
    "INSERT OR IGNORE INTO event_keys (account_no, key_hi, key_lo, digest, batch_no, seq)"
    " SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 4, batch_no, value ->> 3 FROM key_log, jsonb_each(keys)"
    " ORDER BY 1, 2, 3"
)


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":  # on PostgreSQL there never were any
        op.execute(_ARRIVE)
    op.drop_table("key_log")
    op.create_table(
        "key_log",
        sa.Column("lane", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("batch_no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("keys", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("lane", "batch_no"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "key_sieve",
        sa.Column("lane", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("part", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("bits", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("lane", "part"),
    )
