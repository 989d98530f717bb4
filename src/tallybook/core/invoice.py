"""Invoices as documents: lines, totals, bytes that never change. What comes late is a line on a later one.

Not for how lines are made of charges (see `invoice_lines`).
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

import msgspec

from tallybook.core.ids import AccountId, AccountNo
from tallybook.core.number import NANOS, PLACES_MAX, parse_nanos
from tallybook.core.rate import half_even

ROUNDING = "each line once, half to even; the total is the sum of the lines"


class LineKind(StrEnum):
    """What a line is for; an ``adjustment`` is for usage that came after its period was closed."""

    USAGE = "usage"
    CARRIED = "carried"
    THINGS = "things"
    FEE = "fee"
    MINIMUM = "minimum"
    ADJUSTMENT = "adjustment"


class LineStep(msgspec.Struct, frozen=True):
    """One part of a line: `quantity` units, `unit_price` for each `units` of them, and `flat` once."""

    tier: int
    from_: str = msgspec.field(name="from")
    quantity: str
    unit_price: str
    units: str
    flat: str
    amount: str


class InvoiceLine(msgspec.Struct, frozen=True):
    """One line: `cost` is exact, `amount` is what is to be paid; `key` tells lines of a period apart."""

    kind: LineKind
    item: str
    meter: str | None
    value: str | None
    plan: str
    plan_version: int
    start: str
    end: str
    quantity: str | None
    unit: str
    included: str | None
    steps: list[LineStep]
    cost: str
    amount: str
    how: str
    key: str


class Invoice(msgspec.Struct, frozen=True):
    """A document; a preview has no number, and is not closed."""

    number: str | None
    account: str
    name: str | None
    currency: str
    places: int
    start: str
    end: str
    timezone: str
    anchor_day: int
    closed_at: str | None
    lines: list[InvoiceLine]
    total: str
    rounding: str = ROUNDING


_encoder = msgspec.json.Encoder()


def encode_invoice(invoice: Invoice) -> bytes:
    """Return the document's bytes, which are kept as they are."""
    return _encoder.encode(invoice)


def decode_invoice(body: bytes) -> Invoice:
    """Return the document that `encode_invoice` wrote."""
    return msgspec.json.decode(body, type=Invoice)


def digest_of(body: bytes) -> str:
    """Return what tells whether a document was changed."""
    return hashlib.sha256(body).hexdigest()


def to_pay(nanos: int, places: int) -> int:
    """Return *nanos* rounded half-even to what can be paid."""
    coin: int = 10 ** (PLACES_MAX - places)
    return half_even(nanos, coin) * coin


def amount_text(nanos: int, places: int) -> str:
    """Return an amount with all its places: ``8.20``, ``1200``."""
    sign, (units, rest) = "-" if nanos < 0 else "", divmod(abs(nanos), NANOS)
    return f"{sign}{units}" + (f".{rest:09d}"[: places + 1] if places else "")


def total_of(lines: Iterable[InvoiceLine], places: int) -> str:
    """Return the sum of the lines' amounts."""
    return amount_text(sum(parse_nanos(line.amount) for line in lines), places)


@dataclass(frozen=True, slots=True)
class StoredInvoice:
    """A closed invoice: the span it is for, its bytes and their digest."""

    starts_us: int
    ends_us: int
    digest: str
    body: bytes

    @property
    def invoice(self) -> Invoice:
        """The document."""
        return decode_invoice(self.body)


@dataclass(frozen=True, slots=True)
class Closing:
    """An invoice that is drawn up and has no number yet.

    Attributes:
        after_us: Where the account's newest invoice began when this was drawn up, None where there was none.
        due_us: When the period after this one is to be closed by itself.
    """

    invoice: Invoice
    starts_us: int
    ends_us: int
    closed_us: int
    after_us: int | None
    due_us: int

    def numbered(self, number: str) -> Invoice:
        """Return the document under its number."""
        return msgspec.structs.replace(self.invoice, number=number)


class InvoiceStore(Protocol):
    """Keeps invoices: `ledger.invoices`."""

    def last(self, account_no: AccountNo, length_max: int) -> list[StoredInvoice]:
        """Return the newest invoices of an account, the newest first."""
        ...

    def page(self, account_no: AccountNo, before_us: int | None, length_max: int) -> list[StoredInvoice]:
        """Return up to *length_max* invoices, the newest first, that begin before *before_us*."""
        ...

    def find(self, account_no: AccountNo, number: str) -> StoredInvoice | None:
        """Return the invoice of this number if it is the account's."""
        ...

    def add(self, account_no: AccountNo, closing: Closing) -> StoredInvoice | None:
        """Write an invoice under the next number; None if another was closed meanwhile."""
        ...

    def due(self, now_us: int, length_max: int) -> list[AccountId]:
        """Return accounts of which a period may be due to be closed."""
        ...

    def put_due(self, account_no: AccountNo, due_us: int) -> None:
        """Note when the next period of an account is due."""
        ...
