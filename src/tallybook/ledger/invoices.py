"""Invoices in the ledger: added once, numbered without a gap, never changed. Not for what stands in one (`flows`)."""

import re
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, text

from tallybook.core.ids import AccountId, AccountNo
from tallybook.core.invoice import Closing, StoredInvoice, digest_of, encode_invoice
from tallybook.ledger.invoice_tables import invoices, invoicing
from tallybook.ledger.open import Ledger
from tallybook.ledger.tables import accounts

SERIES = "INV"
"""How numbers begin: ``INV-000001``."""

_NEXT = text(
    "INSERT INTO invoice_numbers (series, last_no) VALUES (:series, 1)"
    " ON CONFLICT (series) DO UPDATE SET last_no = invoice_numbers.last_no + 1 RETURNING last_no"
)
_DUE = text(
    "INSERT INTO invoicing (account_no, due_us) VALUES (:account_no, :due_us)"
    " ON CONFLICT (account_no) DO UPDATE SET due_us = excluded.due_us"
)


class LedgerInvoices:
    """Keeps invoices."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def last(self, account_no: AccountNo, length_max: int) -> list[StoredInvoice]:
        """Return the newest invoices of an account, the newest first."""
        return self.page(account_no, None, length_max)

    def page(self, account_no: AccountNo, before_us: int | None, length_max: int) -> list[StoredInvoice]:
        """Return up to *length_max* invoices, the newest first, that begin before *before_us*."""
        wanted = select(invoices).where(invoices.c.account_no == account_no)
        if before_us is not None:
            wanted = wanted.where(invoices.c.starts_us < before_us)
        with self._ledger.reading() as connection:
            rows = connection.execute(wanted.order_by(invoices.c.starts_us.desc()).limit(length_max)).all()
        return [_from_row(row) for row in rows]

    def find(self, account_no: AccountNo, number: str) -> StoredInvoice | None:
        """Return the invoice of this number if it is the account's, None otherwise."""
        number_no = _number_no(number)
        if number_no is None:
            return None
        wanted = select(invoices).where(invoices.c.account_no == account_no, invoices.c.number_no == number_no)
        with self._ledger.reading() as connection:
            row = connection.execute(wanted).first()
        return None if row is None else _from_row(row)

    def add(self, account_no: AccountNo, closing: Closing) -> StoredInvoice | None:
        """Write an invoice under the next number; None if another was closed since *closing* was drawn up.

        A number is taken in the transaction that writes its invoice, one after the other.
        """
        try:
            with self._ledger.writing() as connection:
                return _add(connection, account_no, closing)
        except _OvertakenError:
            return None

    def due(self, now_us: int, length_max: int) -> list[AccountId]:
        """Return accounts of which a period is due to be closed, or of which nobody looked when it will be."""
        wanted = (
            select(accounts.c.account_id)
            .outerjoin(invoicing, invoicing.c.account_no == accounts.c.account_no)
            .where(invoicing.c.due_us.is_(None) | (invoicing.c.due_us <= now_us))
            .order_by(accounts.c.account_no)
            .limit(length_max)
        )
        with self._ledger.reading() as connection:
            return [AccountId(account_id) for account_id in connection.scalars(wanted)]

    def put_due(self, account_no: AccountNo, due_us: int) -> None:
        """Note when the next period of an account is due."""
        with self._ledger.writing() as connection:
            connection.execute(_DUE, {"account_no": account_no, "due_us": due_us})


class _OvertakenError(Exception):
    """Another invoice of the account was written meanwhile; the number is given back with the transaction."""


def _add(connection: Connection, account_no: AccountNo, closing: Closing) -> StoredInvoice:
    number_no = connection.execute(_NEXT, {"series": SERIES}).scalar_one()
    last = select(func.max(invoices.c.starts_us)).where(invoices.c.account_no == account_no)
    if connection.scalar(last) != closing.after_us:
        raise _OvertakenError
    numbered = closing.numbered(f"{SERIES}-{number_no:06d}")
    body = encode_invoice(numbered)
    digest = digest_of(body)
    values = {
        "account_no": account_no,
        "starts_us": closing.starts_us,
        "ends_us": closing.ends_us,
        "number_no": number_no,
        "currency": numbered.currency,
        "total": numbered.total,
        "closed_us": closing.closed_us,
        "digest": digest,
        "body": body.decode(),
    }
    connection.execute(insert(invoices), values)
    connection.execute(_DUE, {"account_no": account_no, "due_us": closing.due_us})
    return StoredInvoice(closing.starts_us, closing.ends_us, digest, body)


def _number_no(number: str) -> int | None:
    found = re.fullmatch(rf"{SERIES}-([0-9]{{6,15}})", number, re.ASCII)
    return None if found is None else int(found[1])


def _from_row(row: Row[Any]) -> StoredInvoice:
    return StoredInvoice(row.starts_us, row.ends_us, row.digest, row.body.encode())
