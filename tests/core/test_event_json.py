"""Bodies of requests are read strictly: what is not JSON fails whole, cheaply, and says why and on which line."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallybook.core.errors import JsonMalformed, TooLarge
from tallybook.core.event import EVENTS_MAX, decode_events, decode_json

documents = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@pytest.mark.parametrize(
    "body",
    [
        *(
            b"",
            b" ",
            b"{",
            b"nul",
            b"{} x",
            b"{}{}",
            b"[1,]",
            b"{'a':1}",
            b"{a:1}",
            b"/**/{}",
            b"01",
            b"+1",
            b".5",
            b"1.",
        ),
        *(b"NaN", b"[Infinity]", b'{"a":-Infinity}', b"\xef\xbb\xbf{}", '{"a":1}'.encode("utf-16"), b"\x00", b"{}\x00"),
        *(b'"\\ud800"', b'"\\udc00\\ud800"', b'"\xff"', b'"\xed\xa0\x80"', b'"\xc0\x80"', b'"a\nb"', b'"\\x41"'),
        *(b"[" * 100_000, b"[" * 3_000 + b"]" * 3_000, b'{"a":' * 3_000 + b"1" + b"}" * 3_000),
        *(b"1" * 5_000, b'{"a":' + b"1" * 5_000 + b"}", b"1e1" + b"0" * 40, b"1e-" + b"9" * 40),
    ],
    ids=lambda body: f"{body[:12]!r}x{len(body)}",
)
def test_what_is_not_json_is_refused_whole(body: bytes) -> None:
    """No body, however odd or deep, does anything but raise the one refusal, on its own and as a line."""
    with pytest.raises(JsonMalformed):
        decode_json(body)
    if body.strip() and body != b"{}{}":
        with pytest.raises(JsonMalformed, match="line 2"):
            decode_events(b"{}\n" + body, lines=True)


@pytest.mark.parametrize(
    ("body", "key"),
    [
        (b'{"amount":1,"amount":2}', "amount"),
        (b'{"a":{"b":1,"c":2,"b":1}}', "b"),
        (b'[{"a":1},{"b":[{"c":null,"c":null}]}]', "c"),
        (b'{"a":1,"\\u0061":2}', "a"),
        (b'{"x":"\\u003a","a":1,"a":2}', "a"),
        (b'{"x":"\\u003A\\u003a","a":1,"a":2}', "a"),
        (b'{"a:b":1,"a\\u003ab":2}', "a:b"),
        (b'{"x":"a:b:c","":1,"":2}', ""),
    ],
)
def test_a_key_that_stands_twice_is_refused(body: bytes, key: str) -> None:
    """Of two amounts none can be believed; escapes and colons in texts hide nothing, and the key is named."""
    with pytest.raises(JsonMalformed, match=f"{key!r} stands twice"):
        decode_json(body)
    with pytest.raises(JsonMalformed, match=f"line 3: the key {key!r} stands twice"):
        decode_events(b'{"x":1}\r\n\r\n' + body + b'\n{"y":2}', lines=True)


@pytest.mark.parametrize("body", [b'{"a:":":","b":[":",{"a:":"\\u003a"}]}', b'{"a":"\\\\u003a","b":{"a":1}}'])
def test_colons_in_texts_are_no_keys(body: bytes) -> None:
    """Nothing sound is refused because of how its colons are written."""
    assert json.loads(body) == decode_json(body)


@given(value=documents, ascii_only=st.booleans())
def test_sound_json_is_read_as_the_standard_library_reads_it(value: object, ascii_only: bool) -> None:
    """Any document of unique keys is read, however its characters are escaped."""
    body = json.dumps(value, ensure_ascii=ascii_only).encode()
    assert value == decode_json(body)
    assert [value, value] == decode_events(body + b"\n\r\n" + body, lines=True)


@pytest.mark.parametrize(
    ("spelling", "value"),
    [
        ("1.50", Decimal("1.5")),
        ("1.0", 1),
        ("1e2", 100),
        ("1E+2", 100),
        ("-0.0", 0),
        ("0e5", 0),
        ("12.5e1", 125),
        ("0.1", Decimal("0.1")),
        ("0.30000000000000004", Decimal("0.30000000000000004")),
        ("18446744073709551617", 2**64 + 1),
        ("1e999", Decimal("1E+999")),
        ("1e999999", Decimal("1E+999999")),
        ("1e1000000", Decimal("1E+1000000")),
        ("1e-2000000", Decimal("1E-2000000")),
        (f"1.{'0' * 600}10", Decimal(f"1.{'0' * 600}10")),
    ],
    ids=lambda value: str(value)[:24],
)
def test_numbers_are_read_exactly_and_in_one_form(spelling: str, value: object) -> None:
    """No float on the way, whatever the spelling; numbers beyond all bounds stay what they are, to be refused later."""
    assert value == decode_json(spelling.encode())


def test_one_object_an_array_and_lines_are_the_same_events() -> None:
    """All three forms of a request give the list of its events; nothing gives none."""
    one, two = {"id": "1"}, {"id": "2"}
    assert [one] == decode_events(b'{"id":"1"}')
    assert [one, two] == decode_events(b'[{"id":"1"},{"id":"2"}]')
    assert [one, two] == decode_events(b'{"id":"1"}\n{"id":"2"}\n', lines=True)
    assert [] == decode_events(b"", lines=True) == decode_events(b"[]")


@pytest.mark.parametrize(
    ("body", "line"),
    [
        (b"{]\n{}", 1),
        (b"{}\n{]\n{}", 2),
        (b'{"a":1}\r\n \t \r\n{"a":}\r\n', 3),
        (b'{}\n\n\n"\xff"', 4),
        (b"{}\n" + b"[" * 100_000, 2),
        (b'{"a":"\\u003a"}\n{"a":1,"a":2}', 2),
        (b'[{"a":1,"a":2}]\n{"b":1}', 1),
    ],
)
def test_a_broken_line_is_named_by_its_number(body: bytes, line: int) -> None:
    """Blank lines count as lines and are no events."""
    with pytest.raises(JsonMalformed, match=f"^line {line}: "):
        decode_events(body, lines=True)


def test_events_of_a_request_are_bounded() -> None:
    """EVENTS_MAX events pass and one more is too large; our own raw bytes are read without that bound."""
    assert EVENTS_MAX == len(decode_events(b"[" + b",".join([b"1"] * EVENTS_MAX) + b"]"))
    body = b"[" + b",".join([b"1"] * (EVENTS_MAX + 1)) + b"]"
    with pytest.raises(TooLarge, match=str(EVENTS_MAX)):
        decode_events(body)
    assert EVENTS_MAX + 1 == len(decode_events(body, events_max=None))
