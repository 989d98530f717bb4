"""Rows of a file: CSV, NDJSON or JSON cut into numbered rows, one at a time.

A row that cannot be read is a row with a *fault*, and the next one is read all the same. Not for what the cells
mean (see `mapping`).
"""

import codecs
import csv
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import BinaryIO

from tallybook.core.errors import Invalid, JsonMalformed
from tallybook.core.event import decode_json

ROW_BYTES_MAX = 1024 * 1024
"""Longest row of a file, and so what the import needs of memory beside its batches; far more than one event may be."""

COLUMNS_MAX = 1_000
MISSING_NAMED_MAX = 10
_SNIFF_BYTES = 4_096
_BOM = codecs.BOM_UTF8
_JSON_SPACE = " \t\r\n"


class FileFormat(StrEnum):
    """How a file is cut into rows."""

    CSV = "csv"
    NDJSON = "ndjson"
    JSON = "json"


class FileUnreadable(Invalid):
    """The file as a whole is not what it should be."""

    code = "file-unreadable"


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its *number* (the first is 1, a CSV header is none) and its cells, or why it is no row.

    Attributes:
        cells: By the name of their column; of a row with a fault, as far as they could be told apart.
        fault: Why it cannot be mapped.
        surplus: Cells that no column is named for.
    """

    number: int
    cells: Mapping[str, object]
    fault: str | None = None
    surplus: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """How the file is written down.

    Attributes:
        delimiter: Between the cells of a CSV row.
        columns: Names of the columns of a CSV file that has no header; empty if its first row is the header.
    """

    delimiter: str = ","
    columns: tuple[str, ...] = ()


_DEFAULT_LAYOUT = Layout()
_ENDINGS = {"csv": FileFormat.CSV, "tsv": FileFormat.CSV, "ndjson": FileFormat.NDJSON, "jsonl": FileFormat.NDJSON}


def format_of(name: str, head: bytes) -> FileFormat:
    """Say how a file is cut, by its name (``usage.csv.gz``) or else by its first bytes."""
    parts = name.lower().split(".")
    ending = parts[-2] if len(parts) > 2 and parts[-1] in {"gz", "zst", "zstd"} else parts[-1]
    if ending in _ENDINGS:
        return _ENDINGS[ending]
    head = head.removeprefix(_BOM).lstrip()
    if ending == "json" or head.startswith(b"["):
        return FileFormat.JSON
    return FileFormat.NDJSON if head.startswith(b"{") else FileFormat.CSV


def read_rows(stream: BinaryIO, file_format: FileFormat, layout: Layout = _DEFAULT_LAYOUT) -> Iterator[Row]:
    """Yield the rows of *stream* in order.

    Raises:
        FileUnreadable: If no more rows can be told apart: broken quoting, a line over ROW_BYTES_MAX in a CSV file,
            JSON that is neither an array nor a sequence of objects.
    """
    if file_format is FileFormat.CSV:
        return _read_csv(stream, layout)
    return _read_ndjson(stream) if file_format is FileFormat.NDJSON else _read_json(stream)


# --- CSV ------------------------------------------------------------------------------------------------------------


def csv_columns(stream: BinaryIO, layout: Layout) -> tuple[str, ...]:
    """Return the names of the columns, reading the header where there is one.

    Raises:
        FileUnreadable: If there is no header, or it names a column twice or not at all.
    """
    if layout.columns:
        return layout.columns
    line = stream.readline(ROW_BYTES_MAX).removeprefix(_BOM).decode("utf-8", "replace")
    names = tuple(name.strip() for name in next(csv.reader([line], delimiter=layout.delimiter), []))
    if not any(names):
        raise FileUnreadable("the file has no header: its first line must name the columns")
    if len(names) > COLUMNS_MAX:
        raise FileUnreadable(f"a file has at most {COLUMNS_MAX} columns, this one has {len(names)}")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise FileUnreadable(f"the header names the column {twice[0]!r} twice")
    return names


def _read_csv(stream: BinaryIO, layout: Layout) -> Iterator[Row]:
    names = csv_columns(stream, layout)
    csv.field_size_limit(ROW_BYTES_MAX)
    reader = csv.reader(_text_lines(stream), delimiter=layout.delimiter, strict=True)
    width, number = len(names), 0
    try:
        for values in reader:
            if not values:
                continue  # an empty line is no row
            number += 1
            if len(values) != width:
                yield _row_of_another_width(number, names, values)
            elif not _is_utf8(values):
                yield Row(number, dict(zip(names, _replaced(values), strict=True)), "is not UTF-8")
            else:
                yield Row(number, dict(zip(names, values, strict=True)))
    except csv.Error as error:
        raise FileUnreadable(f"row {number + 1} cannot be told from the next: {error}; is a quote missing?") from None


def _row_of_another_width(number: int, names: tuple[str, ...], values: list[str]) -> Row:
    """Return a row that is refused: with every column of the header, null where nothing is left for it."""
    fault = f"has {len(values)} cells where the header has {len(names)}"
    missing = names[len(values) :]
    if missing:
        more = len(missing) - MISSING_NAMED_MAX
        listed = ", ".join(missing[:MISSING_NAMED_MAX]) + (f" and {more} more" if more > 0 else "")
        fault = f"{fault}: nothing is left for {listed}"
    cells = dict(itertools.zip_longest(names, _replaced(values[: len(names)])))
    return Row(number, cells, fault, tuple(_replaced(values[len(names) :])))


def _text_lines(stream: BinaryIO) -> Iterator[str]:
    """Yield lines; bytes that are not UTF-8 become lone surrogates, which the row is then refused for."""
    while line := stream.readline(ROW_BYTES_MAX):
        if len(line) == ROW_BYTES_MAX and not line.endswith(b"\n"):
            raise FileUnreadable(f"a line is longer than {ROW_BYTES_MAX} bytes; is this a CSV file?")
        yield line.decode("utf-8", "surrogateescape")


def _is_utf8(values: list[str]) -> bool:
    try:
        "".join(values).encode()
    except UnicodeEncodeError:
        return False
    return True


def _replaced(values: list[str]) -> list[str]:
    return [value.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for value in values]


# --- NDJSON ---------------------------------------------------------------------------------------------------------


def _read_ndjson(stream: BinaryIO) -> Iterator[Row]:
    number = 0
    while line := stream.readline(ROW_BYTES_MAX):
        too_long = len(line) == ROW_BYTES_MAX and not line.endswith(b"\n")
        while too_long and (rest := stream.readline(ROW_BYTES_MAX)):
            if rest.endswith(b"\n"):
                break
        line = line.removeprefix(_BOM) if not number else line
        if not line.strip():
            continue
        number += 1
        yield Row(number, {}, f"is longer than {ROW_BYTES_MAX} bytes") if too_long else _json_row(number, line)


def _json_row(number: int, text: bytes) -> Row:
    try:
        value = decode_json(text)
    except JsonMalformed as error:
        return Row(number, {"text": text[:1_000].decode("utf-8", "replace")}, error.message)
    if not isinstance(value, dict):
        return Row(number, {"text": text[:1_000].decode("utf-8", "replace")}, "is not a JSON object")
    return Row(number, value)


# --- JSON -----------------------------------------------------------------------------------------------------------


def _read_json(stream: BinaryIO) -> Iterator[Row]:
    """Cut an array of objects, or objects one after the other, without holding more than a row in memory."""
    texts = _JsonTexts(stream)
    in_array = texts.skip("[")
    number = 0
    while True:
        if in_array and texts.skip("]"):
            break
        if texts.at_end():
            break
        number += 1
        yield _json_row(number, texts.take(number).encode("utf-8", "surrogateescape"))
        if in_array and not texts.skip(","):
            texts.skip("]")
            break
    if in_array and not texts.closed:
        raise FileUnreadable(f"the JSON array is not closed after row {number}")
    if not texts.at_end():
        raise FileUnreadable(f"something follows the JSON array after row {number}")


class _JsonTexts:
    """The texts of JSON values in a stream, found by the standard decoder; their content is read elsewhere."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._decode = codecs.getincrementaldecoder("utf-8-sig")("surrogateescape")
        self._raw_decode = json.JSONDecoder(parse_int=str, parse_float=str).raw_decode
        self._text, self._at, self._ended = "", 0, False
        self.closed = False

    def _more(self) -> bool:
        if self._ended:
            return False
        chunk = self._stream.read(ROW_BYTES_MAX)
        self._ended = not chunk
        self._text = self._text[self._at :] + self._decode.decode(chunk, final=self._ended)
        self._at = 0
        return True

    def _next_char(self) -> str:
        while True:
            while self._at < len(self._text):
                char = self._text[self._at]
                if char not in _JSON_SPACE:
                    return char
                self._at += 1
            if not self._more():
                return ""

    def at_end(self) -> bool:
        """Whether only white space follows."""
        return not self._next_char()

    def skip(self, char: str) -> bool:
        """Step over *char* if it comes next."""
        if self._next_char() != char:
            return False
        self._at += 1
        self.closed = char == "]"
        return True

    def take(self, number: int) -> str:
        """Return the text of the value that comes next."""
        while True:
            try:
                _, end = self._raw_decode(self._text, self._at)
            except (json.JSONDecodeError, RecursionError) as error:
                if len(self._text) - self._at > ROW_BYTES_MAX or not self._more():
                    reason = error.msg if isinstance(error, json.JSONDecodeError) else "nested too deep"
                    raise FileUnreadable(
                        f"row {number} of the JSON file is malformed, or longer than {ROW_BYTES_MAX} bytes: {reason}"
                    ) from None
                continue
            if end == len(self._text) and self._more():
                continue  # a number may go on
            text, self._at = self._text[self._at : end], end
            return text
