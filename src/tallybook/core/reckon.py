"""Reckoning: what has to be asked so that windows of an account can be priced, and what the answers make of it.

Pure: it names questions and reads answers, whoever asks them and in whichever snapshot. What a charge comes to is
`bill`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from tallybook.core.bill import Charge, Key, Part, Tab, lived
from tallybook.core.catalogue import Catalogue
from tallybook.core.limit import matches
from tallybook.core.meter import Aggregation, Answer, Meter, Question, Share
from tallybook.core.number import NANOS
from tallybook.core.price import Price, price_for
from tallybook.core.pricelist import PriceList
from tallybook.core.rate import Rate, per_unit
from tallybook.core.resource import Life
from tallybook.core.window import Span

METER, ITEM = "meter", "item"
"""What costs can be grouped by besides dimensions."""

MODEL = "model"
"""The dimension that lists of prices go by."""

CARRIED = "carried by events"
"""What amounts are called that events bring with them."""

HIDDEN: Key = ("\x00",)
"""The row key of usage that counts for tiers and is not shown."""

Lists = Mapping[str, PriceList]
Charges = dict[tuple[int, str | None, int], Charge]
_ADDED_UP = frozenset({Aggregation.COUNT, Aggregation.SUM})
_NO_LISTS: Lists = {}
_NO_FILTERS: Mapping[str, Sequence[str]] = {}


@dataclass(frozen=True, slots=True)
class Grouping:
    """How rows of costs are told apart: by METER, ITEM or dimensions; *filters* say which usage is shown at all."""

    group_by: tuple[str, ...] = ()
    filters: Mapping[str, Sequence[str]] | None = None

    @property
    def dimensions(self) -> set[str]:
        """The dimensions that are looked at."""
        return {name for name in self.group_by if name not in {METER, ITEM}} | set(self.filters or ())

    def key(self, meter: str | None, item: str, dims: Mapping[str, str]) -> Key:
        """Return the row key of usage with these dimensions."""
        for name, values in (self.filters or _NO_FILTERS).items():
            if dims.get(name) not in values:
                return HIDDEN
        known: Mapping[str, str | None] = {**dims, METER: meter, ITEM: item}
        return tuple(known.get(name) for name in self.group_by)


@dataclass(frozen=True, slots=True)
class _Want:
    """One answer that a part needs: *counted* makes the quantities of *base*; None is for carried amounts."""

    base: str
    counted: str | None
    question_no: int


class Reckoning:
    """Prices the *windows* (ascending) of one account, whose *parts* reach from where their first period began.

    Args:
        catalogue: Which meters there are.
        parts: See `core.bill.parts_of`.
        windows: What is asked for.
        grouping: How the rows are told apart.
        lists: The lists of prices that cards may name.
        since_us: From when on fees and minimums run.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        parts: Sequence[Part],
        windows: Sequence[Span],
        *,
        grouping: Grouping | None = None,
        lists: Lists = _NO_LISTS,
        since_us: int = 0,
    ) -> None:
        self._meters = catalogue.meters
        self._parts = parts
        self._windows = windows
        self._grouping = grouping or Grouping()
        self._lists = lists
        self._since_us = since_us
        self._last_us = max((window.end_us for window in windows), default=0)
        self.marks = self._mark()
        self._spans = [Span(start, end) for start, end in pairwise(self.marks)]
        self.questions: list[Question] = []
        self._asked: dict[object, int] = {}
        self._wants = [list(self._wanted(number, part)) for number, part in enumerate(parts)]
        self.kinds = frozenset(p.resource for part in parts for p in part.card.prices if p.resource is not None)

    def _mark(self) -> dict[int, int]:
        """Number the instants at which something begins, ends or is asked for."""
        instants = {us for window in self._windows for us in (window.start_us, window.end_us)}
        for part in self._parts:
            inside = [us for name in self._lists_of(part) for us in self._lists[name].cuts() if us in part.span]
            instants |= {us for us in (part.span.start_us, *inside, part.span.end_us) if us <= self._last_us}
        return {us: number for number, us in enumerate(sorted(instants))}

    def _lists_of(self, part: Part) -> set[str]:
        return {p.price_list for p in part.card.prices if p.price_list is not None} & self._lists.keys()

    # --- what is asked ------------------------------------------------------------------------------------------------

    def _wanted(self, number: int, part: Part) -> Iterator[_Want]:
        prices = [price for price in part.card.prices if price.meter in self._meters]
        currency = part.card.currency
        money = {m.priced_by: m for m in self._meters.values() if m.priced_by is not None and m.unit == currency}
        for base in sorted({*(p.meter for p in prices if p.meter is not None), *money}):
            dimensions = self._dimensions(base)
            carrying = money.get(base)
            if carrying is not None:
                yield _Want(base, None, self._ask(carrying, dimensions, Share.CARRIED))
            for counted in sorted({p.quantity_meter or base for p in prices if p.meter == base}):
                if counted == base and carrying is not None:
                    yield _Want(base, base, self._ask(carrying, dimensions, Share.UNCARRIED))
                else:
                    yield _Want(base, counted, self._ask_plain(number, base, counted, dimensions))

    def _dimensions(self, base: str) -> set[str]:
        """Return the dimensions of a meter that any card or row looks at."""
        prices = [price for part in self._parts for price in part.card.prices if price.meter == base]
        priced = {name for price in prices for name in (*price.filter, price.per) if name is not None}
        listed = {MODEL} if any(price.price_list is not None for price in prices) else set()
        return (priced | listed | self._grouping.dimensions) & set(self._meters[base].dimensions)

    def _ask(self, meter: Meter, dimensions: set[str], share: Share = Share.ALL) -> int:
        key = (meter.name, tuple(sorted(dimensions)), share)
        if key not in self._asked:
            self._asked[key] = len(self.questions)
            self.questions.append(Question(meter.name, self._spans, key[1], share=share))
        return self._asked[key]

    def _ask_plain(self, number: int, base: str, counted: str, dimensions: set[str]) -> int:
        meter = self._meters.get(counted)
        if meter is None or meter.aggregation in _ADDED_UP:
            return self._ask(meter or Meter(counted, "", Aggregation.SUM), dimensions)
        # Its values cannot be added up: every window begins with the part, and only what cards need tells them apart.
        part = self._parts[number]
        needed = {name for p in part.card.prices if p.meter == base for name in (*p.filter, p.per) if name is not None}
        runs = [Span(part.span.start_us, us) for us in self.marks if part.span.start_us < us <= part.span.end_us]
        self.questions.append(Question(counted, runs, tuple(sorted(needed))))
        return len(self.questions) - 1

    # --- what the answers make ----------------------------------------------------------------------------------------

    def tabs(self, answers: Sequence[Answer], lives: Sequence[Life] = ()) -> list[Tab]:
        """Return what each part's charges have come to; *answers* are those to `questions`."""
        running: dict[int, dict[Key, list[int]]] = {}
        found = []
        for number, part in enumerate(self._parts):
            charges: Charges = {}
            for want in self._wants[number]:
                self._charge_all(charges, part, want, self._totals(part, want, answers[want.question_no], running))
            self._charge_things(charges, part, lives)
            ordered = [charges[place] for place in sorted(charges, key=_charge_order)]
            found.append(Tab(part, ordered, self.marks, self._since_us))
        return found

    def _totals(
        self, part: Part, want: _Want, answer: Answer, running: dict[int, dict[Key, list[int]]]
    ) -> list[tuple[Mapping[str, str], list[int]]]:
        """Return dimension values and the running total at each mark; *running* remembers what parts share."""
        if answer.question.windows is not self._spans:
            totals = {group: self._stretched(part, values) for group, values in answer.groups.items()}
        elif want.question_no in running:
            totals = running[want.question_no]
        else:
            totals = {group: list(accumulate(values, initial=0)) for group, values in answer.groups.items()}
            running[want.question_no] = totals
        names = answer.question.group_by
        return [
            ({name: value for name, value in zip(names, group, strict=True) if value is not None}, values)
            for group, values in totals.items()
        ]

    def _stretched(self, part: Part, values: Sequence[int]) -> list[int]:
        """Return values that were asked from the part's start on at every mark: 0 before it, the last one after it."""
        told = iter(values)
        reached, found = 0, []
        for us in self.marks:
            if part.span.start_us < us <= part.span.end_us:
                reached = next(told)
            found.append(reached)
        return found

    def _charge_all(
        self, charges: Charges, part: Part, want: _Want, totals: Sequence[tuple[Mapping[str, str], list[int]]]
    ) -> None:
        """Count usage under the prices that speak for it."""
        for dims, values in totals:
            if want.counted is None:
                self._charge(charges, part, (len(part.card.prices), _carried_price(want.base)), dims, values=values)
                continue
            price = price_for(part.card.prices, want.base, dims)
            if price is not None and price.quantity_meter == want.counted:
                self._charge(charges, part, (_place_of(part.card.prices, price), price), dims, values=values)

    def _charge(
        self, charges: Charges, part: Part, at: tuple[int, Price], dims: Mapping[str, str], *, values: Sequence[int]
    ) -> None:
        """Count one group's usage under a price, given with its place in the card."""
        number, price = at
        key = self._grouping.key(price.meter, price.label, dims)
        if price.price_list is None:
            value = None if price.per is None else dims.get(price.per, "")
            charge = charges.setdefault((number, value, 0), Charge(part, number, price, part.span, price.rule, value))
            charge.add(key, values)
            return
        model = dims.get(MODEL, "")
        for span, rule in self._listed(part, price, model):
            charge = charges.setdefault((number, model, span.start_us), Charge(part, number, price, span, rule, model))
            charge.add(key, values)

    def _listed(self, part: Part, price: Price, model: str) -> Iterator[tuple[Span, Rate]]:
        """Return what of the part each price of a list is valid for; where it is silent, the card's own speaks."""
        prices = self._lists.get(price.price_list or "")
        if prices is None or prices.currency != part.card.currency or price.meter is None:
            yield part.span, price.rule
            return
        cuts = [us for us in prices.cuts() if part.span.start_us < us < part.span.end_us and us <= self._last_us]
        for start, end in pairwise([part.span.start_us, *cuts, part.span.end_us]):
            yield Span(start, end), prices.rate(price.meter, model, start, price.multiplier) or price.rule

    def _charge_things(self, charges: Charges, part: Part, lives: Sequence[Life]) -> None:
        """Count things for the time that they existed: one thing for a whole period is one."""
        for life in lives:
            spoken = _price_of_thing(part.card.prices, life)
            if spoken is None:
                continue
            number, price = spoken
            key = self._grouping.key(None, price.label, life.dimensions)
            values = [lived(life, us, part.period, NANOS) for us in self.marks]
            charges.setdefault((number, None, 0), Charge(part, number, price, part.span, price.rule)).add(key, values)

    def rows(self, tabs: Sequence[Tab]) -> list[dict[Key, int]]:
        """Return what each window costs, by row key."""
        found: list[dict[Key, int]] = [{} for _ in self._windows]
        for tab in tabs:
            span = tab.part.span
            reached: tuple[int, dict[Key, int]] = (-1, {})
            for window, row in zip(self._windows, found, strict=True):
                if span.start_us >= window.end_us or window.start_us >= span.end_us:
                    continue
                if reached[0] != window.start_us:
                    reached = window.start_us, self._came_to(tab, window.start_us)
                before, reached = reached[1], (window.end_us, self._came_to(tab, window.end_us))
                for key in {**before, **reached[1]}:
                    row[key] = row.get(key, 0) + reached[1].get(key, 0) - before.get(key, 0)
        for row in found:
            row.pop(HIDDEN, None)
        return [{key: nanos for key, nanos in row.items() if nanos} for row in found]

    def groups(self, tabs: Sequence[Tab]) -> dict[Key, list[int]]:
        """Return what each row key costs in each window."""
        rows = self.rows(tabs)
        keys = dict.fromkeys(key for row in rows for key in row)
        return {key: [row.get(key, 0) for row in rows] for key in keys}

    def _came_to(self, tab: Tab, at_us: int) -> dict[Key, int]:
        """Return what a part has come to by row key; fees and minimums stand under their item, without dimensions."""
        found: dict[Key, int] = {}
        for (number, key), nanos in tab.came_to(at_us).items():
            place = key
            if place is None:
                price = tab.part.card.prices[number]
                place = self._grouping.key(price.meter, price.label, {})
            found[place] = found.get(place, 0) + nanos
        return found


def _carried_price(base: str) -> Price:
    return Price(base, NANOS, rate=per_unit(NANOS), name=CARRIED)


def _charge_order(place: tuple[int, str | None, int]) -> tuple[int, str, int]:
    number, value, start_us = place
    return number, value or "", start_us


def _place_of(prices: Sequence[Price], wanted: Price) -> int:
    return next(number for number, price in enumerate(prices) if price is wanted)


def _price_of_thing(prices: Sequence[Price], life: Life) -> tuple[int, Price] | None:
    """Return the price that speaks for a thing, and its place: the one with the longest filter, then the first."""
    fitting = [
        (-len(price.filter), number, price)
        for number, price in enumerate(prices)
        if price.resource == life.kind and matches(price.filter, life.dimensions)
    ]
    if not fitting:
        return None
    _, number, price = min(fitting, key=lambda found: found[:2])
    return number, price
