"""Files are cut into rows one at a time, and a bad row does not take the next one with it."""

import gzip
import io
from decimal import Decimal

import pytest
import zstandard

from tallybook.cli.importing.rows import ROW_BYTES_MAX, FileFormat, FileUnreadable, Layout, format_of, read_rows
from tallybook.cli.importing.source import SourceDamaged, digest_of, opened
from tallybook.core.errors import NotFound


def rows(content, file_format, layout=None):
    stream = io.BytesIO(content)
    return [
        (row.number, row.fault or dict(row.cells))
        for row in (read_rows(stream, file_format, layout) if layout else read_rows(stream, file_format))
    ]


@pytest.mark.parametrize(
    ("name", "head", "expected"),
    [
        ("usage.csv", b"[", FileFormat.CSV),
        ("usage.TSV.gz", b"", FileFormat.CSV),
        ("usage.ndjson.zst", b"", FileFormat.NDJSON),
        ("usage.jsonl", b"", FileFormat.NDJSON),
        ("usage.json", b"{}", FileFormat.JSON),
        ("usage", b'\xef\xbb\xbf\n [{"id"', FileFormat.JSON),
        ("usage.log", b'{"id": 1}\n', FileFormat.NDJSON),
        ("usage", b"id,type\n", FileFormat.CSV),
    ],
)
def test_the_format_is_told_by_name_or_first_bytes(name, head, expected):
    """
    The name decides where it says something; otherwise the first byte does.
    """
    assert expected == format_of(name, head)


def test_csv_rows_are_numbered_without_the_header():
    """
    Quoted commas, quotes and newlines belong to their cell; empty lines are no rows.
    """
    content = b'\xef\xbb\xbfa, b\r\n1,"x, ""y""\nz"\r\n\r\n2,\r\n'
    assert [(1, {"a": "1", "b": 'x, "y"\nz'}), (2, {"a": "2", "b": ""})] == rows(content, FileFormat.CSV)


def test_csv_without_a_header_takes_its_names_from_the_layout():
    """
    With columns given, the first line is a row.
    """
    layout = Layout(delimiter=";", columns=("a", "b"))
    assert [(1, {"a": "1", "b": "2"})] == rows(b"1;2\n", FileFormat.CSV, layout)


def test_a_csv_row_of_another_width_or_encoding_is_a_fault_of_its_own():
    """
    Rows with too few cells or bytes that are not UTF-8 are told; the rows around them are read.
    """
    content = b"a,b\n1,2\n3\n4,\xff\n5,6\n"
    expected = [
        (1, {"a": "1", "b": "2"}),
        (2, "has 1 cells where the header has 2: nothing is left for b"),
        (3, "is not UTF-8"),
        (4, {"a": "5", "b": "6"}),
    ]
    assert expected == rows(content, FileFormat.CSV)


def test_a_csv_row_of_another_width_keeps_its_columns():
    """
    What is missing is told and stands as null; what no column is named for stands apart: none is taken for another.
    """
    names = [f"c{n}" for n in range(13)]
    content = ",".join(names) + "\n1,2\n" + ",".join("x" * 13) + ",y,\xff\n"
    short, long = read_rows(io.BytesIO(content.encode("latin-1")), FileFormat.CSV)

    assert dict.fromkeys(names) | {"c0": "1", "c1": "2"} == short.cells
    assert list(names) == list(short.cells)
    told = "c2, c3, c4, c5, c6, c7, c8, c9, c10, c11 and 1 more"
    assert f"has 2 cells where the header has 13: nothing is left for {told}" == short.fault
    assert (dict.fromkeys(names, "x"), ("y", "\ufffd")) == (long.cells, long.surplus)
    assert "has 15 cells where the header has 13" == long.fault


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "header"),
        (b",,\n1,2,3\n", "header"),
        (b"a,a\n1,2\n", "twice"),
        (b'a,b\n1,"2\n', "quote"),
        (b'a,b\n"1"x,2\n', "row 1"),
        (b"a\n" + b"x" * (ROW_BYTES_MAX + 1), "longer"),
    ],
)
def test_a_csv_file_whose_rows_cannot_be_told_apart_is_refused(content, word):
    """
    No row is guessed out of a broken file.
    """
    with pytest.raises(FileUnreadable, match=word):
        rows(content, FileFormat.CSV)


def test_ndjson_rows_are_exact_and_bad_lines_are_faults():
    """
    Numbers stay exact; a line that is no object, says a key twice or is too long is told, the next line is read.
    """
    content = b"\n".join(
        [b'\xef\xbb\xbf{"a": 0.1}', b"", b"[1]", b"{nope", b'{"a": 1, "a": 2}', b"x" * (2 * ROW_BYTES_MAX), b'{"a": 3}']
    )
    found = rows(content, FileFormat.NDJSON)
    assert [1, 2, 3, 4, 5, 6] == [number for number, _ in found]
    assert {"a": Decimal("0.1")} == found[0][1]
    assert "is not a JSON object" == found[1][1]
    assert "not JSON" in found[2][1]
    assert "twice" in found[3][1]
    assert "longer" in found[4][1]
    assert {"a": 3} == found[5][1]


@pytest.mark.parametrize(
    "content",
    [
        b'[{"a": 1}, {"a": "]}"} ,\n{"a": {"b": [2]}}]\n',
        b'\xef\xbb\xbf {"a": 1}{"a": "]}"}\n{"a":\n{"b": [2]}}',
    ],
)
def test_json_arrays_and_sequences_of_objects_are_cut_into_rows(content):
    """
    An array, or objects one after the other however they are laid out, give the same rows.
    """
    assert [(1, {"a": 1}), (2, {"a": "]}"}), (3, {"a": {"b": [2]}})] == rows(content, FileFormat.JSON)


def test_json_rows_that_cross_the_edge_of_a_chunk_are_whole():
    """
    The file is read a piece at a time; no row is lost or cut where pieces meet, not even inside a character.
    """
    count = 50_000
    content = b"[" + b",".join(b'{"n": %d, "t": "%s"}' % (n, "é€𝄞".encode() * 3) for n in range(count)) + b"]"
    assert len(content) > 2 * ROW_BYTES_MAX
    found = rows(content, FileFormat.JSON)
    assert count == len(found)
    assert all({"n": n, "t": "é€𝄞" * 3} == cells for n, (_, cells) in enumerate(found))


@pytest.mark.parametrize("content", [b"", b" \n", b"[]", b"[ ]"])
def test_an_empty_json_file_has_no_rows(content):
    """
    Nothing is nothing, with or without brackets.
    """
    assert [] == rows(content, FileFormat.JSON)


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b'[{"a": 1}', "not closed"),
        (b'[{"a": 1} {"a": 2}]', "not closed"),
        (b'[{"a": 1}] {}', "follows"),
        (b'[{"a": ]', "malformed"),
        (b'[{"a": "' + b"x" * (2 * ROW_BYTES_MAX) + b'"}]', "longer"),
    ],
)
def test_json_that_is_cut_off_or_malformed_is_refused(content, word):
    """
    What cannot be cut into rows stops the import and says at which row.
    """
    with pytest.raises(FileUnreadable, match=word):
        rows(content, FileFormat.JSON)


def test_json_rows_that_are_no_objects_are_faults():
    """
    A number among the objects is a bad row, not a bad file.
    """
    assert [(1, {"a": 1}), (2, "is not a JSON object"), (3, {})] == rows(b'[{"a": 1}, 12, {}]', FileFormat.JSON)


PACKERS = {
    "plain": lambda content: content,
    "gzip": gzip.compress,
    "two gzip members": lambda content: gzip.compress(content[:10]) + gzip.compress(content[10:]),
    "zstd": lambda content: zstandard.ZstdCompressor().compress(content),
    "two zstd frames": lambda c: b"".join(zstandard.ZstdCompressor().compress(part) for part in (c[:10], c[10:])),
}


@pytest.mark.parametrize("packer", PACKERS)
def test_packing_a_file_changes_neither_its_rows_nor_its_digest(tmp_path, packer):
    """
    The same content is the same file, so packing it and importing it again counts nothing twice.
    """
    content = b"a,b\n" + b"".join(b"%d,%d\n" % (n, n * n) for n in range(50_000))
    plain, packed = tmp_path / "plain.csv", tmp_path / "packed"
    plain.write_bytes(content)
    packed.write_bytes(PACKERS[packer](content))
    assert digest_of(plain) == digest_of(packed)
    with opened(packed) as source:
        assert content == source.stream.read()
        assert packed.stat().st_size == source.position_bytes


@pytest.mark.parametrize("packer", ["gzip", "zstd"])
def test_a_packed_file_that_was_cut_off_is_refused(tmp_path, packer):
    """
    Half a file is noticed, not counted as a short one.
    """
    content = bytes(range(256)) * 4_000
    packed = tmp_path / "packed"
    packed.write_bytes(PACKERS[packer](content)[:-7])
    with pytest.raises(SourceDamaged, match="cut off"):
        digest_of(packed)


def test_a_packed_file_of_noise_is_refused(tmp_path):
    """
    A file that only begins like gzip or zstd is damaged.
    """
    for head in (b"\x1f\x8b", b"\x28\xb5\x2f\xfd"):
        packed = tmp_path / "noise"
        packed.write_bytes(head + b"\xff" * 100)
        with pytest.raises(SourceDamaged):
            digest_of(packed)


def test_a_zstd_bomb_is_unpacked_in_small_pieces(tmp_path):
    """
    A few kilobytes that unpack to gigabytes never stand in memory at once.
    """
    packed = tmp_path / "bomb"
    packed.write_bytes(zstandard.ZstdCompressor(level=19).compress(b"\0" * 300_000_000))
    with opened(packed) as source:
        assert 1024 == len(source.stream.read(1024))
        assert source.position_bytes <= 1024 * 2


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path):
    """
    Both are refused in one line.
    """
    with pytest.raises(NotFound):
        digest_of(tmp_path / "nowhere.csv")
    with pytest.raises(SourceDamaged, match="cannot be read"):
        digest_of(tmp_path)
