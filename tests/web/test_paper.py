"""Invoices on paper: whatever a name holds, it is printed, and nothing of it runs."""

import msgspec
import pytest

from tallybook.core.invoice import Invoice, InvoiceLine
from tallybook.web.native.invoices import _INVOICE, _LINE
from tallybook.web.paper.csv import write_csv
from tallybook.web.paper.html import write_html
from tallybook.web.paper.pdf import _visible, write_pdf

NAMES = [
    "plain",
    "x" * 10_000,
    "Ünïcödé Łódź Ελλάδα Кириллица ქართული",
    "مرحبا بالعالم (acme) שלום",
    "हिन्दी ภาษาไทย 李小龍 ひらがな 한국어",
    "தமிழ் বাংলা ኢትዮጵያ 😀👩‍👩‍👧 \U0001d518",
    "\u202egnp.exe\u202c \u200b\ufeff\x07\x1b[31m \n\t",
    "<script>alert(1)</script>&amp;{{ 7*7 }}{% raw %}",
    "**bold** __under__ --strike--",
    "%s %(x)s {} \\u0041 $1 (unbalanced",
    "\U0010ffff\ue000",
]


def named(name: str) -> Invoice:
    """An invoice of which everything is called so."""
    line: InvoiceLine = msgspec.structs.replace(_LINE, item=name, value=name)
    return msgspec.structs.replace(_INVOICE, account=name, name=name, lines=[line, _LINE])


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_any_name_is_printed(name: str) -> None:
    """As PDF, twice the same; as HTML with nothing of it taken for markup; as CSV."""
    invoice = named(name)
    printed = write_pdf(invoice, "0" * 64, 0)
    assert b"%PDF-" == printed[:5]
    assert printed == write_pdf(invoice, "0" * 64, 0)
    page = write_html(invoice, None).decode()
    assert "<script" not in page
    assert "49" not in page or "49" in name
    assert name.splitlines()[0][:5] in write_csv(invoice).decode() or name.startswith("\u202e")


def test_what_cannot_be_seen_is_printed_as_its_code_point() -> None:
    """Two names that differ never look alike; what spells a word is left alone."""
    assert "a[U+202E]b[U+200B]c[U+0000]" == "".join(_visible("a\u202eb\u200bc\x00"))
    assert "क\u200dष" == "".join(_visible("क\u200dष"))
    assert "é" == "".join(_visible("e\u0301"))


def test_many_lines_are_cut_and_said_to_be() -> None:
    """A PDF has bounds, the CSV has them all."""
    invoice = msgspec.structs.replace(_INVOICE, lines=[_LINE] * 40)
    assert 42 == len(write_csv(invoice).decode().splitlines())
    assert b"%PDF-" == write_pdf(invoice, None, 0)[:5]
