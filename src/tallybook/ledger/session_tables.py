"""The tables of the dashboard: who is logged in, links that lead in, and what became of events that did not count."""

from sqlalchemy import Index, Table

from tallybook.ledger.tables import metadata, number, serial, words

sessions = Table(
    "sessions",
    metadata,
    words("session_hash", primary_key=True),
    words("key_id"),
    number("account_no", nullable=True),
    words("scopes"),
    number("started_us"),
    number("seen_us"),
    number("ends_us"),
    words("ancestors"),
    number("is_portal"),
)
"""Found by the SHA-256 of the cookie; the cookie itself is nowhere. *account_no* is null for the operator."""

portal_links = Table(
    "portal_links",
    metadata,
    words("link_id", primary_key=True),
    words("secret_hash"),
    words("key_id"),
    number("account_no"),
    words("scopes"),
    words("ancestors"),
    number("created_us"),
    number("expires_us"),
    number("used_us", nullable=True),
)
"""Links into an account's pages; *used_us* is when one was used, which it can be once."""

event_notes = Table(
    "event_notes",
    metadata,
    serial("note_no"),
    number("account_no"),
    words("event_id"),
    words("source"),
    words("type"),
    words("outcome"),
    words("code"),
    words("pointer"),
    words("detail"),
    number("seen_us"),
)
"""Events that came again, clashed or were refused, kept for a while so that their story can be told."""

Index("sessions_by_end", sessions.c.ends_us)
Index("sessions_by_use", sessions.c.seen_us)
Index("portal_links_by_end", portal_links.c.expires_us)
Index("event_notes_by_event", event_notes.c.account_no, event_notes.c.event_id)
Index("event_notes_by_account", event_notes.c.account_no, event_notes.c.note_no)
Index("event_notes_by_age", event_notes.c.seen_us)
