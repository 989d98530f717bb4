"""Rates: the closed forms against charging every unit on its own, at every boundary."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallybook.core.number import NANOS, to_decimal
from tallybook.core.rate import Model, Rate, Tier, allocate, charge, half_even, per_unit, share, steps

PRICES = st.integers(0, 5 * NANOS)


@st.composite
def tiers(draw: st.DrawFn) -> tuple[Tier, ...]:
    """Ascending tiers with bounds of whole units, the last one open."""
    bounds = sorted(draw(st.sets(st.integers(1, 60), max_size=4)))
    closed = [Tier(bound * NANOS, draw(PRICES), draw(st.sampled_from([0, 0, NANOS]))) for bound in bounds]
    return (*closed, Tier(None, draw(PRICES), draw(st.sampled_from([0, 0, 7]))))


def tier_of(rate: Rate, unit: int) -> tuple[int, Tier]:
    """The tier that the *unit*-th unit (from 1) falls into."""
    return next((n, t) for n, t in enumerate(rate.tiers) if t.upto is None or unit * NANOS <= t.upto)


def unit_by_unit(rate: Rate, units: int) -> int:
    """Charge every unit on its own, and each tier's flat amount when it is entered."""
    cost, entered = 0, set()
    for unit in range(1, units + 1):
        number, tier = tier_of(rate, unit)
        cost += tier.unit_price + (0 if number in entered else tier.flat)
        entered.add(number)
    return cost


@given(tiers(), st.integers(0, 80))
def test_graduated_equals_unit_by_unit(made: tuple[Tier, ...], units: int) -> None:
    """The closed form never differs from charging every unit on its own."""
    rate = Rate(Model.GRADUATED, made)
    assert unit_by_unit(rate, units) == charge(rate, units * NANOS)


@given(tiers(), st.integers(1, 80))
def test_volume_charges_all_at_the_price_of_the_tier_it_ends_in(made: tuple[Tier, ...], units: int) -> None:
    """A quantity of exactly a tier's bound belongs to that tier."""
    rate = Rate(Model.VOLUME, made)
    _, tier = tier_of(rate, units)
    assert units * tier.unit_price + tier.flat == charge(rate, units * NANOS)


@given(tiers(), st.integers(0, 60 * NANOS), st.integers(1, 9 * NANOS))
def test_the_steps_of_a_cost_add_up_to_it(made: tuple[Tier, ...], quantity: int, size: int) -> None:
    """Whatever fraction of a unit was used, and however many units a price is for; the cost is rounded once."""
    for model in (Model.GRADUATED, Model.VOLUME):
        rate = Rate(model, made, size)
        parts = steps(rate, quantity)
        assert quantity == sum(step.quantity for step in parts)


@pytest.mark.parametrize(
    ("quantity", "packages"), [(0, 0), (1, 1), (999 * NANOS, 1), (1000 * NANOS, 1), (1000 * NANOS + 1, 2), (-5, 0)]
)
def test_every_started_package_is_charged(quantity: int, packages: int) -> None:
    """A full one is one; the least bit more is another."""
    rate = Rate(Model.PACKAGE, (Tier(None, 2 * NANOS),), 1000 * NANOS)
    assert packages * 2 * NANOS == charge(rate, quantity)
    assert packages * NANOS == sum(step.quantity for step in steps(rate, quantity))


@pytest.mark.parametrize(("quantity", "cost"), [(10, 10 * 4), (11, 11 * 3), (20, 20 * 3), (21, 21 * 2)])
def test_volume_at_its_boundaries(quantity: int, cost: int) -> None:
    """Crossing a bound can make all of it cheaper."""
    made = (Tier(10 * NANOS, 4 * NANOS), Tier(20 * NANOS, 3 * NANOS), Tier(None, 2 * NANOS))
    assert cost * NANOS == charge(Rate(Model.VOLUME, made), quantity * NANOS)


def test_more_taken_back_than_used_is_a_credit_only_where_every_unit_costs_the_same() -> None:
    """Tiers and packages begin at nothing."""
    assert -6 * NANOS == charge(per_unit(2 * NANOS), -3 * NANOS)
    assert 0 == charge(Rate(Model.GRADUATED, (Tier(None, NANOS),)), -3 * NANOS)
    assert [] == steps(Rate(Model.VOLUME, (Tier(None, NANOS, 5),)), 0)
    assert [] == steps(per_unit(NANOS), 0)


@given(st.integers(-(10**30), 10**30), st.integers(1, 10**20))
def test_half_even_is_the_rounding_of_decimals(numerator: int, denominator: int) -> None:
    """To the nearest integer, and of two equally near to the even one."""
    whole, rest = divmod(numerator, denominator)
    up = 2 * rest > denominator or (2 * rest == denominator and whole % 2 == 1)
    assert whole + up == half_even(numerator, denominator)
    assert half_even(5, 10) == 0
    assert half_even(15, 10) == 2
    assert half_even(-5, 10) == 0


@given(st.integers(-(10**18), 10**18), st.lists(st.integers(0, 10**15), min_size=1, max_size=8))
def test_what_is_split_adds_up_again(total: int, weights: list[int]) -> None:
    """No part is a nano or more off its exact share; where shares are whole numbers, they are the parts."""
    parts = allocate(total, weights)
    assert total == sum(parts)
    assert len(weights) == len(parts)
    if whole := sum(weights):
        assert all(abs(part * whole - total * weight) < whole for part, weight in zip(parts, weights, strict=True))
        assert weights == allocate(whole, weights)


@given(st.integers(0, 10**15), st.integers(1, 10**13), st.lists(st.integers(0, 10**13), max_size=5))
def test_what_accrues_over_time_adds_up_however_time_is_cut(amount: int, whole: int, cuts: list[int]) -> None:
    """All of it at the end, nothing at the start."""
    marks = sorted({0, whole, *(cut % whole for cut in cuts)})
    reached = [share(amount, mark, whole) for mark in marks]
    assert amount == sum(after - before for before, after in pairwise(reached))
    assert to_decimal(amount) == to_decimal(reached[-1])
