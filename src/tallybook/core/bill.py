"""Bills: which cards count when, and what each charge of a card has come to at any instant. Pure arithmetic.

Cost is cumulative: a charge has come to so much at an instant, counted from where its part of the billing period began;
what a span costs is what it came to at the end less what it came to at the start. So spans add up, however they are
cut. Not for asking what was used (see `reckon`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tallybook.core.period import billing_period
from tallybook.core.price import Price, cost_of
from tallybook.core.rate import Rate, allocate, share
from tallybook.core.resource import Life
from tallybook.core.window import Span, zone

Key = tuple[str | None, ...]
"""What a row of costs is grouped by: a meter, an item, values of dimensions."""

PERIODS_MAX = 3_000
"""More billing periods than there are between 1970 and 2200: no question touches as many."""


@dataclass(frozen=True, slots=True)
class Card:
    """The prices that are in force over *span*, and of which plan they are."""

    span: Span
    prices: tuple[Price, ...]
    currency: str = "USD"
    plan: str = ""
    version: int = 0


@dataclass(frozen=True, slots=True)
class Calendar:
    """How an account's time is cut into billing periods; fees run from *since_us*, when it was created."""

    timezone: str
    anchor_day: int
    since_us: int = 0

    def period(self, at_us: int) -> Span:
        """Return the billing period that holds an instant."""
        return billing_period(at_us, self.anchor_day, zone(self.timezone))


@dataclass(frozen=True, slots=True)
class Part:
    """What of a billing period one card counts for: tiers, included quantities and minimums begin with it."""

    period: Span
    span: Span
    card: Card


def parts_of(cards: Iterable[Card], calendar: Calendar, span: Span, *, floor_us: int = 0) -> list[Part]:
    """Return the parts that decide what *span* costs, ascending: from where its first billing period began.

    Args:
        cards: Ascending and tiling all time.
        calendar: The account's.
        span: What is asked for.
        floor_us: Where counting begins in any case, as an invoice does where the one before ended.
    """
    parts: list[Part] = []
    seen: list[Span] = []
    cards = list(cards)
    at_us = max(floor_us, span.start_us)
    while at_us < span.end_us and len(seen) < PERIODS_MAX:
        period = calendar.period(at_us)
        seen.append(period)
        for card in cards:
            start_us = max(period.start_us, card.span.start_us, floor_us)
            end_us = min(period.end_us, card.span.end_us)
            if start_us < min(end_us, span.end_us):
                parts.append(Part(period, Span(start_us, end_us), card))
        at_us = period.end_us
    return parts


@dataclass(slots=True)
class Charge:
    """One price at work in one part, for one value where values are priced for themselves.

    Attributes:
        number: The place of the price in its card, which tells prices apart.
        span: When it counts: the part, or what of it a list's price is valid for.
        value: Of the dimension that *per* names, or the model of a list.
        quantities: Row key -> how much was used at each of the *marks* of the reckoning, from anywhere on.
    """

    part: Part
    number: int
    price: Price
    span: Span
    rule: Rate
    value: str | None = None
    quantities: dict[Key, list[int]] = field(default_factory=dict)

    def add(self, key: Key, values: Sequence[int]) -> None:
        """Count usage: its running total at each mark."""
        known = self.quantities.get(key)
        self.quantities[key] = list(values) if known is None else [a + b for a, b in zip(known, values, strict=True)]


class Tab:
    """What the charges of one part have come to; *marks* maps the instants that may be asked about to their number."""

    def __init__(self, part: Part, charges: Sequence[Charge], marks: Mapping[int, int], since_us: int) -> None:
        self.part = part
        self.charges = charges
        self._marks = marks
        self._since_us = since_us

    def quantities(self, charge: Charge, at_us: int) -> dict[Key, int]:
        """Return how much *charge* counts by row key, up to *at_us*."""
        low = self._marks[charge.span.start_us]
        high = self._marks[min(max(at_us, charge.span.start_us), charge.span.end_us)]
        return {key: values[high] - values[low] for key, values in charge.quantities.items()}

    def cost(self, charge: Charge, at_us: int) -> int:
        """Return what *charge* has come to."""
        return cost_of(charge.price, sum(self.quantities(charge, at_us).values()), charge.rule)

    def accrued(self, amount: int, at_us: int) -> int:
        """Return what has accrued of an amount that is due for a whole billing period: evenly over its time."""
        begin_us = max(self.part.span.start_us, self._since_us)
        end_us = min(at_us, self.part.span.end_us)
        if end_us <= begin_us:
            return 0
        period = self.part.period
        length = period.end_us - period.start_us
        return share(amount, end_us - period.start_us, length) - share(amount, begin_us - period.start_us, length)

    def used(self, at_us: int) -> dict[tuple[int, Key], int]:
        """Return what usage has come to, by the price's number and row key."""
        found: dict[tuple[int, Key], int] = {}
        for charge in self.charges:
            told = self.quantities(charge, at_us)
            cost = cost_of(charge.price, sum(told.values()), charge.rule)
            if not cost:
                continue
            keys = sorted(told, key=sorting)
            for key, nanos in zip(keys, allocate(cost, [told[key] for key in keys]), strict=True):
                place = charge.number, key
                found[place] = found.get(place, 0) + nanos
        return found

    def came_to(self, at_us: int) -> dict[tuple[int, Key | None], int]:
        """Return what everything has come to: usage, then under the key None fees and what is missing to minimums."""
        found: dict[tuple[int, Key | None], int] = dict(self.used(at_us).items())
        by_price: dict[int, int] = {}
        for (number, _), nanos in found.items():
            by_price[number] = by_price.get(number, 0) + nanos
        for number, price in enumerate(self.part.card.prices):
            if price.fee is not None:
                found[number, None] = self.accrued(price.fee, at_us)
            elif price.minimum and not is_minimum(price):
                found[number, None] = max(0, self.accrued(price.minimum, at_us) - by_price.get(number, 0))
        for number, price in enumerate(self.part.card.prices):
            if is_minimum(price):
                found[number, None] = max(0, self.accrued(price.minimum, at_us) - sum(found.values()))
        return {place: nanos for place, nanos in found.items() if nanos}


def is_minimum(price: Price) -> bool:
    """Whether the price is what a whole plan costs at least."""
    return price.meter is None and price.resource is None and price.fee is None


def sorting(key: Key) -> list[tuple[bool, str]]:
    """Return what sorts row keys: by their values, those that are missing last."""
    return [(value is None, value or "") for value in key]


def lived(life: Life, at_us: int, period: Span, nanos: int) -> int:
    """Return how much of the period a thing had existed by *at_us*, of *nanos* for all of it."""
    end_us = at_us if life.ended_us is None else min(at_us, life.ended_us)
    begin_us = max(life.begun_us, period.start_us)
    end_us = min(end_us, period.end_us)
    if end_us <= begin_us:
        return 0
    length = period.end_us - period.start_us
    return share(nanos, end_us - period.start_us, length) - share(nanos, begin_us - period.start_us, length)
