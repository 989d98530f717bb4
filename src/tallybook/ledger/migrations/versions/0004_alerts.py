"""Alerts: how far the next threshold is, crossings, rules, budgets, and what waits for a digest."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "watches",
        number("account_no"),
        text("subject"),
        number("period_us"),
        number("left_milli"),
        number("until_us"),
        sa.PrimaryKeyConstraint("account_no", "subject", "period_us"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "watch_changes",
        serial("change_no"),
        number("account_no"),
        number("created_us"),
        number("open"),
        sa.PrimaryKeyConstraint("change_no"),
    )
    op.create_table(
        "alerts",
        serial("alert_no"),
        text("alert_id"),
        number("account_no"),
        text("subject"),
        text("value"),
        number("period_us"),
        number("percent"),
        number("arm"),
        text("event"),
        text("body"),
        text("quantity"),
        number("raised_us"),
        number("late"),
        number("passed"),
        number("standing"),
        number("ended_us", nullable=True),
        number("recheck_us", nullable=True),
        number("acknowledged_us", nullable=True),
        text("acknowledged_by", nullable=True),
        text("note", nullable=True),
        sa.PrimaryKeyConstraint("alert_no"),
        sa.UniqueConstraint("account_no", "period_us", "subject", "value", "percent", "arm"),
    )
    op.create_table(
        "alert_rules",
        number("account_no"),
        text("name"),
        text("body"),
        number("changed_us"),
        sa.PrimaryKeyConstraint("account_no", "name"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "digest_items",
        serial("item_no"),
        text("destination_id"),
        text("message_id"),
        text("type"),
        number("account_no"),
        text("body"),
        number("time_us"),
        number("due_us"),
        sa.PrimaryKeyConstraint("item_no"),
        sa.UniqueConstraint("destination_id", "message_id"),
    )
    op.create_table(
        "channel_pauses",
        text("destination_id"),
        number("sent_us"),
        sa.PrimaryKeyConstraint("destination_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("alerts_by_account", "alerts", ["account_no", "alert_no"])
    op.create_index("alerts_by_id", "alerts", ["alert_id"])
    op.create_index("alerts_recheck", "alerts", ["recheck_us"])
    changes = sa.text("until_us > 0")
    op.create_index("watches_until", "watches", ["until_us"], sqlite_where=changes, postgresql_where=changes)
    op.create_index("watch_changes_open", "watch_changes", ["open", "change_no"])
    op.create_index("digest_items_due", "digest_items", ["due_us"])
    op.create_index("digest_items_by_destination", "digest_items", ["destination_id", "item_no"])


def serial(name: str) -> sa.Column[int]:
    return sa.Column(name, _SERIAL, autoincrement=True, nullable=False)


def number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=nullable)


def text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, _TEXT, nullable=nullable)
