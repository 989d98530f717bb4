"""The dashboard: sessions, portal links, and notes on events that did not count."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision: str | None = "0005"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "sessions",
        text("session_hash"),
        text("key_id"),
        number("account_no", nullable=True),
        text("scopes"),
        number("started_us"),
        number("seen_us"),
        number("ends_us"),
        text("ancestors"),
        number("is_portal"),
        sa.PrimaryKeyConstraint("session_hash"),
    )
    op.create_table(
        "portal_links",
        text("link_id"),
        text("secret_hash"),
        text("key_id"),
        number("account_no"),
        text("scopes"),
        text("ancestors"),
        number("created_us"),
        number("expires_us"),
        number("used_us", nullable=True),
        sa.PrimaryKeyConstraint("link_id"),
    )
    op.create_table(
        "event_notes",
        sa.Column("note_no", _SERIAL, autoincrement=True, nullable=False),
        number("account_no"),
        *(text(name) for name in ("event_id", "source", "type", "outcome", "code", "pointer", "detail")),
        number("seen_us"),
        sa.PrimaryKeyConstraint("note_no"),
    )
    op.create_index("sessions_by_end", "sessions", ["ends_us"])
    op.create_index("sessions_by_use", "sessions", ["seen_us"])
    op.create_index("portal_links_by_end", "portal_links", ["expires_us"])
    op.create_index("event_notes_by_event", "event_notes", ["account_no", "event_id"])
    op.create_index("event_notes_by_account", "event_notes", ["account_no", "note_no"])
    op.create_index("event_notes_by_age", "event_notes", ["seen_us"])


def number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=nullable)


def text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, _TEXT, nullable=nullable)
