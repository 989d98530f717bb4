"""Currencies: how many decimals what is paid has."""

import pytest

from tallybook.core.currency import PLACES, places_of, read_currency
from tallybook.core.errors import FieldInvalid
from tallybook.core.plan import read_plan


@pytest.mark.parametrize(
    ("code", "places"), [("USD", 2), ("EUR", 2), ("JPY", 0), ("KRW", 0), ("KWD", 3), ("TND", 3), ("CLP", 0)]
)
def test_the_minor_units_of_iso_4217(code: str, places: int) -> None:
    """None, two or three decimals."""
    assert places == places_of(code) == places_of(read_currency(code, ""))


def test_codes_are_three_letters_each_once() -> None:
    """As the list has them."""
    assert all(len(code) == 3 and code.isascii() and code.isupper() for code in PLACES)
    assert set(PLACES.values()) == {0, 2, 3}
    assert len(PLACES) > 150


@pytest.mark.parametrize("value", ["usd", "XYZ", "", 840, None, "US"])
def test_what_is_no_currency_is_refused_in_a_new_plan(value: object) -> None:
    """A stored version may hold a code that left the list."""
    with pytest.raises(FieldInvalid):
        read_currency(value, "/currency")
    assert "XYZ" == read_plan("p", {"currency": "XYZ"}, version=3).currency
    assert 2 == places_of("XYZ")
