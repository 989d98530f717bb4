"""Nanos as published numbers: rounded half-even, once, and never a float."""

from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallybook.core.number import NANOS, parse_nanos
from tallybook.web import numbers

seconds = st.integers(0, 10**15)


@pytest.mark.parametrize(
    ("seconds_text", "shown"),
    [("19200", "320"), ("90", "1.5"), ("100", "1.67"), ("0.3", "0"), ("0.9", "0.02"), ("0", "0"), ("60000", "1000")],
)
def test_minutes_have_two_places_at_most(seconds_text, shown):
    """
    Whole minutes show no point, others at most two places, halves go to the even neighbour.
    """
    assert shown == str(numbers.minutes_from_nanos(parse_nanos(seconds_text)))


@pytest.mark.parametrize(("units", "shown"), [("5000", "5000.0"), ("1250.5", "1250.5"), ("0", "0.0"), ("0.25", "0.25")])
def test_a_number_with_a_point_always_has_one(units, shown):
    """
    Where a document says float, whole values end in .0 and the others are exact.
    """
    assert shown.encode() == encoded(numbers.point_from_nanos(parse_nanos(units)))


def encoded(value):
    return msgspec.json.Encoder(decimal_format="number").encode(value)


def test_percentages_have_one_place_and_are_not_clamped():
    """
    32.0 keeps its zero, 110 % is shown as such, and no limit or a limit of 0 has no percentage.
    """
    assert b"32.0" == encoded(numbers.percentage_from_nanos(320, 1000))
    assert Decimal("110.0") == numbers.percentage_from_nanos(11, 10)
    assert Decimal("64.2") == numbers.percentage_from_nanos(32_100, 50_000)
    assert numbers.percentage_from_nanos(1, None) is None
    assert numbers.percentage_from_nanos(1, 0) is None


@given(row=st.lists(seconds, max_size=40), cuts=st.lists(st.integers(0, 40), max_size=5))
def test_carried_minutes_add_up_however_they_are_grouped(row, cuts):
    """
    The shown values of any grouping of a row add up to the rounded sum of the row, none off by a millionth or more.
    """
    edges = [0, *sorted(min(cut, len(row)) for cut in cuts), len(row)]
    grouped = [sum(row[low:high]) for low, high in pairwise(edges)]

    shown = numbers.minutes_carried(grouped)

    exactly = numbers.minutes_from_nanos(sum(row), numbers.MINUTE_PLACES_FINE)
    assert sum(numbers.minutes_carried(row)) == sum(shown) == exactly
    for value, exact in zip(shown, grouped, strict=True):
        assert abs(Fraction(value) - Fraction(exact, 60 * NANOS)) < Fraction(1, 10**numbers.MINUTE_PLACES_FINE)


nanos = st.integers(-(10**18), 10**18)
halves = st.integers(-(10**6), 10**6).map(lambda n: n * 300_000_000)


@given(row=st.lists(st.one_of(nanos, halves, st.just(0))))
def test_a_row_of_minutes_is_told_as_each_of_them(row):
    """
    Halves and what is below zero included.
    """
    assert list(map(numbers.minutes_from_nanos, row)) == numbers.minutes_each(row)


@given(rows=st.lists(st.tuples(nanos, st.integers(0, 10**12))))
def test_a_row_of_means_is_told_as_each_of_them(rows):
    """
    Nothing of nothing included.
    """
    totals, counts = [total for total, _ in rows], [count for _, count in rows]
    assert list(map(numbers.whole_mean, totals, counts)) == numbers.whole_means(totals, counts)


def test_a_mean_of_nothing_is_zero():
    """
    No calls have no duration: 0, not an error.
    """
    assert 0 == numbers.mean_from_nanos(0, 0, 2)
    assert Decimal("1.67") == numbers.mean_from_nanos(5 * NANOS, 3 * NANOS, 2)
