"""What an account's usage costs, as budgets ask it: exactly, and how much dearer one more unit can make it at most."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from tallybook.core.bill import Card
from tallybook.core.clock import Clock
from tallybook.core.number import NANOS
from tallybook.core.plan import DEFAULT_CURRENCY, Account
from tallybook.core.ports import UsageReader, UsageSnapshot
from tallybook.core.window import Span


class CostReader(Protocol):
    """Reads costs: `flows.cost`."""

    def spent_in(
        self, snapshot: UsageSnapshot, account: Account, span: Span, cards: Sequence[Card] | None = None
    ) -> int:
        """Return what *span* costs, as *snapshot* sees it."""
        ...


class CardSource(Protocol):
    """Which rate cards an account had when: `flows.subscribe`."""

    def cards(self, account: Account) -> Sequence[Card]:
        """Return the rate cards of the account's plans, ascending and tiling all time."""
        ...


class Spending:
    """Reads what budgets need."""

    def __init__(self, costs: CostReader, cards: CardSource, usage: UsageReader, clock: Clock) -> None:
        self._costs = costs
        self._cards = cards
        self._usage = usage
        self._clock = clock

    def spent(self, snapshot: UsageSnapshot, account: Account, span: Span) -> int:
        """Return the cost of *span*, in nanos of the plan's currency, as *snapshot* sees it."""
        return self._costs.spent_in(snapshot, account, span)

    def dearest(self, account: Account) -> Mapping[str, int] | None:
        """Return what one more unit of each priced meter can cost at most; None where prices are not linear.

        A package, a tier, a list or a thing can make the next unit cost anything, so nothing is said of such cards.
        """
        dearest: dict[str, int] = {}
        for card in self._in_force(account):
            for price in card.prices:
                if price.meter is None or not price.is_linear or price.minimum:
                    return None
                dearest[price.meter] = max(dearest.get(price.meter, 0), price.unit_price)
        for meter in self._usage.scheme.catalogue.meters.values():
            if meter.priced_by is not None:  # an event may carry its own cost, in whole units of money
                dearest[meter.name] = NANOS
        return dearest

    def currency(self, account: Account) -> str:
        """Return the currency of the account's prices."""
        cards = self._in_force(account)
        return cards[0].currency if cards else DEFAULT_CURRENCY

    def _in_force(self, account: Account) -> list[Card]:
        """Return the cards that count now or later: a budget's gauges are remembered for a while."""
        return [card for card in self._cards.cards(account) if self._clock.now_us() < card.span.end_us]
