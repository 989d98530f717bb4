"""An invoice as PDF: any name is printed readably, in its own script where one of our fonts has it.

Fonts come from packages (docs/decisions/0016). A character that none of them has is printed as its code point, such as
U+1F600, so that two names which differ never look alike.
"""

import tempfile
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path

import pymupdf_fonts
from fontTools.ttLib import TTCollection, TTFont
from fpdf import FPDF
from fpdf.enums import TableBordersLayout, WrapMode
from fpdf.fonts import FontFace, TTFFont

from tallybook.core.instant import to_datetime
from tallybook.core.invoice import Invoice, InvoiceLine
from tallybook.web.paper.html import title_of

MEDIA = "application/pdf"
LINES_MAX = 2_000
"""Most lines that are printed; CSV has them all."""

CELL_CHARS_MAX = 600
"""Most characters of one cell, so that a row stays on a page."""

MAIN = "figo"
"""Latin, Greek, Cyrillic, Arabic, Hebrew, Thai, Devanagari, Georgian."""

SYMBOLS = ("symbol2", "math")
CJK = "cjk"
"""Chinese, Japanese and Korean."""

INDIC = "figo-indic"
_INDIC = frozenset(map(chr, range(0x0900, 0x0980)))
"""Devanagari, of which a vowel can stand before the consonant that it follows."""

_CJK_FILE = ("noto_cjk_sans_otc", "NotoSansCJK-Regular.ttc")
_lock = threading.Lock()


def write_pdf(invoice: Invoice, digest: str | None, closed_us: int) -> bytes:
    """Return the document on A4 pages; the same document makes the same bytes.

    Args:
        invoice: What is printed.
        digest: Of the closed document.
        closed_us: Stands in the file as its date.
    """
    with _lock, _font_files() as paths:  # one at a time: pages are made in memory
        paper = _Paper(paths, _texts(invoice), closed_us)
        try:
            return paper.print(invoice, digest)
        finally:
            paper.close()


class _Paper:
    """One PDF being written."""

    def __init__(self, paths: dict[str, Path], texts: set[str], closed_us: int) -> None:
        self._known = {name: _characters(name, paths[name]) for name in paths}
        used = set("".join(texts))
        missing = used - self._known[MAIN]
        fallbacks = [name for name in (CJK, *SYMBOLS) if missing & self._known[name]]
        self._printable = frozenset().union(*(self._known[name] for name in (MAIN, *fallbacks)))
        self._pdf = FPDF(format="A4")
        self._pdf.set_creation_date(to_datetime(closed_us))
        for name in (MAIN, *fallbacks):
            self._pdf.add_font(name, fname=str(paths[name]))
        if any(char in _INDIC for char in used):
            self._shape_alone(paths[MAIN])
            fallbacks = [INDIC, *fallbacks]
        self._pdf.set_fallback_fonts(fallbacks, exact_match=False)
        self._pdf.set_font(MAIN, size=10)
        self._pdf.set_text_shaping(use_shaping_engine=True)
        self._pdf.set_auto_page_break(auto=True, margin=18)

    def _shape_alone(self, path: Path) -> None:
        """Let Devanagari be set in pieces of its own: the shaper takes one script for each piece of a line."""
        self._pdf.add_font(INDIC, fname=str(path))
        font = self._pdf.fonts[MAIN]
        assert isinstance(font, TTFFont)
        for code in map(ord, _INDIC):
            font.cmap.pop(code, None)  # so that the writer falls back to the same font

    def print(self, invoice: Invoice, digest: str | None) -> bytes:
        """Return the bytes."""
        pdf = self._pdf
        pdf.set_title(title_of(invoice))
        pdf.add_page()
        self._text(title_of(invoice), size=18)
        name = f"{invoice.name} ({invoice.account})" if invoice.name else invoice.account
        self._text(f"For: {name}")
        self._text(f"Period: {invoice.start} to {invoice.end}, {invoice.timezone}")
        self._text(f"Closed: {invoice.closed_at}" if invoice.closed_at else "Not closed yet")
        pdf.ln(4)
        self._table(invoice)
        pdf.ln(4)
        self._text(f"Rounding: {invoice.rounding}.", size=8)
        if digest:
            self._text(f"SHA-256 {digest}", size=8)
        return bytes(pdf.output())

    def close(self) -> None:
        """Close the files of the fonts."""
        for font in self._pdf.fonts.values():
            if isinstance(font, TTFFont):
                font.ttfont.close()

    def _text(self, text: str, *, size: int = 10) -> None:
        self._pdf.set_font(MAIN, size=size)
        self._pdf.multi_cell(0, text=self._readable(text), new_x="LMARGIN", new_y="NEXT", wrapmode=WrapMode.WORD)

    def _table(self, invoice: Invoice) -> None:
        self._pdf.set_font(MAIN, size=9)
        with self._pdf.table(
            col_widths=(35, 50, 15),
            text_align=("LEFT", "LEFT", "RIGHT"),
            borders_layout=TableBordersLayout.HORIZONTAL_LINES,
            headings_style=FontFace(emphasis=None, fill_color=(235, 235, 235)),
            wrapmode=WrapMode.WORD,
        ) as table:
            for cells in ("What", "How", invoice.currency), *self._rows(invoice), ("Total", "", invoice.total):
                table.row([_cut(self._readable(cell)) for cell in cells])

    @staticmethod
    def _rows(invoice: Invoice) -> Iterator[tuple[str, str, str]]:
        for line in invoice.lines[:LINES_MAX]:
            yield _what(line), line.how, line.amount
        if len(invoice.lines) > LINES_MAX:
            yield f"{len(invoice.lines) - LINES_MAX} more lines", "see the CSV or JSON of this invoice", ""

    def _readable(self, text: str) -> str:
        """Return *text* with the code points of what cannot be printed, or is not to be seen."""
        return "".join(
            char if char in self._printable or char == "\n" else f"[U+{ord(char):04X}]" for char in _visible(text)
        )


def _cut(text: str) -> str:
    return text if len(text) <= CELL_CHARS_MAX else f"{text[: CELL_CHARS_MAX - 1]}…"


def _what(line: InvoiceLine) -> str:
    return f"{line.item}: {line.value}" if line.value else line.item


def _texts(invoice: Invoice) -> set[str]:
    lines = {text for line in invoice.lines[:LINES_MAX] for text in (line.item, line.value or "", line.how)}
    return lines | {invoice.name or "", invoice.account, invoice.timezone}


def _visible(text: str) -> Iterator[str]:
    """Yield the characters, composed, without those that only change direction or cannot be seen."""
    for char in unicodedata.normalize("NFC", text):
        if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn"} and char not in _JOINERS:
            yield from f"[U+{ord(char):04X}]"
        else:
            yield char


_JOINERS = "\u200c\u200d\n"
"""Scripts of India and Persian are spelled with these."""


# --- fonts ------------------------------------------------------------------------------------------------------------


@contextmanager
def _font_files() -> Iterator[dict[str, Path]]:
    """Give the fonts as files, which is how the writer of PDF takes them."""
    with tempfile.TemporaryDirectory(prefix="tallybook-fonts-") as folder, as_file(files(_CJK_FILE[0])) as cjk:
        found = {CJK: cjk / _CJK_FILE[1]}
        for name in (MAIN, *SYMBOLS):
            found[name] = Path(folder) / f"{name}.ttf"
            found[name].write_bytes(pymupdf_fonts.myfont(name))
        yield found


_known_characters: dict[str, frozenset[str]] = {}


def _characters(name: str, path: Path) -> frozenset[str]:
    """Return the characters that a font has glyphs for; looked up once a process."""
    if name not in _known_characters:
        with path.open("rb") as file:
            font = TTCollection(file, lazy=True).fonts[0] if name == CJK else TTFont(file, lazy=True)
            _known_characters[name] = frozenset(map(chr, font.getBestCmap()))
    return _known_characters[name]
