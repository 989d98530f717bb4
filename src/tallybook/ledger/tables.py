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


def number(name: str, *, primary_key: bool = False, nullable: bool = False) -> Column[int]:
    """Return a column of 64-bit integers."""
    return Column(name, BigInteger, nullable=nullable, primary_key=primary_key, autoincrement=False)


def words(name: str, *, primary_key: bool = False, nullable: bool = False) -> Column[str]:
    """Return a column of text."""
    return Column(name, _TEXT, nullable=nullable, primary_key=primary_key)


def serial(name: str) -> Column[int]:
    """Return a key that the store numbers by itself."""
    return Column(name, _SERIAL, primary_key=True, autoincrement=True)


ledger_info = Table("ledger_info", metadata, words("key", primary_key=True), words("value"))
"""Facts about the ledger itself, such as which built-in plans it holds."""

lanes = Table("lanes", metadata, number("lane", primary_key=True), number("last_batch_no"), number("catalogue_version"))
"""One row a lane of group commit; updating it serialises the lane's commits across processes."""

accounts = Table(
    "accounts",
    metadata,
    serial("account_no"),
    Column("account_id", _TEXT, nullable=False, unique=True),
    words("name", nullable=True),
    words("timezone"),
    number("anchor_day"),
    number("created_us"),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    number("account_no", primary_key=True),
    number("starts_us", primary_key=True),
    words("plan_name"),
    number("plan_version"),
    sqlite_with_rowid=False,
)

plans = Table(
    "plans",
    metadata,
    words("name", primary_key=True),
    number("version", primary_key=True),
    words("body"),
    number("created_us"),
    sqlite_with_rowid=False,
)

api_keys = Table(
    "api_keys",
    metadata,
    words("key_id", primary_key=True),
    Column("token_hash", _TEXT, nullable=False, unique=True),
    number("account_no", nullable=True),
    words("name"),
    words("hint"),
    words("scopes"),
    number("created_us"),
    number("revoked_us", nullable=True),
)

event_types = Table(
    "event_types",
    metadata,
    serial("type_no"),
    words("type"),
    number("generation"),
    words("state"),
    words("shape"),
    UniqueConstraint("type", "generation"),
)
"""What rollups are kept of: an event type in one *generation* of its *shape* (JSON);
*state* is serving, filling or retired."""

fills = Table(
    "fills",
    metadata,
    number("type_no", primary_key=True),
    number("lane", primary_key=True),
    number("upto_batch_no"),
    number("done_batch_no"),
    sqlite_with_rowid=False,
)
"""How far a new generation has been filled from the raw events that came before it."""

meters = Table("meters", metadata, words("name", primary_key=True), words("body"), number("created_us"))
"""The meters that were added by API, as the API took them."""

event_keys = Table(
    "event_keys",
    metadata,
    number("account_no", primary_key=True),
    number("key_hi", primary_key=True),
    number("key_lo", primary_key=True),
    number("digest"),
    number("batch_no"),
    Column("seq", Integer, nullable=False),
    sqlite_with_rowid=False,
)
"""On PostgreSQL: the identity of every event ever accepted (128-bit hash of account, source and id), and its batch."""

key_log = Table(
    "key_log",
    metadata,
    number("lane", primary_key=True),
    number("batch_no", primary_key=True),
    Column("keys", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
"""On SQLite: the identities that commits took and that are not all in a run yet (see `key_log`)."""

key_runs = Table(
    "key_runs",
    metadata,
    serial("run_no"),
    number("lane"),
    number("level"),
    number("upto_batch", nullable=True),
    number("into_no", nullable=True),
    sqlite_autoincrement=True,
)
"""On SQLite: runs of identities, each as old as its *level*. One that is being written from memory gets those of all
batches up to *upto_batch*; *into_no* is the run that one is being merged into."""

key_blocks = Table(
    "key_blocks",
    metadata,
    serial("block_no"),
    number("run_no"),
    Column("first", LargeBinary, nullable=False),
    Column("keys", LargeBinary, nullable=False),
    UniqueConstraint("run_no", "first"),
)
"""On SQLite: the identity of every event that is not in `key_log` any longer, and its batch (see `key_runs`)."""

key_sieve = Table(
    "key_sieve",
    metadata,
    number("lane", primary_key=True),
    Column("part", SmallInteger, primary_key=True, autoincrement=False),
    Column("bits", LargeBinary, nullable=False),
)
"""On SQLite: bits for all identities in runs (see `sieve`)."""

raw_batches = Table(
    "raw_batches",
    metadata,
    number("batch_no", primary_key=True),
    number("lane"),
    number("received_us"),
    Column("events", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
)
"""The accepted events of one group commit: NDJSON, zstd."""

raw_index = Table(
    "raw_index",
    metadata,
    number("account_no", primary_key=True),
    number("hour", primary_key=True),
    number("batch_no", primary_key=True),
    sqlite_with_rowid=False,
)
"""Which batches hold events of an account in an hour."""

raw_recent = Table(
    "raw_recent",
    metadata,
    number("batch_no", primary_key=True),
    number("account_no", primary_key=True),
    number("hour", primary_key=True),
    sqlite_with_rowid=False,
)
"""On SQLite: the same of the latest batches, until they move to `raw_index`."""

series = Table(
    "series",
    metadata,
    number("account_no", primary_key=True),
    number("series_no", primary_key=True),
    number("type_no"),
    words("dims_key"),
    words("dims"),
    number("created_hour"),
    UniqueConstraint("account_no", "type_no", "dims_key"),
    sqlite_with_rowid=False,
)
"""One combination of dimension values; *dims* is a JSON object, *dims_key* its 128-bit hash."""


LIMBS = ("giga", "unit", "nano")
SLOT = ("count", *LIMBS)
"""The columns of one slot: how many events carried the field, and the limbs of their sum."""
SUMS = ("events", *(f"{name}_{place}" for place in range(1, SLOTS + 1) for name in SLOT))
"""The columns of a row that add up."""

recent = Table(
    "recent",
    metadata,
    number("account_no", primary_key=True),
    number("type_no", primary_key=True),
    number("minute", primary_key=True),
    number("series_no", primary_key=True),
    Column("part", SmallInteger, primary_key=True, autoincrement=False),
    *(number(name) for name in SUMS),
    sqlite_with_rowid=False,
)
"""What commits added and the rollups do not hold yet: rows by the minute, which move there many at a time."""


rollups = Table(
    "rollups",
    metadata,
    number("account_no", primary_key=True),
    number("type_no", primary_key=True),
    Column("level", SmallInteger, primary_key=True, autoincrement=False),
    number("bucket", primary_key=True),
    number("series_no", primary_key=True),
    Column("part", SmallInteger, primary_key=True, autoincrement=False),
    *(number(name) for name in SUMS),
    sqlite_with_rowid=False,
)
"""The partial aggregates of all but `recent`: per slot, how many events carried the field and their sum in limbs."""

SUMMARIES = {2: 4, 3: 5}
"""The level of rollups that holds the summaries of days (level 2) and of months (3)."""

summaries = Table(
    "summaries",
    metadata,
    number("account_no", primary_key=True),
    number("series_no", primary_key=True),
    number("summary_no"),
    words("summary_key", nullable=True),
    sqlite_with_rowid=False,
)
"""Under which series' number each series is summarised: that of the first one of the type with the same values in all
columns that summaries keep, which alone has their hash as *summary_key*."""

marks = Table(
    "marks",
    metadata,
    number("account_no", primary_key=True),
    number("type_no", primary_key=True),
    Column("level", SmallInteger, primary_key=True, autoincrement=False),
    number("bucket", primary_key=True),
    number("series_no", primary_key=True),
    Column("place", SmallInteger, primary_key=True, autoincrement=False),
    words("mark"),
    sqlite_with_rowid=False,
)
"""Minimum, maximum and last values, as text that sorts like the value (see core.aggregate); *place* is in the shape."""

uniques = Table(
    "uniques",
    metadata,
    number("account_no", primary_key=True),
    number("type_no", primary_key=True),
    Column("level", SmallInteger, primary_key=True, autoincrement=False),
    number("bucket", primary_key=True),
    number("series_no", primary_key=True),
    Column("place", SmallInteger, primary_key=True, autoincrement=False),
    number("value_hi", primary_key=True),
    number("value_lo", primary_key=True),
    sqlite_with_rowid=False,
)
"""The distinct values (128-bit hashes) that a unique meter saw in a bucket."""

labels = Table(
    "labels",
    metadata,
    number("account_no", primary_key=True),
    words("dimension", primary_key=True),
    words("value", primary_key=True),
    words("name"),
    number("seen_us"),
    sqlite_with_rowid=False,
)
"""The latest seen name of a dimension's value, such as the name of an agent."""

resources = Table(
    "resources",
    metadata,
    number("account_no", primary_key=True),
    words("kind", primary_key=True),
    words("resource_id", primary_key=True),
    words("name", nullable=True),
    number("name_us"),
    number("shared"),
    number("shared_us"),
    number("active"),
    number("active_us"),
    number("live"),
    number("life_us"),
    number("created_us", nullable=True),
    sqlite_with_rowid=False,
)
"""Inventory: the newest word by event time on each attribute; *created_us* is null while no creation was seen."""

Index("subscriptions_by_plan", subscriptions.c.plan_name)
Index("raw_batches_by_lane", raw_batches.c.lane, raw_batches.c.batch_no)
Index("summaries_by_key", summaries.c.account_no, summaries.c.summary_key)
Index("series_by_hour", series.c.account_no, series.c.created_hour)
