"""Answers equal a plain count over the events, whatever is asked, on both stores."""

import itertools
from collections.abc import Iterator, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallybook.core.errors import Conflict, NotFound, ParameterInvalid, Unavailable
from tallybook.core.instant import DAY_US, HOUR_US, INSTANT_MAX_US, MINUTE_US, instant_text
from tallybook.core.meter import Question
from tallybook.core.number import NANOS
from tallybook.core.price import Price
from tallybook.core.window import Granularity, Span, all_time, last_days, tile, zone
from tallybook.flows import metering
from tests.support.events import INTERESTING_US, NOW_US, ZONES, EventBody, at, instants, jobs, spans
from tests.support.model import RULES, Book, Epochs
from tests.support.works import Works, named

DIMENSIONS = {
    "jobs": ("region", "worker", "ok", "code"),
    "job_nets": ("region",),
    "job_all": ("ok",),
    "jobs_failed": ("worker",),
    "job_cpu_eu": ("worker",),
    "jobs_of_ada": ("region",),
} | dict.fromkeys(
    ("job_cpu", "job_net", "job_min", "job_max", "job_last", "job_codes", "job_gpu_usd"), ("region", "worker")
)
VALUES = {
    "region": ("eu", "us", "mars"),
    "worker": ("ada", "bob", "Zoë"),
    "ok": ("true", "false"),
    "code": ("0", "404", "599"),
}
ADDITIVE = sorted(name for name, rule in RULES.items() if rule.kind in {"count", "sum", "priced"})
law = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
accounts = itertools.count()


@pytest.fixture
def works(ledger_url: str) -> Iterator[Works]:
    """Ingest and measure over an empty ledger."""
    with Works(ledger_url) as opened:
        yield opened


@st.composite
def questions(draw: st.DrawFn) -> Question:
    """Any meter, over windows of any kind, grouped and filtered by anything."""
    meter = draw(st.sampled_from(sorted(RULES)))
    group_by = draw(st.lists(st.sampled_from(DIMENSIONS[meter]), unique=True, max_size=2))
    filtered = draw(st.lists(st.sampled_from(DIMENSIONS[meter]), unique=True, max_size=2))
    filters = {name: tuple(draw(st.lists(st.sampled_from(VALUES[name]), unique=True, max_size=2))) for name in filtered}
    granularity = draw(st.sampled_from(Granularity))
    span = draw(spans(days_max=6_000))
    longest = {Granularity.MINUTE: 5 * HOUR_US, Granularity.HOUR: 10 * DAY_US}.get(granularity, 6_000 * DAY_US)
    clipped = Span(span.start_us, min(span.end_us, span.start_us + longest))
    return Question(meter, tile(clipped, granularity, zone(draw(st.sampled_from(ZONES)))), tuple(group_by), filters)


@st.composite
def epochs(draw: st.DrawFn) -> Epochs:
    """Prices that change once or twice, at an instant that is no border of anything."""
    cuts = sorted({0, INSTANT_MAX_US, *draw(st.lists(instants(), min_size=1, max_size=2))})
    price = st.builds(
        Price,
        meter=st.sampled_from(("jobs", "jobs", "job_cpu")),
        unit_price=st.integers(0, 10**12),
        filter=st.sampled_from(({}, {"region": "eu"}, {"worker": "ada"}, {"region": "us", "worker": "bob"})),
    )
    prices = st.lists(price, max_size=3, unique_by=lambda one: (one.meter, len(one.filter)))
    return [(Span(start, end), draw(prices)) for start, end in itertools.pairwise(cuts)]


def counted(works: Works, events: Sequence[EventBody], prices: Epochs = ()) -> Book:
    """Count events of a fresh account, in three requests, in the ledger and in the model."""
    book = Book(f"account-{next(accounts)}")
    works.prices.of[book.account_id] = prices
    bodies = named(events, book.account_id)
    for part in (bodies[::3], bodies[1::3], bodies[2::3]):
        receipt = works.write(part)
        assert (len(part), ()) == (receipt.accepted, receipt.errors)
    assert ["accepted"] * len(bodies) == [book.add(body) for body in bodies]
    return book


# --- the law --------------------------------------------------------------------------------------------------------


@law
@given(
    events=st.lists(jobs(), min_size=1, max_size=25),
    asked=st.lists(questions(), min_size=1, max_size=8),
    prices=epochs(),
)
def test_every_answer_is_what_a_plain_count_finds(
    works: Works, events: list[EventBody], asked: list[Question], prices: Epochs
) -> None:
    """Any questions in one request, over any spans, zones, groups, filters and prices, to the nano."""
    book = counted(works, events, prices)
    for question, answer in zip(asked, works.ask(book.account_id, *asked), strict=True):
        assert question is answer.question
        assert book.answer(question, prices) == {key: list(values) for key, values in answer.groups.items()}


@law
@given(
    events=st.lists(jobs(), min_size=1, max_size=20),
    span=spans(days_max=400),
    name=st.sampled_from(ZONES),
    prices=epochs(),
)
def test_a_total_is_the_sum_of_its_days_and_of_its_groups(
    works: Works, events: list[EventBody], span: Span, name: str, prices: Epochs
) -> None:
    """However a span is cut and however its events are grouped, the parts add up to the whole."""
    book = counted(works, events, prices)
    days = tile(span, Granularity.DAY, zone(name))
    asked = [
        (meter, windows, group) for meter in ADDITIVE for windows, group in (([span], ()), (days, ()), ([span], None))
    ]
    answers = works.ask(
        book.account_id,
        *(Question(meter, windows, DIMENSIONS[meter] if group is None else group) for meter, windows, group in asked),
    )
    for whole, by_day, by_group in zip(answers[::3], answers[1::3], answers[2::3], strict=True):
        assert whole.value == sum(by_day.values) == sum(values[0] for values in by_group.groups.values())


# --- edges -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("border_us", [INTERESTING_US[1], INTERESTING_US[3], INTERESTING_US[6]], ids=instant_text)
def test_events_on_a_border_belong_to_the_later_window(works: Works, border_us: int) -> None:
    """The last microsecond before a border, the border itself, the one after it: each is in its place."""
    times = [border_us - 1, border_us, border_us + 1]
    counted(works, [{"type": "job", "time": instant_text(time_us), "data": {}} for time_us in times])
    account_id = f"account-{next(accounts) - 1}"
    for start, end, count in (
        (-1, 0, 1),
        (0, 1, 1),
        (0, 2, 2),
        (-1, 2, 3),
        (1, 2, 1),
        (2, 3, 0),
        (-DAY_US, 0, 1),
        (0, DAY_US, 2),
    ):
        assert count * NANOS == works.total(account_id, "jobs", Span(border_us + start, border_us + end))


def test_a_plan_change_in_the_middle_of_a_minute_splits_the_price(works: Works) -> None:
    """Each event costs what was in force at its own time; what it carries itself counts instead."""
    change_us = at("2026-03-01T12:00:00Z") + 1_234_567
    prices = [(Span(0, change_us), [Price("jobs", 5)]), (Span(change_us, INSTANT_MAX_US), [Price("jobs", 700)])]
    offsets = (-DAY_US, -1, 0, DAY_US)
    events: list[EventBody] = [
        {"type": "job", "time": instant_text(change_us + offset), "data": {"gpu": 2} if offset == DAY_US else {}}
        for offset in offsets
    ]
    book = counted(works, events, prices)
    assert 5 + 5 + 700 + 2 * NANOS == works.total(book.account_id, "job_gpu_usd")
    assert 5 + 700 == works.total(book.account_id, "job_gpu_usd", Span(change_us - 1, change_us + 1))


def test_an_account_without_events_has_zeros(works: Works) -> None:
    """Every window is there, and no group is."""
    book = counted(works, [{"type": "job", "time": instant_text(NOW_US - 100 * DAY_US), "data": {}}])
    windows = last_days(NOW_US, 30)
    plain, grouped = works.ask(book.account_id, Question("jobs", windows), Question("jobs", windows, ("region",)))
    assert ([0] * 30, {}) == (plain.values, grouped.groups)


def test_accounts_do_not_see_each_other(works: Works) -> None:
    """The same ids, dimensions and times under two accounts are two sets of numbers, sub-minute edges included."""
    for account_id, count in (("twin", 2), ("twin2", 3), ('twin"', 1), ("tw\\in", 4)):
        events: list[EventBody] = [
            {"type": "job", "time": instant_text(NOW_US - n), "data": {"worker": "ada", "x": '"subject":"twin"'}}
            for n in range(count)
        ]
        works.write(named(events, account_id))
        assert count * NANOS == works.total(account_id, "jobs") == works.total(account_id, "jobs", worker="ada")
    for account_id, count in (("twin", 2), ("twin2", 3), ('twin"', 1), ("tw\\in", 4)):
        assert count * NANOS == works.total(account_id, "jobs", Span(NOW_US - 10, NOW_US + 10))


def test_the_names_of_values_are_the_latest_seen(works: Works) -> None:
    """By the time of the events, not by when they came."""
    events: list[EventBody] = [
        {"type": "job", "time": instant_text(NOW_US - age), "data": {"worker": worker, "worker_name": name}}
        for age, worker, name in ((5, "w1", "Old"), (1, "w1", "New"), (9, "w1", "Oldest"), (1, "w2", "<b>\u202e"))
    ]
    book = counted(works, events)
    account = works.account(book.account_id)
    assert {"w1": "New", "w2": "<b>\u202e"} == works.measure.names(account, "worker")
    assert {"w1": "New"} == works.measure.names(account, "worker", ["w1", "w3"])


# --- ranking ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("meter", ["jobs", "job_cpu", "job_net", "job_nets", "job_all", "jobs_failed", "job_cpu_eu"])
def test_accounts_are_ranked_by_what_they_used(works: Works, meter: str) -> None:
    """The same numbers as asking each account, greatest first, those without usage left out, at most so many."""
    books = [
        counted(
            works,
            [
                {"type": "job", "time": instant_text(NOW_US - n * HOUR_US), "data": data}
                for n in range(number)
                for data in (
                    {"cpu": n + 1, "net": 10**15, "region": "eu"},
                    {"ok": False, "code": 404, "gpu": 5, "net": n},
                )
            ],
        )
        for number in (1, 3, 2)
    ]
    span = Span(NOW_US - 2 * HOUR_US, NOW_US + MINUTE_US)
    totals = [(book.account_id, works.total(book.account_id, meter, span)) for book in books]
    expected = sorted((told for told in totals if told[1]), key=lambda told: told[1], reverse=True)
    assert expected == works.measure.ranking(meter, span, 10)
    assert expected[:1] == works.measure.ranking(meter, span, 1)


def test_a_ranking_is_cut_at_minutes(works: Works) -> None:
    """Finer spans would be silently wrong, so they are refused; so are meters that cannot be added up."""
    for span, parameter in ((Span(NOW_US, NOW_US + 1), "to"), (Span(NOW_US - 1, NOW_US), "from")):
        with pytest.raises(ParameterInvalid) as refused:
            works.measure.ranking("jobs", span, 10)
        assert parameter == refused.value.parameter
    with pytest.raises(ParameterInvalid):
        works.measure.ranking("job_max", all_time(), 10)
    with pytest.raises(NotFound):
        works.measure.ranking("nope", all_time(), 10)


# --- refusals --------------------------------------------------------------------------------------------------------


def test_a_meter_that_is_being_filled_says_so(works: Works) -> None:
    """It never answers with a part; the others of its type answer meanwhile."""
    book = counted(works, [{"type": "job", "time": instant_text(NOW_US), "data": {"worker": "ada", "cpu": 2}}])
    works.metering.put("cpu_seen", {"event": "job", "aggregation": "unique", "field": "cpu"})
    with pytest.raises(Conflict, match="cpu_seen"):
        works.total(book.account_id, "cpu_seen")
    assert NANOS == works.total(book.account_id, "jobs")
    works.fill.run()
    assert NANOS == works.total(book.account_id, "cpu_seen") == works.total(book.account_id, "jobs")


def test_a_meter_that_another_process_filled_leaves_no_moment_of_wrong_answers(
    monkeypatch: pytest.MonkeyPatch, ledger_url: str
) -> None:
    """Rollups that serve no longer are not read: neither when they are cleared, nor when new events miss them."""
    monkeypatch.setattr(metering, "SCHEME_AGE_MAX_S", 3_600.0)  # nobody looks only because time went by
    with Works(ledger_url) as ours, Works(ledger_url) as theirs:
        book = counted(ours, [{"type": "job", "time": instant_text(NOW_US), "data": {"cpu": 2}}])
        assert NANOS == ours.total(book.account_id, "jobs")
        theirs.metering.put("cpu_seen", {"event": "job", "aggregation": "unique", "field": "cpu"})
        theirs.fill.run()
        assert NANOS == ours.total(book.account_id, "jobs") == ours.total(book.account_id, "cpu_seen")
        for look in (
            lambda: ours.total(book.account_id, "jobs"),
            lambda: ours.measure.ranking("jobs", all_time(), 1)[0][1],
        ):
            theirs.metering.rebuild("jobs")
            theirs.fill.run()
            assert NANOS == look()
        theirs.metering.rebuild("jobs")
        theirs.fill.run()
        account = ours.account(book.account_id)
        with ours.measure._store.snapshot() as snapshot:
            with pytest.raises(Unavailable, match="ask again"):
                ours.measure.ask_in(snapshot, account, [Question("jobs", [all_time()])])
            (answer,) = ours.measure.ask_in(snapshot, account, [Question("jobs", [all_time()])])
        assert NANOS == answer.value
