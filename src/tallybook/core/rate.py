"""Rates: what a quantity costs under one rule, shown in the steps that make it. Integers in, integers out.

Quantities and prices are nanos; a cost is exact until it is rounded half-even to a nano of the currency, once for a
whole quantity. Not for which rate speaks for which usage (see `price`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from tallybook.core.number import NANOS


class Model(StrEnum):
    """How a quantity becomes a cost.

    ``unit``: each unit costs the same. ``package``: every started package costs the same. ``graduated``: each slice of
    the quantity costs the price of its own tier. ``volume``: all of it costs the price of the tier it ends in.
    """

    UNIT = "unit"
    PACKAGE = "package"
    GRADUATED = "graduated"
    VOLUME = "volume"


@dataclass(frozen=True, slots=True)
class Tier:
    """One tier: up to and including *upto* (None for the last, which is open) a unit costs *unit_price*.

    Attributes:
        flat: What is charged once when the tier is entered; for ``volume`` when the quantity ends in it.
    """

    upto: int | None
    unit_price: int
    flat: int = 0


@dataclass(frozen=True, slots=True)
class Rate:
    """A rule of pricing.

    Attributes:
        tiers: Ascending, only the last one open; a rate without tiers has one.
        size: How many units (in nanos) a unit price is for, or one package holds.
    """

    model: Model
    tiers: tuple[Tier, ...]
    size: int = NANOS

    def __post_init__(self) -> None:
        assert self.size > 0
        assert self.tiers[-1].upto is None  # what is read is checked before


@dataclass(frozen=True, slots=True)
class Step:
    """One part of a cost: *quantity* units (packages for a package) at *unit_price* each, and *flat* once.

    Attributes:
        tier: Its number, from 1.
        start: Where the slice begins; the quantity of earlier tiers.
        scaled: The step's exact cost in nanos, times the rate's size.
    """

    tier: int
    start: int
    quantity: int
    unit_price: int
    flat: int
    scaled: int


def per_unit(unit_price: int, size: int = NANOS) -> Rate:
    """Return the rate at which *size* units cost *unit_price*."""
    return Rate(Model.UNIT, (Tier(None, unit_price),), size)


def half_even(numerator: int, denominator: int) -> int:
    """Return numerator / denominator (> 0) as the nearest integer; of two equally near the even one."""
    whole, rest = divmod(numerator, denominator)
    twice = 2 * rest
    if twice > denominator or (twice == denominator and whole % 2):
        return whole + 1
    return whole


def charge(rate: Rate, quantity: int) -> int:
    """Return what *quantity* costs in nanos of the currency, rounded once.

    A quantity below zero (more was taken back than used) is a credit where each unit costs the same, else it costs
    nothing.
    """
    if rate.model is Model.UNIT:
        return half_even(quantity * rate.tiers[0].unit_price, rate.size)
    if rate.model is Model.PACKAGE:
        return -(-max(0, quantity) // rate.size) * rate.tiers[0].unit_price
    return half_even(sum(step.scaled for step in steps(rate, quantity)), rate.size)


def steps(rate: Rate, quantity: int) -> list[Step]:
    """Return the steps that make the cost of *quantity*: one a tier that is touched, none for no usage."""
    price = rate.tiers[0].unit_price
    if rate.model is Model.UNIT:
        return [Step(1, 0, quantity, price, 0, quantity * price)] if quantity else []
    if quantity <= 0:
        return []
    if rate.model is Model.PACKAGE:
        packages = -(-quantity // rate.size)
        return [Step(1, 0, packages * NANOS, price, 0, packages * price * rate.size)]
    if rate.model is Model.VOLUME:
        number, tier = next((n, t) for n, t in enumerate(rate.tiers, 1) if t.upto is None or quantity <= t.upto)
        return [_step(rate, number, tier, 0, quantity)]
    return _slices(rate, quantity)


def _slices(rate: Rate, quantity: int) -> list[Step]:
    found: list[Step] = []
    start = 0
    for number, tier in enumerate(rate.tiers, 1):
        end = quantity if tier.upto is None else min(quantity, tier.upto)
        if end > start:
            found.append(_step(rate, number, tier, start, end))
            start = end
    return found


def _step(rate: Rate, number: int, tier: Tier, start: int, end: int) -> Step:
    scaled = (end - start) * tier.unit_price + tier.flat * rate.size
    return Step(number, start, end - start, tier.unit_price, tier.flat, scaled)


def share(amount: int, elapsed: int, whole: int) -> int:
    """Return what has accrued of *amount* after *elapsed* of *whole*: rounded down, all of it at the end."""
    return amount * elapsed // whole


def allocate(total: int, weights: Sequence[int]) -> list[int]:
    """Split *total* by *weights*: the parts add up to it, and each is less than one nano off its exact share.

    Where every share is a whole number, each part is just that. Without weights the first takes all.
    """
    whole = sum(weights)
    if not whole:
        return [total, *[0] * (len(weights) - 1)]
    parts, reached, told = [], 0, 0
    for weight in weights:
        reached += weight
        upto = total * reached // whole
        parts.append(upto - told)
        told = upto
    return parts
