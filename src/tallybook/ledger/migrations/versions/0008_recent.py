"""What commits added, on its way to the rollups."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision: str | None = "0007"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_SLOT = ("count", "giga", "unit", "nano")


def _number(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False)


def upgrade() -> None:
    op.create_table(
        "recent",
        *(_number(name) for name in ("account_no", "type_no", "minute", "series_no")),
        sa.Column("part", sa.SmallInteger(), autoincrement=False, nullable=False),
        _number("events"),
        *(_number(f"{name}_{slot}") for slot in (1, 2, 3) for name in _SLOT),
        sa.PrimaryKeyConstraint("account_no", "type_no", "minute", "series_no", "part"),
        sqlite_with_rowid=False,
    )
