"""The tables of alerts: how far the next threshold is, what was told, rules, and what waits for a digest.

Made by the migration 0004; not for channels, which are destinations like any other (see `webhook_tables`).
"""

from sqlalchemy import Index, Table, UniqueConstraint

from tallybook.ledger.tables import metadata, number, serial, words

watches = Table(
    "watches",
    metadata,
    number("account_no", primary_key=True),
    words("subject", primary_key=True),
    number("period_us", primary_key=True),
    number("left_milli"),
    number("until_us"),
    sqlite_with_rowid=False,
)
"""How much more may be used, in thousandths of a unit, before a subject (a limit's name, or ``budget/`` and a budget's)
has to be looked at exactly: never more than what is really left. *period_us* is when the billing period began, 0 for
what has none; *until_us* is when the limit itself changes."""

watch_changes = Table(
    "watch_changes",
    metadata,
    serial("change_no"),
    number("account_no"),
    number("created_us"),
    number("open"),
)
"""Accounts whose limits or rules changed (0: those on the default plan); *open* until they were looked at since."""

alerts = Table(
    "alerts",
    metadata,
    serial("alert_no"),
    words("alert_id"),
    number("account_no"),
    words("subject"),
    words("value"),
    number("period_us"),
    number("percent"),
    number("arm"),
    words("event"),
    words("body"),
    words("quantity"),
    number("raised_us"),
    number("late"),
    number("passed"),
    number("standing"),
    number("ended_us", nullable=True),
    number("recheck_us", nullable=True),
    number("acknowledged_us", nullable=True),
    words("acknowledged_by", nullable=True),
    words("note", nullable=True),
    UniqueConstraint("account_no", "period_us", "subject", "value", "percent", "arm"),
)
"""Every crossing, once: what was told (*body*), whether it came *late* into a closed period and told nobody, whether a
hard limit was *passed* by usage that happened, whether it is *standing*. *recheck_us* is when to see if it fell."""

alert_rules = Table(
    "alert_rules",
    metadata,
    number("account_no", primary_key=True),
    words("name", primary_key=True),
    words("body"),
    number("changed_us"),
    sqlite_with_rowid=False,
)
"""The rules of an account (*name* empty) and its budgets (``budget/`` and the name), as JSON."""

digest_items = Table(
    "digest_items",
    metadata,
    serial("item_no"),
    words("destination_id"),
    words("message_id"),
    words("type"),
    number("account_no"),
    words("body"),
    number("time_us"),
    number("due_us"),
    UniqueConstraint("destination_id", "message_id"),
)
"""Messages that wait to be sent together."""

channel_pauses = Table(
    "channel_pauses",
    metadata,
    words("destination_id", primary_key=True),
    number("sent_us"),
    sqlite_with_rowid=False,
)
"""When a channel with a minimum gap spoke last."""

_CHANGES = watches.c.until_us > 0

Index("alerts_by_account", alerts.c.account_no, alerts.c.alert_no)
Index("alerts_by_id", alerts.c.alert_id)
Index("alerts_recheck", alerts.c.recheck_us)
Index("watches_until", watches.c.until_us, sqlite_where=_CHANGES, postgresql_where=_CHANGES)
Index("watch_changes_open", watch_changes.c.open, watch_changes.c.change_no)
Index("digest_items_due", digest_items.c.due_us)
Index("digest_items_by_destination", digest_items.c.destination_id, digest_items.c.item_no)
