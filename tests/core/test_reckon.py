"""Costs add up: days to months, groups to totals, in any zone, however usage and time are cut.

Usage is a list of (instant, dimensions, quantity); what the ledger would answer is added up from it, so that the laws
are about pricing alone. The same laws on real ledgers are in tests/flows/test_cost.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from tallybook.core.bill import Calendar, Card, Part, parts_of
from tallybook.core.card import read_price
from tallybook.core.catalogue import Catalogue
from tallybook.core.instant import DAY_US
from tallybook.core.meter import Aggregation, Answer, Meter, Question, Share
from tallybook.core.number import NANOS
from tallybook.core.price import Price, cost_of, price_for
from tallybook.core.reckon import Grouping, Reckoning
from tallybook.core.resource import Life
from tallybook.core.window import Granularity, Span, all_time, tile, zone
from tests.support.events import ZONES, instants

METERS = {
    "units": Meter("units", "job", Aggregation.SUM, ("n",), ("kind", "place")),
    "jobs": Meter("jobs", "job", Aggregation.COUNT, (), ("kind", "place")),
    "job_usd": Meter("job_usd", "job", Aggregation.SUM, ("usd",), ("kind", "place"), unit="USD", priced_by="jobs"),
    "level": Meter("level", "job", Aggregation.MAX, ("n",), ("kind",)),
}
CATALOGUE = Catalogue({}, METERS)
TIERS = [
    {"upto": "5", "unit_price": "1", "flat": "0.5"},
    {"upto": "20", "unit_price": "0.7"},
    {"unit_price": "0.123456789"},
]
BODIES: list[dict[str, object]] = [
    {"meter": "units", "unit_price": "0.000000003", "units": "7"},
    {"meter": "units", "graduated": TIERS},
    {"meter": "units", "volume": TIERS, "filter": {"kind": "a"}},
    {"meter": "units", "package": {"size": "3", "price": "0.1"}, "per": "place"},
    {"meter": "units", "graduated": TIERS, "included": "4.5", "minimum": "31"},
    {"meter": "jobs", "unit_price": "0.25"},
    {"meter": "jobs", "volume": TIERS, "filter": {"place": "x"}, "name": "at x"},
    {"meter": "level", "unit_price": "2"},
    {"resource": "agent", "unit_price": "3"},
    {
        "resource": "agent",
        "graduated": [{"upto": "1", "unit_price": "5"}, {"unit_price": "1"}],
        "filter": {"shared": "true"},
    },
    {"fee": "49.99"},
    {"minimum": "100"},
]
PRICES = [read_price(body, "") for body in BODIES]


@dataclass(frozen=True)
class Used:
    """One event: when, of which kind and place, how much, and what it says that it cost."""

    at_us: int
    kind: str
    place: str | None
    quantity: int
    usd: int | None

    @property
    def dims(self) -> dict[str, str | None]:
        return {"kind": self.kind, "place": self.place}


def distinct(prices: Sequence[Price]) -> tuple[Price, ...]:
    """Leave out prices that would price the same twice, as a plan may not."""
    found: dict[object, Price] = {}
    for price in prices:
        found.setdefault((price.meter, price.resource, price.fee, frozenset(price.filter.items())), price)
    return tuple(found.values())


CARDS = st.lists(st.sampled_from(PRICES), max_size=7).map(distinct)
USES = st.lists(
    st.builds(
        Used,
        instants(),
        st.sampled_from("ab"),
        st.sampled_from(["x", "y", None]),
        st.integers(0, 30 * NANOS),
        st.none() | st.integers(0, NANOS),
    ),
    max_size=12,
)
LIVES = st.lists(
    st.builds(
        Life,
        st.just("agent"),
        st.booleans(),
        st.booleans(),
        instants(),
        st.none() | instants(),
    ),
    max_size=3,
)
CALENDARS = st.builds(
    Calendar, st.sampled_from(ZONES), st.sampled_from([1, 2, 15, 28, 29, 30, 31]), st.just(0) | instants()
)
SPANS = st.tuples(instants(), st.integers(0, 100 * DAY_US)).map(lambda pair: Span(pair[0], pair[0] + pair[1]))


@st.composite
def histories(draw: st.DrawFn) -> list[Card]:
    """Cards over all time: one, or two with a change in between."""
    first, cut = draw(CARDS), draw(st.none() | instants())
    ever = all_time()
    if cut is None:
        return [Card(ever, first)]
    return [Card(Span(ever.start_us, cut), first), Card(Span(cut, ever.end_us), draw(CARDS), version=1)]


def answered(question: Question, uses: Sequence[Used]) -> Answer:
    """Answer as the ledger does."""
    groups: dict[tuple[str | None, ...], list[int]] = {} if question.group_by else {(): [0] * len(question.windows)}
    meter = METERS[question.meter]
    for use in uses:
        key = tuple(use.dims[name] for name in question.group_by)
        for number, window in enumerate(question.windows):
            if use.at_us not in window:
                continue
            row = groups.setdefault(key, [0] * len(question.windows))
            if question.share is Share.CARRIED:
                row[number] += use.usd or 0
            elif question.share is Share.UNCARRIED:
                row[number] += NANOS if use.usd is None else 0
            elif meter.aggregation is Aggregation.MAX:
                row[number] = max(row[number], use.quantity)
            else:
                row[number] += NANOS if meter.aggregation is Aggregation.COUNT else use.quantity
    return Answer(question, groups)


@dataclass(frozen=True)
class World:
    """An account's history."""

    cards: list[Card]
    calendar: Calendar
    uses: list[Used]
    lives: list[Life]

    def rows(
        self, windows: Sequence[Span], grouping: Grouping | None = None
    ) -> list[dict[tuple[str | None, ...], int]]:
        span = Span(windows[0].start_us, windows[-1].end_us) if windows else Span(0, 0)
        parts: list[Part] = parts_of(self.cards, self.calendar, span)
        made = Reckoning(CATALOGUE, parts, windows, grouping=grouping, since_us=self.calendar.since_us)
        return made.rows(made.tabs([answered(q, self.uses) for q in made.questions], self.lives))

    def total(self, span: Span) -> int:
        return sum(sum(row.values()) for row in self.rows([span]))


WORLDS = st.builds(World, histories(), CALENDARS, USES, LIVES)


@settings(max_examples=60)
@given(WORLDS, SPANS, st.sampled_from(ZONES), st.sampled_from(["day", "week", "month"]))
def test_days_weeks_and_months_add_up_to_the_span_in_any_zone(
    world: World, span: Span, asked_in: str, step: str
) -> None:
    """Across changes of clocks, lost days and half hours, changes of the card, anchors at the end of months."""
    windows = tile(span, Granularity(step), zone(asked_in))
    assert world.total(span) == sum(sum(row.values()) for row in world.rows(windows))


@settings(max_examples=60)
@given(WORLDS, SPANS, st.lists(st.integers(0, 10**18), max_size=4))
def test_a_span_costs_what_its_pieces_cost(world: World, span: Span, cuts: list[int]) -> None:
    """However it is cut, each piece asked for on its own."""
    length = span.end_us - span.start_us
    marks = sorted({span.start_us, span.end_us, *(span.start_us + cut % (length + 1) for cut in cuts)})
    pieces = [Span(start, end) for start, end in pairwise(marks)]
    assert world.total(span) == sum(map(world.total, pieces))


@settings(max_examples=60)
@given(WORLDS, SPANS, st.sampled_from([("meter",), ("item",), ("kind",), ("place", "kind"), ("meter", "item", "kind")]))
def test_groups_add_up_to_the_total_and_over_time(world: World, span: Span, names: tuple[str, ...]) -> None:
    """Each group's days add up to its month, too."""
    days = tile(span, Granularity.DAY, zone("UTC"))
    grouping = Grouping(names)
    whole = world.rows([span], grouping)[0]
    assert world.total(span) == sum(whole.values())
    summed: dict[tuple[str | None, ...], int] = {}
    for row in world.rows(days, grouping):
        for key, nanos in row.items():
            summed[key] = summed.get(key, 0) + nanos
    assert whole == {key: nanos for key, nanos in summed.items() if nanos}


@settings(max_examples=60)
@given(WORLDS, SPANS, st.data())
def test_splitting_usage_changes_nothing(world: World, span: Span, data: st.DataObject) -> None:
    """Ten units in one event cost what they cost in many, where a meter adds them up."""
    priced = [
        Card(c.span, tuple(p for p in c.prices if p.meter not in {"jobs", "level"}), version=c.version)
        for c in world.cards
    ]
    split = []
    for use in world.uses:
        cut = data.draw(st.integers(0, use.quantity))
        split += [Used(use.at_us, use.kind, use.place, part, 0) for part in (cut, use.quantity - cut)]
    plain = [Used(use.at_us, use.kind, use.place, use.quantity, 0) for use in world.uses]
    whole, pieces = (World(priced, world.calendar, uses, world.lives).total(span) for uses in (plain, split))
    assert whole == pieces


@settings(max_examples=60)
@given(CARDS, CALENDARS, USES)
def test_a_period_costs_what_its_card_says_of_its_usage(
    prices: tuple[Price, ...], calendar: Calendar, uses: list[Used]
) -> None:
    """Against adding the usage of one period up by hand, price by price."""
    prices = tuple(p for p in prices if p.meter in {"units", "jobs"} and not p.minimum)
    world = World([Card(all_time(), prices)], calendar, uses, [])
    for period in {calendar.period(use.at_us) for use in uses}:
        inside = [use for use in uses if use.at_us in period]
        sums: dict[tuple[int, str | None], int] = {}
        expected = sum(use.usd or 0 for use in inside)
        for use in inside:
            dims = {name: value for name, value in use.dims.items() if value is not None}
            for meter, quantity in (("units", use.quantity), ("jobs", NANOS if use.usd is None else 0)):
                price = price_for(prices, meter, dims)
                if price is not None:
                    place = prices.index(price), use.place if price.per else None
                    sums[place] = sums.get(place, 0) + quantity
        expected += sum(cost_of(prices[number], quantity) for (number, _), quantity in sums.items())
        assert expected == world.total(period)


@given(CALENDARS, instants().filter(lambda at_us: at_us > 70 * DAY_US))
def test_fees_things_and_minimums_of_a_whole_period_are_due_in_full(calendar: Calendar, at_us: int) -> None:
    """A month of 28 days costs what one of 31 does; a period in which the account was created, its share of it."""
    period = calendar.period(at_us)
    since_us = 0
    cards = [
        Card(all_time(), (read_price({"fee": "49.99"}, ""), read_price({"resource": "agent", "unit_price": "3"}, "")))
    ]
    world = World(
        cards, Calendar(calendar.timezone, calendar.anchor_day, since_us), [], [Life("agent", False, True, 0, None)]
    )
    assert (4_999 + 300) * NANOS // 100 == world.total(period)
    least = World([Card(all_time(), (read_price({"minimum": "100"}, ""),))], world.calendar, [], [])
    assert 100 * NANOS == least.total(period)
    half = Calendar(calendar.timezone, calendar.anchor_day, (period.start_us + period.end_us) // 2)
    assert 50 * NANOS == World(least.cards, half, [], []).total(period)


def test_a_change_of_card_begins_tiers_anew_and_splits_fees_by_time() -> None:
    """Ten days of one card and twenty-one of another: a third of nothing is counted twice."""
    calendar = Calendar("UTC", 1)
    start, cut = 1_772_323_200_000_000, 1_772_323_200_000_000 + 10 * DAY_US
    old = (
        read_price({"meter": "units", "graduated": [{"upto": "10", "unit_price": "1"}, {"unit_price": "0.5"}]}, ""),
        read_price({"fee": "31"}, ""),
    )
    new = (read_price({"meter": "units", "unit_price": "2", "included": "5"}, ""), read_price({"fee": "62"}, ""))
    cards = [Card(Span(0, cut), old), Card(Span(cut, all_time().end_us), new)]
    uses = [Used(start, "a", None, 12 * NANOS, 0), Used(cut, "a", None, 12 * NANOS, 0)]
    world = World(cards, calendar, uses, [])
    period = calendar.period(start)
    assert (10 + 1 + 10) * NANOS == world.total(Span(period.start_us, cut))
    assert (2 * 7 + 42) * NANOS == world.total(Span(cut, period.end_us))


def test_filters_show_some_of_the_usage_and_count_all_of_it_for_tiers() -> None:
    """What is shown of a tier's cost is its share by quantity."""
    card = Card(
        all_time(),
        (read_price({"meter": "units", "graduated": [{"upto": "10", "unit_price": "2"}, {"unit_price": "1"}]}, ""),),
    )
    uses = [Used(10, "a", None, 15 * NANOS, 0), Used(11, "b", None, 5 * NANOS, 0)]
    world = World([card], Calendar("UTC", 1), uses, [])
    rows = world.rows([Span(0, DAY_US)], Grouping((), {"kind": ("b",)}))
    assert 30 * NANOS == world.total(Span(0, DAY_US))
    assert [{(): 30 * NANOS * 5 // 20}] == rows
