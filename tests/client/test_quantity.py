"""Quantities reach the wire exactly as they were given, or not at all."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallybook.client import QuantityInvalid, quantity_text
from tallybook.core.number import parse_nanos, to_text


@pytest.mark.parametrize(
    ("given_as", "text"),
    [
        (3, "3"),
        (0, "0"),
        (-2, "-2"),
        ("12.50", "12.5"),
        ("0.000000001", "0.000000001"),
        (Decimal("1E+3"), "1000"),
        (Decimal("-0.0"), "0"),
        (Decimal("1.230000000000"), "1.23"),
        (3.2, "3.2"),
        (0.1, "0.1"),
        (1e15, "1000000000000000"),
        (1e-9, "0.000000001"),
    ],
)
def test_a_quantity_is_written_as_a_plain_decimal(given_as, text):
    """A float is the shortest decimal that it prints as; nothing is rounded."""
    assert text == quantity_text(given_as)


@pytest.mark.parametrize(
    "given_as",
    [
        True,
        None,
        b"1",
        "1_000",
        "1e3",
        "٣",
        "",
        " 1",
        "NaN",
        float("nan"),
        float("inf"),
        Decimal("sNaN"),
        Decimal("1E+999999"),
        Decimal("1E-999999"),
        10**15 + 1,
        10**400,
        0.1 + 0.2,
        "0.0000000001",
    ],
)
def test_what_is_no_quantity_is_refused_before_it_is_sent(given_as):
    """With the server's own code."""
    with pytest.raises(QuantityInvalid) as refusal:
        quantity_text(given_as)
    assert ("invalid-amount", 422) == (refusal.value.code, refusal.value.status)


@given(st.decimals(min_value=-(10**15), max_value=10**15, places=9))
def test_the_server_reads_what_the_client_writes(value):
    """Both sides have the same grammar, and the same number in mind."""
    text = quantity_text(value)
    assert text == to_text(parse_nanos(text))
    assert value == Decimal(text)
