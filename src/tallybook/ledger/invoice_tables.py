"""The tables of invoices: documents that are only ever added, the numbers they take, and when accounts are due."""

from sqlalchemy import Index, Table, UniqueConstraint

from tallybook.ledger.tables import metadata, number, words

invoices = Table(
    "invoices",
    metadata,
    number("account_no", primary_key=True),
    number("starts_us", primary_key=True),
    number("ends_us"),
    number("number_no"),
    words("currency"),
    words("total"),
    number("closed_us"),
    words("digest"),
    words("body"),
    UniqueConstraint("number_no"),
    sqlite_with_rowid=False,
)
"""Closed invoices: *body* is the document (JSON), *digest* its SHA-256."""

invoice_numbers = Table(
    "invoice_numbers", metadata, words("series", primary_key=True), number("last_no"), sqlite_with_rowid=False
)
"""The last number that was taken; its row is locked until the invoice that took it is written, so none is missing."""

invoicing = Table(
    "invoicing", metadata, number("account_no", primary_key=True), number("due_us"), sqlite_with_rowid=False
)
"""When the next period of an account is due to be closed."""

Index("invoicing_by_due", invoicing.c.due_us)
