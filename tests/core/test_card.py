"""Rate cards on the wire: every form is read back as it was written, and what is wrong is told with its place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallybook.core.card import read_price, write_price
from tallybook.core.errors import FieldInvalid
from tallybook.core.fields import errors_of
from tallybook.core.meter import Increments
from tallybook.core.number import NANOS
from tallybook.core.plan import read_plan, write_plan
from tallybook.core.price import Price, cost_of
from tallybook.core.rate import Model, Rate, Tier

AMOUNTS = st.integers(0, 10**15)
SIZES = st.integers(1, 10**15)


@st.composite
def rates(draw: st.DrawFn) -> Rate | None:
    """Rates that a price says more with than a price a unit."""
    model = draw(st.sampled_from([None, *Model]))
    if model is None:
        return None
    if model in {Model.UNIT, Model.PACKAGE}:
        size = draw(SIZES.filter(lambda size: size != NANOS or model is Model.PACKAGE))
        return Rate(model, (Tier(None, draw(AMOUNTS)),), size)
    bounds = sorted(draw(st.sets(SIZES, max_size=3)))
    made = (*(Tier(bound, draw(AMOUNTS), draw(AMOUNTS)) for bound in bounds), Tier(None, draw(AMOUNTS)))
    return Rate(model, made, draw(SIZES))


@st.composite
def prices(draw: st.DrawFn) -> Price:
    """Prices of every kind."""
    kind = draw(st.sampled_from(["meter", "resource", "fee", "minimum", "list"]))
    name = draw(st.none() | st.text(min_size=1, max_size=5).filter(lambda text: "\x00" not in text))
    if kind == "fee":
        return Price(None, 0, fee=draw(AMOUNTS), name=name)
    if kind == "minimum":
        return Price(None, 0, minimum=draw(AMOUNTS), name=name)
    rate = draw(rates())
    unit_price = draw(AMOUNTS) if rate is None else rate.tiers[0].unit_price
    wanted = draw(st.dictionaries(st.sampled_from("abc"), st.sampled_from(["1", "2"])))
    if kind == "resource":
        return Price(None, unit_price, wanted, "phone", rate=rate, included=draw(AMOUNTS), name=name)
    rounding = draw(st.none() | st.builds(Increments, st.integers(1, 60), st.integers(1, 60)))
    minimum = draw(AMOUNTS)
    if kind == "list":
        listed = draw(st.integers(1, 3 * NANOS))
        price = draw(AMOUNTS)
        return Price("input_tokens", price, wanted, price_list="llm", multiplier=listed, minimum=minimum, name=name)
    per = draw(st.none() | st.just("d"))
    return Price(
        "m",
        unit_price,
        wanted,
        rate=rate,
        included=draw(AMOUNTS),
        per=per,
        minimum=minimum,
        rounding=rounding,
        name=name,
    )


@given(prices())
def test_every_price_is_read_back_as_it_was_written(price: Price) -> None:
    """To the nano, in a plan too."""
    assert price == read_price(write_price(price), "")
    plan = read_plan("p", {"prices": [write_price(price)]})
    assert (price,) == read_plan("p", write_plan(plan)).prices


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({"meter": "m"}, ["/unit_price"]),
        ({"meter": "m", "unit_price": "1", "volume": [{"unit_price": "1"}]}, ["/volume"]),
        ({"meter": "m", "graduated": []}, ["/graduated"]),
        ({"meter": "m", "graduated": [{"upto": "1", "unit_price": "1"}]}, ["/graduated/0/upto"]),
        ({"meter": "m", "graduated": [{"unit_price": "1"}, {"unit_price": "1"}]}, ["/graduated/0/upto"]),
        (
            {
                "meter": "m",
                "volume": [{"upto": "2", "unit_price": "1"}, {"upto": "2", "unit_price": "1"}, {"unit_price": 1}],
            },
            ["/volume/1/upto", "/volume/2/unit_price"],
        ),
        ({"meter": "m", "volume": [{"upto": "0", "unit_price": "1"}, {"unit_price": "1"}]}, ["/volume/0/upto"]),
        ({"meter": "m", "package": {"size": "0", "price": "1"}}, ["/package/size"]),
        ({"meter": "m", "package": {"size": "5"}}, ["/package/price"]),
        ({"meter": "m", "package": {"size": "5", "price": "1"}, "units": "2"}, ["/units"]),
        ({"meter": "m", "unit_price": "1", "rounding": {"first": 0, "next": 6}}, ["/rounding/first"]),
        ({"meter": "m", "unit_price": "1", "rounding": {"first": 60}}, ["/rounding/next"]),
        ({"meter": "m", "unit_price": "1", "included": "-1"}, ["/included"]),
        ({"meter": "m", "list": "llm"}, ["/list"]),
        ({"meter": "input_tokens", "list": "llms"}, ["/list"]),
        ({"meter": "input_tokens", "list": "llm", "included": "5"}, ["/included"]),
        ({"meter": "m", "unit_price": "1", "multiplier": "2"}, ["/multiplier"]),
        ({"fee": "1", "unit_price": "1"}, ["/unit_price"]),
        ({"fee": 10}, ["/fee"]),
        ({"minimum": "x"}, ["/minimum"]),
        ({"resource": "agent", "unit_price": "1", "per": "agent_id"}, ["/per"]),
        ({"resource": "agent", "fee": "1", "unit_price": "1"}, ["/fee"]),
    ],
)
def test_a_wrong_price_is_refused_with_every_place(body: object, pointers: list[str]) -> None:
    """Nothing that is written in a card is ever passed over in silence."""
    with pytest.raises(FieldInvalid) as caught:
        read_price(body, "/prices/0")
    assert sorted(f"/prices/0{pointer}" for pointer in pointers) == sorted(p for p, _ in errors_of(caught.value))


@pytest.mark.parametrize("pair", [({"fee": "1"}, {"fee": "2"}), ({"minimum": "1"}, {"minimum": "2"})])
def test_two_fees_need_names(pair: tuple[dict[str, object], dict[str, object]]) -> None:
    """As two prices of one meter need filters; two minimums of a plan make no sense without them either."""
    with pytest.raises(FieldInvalid):
        read_plan("p", {"prices": list(pair)})
    assert 2 == len(read_plan("p", {"prices": [pair[0], {**pair[1], "name": "other"}]}).prices)


def test_a_plan_is_in_the_currency_of_the_lists_that_it_names() -> None:
    """Dollars for a million tokens are not euros."""
    card = {"currency": "EUR", "prices": [{"meter": "input_tokens", "list": "llm"}]}
    with pytest.raises(FieldInvalid) as refused:
        read_plan("p", card)
    assert ["/prices/0/list"] == [pointer for pointer, _ in errors_of(refused.value)]


def test_what_is_included_costs_nothing_and_the_rest_is_overage() -> None:
    """The tiers count what is beyond it."""
    price = read_price(
        {"meter": "m", "included": "100", "graduated": [{"upto": "10", "unit_price": "2"}, {"unit_price": "1"}]}, ""
    )
    assert [0, 0, 2, 20, 25] == [cost_of(price, n * NANOS) // NANOS for n in (0, 100, 101, 110, 115)]
