"""The tables of admission: reservations, leases, answers to repeat, exceptions for accounts, billing, the outbox."""

from sqlalchemy import Index, Table

from tallybook.ledger.tables import metadata, number, serial, words

holds = Table(
    "holds",
    metadata,
    number("account_no", primary_key=True),
    words("hold_id", primary_key=True),
    words("state"),
    number("created_us"),
    number("expires_us"),
    words("items"),
    sqlite_with_rowid=False,
)
"""Reservations, settled ones too for a while; *items* is JSON: [[limit, value, nanos as text], ...]."""

hold_items = Table(
    "hold_items",
    metadata,
    number("account_no", primary_key=True),
    words("limit_name", primary_key=True),
    words("value", primary_key=True),
    words("hold_id", primary_key=True),
    number("expires_us"),
    number("giga"),
    number("unit"),
    number("nano"),
    sqlite_with_rowid=False,
)
"""What live reservations hold of each limit; gone once the reservation is settled."""

leases = Table(
    "leases",
    metadata,
    number("account_no", primary_key=True),
    words("lease_id", primary_key=True),
    words("limit_name"),
    words("token"),
    number("fence"),
    words("call_id", nullable=True),
    number("ttl_us"),
    number("granted_us"),
    number("expires_us"),
    number("deadline_us", nullable=True),
    number("ended_us", nullable=True),
    words("ending", nullable=True),
    words("billed", nullable=True),
    sqlite_with_rowid=False,
)
"""Slots of concurrency limits; *billed* is the call event that was written at the deadline, while no real one came."""

idempotency = Table(
    "idempotency",
    metadata,
    number("account_no", primary_key=True),
    words("key", primary_key=True),
    words("digest"),
    number("status"),
    words("body"),
    number("created_us"),
    sqlite_with_rowid=False,
)
"""Answers that a repeated Idempotency-Key gets again."""

limit_overrides = Table(
    "limit_overrides",
    metadata,
    number("account_no", primary_key=True),
    words("limit_name", primary_key=True),
    words("body"),
    sqlite_with_rowid=False,
)
"""Limits of one account in place of, or beside, those of its plan."""

add_ons = Table(
    "add_ons",
    metadata,
    number("account_no", primary_key=True),
    words("add_on_id", primary_key=True),
    words("limit_name"),
    words("quantity"),
    number("starts_us"),
    number("ends_us", nullable=True),
    sqlite_with_rowid=False,
)
"""Quantities added to a limit of one account for a time."""

billing = Table(
    "billing",
    metadata,
    number("account_no", primary_key=True),
    number("since_us"),
    number("grace_ends_us"),
    number("told_us", nullable=True),
    sqlite_with_rowid=False,
)
"""Accounts whose invoice failed at *since_us*; one without a row pays. *told_us* is when the suspension was told."""

voids = Table(
    "voids",
    metadata,
    number("account_no", primary_key=True),
    number("key_hi", primary_key=True),
    number("key_lo", primary_key=True),
    number("voided_us"),
    sqlite_with_rowid=False,
)
"""Identities of events that were taken back: their raw bytes stay, and whoever reads those passes them over."""

outbox = Table(
    "outbox",
    metadata,
    serial("message_no"),
    number("account_no"),
    words("message_id"),
    words("type"),
    words("body"),
    number("created_us"),
)
"""What has to be told to others, written in the transaction that made it true."""

Index("holds_by_expiry", holds.c.expires_us)
Index("idempotency_by_age", idempotency.c.created_us)
Index("leases_live", leases.c.account_no, leases.c.limit_name, leases.c.ended_us, leases.c.expires_us)
Index("leases_by_fence", leases.c.account_no, leases.c.limit_name, leases.c.fence)
Index("leases_by_call", leases.c.account_no, leases.c.call_id)
Index("leases_running_out", leases.c.ended_us, leases.c.expires_us)
Index("hold_items_by_expiry", hold_items.c.expires_us)
Index("billing_by_grace", billing.c.told_us, billing.c.grace_ends_us)
