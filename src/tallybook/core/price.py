"""Prices: what usage of a meter, a thing or a whole period costs, and which price speaks for which usage.

Prices are exact; what they make of quantities is rounded as docs/decisions/0014 says. How a rate makes a cost of a
quantity is `rate`; reading prices from JSON is `card`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tallybook.core.limit import matches
from tallybook.core.meter import Aggregation, Increments, Meter, Operator
from tallybook.core.number import NANOS
from tallybook.core.rate import Rate, charge, per_unit


@dataclass(frozen=True, slots=True)
class Price:
    """What usage costs, for the events that *filter* (dimension -> value) matches.

    One of *meter*, *resource* and *fee* says what is priced; a price with none of them is the plan's minimum.

    Attributes:
        unit_price: In nanos of the plan's currency: 2_500_000 is a quarter of a cent. For each unit, unless *rate*
            says more.
        resource: The kind of thing of which each costs so much a billing period.
        rate: Packages, tiers, or a price for so many units; None for *unit_price* each.
        included: How much a billing period (in nanos) costs nothing.
        per: A dimension whose values each have their own tiers and their own *included*.
        minimum: What a billing period costs at least.
        rounding: Of each call.
        price_list: Name of the list that has a price for each model; *unit_price* and *rate* are for others.
        fee: What a billing period costs, however much is used.
        name: What it is called on an invoice.
        multiplier: Of the list's prices, in nanos.
    """

    meter: str | None
    unit_price: int
    filter: Mapping[str, str] = field(default_factory=dict, hash=False)
    resource: str | None = None
    rate: Rate | None = None
    included: int = 0
    per: str | None = None
    minimum: int = 0
    rounding: Increments | None = None
    price_list: str | None = None
    fee: int | None = None
    name: str | None = None
    multiplier: int = NANOS

    @property
    def is_linear(self) -> bool:
        """Whether usage costs *unit_price* a unit, wherever the period began: nothing else has to be known."""
        return self.rate is None and not self.included and self.rounding is None and self.price_list is None

    @property
    def quantity_meter(self) -> str | None:
        """The meter that is counted: that of the rounded values, where they are."""
        if self.meter is None or self.rounding is None:
            return self.meter
        return rounded_meter(self.meter, self.rounding)

    @property
    def rule(self) -> Rate:
        """The rate that speaks, without the list."""
        return self.rate or per_unit(self.unit_price)

    @property
    def label(self) -> str:
        """What it is called: its name, or what it prices."""
        if self.name:
            return self.name
        subject = self.meter or self.resource or ("minimum" if self.fee is None else "fee")
        told = ", ".join(f"{name} {value}" for name, value in sorted(self.filter.items()))
        return f"{subject} ({told})" if told else subject


def rounded_meter(meter: str, rounding: Increments) -> str:
    """Return the name of the meter that adds up *meter*'s values, each rounded up first."""
    return f"{meter}.{rounding.suffix}"


def can_be_rounded(meter: Meter) -> bool:
    """Whether calls can be rounded one by one: the meter adds up one field, in seconds."""
    plain = len(meter.fields) == 1 and not meter.fields[0].startswith("^")
    return meter.aggregation is Aggregation.SUM and plain and meter.unit == "s"


def rounded_body(meter: Meter, rounding: Increments) -> dict[str, object]:
    """Return the definition of the meter of rounded values, as `core.catalogue.read_meter` takes it."""
    where: dict[str, object] = {}
    for condition in meter.conditions:
        known = where.get(condition.field)
        if condition.operator is Operator.IN:
            where[condition.field] = list(condition.values)
        else:
            bound = {condition.operator.value: condition.values[0]}
            where[condition.field] = {**known, **bound} if isinstance(known, dict) else bound
    return {
        "event": meter.event_type,
        "aggregation": meter.aggregation.value,
        "field": meter.fields[0],
        "rounding": {"first": rounding.first, "next": rounding.next},
        "dimensions": list(meter.dimensions),
        "where": where,
        "unit": meter.unit,
        "description": f"{meter.name}, each rounded up: {rounding.first} s at least, then by {rounding.next} s.",
    }


def price_for(prices: Iterable[Price], meter: str, dimensions: Mapping[str, str]) -> Price | None:
    """Return the price that speaks for usage of *meter* with *dimensions*, None where there is none.

    Of those whose whole filter matches, the one with most dimensions in its filter wins; among equals the first.
    """
    found: Price | None = None
    for price in prices:
        if price.meter != meter or not matches(price.filter, dimensions):
            continue
        if found is None or len(price.filter) > len(found.filter):
            found = price
    return found


def unit_price(prices: Iterable[Price], meter: str, dimensions: Mapping[str, str]) -> int:
    """Return what one unit costs in nanos of the currency; nothing where no price speaks for it."""
    found = price_for(prices, meter, dimensions)
    return 0 if found is None else found.unit_price


def billable(price: Price, quantity: int) -> int:
    """Return what of *quantity* is charged: all beyond what is included."""
    return max(0, quantity - price.included) if price.included else quantity


def cost_of(price: Price, quantity: int, rule: Rate | None = None) -> int:
    """Return what *quantity* of one billing period costs in nanos, rounded once; *rule* is that of a list."""
    return charge(rule or price.rule, billable(price, quantity))
