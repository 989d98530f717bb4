"""Invoices over the native API: what the running period comes to, closed periods, and closing one; also on paper."""

import msgspec

from tallybook.core.errors import Conflict, FieldInvalid, NotFound
from tallybook.core.fields import Problems, read_object
from tallybook.core.instant import parse_event_time, parse_instant
from tallybook.core.invoice import Invoice, InvoiceLine, LineKind, LineStep, StoredInvoice, encode_invoice
from tallybook.core.key import BILLING_MANAGE
from tallybook.web.endpoint import JSON, AccountOf, Ask, Endpoint, JsonBody, Reply
from tallybook.web.errors import CursorInvalid
from tallybook.web.native.lists import PageQuery, read_cursor, write_cursor
from tallybook.web.paper import csv, html

PREVIEW = "preview"
SUFFIXES = (".json", ".csv", ".html", ".pdf")


class InvoiceAnswer(msgspec.Struct, frozen=True):
    """A closed invoice; `digest` is the SHA-256 of the bytes of `invoice`."""

    digest: str
    invoice: Invoice


class PreviewAnswer(msgspec.Struct, frozen=True):
    """The running period: as it is now, and as it will be at its end if usage goes on at the pace so far."""

    invoice: Invoice
    forecast: Invoice


class InvoiceItem(msgspec.Struct, frozen=True):
    """One invoice of a list."""

    number: str
    start: str
    end: str
    currency: str
    total: str
    closed_at: str
    digest: str


class InvoicesAnswer(msgspec.Struct, frozen=True):
    """One page of invoices, the newest first."""

    invoices: list[InvoiceItem]
    next_cursor: str | None


class CloseBody(msgspec.Struct, frozen=True):
    """Which period: any instant or date in it; the one that ended last, unless said."""

    at: str | None = None


def list_invoices(ask: Ask[PageQuery, None]) -> InvoicesAnswer:
    """Return one page of the account's invoices."""
    words = ("invoices", ask.account.id)
    (before,) = read_cursor(ask, *words) or ("",)
    found = ask.rooms.invoices.page(ask.account, int(before) if before else None, ask.query.limit)
    place = (str(found[-1].starts_us),) if found else ("",)
    return InvoicesAnswer([write_item(stored) for stored in found], write_cursor(ask, found, place, *words))


def write_item(stored: StoredInvoice) -> InvoiceItem:
    """Return the invoice as a list shows it."""
    told = stored.invoice
    return InvoiceItem(
        told.number or "", told.start, told.end, told.currency, told.total, told.closed_at or "", stored.digest
    )


def get_preview(ask: Ask[None, None]) -> PreviewAnswer:
    """Return what the running period comes to."""
    preview = ask.rooms.invoices.preview(ask.account, ask.now_us)
    return PreviewAnswer(preview.invoice, preview.forecast)


def get_invoice(ask: Ask[None, None]) -> Reply:
    """Return a closed invoice, or with a suffix the same on paper; ``preview`` with a suffix is the preview."""
    name = ask.path["invoice_number"]
    stem, suffix = next(((name.removesuffix(end), end) for end in SUFFIXES if name.endswith(end)), (name, ".json"))
    if stem == PREVIEW:
        return write_paper(ask.rooms.invoices.preview(ask.account, ask.now_us).invoice, suffix, None, ask.now_us)
    stored = ask.rooms.invoices.get(ask.account, stem)
    if suffix == ".json":
        return write_stored(200, stored)
    invoice = stored.invoice
    closed_us = parse_instant(invoice.closed_at or "", "closed_at")[0]
    return write_paper(invoice, suffix, stored.digest, closed_us)


def write_stored(status: int, stored: StoredInvoice) -> Reply:
    """Return the invoice with its bytes as they are kept."""
    return Reply(status, b'{"digest":"%b","invoice":%b}' % (stored.digest.encode(), stored.body), JSON)


def write_paper(invoice: Invoice, suffix: str, digest: str | None, closed_us: int) -> Reply:
    """Return the invoice in the form that *suffix* names."""
    if suffix == ".csv":
        name = f"{invoice.number or PREVIEW}.csv"
        return Reply(200, csv.write_csv(invoice), csv.MEDIA, {"Content-Disposition": f'attachment; filename="{name}"'})
    if suffix == ".html":
        return Reply(200, html.write_html(invoice, digest), html.MEDIA, html.HEADERS)
    if suffix == ".pdf":
        # late import: the writer of PDF and its fonts would double the memory of a server that never prints
        from tallybook.web.paper.pdf import MEDIA, write_pdf

        return Reply(200, write_pdf(invoice, digest, closed_us), MEDIA)
    return Reply(200, encode_invoice(invoice), JSON)


def post_invoice(ask: Ask[None, JsonBody]) -> Reply:
    """Close a period."""
    body, problems = read_object(ask.body.value, ""), Problems()
    problems.only(body, {"at"}, "", "this request")
    at_us = None if body.get("at") is None else problems.take(_read_at, body["at"], "/at", None)
    problems.finish()
    return write_stored(201, ask.rooms.invoices.close(ask.account, at_us, ask.now_us))


def _read_at(value: object, pointer: str) -> int | None:
    if isinstance(value, str) and len(value) == len("2026-03-01"):
        value = f"{value}T00:00:00Z"
    return parse_event_time(value, pointer)


_STEPS = [LineStep(1, "0", "1000", "0.01", "1", "0", "10"), LineStep(2, "1000", "500", "0.005", "1", "0", "2.5")]
_LINE = InvoiceLine(
    LineKind.USAGE,
    "requests",
    "requests",
    None,
    "team",
    3,
    "2026-03-01T00:00:00Z",
    "2026-04-01T00:00:00Z",
    "1500",
    "requests",
    None,
    _STEPS,
    "12.5",
    "12.50",
    "1500 requests: 1000 x 0.01 + 500 x 0.005 = 12.5, rounded half-even to 2 places 12.50",
    "2026-03-01T00:00:00Z team 3 0 2026-03-01T00:00:00Z ",
)
_INVOICE = Invoice(
    "INV-000001",
    "acme",
    "Acme Ltd",
    "USD",
    2,
    "2026-03-01T00:00:00Z",
    "2026-04-01T00:00:00Z",
    "UTC",
    1,
    "2026-04-04T00:00:00Z",
    [_LINE],
    "12.50",
)
_RUNNING = msgspec.structs.replace(_INVOICE, number=None, closed_at=None)
_DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_ITEM = InvoiceItem("INV-000001", _INVOICE.start, _INVOICE.end, "USD", "12.50", "2026-04-04T00:00:00Z", _DIGEST)
_FILLING = Conflict("the meter call_seconds.60_60 is being filled from earlier events; ask again shortly")

ENDPOINTS = (
    Endpoint(
        "GET",
        "/v1/accounts/{account_id}/invoices/preview",
        get_preview,
        BILLING_MANAGE,
        "What the running period comes to, and its forecast",
        answer=PreviewAnswer,
        account=AccountOf.PATH,
        errors=(_FILLING,),
        description=(
            "Usage that came after an earlier period was closed is an adjustment line here. As `preview.csv`, "
            "`preview.html` or `preview.pdf` it comes on paper."
        ),
        example=PreviewAnswer(_RUNNING, _RUNNING),
    ),
    Endpoint(
        "GET",
        "/v1/accounts/{account_id}/invoices/{invoice_number}",
        get_invoice,
        BILLING_MANAGE,
        "One closed invoice",
        answer=InvoiceAnswer,
        account=AccountOf.PATH,
        errors=(NotFound("there is no such invoice"),),
        description="With `.csv`, `.html` or `.pdf` after the number it comes on paper.",
        example=InvoiceAnswer(_DIGEST, _INVOICE),
    ),
    Endpoint(
        "GET",
        "/v1/accounts/{account_id}/invoices",
        list_invoices,
        BILLING_MANAGE,
        "Closed invoices, the newest first",
        answer=InvoicesAnswer,
        query=PageQuery,
        account=AccountOf.PATH,
        errors=(CursorInvalid,),
        example=InvoicesAnswer([_ITEM], None),
    ),
    Endpoint(
        "POST",
        "/v1/accounts/{account_id}/invoices",
        post_invoice,
        BILLING_MANAGE,
        "Close a billing period",
        answer=InvoiceAnswer,
        body=JsonBody,
        body_documented=CloseBody,
        account=AccountOf.PATH,
        operator_only=True,
        status=201,
        errors=(
            Conflict("the period ends at 2026-05-01T00:00:00Z; it can be closed from then on"),
            FieldInvalid("must be an RFC 3339 instant such as 2026-03-01T12:00:00Z", pointer="/at"),
        ),
        description=(
            "A closed period never changes: asked again, the same invoice comes back. Periods are closed in their "
            "order, and invoice numbers have no gaps."
        ),
        body_example={"at": "2026-02-01"},
        example=InvoiceAnswer(_DIGEST, _INVOICE),
    ),
)
