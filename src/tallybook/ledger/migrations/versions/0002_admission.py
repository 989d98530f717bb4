"""Admission: reservations, leases, repeated answers, exceptions for accounts, billing and the outbox."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision: str | None = "0001"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    by_account(
        "holds",
        [text("hold_id")],
        [text("state"), number("created_us"), number("expires_us"), text("items")],
    )
    by_account(
        "hold_items",
        [text("limit_name"), text("value"), text("hold_id")],
        [number("expires_us"), number("giga"), number("unit"), number("nano")],
    )
    by_account(
        "leases",
        [text("lease_id")],
        [
            text("limit_name"),
            text("token"),
            number("fence"),
            text("call_id", nullable=True),
            number("ttl_us"),
            number("granted_us"),
            number("expires_us"),
            number("deadline_us", nullable=True),
            number("ended_us", nullable=True),
            text("ending", nullable=True),
            text("billed", nullable=True),
        ],
    )
    by_account(
        "idempotency",
        [text("key")],
        [text("digest"), number("status"), text("body"), number("created_us")],
    )
    by_account("limit_overrides", [text("limit_name")], [text("body")])
    by_account(
        "add_ons",
        [text("add_on_id")],
        [text("limit_name"), text("quantity"), number("starts_us"), number("ends_us", nullable=True)],
    )
    by_account("billing", [], [number("since_us"), number("grace_ends_us"), number("told_us", nullable=True)])
    by_account("voids", [number("key_hi"), number("key_lo")], [number("voided_us")])
    op.create_table(
        "outbox",
        sa.Column("message_no", _SERIAL, autoincrement=True, nullable=False),
        number("account_no"),
        text("message_id"),
        text("type"),
        text("body"),
        number("created_us"),
        sa.PrimaryKeyConstraint("message_no"),
    )
    op.create_index("holds_by_expiry", "holds", ["expires_us"])
    op.create_index("idempotency_by_age", "idempotency", ["created_us"])
    op.create_index("leases_by_fence", "leases", ["account_no", "limit_name", "fence"])
    op.create_index("billing_by_grace", "billing", ["told_us", "grace_ends_us"])
    op.create_index("leases_live", "leases", ["account_no", "limit_name", "ended_us", "expires_us"])
    op.create_index("leases_by_call", "leases", ["account_no", "call_id"])
    op.create_index("leases_running_out", "leases", ["ended_us", "expires_us"])
    op.create_index("hold_items_by_expiry", "hold_items", ["expires_us"])


def by_account(
    name: str, keys: list[sa.Column[int] | sa.Column[str]], rest: list[sa.Column[int] | sa.Column[str]]
) -> None:
    primary = sa.PrimaryKeyConstraint("account_no", *(column.name for column in keys))
    op.create_table(name, number("account_no"), *keys, *rest, primary, sqlite_with_rowid=False)


def number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=nullable)


def text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, _TEXT, nullable=nullable)
