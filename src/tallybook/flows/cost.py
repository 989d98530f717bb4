"""What usage costs: any span of an account, cut and grouped, exactly, so that days add up to months.

The arithmetic is `core.reckon` and `core.bill`; here questions are asked and answers priced, in one snapshot. Not for
invoices (see `flows.invoice`).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from tallybook.core.bill import Calendar, Card, Key, Part, Tab, parts_of
from tallybook.core.catalogue import Catalogue
from tallybook.core.errors import Conflict
from tallybook.core.forecast import paced
from tallybook.core.meter import Meter
from tallybook.core.plan import Account, Plan
from tallybook.core.ports import MetersChanged, UsageReader, UsageSnapshot, UsageStore
from tallybook.core.price import can_be_rounded, rounded_body
from tallybook.core.pricelist import PriceList
from tallybook.core.reckon import Grouping, Reckoning
from tallybook.core.resource import Life
from tallybook.core.window import Span

ATTEMPTS_MAX = 3
"""How often an answer is begun anew because another process added a meter meanwhile."""

_T = TypeVar("_T")


class CardSource(Protocol):
    """Which rate cards an account had when: `flows.subscribe`."""

    def cards(self, account: Account) -> Sequence[Card]:
        """Return the rate cards of the account's plans, ascending and tiling all time."""
        ...


class MeterKeeper(Protocol):
    """Adds meters: `flows.metering`."""

    @property
    def catalogue(self) -> Catalogue:
        """Event types and meters in force."""
        ...

    def put(self, name: str, body: dict[str, object]) -> Meter:
        """Add the meter *name*, filled from earlier events."""
        ...


@dataclass(frozen=True, slots=True)
class Spending:
    """What windows of an account cost, in nanos of *currency*; a row has what is not nothing, by its key."""

    currency: str
    windows: Sequence[Span]
    rows: Sequence[Mapping[Key, int]]

    @property
    def total(self) -> int:
        """What all windows cost together."""
        return sum(sum(row.values()) for row in self.rows)


class Costs:
    """Reads costs for every surface."""

    def __init__(
        self, store: UsageStore, usage: UsageReader, cards: CardSource, lists: Mapping[str, PriceList] | None = None
    ) -> None:
        self._store = store
        self._usage = usage
        self._cards = cards
        self.lists = lists or {}

    def spent(self, account: Account, span: Span) -> int:
        """Return what *span* costs, in nanos of the currency of the plan that is in force at its end."""
        return self.retried(lambda snapshot: self.spent_in(snapshot, account, span))

    def spent_in(
        self, snapshot: UsageSnapshot, account: Account, span: Span, cards: Sequence[Card] | None = None
    ) -> int:
        """Return what *span* costs as `spent` does, in a snapshot that is open already.

        Args:
            snapshot: What counts as used: inside a lane's transaction, all that it wrote.
            account: Whose.
            span: When.
            cards: The account's rate cards, where they were looked up before.
        """
        known = self._cards.cards(account) if cards is None else cards
        currency = _currency_at(known, span.end_us - 1)
        mine = [card for card in known if card.currency == currency]
        return self.priced(snapshot, account, mine, [span]).total

    def spending(self, account: Account, windows: Sequence[Span], grouping: Grouping | None = None) -> Spending:
        """Return what *windows* (ascending) cost, by row key.

        Raises:
            Conflict: If the account was on plans of different currencies meanwhile.
            ParameterInvalid: For a dimension that no priced meter has.
        """
        cards = self._cards.cards(account)
        return self.retried(lambda snapshot: self.priced(snapshot, account, cards, windows, grouping))

    def priced(
        self,
        snapshot: UsageSnapshot,
        account: Account,
        cards: Sequence[Card],
        windows: Sequence[Span],
        grouping: Grouping | None = None,
    ) -> Spending:
        """Return what *windows* would cost if *cards* had been in force, from a snapshot that is open already.

        Raises:
            Conflict: If the cards are of different currencies.
        """
        span = Span(windows[0].start_us, windows[-1].end_us) if windows else Span(0, 0)
        parts = parts_of(cards, calendar_of(account), span)
        currencies = sorted({part.card.currency for part in parts if part.span.end_us > span.start_us})
        if len(currencies) > 1:
            raise Conflict(f"the account's plans are in {' and '.join(currencies)}; ask for a span of one currency")
        parts = [part for part in parts if part.card.currency in currencies]
        reckoning = self.reckoning(account, parts, windows, grouping)
        currency = currencies[0] if currencies else _currency_at(cards, span.start_us)
        return Spending(currency, windows, reckoning.rows(self.tabs(snapshot, account, reckoning)))

    def reckoning(
        self, account: Account, parts: Sequence[Part], windows: Sequence[Span], grouping: Grouping | None = None
    ) -> Reckoning:
        """Return what has to be asked to price *windows* of an account, of which *parts* are known."""
        catalogue, since_us = self._usage.scheme.catalogue, calendar_of(account).since_us
        return Reckoning(catalogue, parts, windows, grouping=grouping, lists=self.lists, since_us=since_us)

    def tabs(
        self, snapshot: UsageSnapshot, account: Account, reckoning: Reckoning, pace: tuple[int, int] | None = None
    ) -> list[Tab]:
        """Ask what a reckoning needs, and return what its charges have come to.

        With *pace* (since when, now) what lies ahead is filled as `core.forecast.paced` says.
        """
        answers = self._usage.ask_in(snapshot, account, reckoning.questions)
        if pace is not None:
            answers = paced(answers, *pace)
        return reckoning.tabs(answers, self._lives(snapshot, account, reckoning.kinds))

    def unit_of(self, meter: str) -> str:
        """Return the unit of a meter."""
        known = self._usage.scheme.catalogue.meters.get(meter)
        return "" if known is None else known.unit

    def retried(self, read: Callable[[UsageSnapshot], _T]) -> _T:
        """Return what *read* makes of a snapshot; begin anew where a meter was added just before."""
        for _ in range(ATTEMPTS_MAX - 1):
            try:
                with self._store.snapshot() as snapshot:
                    return read(snapshot)
            except MetersChanged:
                continue
        with self._store.snapshot() as snapshot:
            return read(snapshot)

    @staticmethod
    def _lives(snapshot: UsageSnapshot, account: Account, kinds: Collection[str]) -> list[Life]:
        return snapshot.lives(account.no, kinds) if kinds else []


def keep_rounded(meters: MeterKeeper, plan: Plan) -> None:
    """Make sure that what the plan rounds up is metered; earlier calls are counted, too."""
    for price in plan.prices:
        known = meters.catalogue.meters
        base, name = known.get(price.meter or ""), price.quantity_meter
        if price.rounding is None or name is None or base is None or name in known or not can_be_rounded(base):
            continue
        meters.put(name, rounded_body(base, price.rounding))


def calendar_of(account: Account) -> Calendar:
    """Return how the account's time is cut; fees run from when it was created."""
    return Calendar(account.timezone, account.anchor_day, account.created_us)


def _currency_at(cards: Sequence[Card], at_us: int) -> str:
    return next(card.currency for card in cards if at_us in card.span)
