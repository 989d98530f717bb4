"""An invoice as CSV, safe to open in a spreadsheet. Not for numbers: they are the document's own."""

import csv
import io
import re

from tallybook.core.invoice import Invoice

MEDIA = "text/csv; charset=utf-8"
COLUMNS = ("number", "kind", "item", "value", "start", "end", "quantity", "unit", "cost", "amount", "currency", "how")

_NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?", re.ASCII)
_STARTS_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def write_csv(invoice: Invoice) -> bytes:
    """Return one row a line and a last row with the total (RFC 4180, UTF-8, CRLF)."""
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\r\n")
    rows.writerow(COLUMNS)
    number, currency = invoice.number or "", invoice.currency
    for line in invoice.lines:
        cells = (number, line.kind.value, line.item, line.value or "", line.start, line.end)
        amounts = (line.quantity or "", line.unit, line.cost, line.amount, currency, line.how)
        rows.writerow([safe_cell(cell) for cell in (*cells, *amounts)])
    total = (number, "total", "", "", invoice.start, invoice.end, "", "", "", invoice.total, currency, invoice.rounding)
    rows.writerow([safe_cell(cell) for cell in total])
    return text.getvalue().encode()


def safe_cell(text: str) -> str:
    """Return *text* so that no spreadsheet takes it for a formula: an apostrophe goes before what could be one."""
    if text.startswith(_STARTS_FORMULA) and not _NUMBER.fullmatch(text):
        return f"'{text}"
    return text
