"""Prices are exact strings, and the price with the most fitting filter speaks for an event."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallybook.core.card import read_price, write_price
from tallybook.core.errors import FieldInvalid
from tallybook.core.fields import errors_of
from tallybook.core.number import NANOS_MAX
from tallybook.core.price import Price, price_for, unit_price

NAMES = st.sampled_from(["a", "b", "c"])
DIMENSIONS = st.dictionaries(NAMES, st.sampled_from(["1", "2"]))
PRICES = st.builds(Price, st.sampled_from(["m", "n"]), st.integers(0, NANOS_MAX), DIMENSIONS)


@given(PRICES | st.builds(Price, st.none(), st.integers(0, NANOS_MAX), DIMENSIONS, NAMES))
def test_a_price_is_read_back_as_it_was_written(price: Price) -> None:
    """To the nano; and equal prices are equal keys."""
    again = read_price(write_price(price), "")
    assert price == again
    assert hash(price) == hash(again)


@given(st.lists(PRICES, max_size=6), DIMENSIONS)
def test_the_most_specific_price_speaks(prices: list[Price], dimensions: dict[str, str]) -> None:
    """It fits, and none that fits names more; without one, a unit costs nothing."""
    fitting = [p for p in prices if p.meter == "m" and p.filter.items() <= dimensions.items()]
    found = price_for(prices, "m", dimensions)
    if found is None:
        assert [] == fitting
        assert 0 == unit_price(prices, "m", dimensions)
    else:
        assert found in fitting
        assert max(len(p.filter) for p in fitting) == len(found.filter)
        assert found.unit_price == unit_price(prices, "m", dimensions)


@given(st.lists(PRICES, max_size=6, unique_by=lambda p: (p.meter, frozenset(p.filter))), DIMENSIONS, st.randoms())
def test_the_order_matters_only_among_equally_specific_prices(
    prices: list[Price], dimensions: dict[str, str], dice: random.Random
) -> None:
    """Shuffled, a price of as many dimensions speaks."""
    found, again = (price_for(order, "m", dimensions) for order in (prices, dice.sample(prices, len(prices))))
    assert (found and len(found.filter)) == (again and len(again.filter))


def test_among_equals_the_first_speaks() -> None:
    """As the documents of the plan say."""
    first, second = Price("m", 1, {"a": "1"}), Price("m", 2, {"b": "1"})
    assert first == price_for([first, second], "m", {"a": "1", "b": "1"})


@pytest.mark.parametrize(
    ("body", "pointers", "code"),
    [
        ([], [""], "invalid-field"),
        ({}, ["/meter", "/unit_price"], "invalid-field"),
        ({"meter": "m", "unit_price": 0.1}, ["/unit_price"], "invalid-amount"),
        ({"meter": "m", "unit_price": 1}, ["/unit_price"], "invalid-amount"),
        ({"meter": "m", "unit_price": "-1"}, ["/unit_price"], "invalid-amount"),
        ({"meter": "m", "unit_price": "0.0000000001"}, ["/unit_price"], "invalid-amount"),
        ({"meter": "m", "unit_price": "1", "each": "x"}, ["/each"], "invalid-field"),
        ({"meter": "m", "unit_price": "1", "filter": {"a": []}}, ["/filter/a"], "invalid-field"),
        ({"meter": "m", "resource": "r", "unit_price": "1"}, ["/meter"], "invalid-field"),
    ],
)
def test_a_wrong_price_is_refused_with_every_place(body: object, pointers: list[str], code: str) -> None:
    """A price as a JSON number cannot be trusted to be exact, so it is refused."""
    with pytest.raises(FieldInvalid) as caught:
        read_price(body, "/prices/0")
    assert [f"/prices/0{pointer}" for pointer in pointers] == [pointer for pointer, _ in errors_of(caught.value)]
    assert code == caught.value.code
