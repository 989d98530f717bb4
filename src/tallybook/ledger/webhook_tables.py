"""The tables of delivery: where messages go, which messages there were, what became of each, and every attempt."""

from sqlalchemy import Column, Index, LargeBinary, Table, Text, UniqueConstraint

from tallybook.ledger.tables import metadata, number, serial, words

destinations = Table(
    "destinations",
    metadata,
    serial("destination_no"),
    words("destination_id"),
    number("account_no", nullable=True),
    words("kind"),
    words("address"),
    words("patterns"),
    words("options"),
    words("description"),
    words("state"),
    words("reason", nullable=True),
    number("created_us"),
    number("disabled_us", nullable=True),
    number("failing_since_us", nullable=True),
    UniqueConstraint("destination_id", name="destinations_by_id"),
    sqlite_autoincrement=True,
)
"""Webhook endpoints, mailboxes, channels; *account_no* is null for the operator's. *patterns*, *options* are JSON.

No number is given twice: what is left of a deleted destination must not become another's.
"""

destination_secrets = Table(
    "destination_secrets",
    metadata,
    number("destination_no", primary_key=True),
    number("secret_no", primary_key=True),
    words("scheme"),
    words("sealed"),
    number("created_us"),
    number("expires_us", nullable=True),
    sqlite_with_rowid=False,
)
"""Secrets of destinations, encrypted (see `vault`); the greatest *secret_no* is the newest."""

messages = Table(
    "messages",
    metadata,
    words("message_id", primary_key=True),
    number("account_no"),
    words("type"),
    words("body"),
    number("created_us"),
    sqlite_with_rowid=False,
)
"""Messages that left the outbox, for as long as they may be sent again."""

deliveries = Table(
    "deliveries",
    metadata,
    serial("delivery_no"),
    words("delivery_id"),
    number("destination_no"),
    words("message_id"),
    words("type"),
    words("status"),
    number("tries"),
    number("attempts"),
    number("due_us", nullable=True),
    words("claim", nullable=True),
    number("created_us"),
    number("queued_us"),
    number("finished_us", nullable=True),
    words("error"),
    number("answer_status", nullable=True),
    UniqueConstraint("delivery_id", name="deliveries_by_id"),
    UniqueConstraint("message_id", "destination_no", name="deliveries_by_message"),
    sqlite_autoincrement=True,
)
"""One message for one destination.

*due_us* is when it may be tried next, null once it is finished. A process that tries it sets *claim* to a word of its
own and *due_us* to when that claim runs out: a crash leaves nothing to be cleaned up.
"""

attempts = Table(
    "attempts",
    metadata,
    serial("attempt_no"),
    number("delivery_no"),
    number("started_us"),
    number("latency_us"),
    words("outcome"),
    words("error"),
    number("answer_status", nullable=True),
    Column("request_headers", Text, nullable=False),
    Column("answer_headers", Text, nullable=False),
    Column("answer_body", LargeBinary, nullable=False),
)
"""The log of every attempt; headers are JSON."""

_DUE = deliveries.c.due_us.is_not(None)
_CLAIMED = deliveries.c.claim.is_not(None)

Index("destinations_by_account", destinations.c.account_no, destinations.c.destination_no)
Index("destinations_failing", destinations.c.failing_since_us)
Index("messages_by_age", messages.c.created_us)
Index(
    "deliveries_due",
    deliveries.c.destination_no,
    deliveries.c.due_us,
    deliveries.c.delivery_no,
    sqlite_where=_DUE,
    postgresql_where=_DUE,
)
Index("deliveries_claimed", deliveries.c.destination_no, sqlite_where=_CLAIMED, postgresql_where=_CLAIMED)
Index("deliveries_by_destination", deliveries.c.destination_no, deliveries.c.delivery_no)
Index("deliveries_by_status", deliveries.c.destination_no, deliveries.c.status, deliveries.c.delivery_no)
Index("deliveries_by_age", deliveries.c.created_us)
Index("attempts_by_delivery", attempts.c.delivery_no, attempts.c.attempt_no)
Index("attempts_by_age", attempts.c.started_us)
