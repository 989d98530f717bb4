"""Quantities are exact: what is read, split, joined, divided and shown is the number that was sent."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tallybook.core.errors import QuantityInvalid
from tallybook.core.number import (
    NANOS,
    NANOS_MAX,
    QUANTITY_MAX,
    from_limbs,
    json_number,
    parse_nanos,
    ratio,
    rounded,
    shortest,
    shortest_each,
    to_decimal,
    to_limbs,
    to_text,
    whole,
)

nanos_in_bounds = st.integers(-NANOS_MAX, NANOS_MAX)
any_nanos = st.integers(-(10**40), 10**40)


@given(nanos=nanos_in_bounds)
@example(nanos=0)
@example(nanos=1)
@example(nanos=-1)
@example(nanos=NANOS_MAX)
@example(nanos=-NANOS_MAX)
def test_text_and_back_is_the_same_quantity(nanos: int) -> None:
    """Whatever is written can be read again, as text and as Decimal, without loss."""
    assert nanos == parse_nanos(to_text(nanos))
    assert nanos == parse_nanos(to_decimal(nanos))


@given(nanos=any_nanos)
def test_text_is_the_shortest_plain_decimal(nanos: int) -> None:
    """Text never has an exponent, a trailing zero after the point, nor a bare point."""
    text = to_text(nanos)
    assert Fraction(nanos, NANOS) == Fraction(text)
    assert "e" not in text.lower()
    assert "." not in text or text[-1] in "123456789"


@given(value=st.integers(-QUANTITY_MAX, QUANTITY_MAX))
def test_an_integer_is_that_many_units(value: int) -> None:
    """Integers are read as they are."""
    assert value * NANOS == parse_nanos(value)


@given(nanos=any_nanos)
def test_limbs_and_back_is_the_same_quantity(nanos: int) -> None:
    """Splitting loses nothing, and only the first limb carries a sign."""
    giga, unit, nano = to_limbs(nanos)
    assert nanos == from_limbs(giga, unit, nano)
    assert 0 <= unit < NANOS
    assert 0 <= nano < NANOS


@given(several=st.lists(nanos_in_bounds, max_size=50))
def test_limbs_may_be_added_each_on_its_own(several: list[int]) -> None:
    """The sum of limbs, never carried, is the sum of quantities: that is what the ledger's SQL does."""
    giga, unit, nano = (sum(limb) for limb in zip((0, 0, 0), *map(to_limbs, several), strict=True))
    assert sum(several) == from_limbs(giga, unit, nano)


def test_no_limb_of_an_event_can_overflow_a_sum() -> None:
    """9.2 x 10^9 events of the greatest quantity fit into 64 bits, limb by limb."""
    assert all(abs(limb) * 9_200_000_000 < 2**63 for limb in (*to_limbs(NANOS_MAX), *to_limbs(-NANOS_MAX), NANOS - 1))


@pytest.mark.parametrize(
    ("value", "nanos"),
    [
        ("1.0000000000000", NANOS),
        ("-0", 0),
        ("0.000000001", 1),
        ("0000000000000001", NANOS),
        (Decimal("1E+15"), NANOS_MAX),
        (Decimal("-1E+15"), -NANOS_MAX),
        (Decimal("1.50"), 1_500_000_000),
        (Decimal("1E-9"), 1),
        (Decimal("0E-20"), 0),
        (Decimal("100." + "0" * 700), 100 * NANOS),
    ],
)
def test_other_spellings_of_a_quantity_are_read(value: object, nanos: int) -> None:
    """Zeros before and after, and exponents of our own reader, change nothing."""
    assert nanos == parse_nanos(value)


@pytest.mark.parametrize(
    "value",
    [
        *("NaN", "Infinity", "1E+999999", "1e2", "1_000", "٣", " 1 ", "1 ", "+1", ".5", "1.", "0x1", "", "-", "1,5"),
        *("1.0000000001", "1000000000000000.000000001", "1000000000000001", "1" * 5_000, "1\n", "1\x00"),
        *(True, False, None, 1.5, float("nan"), float("inf"), b"1", [1], {"a": 1}),
        *(QUANTITY_MAX + 1, -QUANTITY_MAX - 1, 10**4_000),
        *map(Decimal, ("NaN", "sNaN", "Infinity", "-Infinity", "1E+16", "1E+999", "1E+999999", "1E+99999999")),
        *map(Decimal, ("1E-10", "1E-999999", "1E-99999999", "1.0000000001", "1000000000000000.000000001")),
        Decimal("0." + "1" * 9 + "0" * 700 + "1"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_anything_else_is_refused_and_says_where(value: object) -> None:
    """What is no plain decimal of at most 9 places and 10^15 in size is refused with its pointer, never rounded."""
    with pytest.raises(QuantityInvalid) as refused:
        parse_nanos(value, "/data/amount")
    assert "/data/amount" == refused.value.pointer
    assert "invalid-amount" == refused.value.code


@given(numerator=st.integers(-(10**30), 10**30), denominator=st.integers(-(10**30), 10**30), places=st.integers(0, 12))
@example(numerator=5, denominator=10, places=0)
@example(numerator=15, denominator=10, places=0)
@example(numerator=-25, denominator=10, places=0)
@example(numerator=1, denominator=0, places=2)
def test_ratio_rounds_half_even_exactly(numerator: int, denominator: int, places: int) -> None:
    """A ratio equals the half-even rounding of the exact fraction, with the asked number of places; x/0 is 0."""
    exact = Fraction(numerator, denominator) if denominator else Fraction(0)
    shown = ratio(numerator, denominator, places)
    assert Fraction(round(exact * 10**places), 10**places) == Fraction(shown)
    assert -places == shown.as_tuple().exponent


@given(nanos=any_nanos, places=st.integers(0, 9))
def test_rounded_is_the_nearest_shown_amount(nanos: int, places: int) -> None:
    """A line is never further than half a last digit from the exact amount."""
    assert abs(Fraction(rounded(nanos, places)) - Fraction(nanos, NANOS)) * 2 <= Fraction(1, 10**places)


@given(nanos=any_nanos)
def test_whole_is_the_floor(nanos: int) -> None:
    """Counts leave the house rounded down."""
    assert whole(nanos) * NANOS <= nanos < (whole(nanos) + 1) * NANOS


@pytest.mark.parametrize(
    ("value", "shown"),
    [("0", "0"), ("12.50", "12.5"), ("12.00", "12"), ("-3.0", "-3"), ("1E+3", "1000"), ("0.000000001", "1E-9")],
)
def test_json_number_is_the_shortest(value: str, shown: str) -> None:
    """A whole number becomes an int, anything else loses its trailing zeros and nothing more."""
    number = json_number(Decimal(value))
    assert shown == str(number)
    assert (Decimal(value) == int(Decimal(value))) is isinstance(number, int)


@given(row=st.lists(st.one_of(any_nanos, st.integers(-2000, 2000)), max_size=20), places=st.sampled_from((2, 6)))
def test_a_row_of_shortest_numbers_is_told_as_each_of_them(row: list[int], places: int) -> None:
    """The same values of the same types, to the digit, whole ones and zeros included."""
    each = [shortest(one, places) for one in row]
    found = shortest_each(row, places)
    assert [(type(one), str(one)) for one in each] == [(type(one), str(one)) for one in found]
