"""The first tables: accounts, plans, keys, events, rollups, inventory."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision: str | None = None
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "ledger_info",
        text("key"),
        text("value"),
        sa.PrimaryKeyConstraint("key"),
    )
    op.create_table(
        "lanes",
        number("lane"),
        number("last_batch_no"),
        number("catalogue_version"),
        sa.PrimaryKeyConstraint("lane"),
    )
    op.create_table(
        "accounts",
        serial("account_no"),
        text("account_id"),
        text("name", nullable=True),
        text("timezone"),
        number("anchor_day"),
        number("created_us"),
        sa.PrimaryKeyConstraint("account_no"),
        sa.UniqueConstraint("account_id"),
    )
    op.create_table(
        "subscriptions",
        number("account_no"),
        number("starts_us"),
        text("plan_name"),
        number("plan_version"),
        sa.PrimaryKeyConstraint("account_no", "starts_us"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "plans",
        text("name"),
        number("version"),
        text("body"),
        number("created_us"),
        sa.PrimaryKeyConstraint("name", "version"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "api_keys",
        text("key_id"),
        text("token_hash"),
        number("account_no", nullable=True),
        text("name"),
        text("hint"),
        text("scopes"),
        number("created_us"),
        number("revoked_us", nullable=True),
        sa.PrimaryKeyConstraint("key_id"),
        sa.UniqueConstraint("token_hash"),
    )
    op.create_table(
        "event_types",
        serial("type_no"),
        text("type"),
        number("generation"),
        text("state"),
        text("shape"),
        sa.PrimaryKeyConstraint("type_no"),
        sa.UniqueConstraint("type", "generation"),
    )
    op.create_table(
        "fills",
        number("type_no"),
        number("lane"),
        number("upto_batch_no"),
        number("done_batch_no"),
        sa.PrimaryKeyConstraint("type_no", "lane"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "meters",
        text("name"),
        text("body"),
        number("created_us"),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "event_keys",
        number("account_no"),
        number("key_hi"),
        number("key_lo"),
        number("digest"),
        number("batch_no"),
        integer("seq"),
        sa.PrimaryKeyConstraint("account_no", "key_hi", "key_lo"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "raw_batches",
        number("batch_no"),
        number("lane"),
        number("received_us"),
        integer("events"),
        blob("body"),
        sa.PrimaryKeyConstraint("batch_no"),
    )
    op.create_table(
        "raw_index",
        number("account_no"),
        number("hour"),
        number("batch_no"),
        sa.PrimaryKeyConstraint("account_no", "hour", "batch_no"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "series",
        number("account_no"),
        number("series_no"),
        number("type_no"),
        text("dims_key"),
        text("dims"),
        number("created_hour"),
        sa.PrimaryKeyConstraint("account_no", "series_no"),
        sa.UniqueConstraint("account_no", "type_no", "dims_key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "rollups",
        number("account_no"),
        number("type_no"),
        small("level"),
        number("bucket"),
        number("series_no"),
        small("part"),
        number("events"),
        number("count_1"),
        number("giga_1"),
        number("unit_1"),
        number("nano_1"),
        number("count_2"),
        number("giga_2"),
        number("unit_2"),
        number("nano_2"),
        number("count_3"),
        number("giga_3"),
        number("unit_3"),
        number("nano_3"),
        sa.PrimaryKeyConstraint("account_no", "type_no", "level", "bucket", "series_no", "part"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "marks",
        number("account_no"),
        number("type_no"),
        small("level"),
        number("bucket"),
        number("series_no"),
        small("place"),
        text("mark"),
        sa.PrimaryKeyConstraint("account_no", "type_no", "level", "bucket", "series_no", "place"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "uniques",
        number("account_no"),
        number("type_no"),
        small("level"),
        number("bucket"),
        number("series_no"),
        small("place"),
        number("value_hi"),
        number("value_lo"),
        sa.PrimaryKeyConstraint(
            "account_no", "type_no", "level", "bucket", "series_no", "place", "value_hi", "value_lo"
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "labels",
        number("account_no"),
        text("dimension"),
        text("value"),
        text("name"),
        number("seen_us"),
        sa.PrimaryKeyConstraint("account_no", "dimension", "value"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "resources",
        number("account_no"),
        text("kind"),
        text("resource_id"),
        text("name", nullable=True),
        number("name_us"),
        number("shared"),
        number("shared_us"),
        number("active"),
        number("active_us"),
        number("live"),
        number("life_us"),
        number("created_us", nullable=True),
        sa.PrimaryKeyConstraint("account_no", "kind", "resource_id"),
        sqlite_with_rowid=False,
    )
    op.create_index("subscriptions_by_plan", "subscriptions", ["plan_name"])
    op.create_index("raw_batches_by_lane", "raw_batches", ["lane", "batch_no"])
    op.create_index("series_by_hour", "series", ["account_no", "created_hour"])


def number(name: str, *, nullable: bool = False) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), autoincrement=False, nullable=nullable)


def small(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.SmallInteger(), autoincrement=False, nullable=False)


def integer(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), autoincrement=False, nullable=False)


def text(name: str, *, nullable: bool = False) -> sa.Column[str]:
    return sa.Column(name, _TEXT, nullable=nullable)


def blob(name: str) -> sa.Column[bytes]:
    return sa.Column(name, sa.LargeBinary(), nullable=False)


def serial(name: str) -> sa.Column[int]:
    return sa.Column(name, _SERIAL, autoincrement=True, nullable=False)
