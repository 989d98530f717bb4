"""The tables of the ledger, the same on SQLite and PostgreSQL; every key of usage begins with the account.

Sums are three integers to base 10^9 (`giga`, `unit`, `nano`; see core.number), instants are microseconds since the
epoch, JSON is text. Migrations make these tables; a test holds the two against each other.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

SLOTS = 3
"""Value fields that one rollup row carries; an event type with more of them spills into further parts."""

LANES_MAX = 1024
"""Most lanes of group commit; a batch number is its lane's counter times this, plus the lane."""

metadata = MetaData()

_SERIAL = BigInteger().with_variant(Integer, "sqlite")
_TEXT = Text().with_variant(Text(collation="C"), "postgresql")
"""Text in the order of its bytes, which SQLite has by itself: pages and ties come out the same on both stores."""


def _number(name: str, *, primary_key: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=False, primary_key=primary_key, autoincrement=False)


def _text(name: str, *, primary_key: bool = False) -> Column[str]:
    return Column(name, _TEXT, nullable=False, primary_key=primary_key)


ledger_info = Table("ledger_info", metadata, _text("key", primary_key=True), _text("value"))
"""Facts about the ledger itself, such as which built-in plans it holds."""

lanes = Table(
    "lanes", metadata, _number("lane", primary_key=True), _number("last_batch_no"), _number("catalogue_version")
)
"""One row a lane of group commit; updating it serialises the lane's commits across processes."""

accounts = Table(
    "accounts",
    metadata,
    Column("account_no", _SERIAL, primary_key=True, autoincrement=True),
    Column("account_id", _TEXT, nullable=False, unique=True),
    Column("name", _TEXT),
    _text("timezone"),
    _number("anchor_day"),
    _text("billing_status"),
    _number("created_us"),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    _number("account_no", primary_key=True),
    _number("starts_us", primary_key=True),
    _text("plan_name"),
    _number("plan_version"),
    sqlite_with_rowid=False,
)

plans = Table(
    "plans",
    metadata,
    _text("name", primary_key=True),
    _number("version", primary_key=True),
    _text("body"),
    _number("created_us"),
    sqlite_with_rowid=False,
)

api_keys = Table(
    "api_keys",
    metadata,
    _text("key_id", primary_key=True),
    Column("token_hash", _TEXT, nullable=False, unique=True),
    Column("account_no", BigInteger),
    _text("name"),
    _text("hint"),
    _text("scopes"),
    _number("created_us"),
    Column("revoked_us", BigInteger),
)

event_types = Table(
    "event_types",
    metadata,
    Column("type_no", _SERIAL, primary_key=True, autoincrement=True),
    _text("type"),
    _number("generation"),
    _text("state"),
    _text("shape"),
    UniqueConstraint("type", "generation"),
)
"""What rollups are kept of: an event type in one *generation* of its *shape* (JSON);
*state* is serving, filling or retired."""

fills = Table(
    "fills",
    metadata,
    _number("type_no", primary_key=True),
    _number("lane", primary_key=True),
    _number("upto_batch_no"),
    _number("done_batch_no"),
    sqlite_with_rowid=False,
)
"""How far a new generation has been filled from the raw events that came before it."""

meters = Table(
    "meters",
    metadata,
    Column("meter_no", _SERIAL, primary_key=True, autoincrement=True),
    Column("name", _TEXT, nullable=False, unique=True),
    Column("body", _TEXT),
    _number("created_us"),
)
"""Numbers of all meters; *body* only where the meter was added by API."""

event_keys = Table(
    "event_keys",
    metadata,
    _number("account_no", primary_key=True),
    _number("key_hi", primary_key=True),
    _number("key_lo", primary_key=True),
    _number("digest"),
    _number("batch_no"),
    Column("seq", Integer, nullable=False),
    sqlite_with_rowid=False,
)
"""The identity of every event ever accepted (128-bit hash of account, source and id), and where its bytes lie."""

raw_batches = Table(
    "raw_batches",
    metadata,
    _number("batch_no", primary_key=True),
    _number("lane"),
    _number("received_us"),
    Column("events", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
"""The accepted events of one group commit: NDJSON, zstd."""

raw_index = Table(
    "raw_index",
    metadata,
    _number("account_no", primary_key=True),
    _number("hour", primary_key=True),
    _number("batch_no", primary_key=True),
    sqlite_with_rowid=False,
)
"""Which batches hold events of an account in an hour."""

series = Table(
    "series",
    metadata,
    _number("account_no", primary_key=True),
    _number("series_no", primary_key=True),
    _number("type_no"),
    _text("dims_key"),
    _text("dims"),
    _number("created_hour"),
    UniqueConstraint("account_no", "type_no", "dims_key"),
    sqlite_with_rowid=False,
)
"""One combination of dimension values; *dims* is a JSON object, *dims_key* its 128-bit hash."""


def _slot(number: int) -> list[Column[int]]:
    return [_number(f"{name}_{number}") for name in ("count", "giga", "unit", "nano")]


rollups = Table(
    "rollups",
    metadata,
    _number("account_no", primary_key=True),
    _number("type_no", primary_key=True),
    Column("level", SmallInteger, primary_key=True, autoincrement=False),
    _number("bucket", primary_key=True),
    _number("series_no", primary_key=True),
    Column("part", SmallInteger, primary_key=True, autoincrement=False),
    _number("events"),
    *(column for number in range(1, SLOTS + 1) for column in _slot(number)),
    sqlite_with_rowid=False,
)
"""The partial aggregates: per slot, how many events carried the field and their sum in limbs."""

marks = Table(
    "marks",
    metadata,
    _number("account_no", primary_key=True),
    _number("type_no", primary_key=True),
    Column("level", SmallInteger, primary_key=True, autoincrement=False),
    _number("bucket", primary_key=True),
    _number("series_no", primary_key=True),
    Column("place", SmallInteger, primary_key=True, autoincrement=False),
    _text("mark"),
    sqlite_with_rowid=False,
)
"""Minimum, maximum and last values, as text that sorts like the value (see core.aggregate); *place* is in the shape."""

uniques = Table(
    "uniques",
    metadata,
    _number("account_no", primary_key=True),
    _number("type_no", primary_key=True),
    Column("level", SmallInteger, primary_key=True, autoincrement=False),
    _number("bucket", primary_key=True),
    _number("series_no", primary_key=True),
    Column("place", SmallInteger, primary_key=True, autoincrement=False),
    _number("value_hi", primary_key=True),
    _number("value_lo", primary_key=True),
    sqlite_with_rowid=False,
)
"""The distinct values (128-bit hashes) that a unique meter saw in a bucket."""

labels = Table(
    "labels",
    metadata,
    _number("account_no", primary_key=True),
    _text("dimension", primary_key=True),
    _text("value", primary_key=True),
    _text("name"),
    _number("seen_us"),
    sqlite_with_rowid=False,
)
"""The latest seen name of a dimension's value, such as the name of an agent."""

resources = Table(
    "resources",
    metadata,
    _number("account_no", primary_key=True),
    _text("kind", primary_key=True),
    _text("resource_id", primary_key=True),
    Column("name", _TEXT),
    _number("name_us"),
    _number("shared"),
    _number("shared_us"),
    _number("active"),
    _number("active_us"),
    _number("live"),
    _number("life_us"),
    Column("created_us", BigInteger),
    sqlite_with_rowid=False,
)
"""Inventory: the newest word by event time on each attribute; *created_us* is null while no creation was seen."""

Index("subscriptions_by_plan", subscriptions.c.plan_name)
Index("raw_batches_by_lane", raw_batches.c.lane, raw_batches.c.batch_no)
Index("series_by_hour", series.c.account_no, series.c.created_hour)
