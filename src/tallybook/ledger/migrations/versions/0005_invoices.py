"""Invoices: closed periods, for good."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision: str | None = "0004"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "invoices",
        number("account_no"),
        number("starts_us"),
        number("ends_us"),
        number("number_no"),
        text("currency"),
        text("total"),
        number("closed_us"),
        text("digest"),
        text("body"),
        sa.PrimaryKeyConstraint("account_no", "starts_us"),
        sa.UniqueConstraint("number_no"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "invoice_numbers",
        text("series"),
        number("last_no"),
        sa.PrimaryKeyConstraint("series"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "invoicing",
        number("account_no"),
        number("due_us"),
        sa.PrimaryKeyConstraint("account_no"),
        sqlite_with_rowid=False,
    )
    op.create_index("invoicing_by_due", "invoicing", ["due_us"])


def number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=False)


def text(name: str) -> sa.Column[str]:
    return sa.Column(name, _TEXT, nullable=False)
