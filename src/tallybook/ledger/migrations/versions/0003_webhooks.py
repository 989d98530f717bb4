"""Webhooks: endpoints, their secrets and deliveries."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "destinations",
        sa.Column("destination_no", _SERIAL, autoincrement=True, nullable=False),
        text("destination_id"),
        number("account_no", nullable=True),
        text("kind"),
        text("address"),
        text("patterns"),
        text("options"),
        text("description"),
        text("state"),
        text("reason", nullable=True),
        number("created_us"),
        number("disabled_us", nullable=True),
        number("failing_since_us", nullable=True),
        sa.PrimaryKeyConstraint("destination_no"),
        sa.UniqueConstraint("destination_id", name="destinations_by_id"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "destination_secrets",
        number("destination_no"),
        number("secret_no"),
        text("scheme"),
        text("sealed"),
        number("created_us"),
        number("expires_us", nullable=True),
        sa.PrimaryKeyConstraint("destination_no", "secret_no"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "messages",
        text("message_id"),
        number("account_no"),
        text("type"),
        text("body"),
        number("created_us"),
        sa.PrimaryKeyConstraint("message_id"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "deliveries",
        sa.Column("delivery_no", _SERIAL, autoincrement=True, nullable=False),
        text("delivery_id"),
        number("destination_no"),
        text("message_id"),
        text("type"),
        text("status"),
        number("tries"),
        number("attempts"),
        number("due_us", nullable=True),
        text("claim", nullable=True),
        number("created_us"),
        number("queued_us"),
        number("finished_us", nullable=True),
        text("error"),
        number("answer_status", nullable=True),
        sa.PrimaryKeyConstraint("delivery_no"),
        sa.UniqueConstraint("delivery_id", name="deliveries_by_id"),
        sa.UniqueConstraint("message_id", "destination_no", name="deliveries_by_message"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "attempts",
        sa.Column("attempt_no", _SERIAL, autoincrement=True, nullable=False),
        number("delivery_no"),
        number("started_us"),
        number("latency_us"),
        text("outcome"),
        text("error"),
        number("answer_status", nullable=True),
        sa.Column("request_headers", sa.Text(), nullable=False),
        sa.Column("answer_headers", sa.Text(), nullable=False),
        sa.Column("answer_body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("attempt_no"),
    )
    due, claimed = sa.text("due_us IS NOT NULL"), sa.text("claim IS NOT NULL")
    op.create_index("destinations_by_account", "destinations", ["account_no", "destination_no"])
    op.create_index("destinations_failing", "destinations", ["failing_since_us"])
    op.create_index("messages_by_age", "messages", ["created_us"])
    op.create_index(
        "deliveries_due",
        "deliveries",
        ["destination_no", "due_us", "delivery_no"],
        sqlite_where=due,
        postgresql_where=due,
    )
    op.create_index(
        "deliveries_claimed", "deliveries", ["destination_no"], sqlite_where=claimed, postgresql_where=claimed
    )
    op.create_index("deliveries_by_destination", "deliveries", ["destination_no", "delivery_no"])
    op.create_index("deliveries_by_status", "deliveries", ["destination_no", "status", "delivery_no"])
    op.create_index("deliveries_by_age", "deliveries", ["created_us"])
    op.create_index("attempts_by_delivery", "attempts", ["delivery_no", "attempt_no"])
    op.create_index("attempts_by_age", "attempts", ["started_us"])


def number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=nullable)


def text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, _TEXT, nullable=nullable)
