"""Prices: what one unit of a meter costs, and which price speaks for an event.

Prices are exact; what they make of quantities is rounded once, when it is shown.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tallybook.core.errors import QuantityInvalid
from tallybook.core.fields import NO_FILTER, Problems, read_filter, read_name, read_object
from tallybook.core.limit import matches
from tallybook.core.number import parse_nanos, to_text


@dataclass(frozen=True, slots=True)
class Price:
    """What one unit of *meter* costs, for the events that *filter* (dimension -> value) matches.

    Attributes:
        unit_price: In nanos of the plan's currency: 2_500_000 is a quarter of a cent.
        resource: Where there is no *meter*: the kind of thing of which each costs so much a billing period.
    """

    meter: str | None
    unit_price: int
    filter: Mapping[str, str] = field(default_factory=dict, hash=False)
    resource: str | None = None


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


def read_price(value: object, pointer: str) -> Price:
    """Read one price: ``{"meter" or "resource", "unit_price", "filter"?}``.

    Raises:
        FieldInvalid: Telling all that is wrong, with pointers below *pointer*.
    """
    body, problems = read_object(value, pointer), Problems()
    problems.only(body, {"meter", "resource", "unit_price", "filter"}, pointer, "a price")
    resource = body.get("resource")
    if resource is None:
        subject = problems.take(read_name, body.get("meter"), f"{pointer}/meter", "")
    else:
        subject = problems.take(read_name, resource, f"{pointer}/resource", "")
        if "meter" in body:
            problems.add(f"{pointer}/meter", "cannot stand beside a resource")
    amount = problems.take(_read_amount, body.get("unit_price"), f"{pointer}/unit_price", 0)
    wanted = problems.take(read_filter, body.get("filter"), f"{pointer}/filter", NO_FILTER)
    problems.finish()
    if resource is None:
        return Price(subject, amount, wanted)
    return Price(None, amount, wanted, subject)


def _read_amount(value: object, pointer: str) -> int:
    if not isinstance(value, str):
        raise QuantityInvalid('must be a decimal string such as "0.0025", so that it is exact', pointer=pointer)
    nanos = parse_nanos(value, pointer)
    if nanos < 0:
        raise QuantityInvalid("must not be negative", pointer=pointer)
    return nanos


def write_price(price: Price) -> dict[str, object]:
    """Return the price as JSON that `read_price` reads back."""
    subject = {"resource": price.resource} if price.meter is None else {"meter": price.meter}
    body: dict[str, object] = {**subject, "unit_price": to_text(price.unit_price)}
    if price.filter:
        body["filter"] = dict(price.filter)
    return body
