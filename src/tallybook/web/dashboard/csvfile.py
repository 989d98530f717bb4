"""Tables as CSV files that a spreadsheet reads as text and numbers, and never as formulas.

A name that begins like a formula gets an apostrophe before it (OWASP, "CSV Injection"); numbers of ours stay numbers.
"""

import csv
from collections.abc import Iterable, Sequence
from io import StringIO

from tallybook.web.endpoint import Reply

MEDIA = "text/csv; charset=utf-8"
_DANGEROUS = frozenset("=+-@\t\r\n＝＋－＠")  # noqa: RUF001 - spreadsheets take the full-width ones as well


def text_cell(text: str) -> str:
    """Return *text* so that no spreadsheet calculates with it, whatever stands before the dangerous character."""
    return f"'{text}" if text.lstrip(" \u00a0\u200b\ufeff\"'")[:1] in _DANGEROUS and text.strip() else text


def csv_reply(name: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> Reply:
    """Return a file to be saved as *name*; the header's cells are names, the rows' cells are ready."""
    out = StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow([text_cell(cell) for cell in header])
    writer.writerows(rows)
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Reply(200, ("\ufeff" + out.getvalue()).encode(), MEDIA, headers)
