"""One question on its way to an answer: which series count, how rows become values, what is refused."""

import pytest

from tallybook.core.aggregate import mark_last, mark_max, mark_min
from tallybook.core.catalogue import UNMETERED, load_catalogue
from tallybook.core.errors import NotFound, ParameterInvalid
from tallybook.core.meter import Question
from tallybook.core.number import NANOS
from tallybook.core.price import Price
from tallybook.core.scheme import Answering, Generation, State, make_scheme, shapes_needed
from tallybook.core.shape import Shape
from tallybook.core.sums import SumRows
from tallybook.core.view import Sums, View, join_groups, make_view
from tallybook.core.window import Span
from tests.support.events import CATALOGUE
from tests.support.works import BUILTIN

CATALOGUED = load_catalogue(CATALOGUE)
SCHEME = make_scheme(1, CATALOGUED, [Generation(1, 1, State.SERVING, shapes_needed(CATALOGUED)["job"])])
WINDOWS = (Span(0, 10), Span(10, 20))
SERIES = {
    1: {"region": "eu", "worker": "ada", "ok": "true", '?worker in ["ada", "eve"]': "1"},
    2: {"region": "us", "worker": "ada", "ok": "false", '?worker in ["ada", "eve"]': "1"},
    3: {"worker": "bob", "ok": "false", '?code gte ["400"]': "1", '?code lt ["600"]': "1"},
}


def view(meter: str, group_by: tuple[str, ...] = (), **filters: tuple[str, ...]) -> View:
    """A question over WINDOWS."""
    return make_view(SCHEME, Question(meter, WINDOWS, group_by, filters))


@pytest.mark.parametrize(
    ("meter", "filters", "counted"),
    [
        ("jobs", {}, {1, 2, 3}),
        ("jobs", {"region": ("eu",)}, {1}),
        ("jobs", {"region": ("eu", "us")}, {1, 2}),
        ("jobs", {"region": ("mars",)}, set()),
        ("jobs", {"region": ()}, set()),
        ("jobs", {"worker": ("ada",), "ok": ("false",)}, {2}),
        ("job_cpu_eu", {}, {1}),
        ("job_cpu_eu", {"worker": ("bob",)}, set()),
        ("jobs_failed", {}, {3}),
        ("jobs_of_ada", {"region": ("us",)}, {2}),
    ],
)
def test_the_series_that_count_pass_every_filter_and_condition(
    meter: str, filters: dict[str, tuple[str, ...]], counted: set[int]
) -> None:
    """The meter's own conditions and the question's filters hold together."""
    assert counted == set(view(meter, ("worker",) if "worker" in CATALOGUED.meter(meter).dimensions else (), **filters)
                          .number_groups(SERIES, ()))  # fmt: skip


def test_a_group_is_the_tuple_of_its_dimensions_in_the_asked_order() -> None:
    """What a series does not say is None."""
    asked = view("jobs", ("worker", "region"))
    numbers = asked.number_groups(SERIES, ())
    for series_no, number in numbers.items():
        asked.add_sums(1, number, Sums(series_no, ()))
    assert {
        ("ada", "eu"): [0, 1 * NANOS],
        ("ada", "us"): [0, 2 * NANOS],
        ("bob", None): [0, 3 * NANOS],
    } == asked.answer().groups


def test_an_ungrouped_answer_is_always_there() -> None:
    """Zeros included; a grouped one has only groups that were used."""
    assert {(): [0, 0]} == view("jobs").answer().groups
    assert {} == view("jobs", ("region",)).answer().groups
    assert [0, 0] == view("job_min").answer().values


def test_sums_of_several_fields_and_counts_of_one_field() -> None:
    """Each meter takes its slots; a count of a field counts the events that carried it."""
    all_fields, nets = view("job_all"), view("job_nets")
    all_fields.add_sums(0, 0, Sums(2, [(1, 10), (0, 0), (2, 5), (0, 0), (1, 1)]))
    nets.add_sums(0, 0, Sums(9, [(4, 77)]))
    assert ([16, 0], [4 * NANOS, 0]) == (all_fields.answer().values, nets.answer().values)


def test_the_greatest_mark_of_a_window_wins() -> None:
    """In any order of rows, for each kind of mark."""
    for meter, marks, value in (
        ("job_min", [mark_min(5), mark_min(-7), mark_min(6)], -7),
        ("job_max", [mark_max(-5), mark_max(-7)], -5),
        ("job_last", [mark_last(1, 50, 9), mark_last(2, 60, 1), mark_last(3, 50, 10)], 2),
    ):
        asked = view(meter)
        for mark in marks:
            asked.add_mark(1, 0, mark)
        assert [0, value] == asked.answer().values


def test_distinct_values_are_counted_once_a_window() -> None:
    """Also when several rows of the window saw the same one."""
    asked = view("job_codes")
    for window, value in ((0, (1, 1)), (0, (1, 1)), (0, (1, 2)), (1, (1, 1))):
        asked.add_unique(window, 0, value)
    assert [2 * NANOS, 1 * NANOS] == asked.answer().values


def test_a_price_is_for_events_without_the_field() -> None:
    """Those that carry an amount cost that; the others cost the price that speaks for their series."""
    asked = view("job_gpu_usd", ("worker",))
    prices = (Price("jobs", 100), Price("jobs", 7, {"worker": "ada", "region": "eu"}), Price("job_cpu", 1_000))
    numbers = asked.number_groups(SERIES, prices)
    for series_no in SERIES:
        asked.add_sums(0, numbers[series_no], Sums(10, [(4, 1_000)]))
    assert {("ada",): [1_000 + 6 * 7 + 1_000 + 6 * 100, 0], ("bob",): [1_000 + 600, 0]} == asked.answer().groups


@pytest.mark.parametrize(
    ("question", "parameter"),
    [
        (Question("jobs", WINDOWS, ("zone",)), "group_by"),
        (Question("jobs", WINDOWS, ("region", "region")), "group_by"),
        (Question("jobs", WINDOWS, ("region", "worker", "ok", "code", "zone")), "group_by"),
        (Question("job_all", WINDOWS, ("region",)), "group_by"),
        (Question("jobs", WINDOWS, (), {"zone": ("a",)}), "filter"),
        (Question("jobs", WINDOWS, (), {'?code gte ["400"]': ("1",)}), "filter"),
    ],
)
def test_dimensions_that_a_meter_does_not_have_are_refused(question: Question, parameter: str) -> None:
    """The refusal names the parameter, and what the meter has."""
    with pytest.raises(ParameterInvalid) as refused:
        make_view(SCHEME, question)
    assert parameter == refused.value.parameter


def test_an_unknown_meter_is_not_found() -> None:
    """It is looked for before anything else."""
    with pytest.raises(NotFound):
        make_view(SCHEME, Question("nope", WINDOWS))


@pytest.mark.parametrize("meter", ["job_min", "job_max", "job_last", "job_codes", "job_gpu_usd"])
def test_accounts_are_not_ranked_by_what_cannot_be_added(meter: str) -> None:
    """Sums and counts rank accounts; nothing else does."""
    with pytest.raises(ParameterInvalid) as refused:
        view(meter).refuse_ranking()
    assert "meter" == refused.value.parameter
    view("job_cpu").refuse_ranking()


def test_views_of_the_same_series_share_their_statement_and_no_others_do() -> None:
    """What may be fetched together has an equal selection."""
    assert view("job_cpu", ("worker",)).selection == view("job_net", ("worker",)).selection
    assert view("job_cpu").selection == view("jobs").selection
    told = [view("jobs"), view("jobs", ("worker",)), view("jobs", worker=("a",)), view("jobs_failed"), view("job_min")]
    told += [view("job_max"), view("job_last"), view("job_codes"), view("job_gpu_usd")]
    assert len(told) == len({one.selection for one in told})


def test_it_is_known_how_many_summaries_a_day_may_well_have() -> None:
    """One for each combination of listed values, of yes and no, and of what conditions say; events unread have none."""
    serving = SCHEME.serving["job"]
    assert 2 * 2 * 2**3 == SCHEME.summaries(serving) == SCHEME.summaries(serving)
    unread = Generation(7, 1, State.SERVING, Shape(UNMETERED, dimensions=("type",)))
    assert 0 == SCHEME.summaries(unread)


def test_groups_of_several_views_become_one_numbering() -> None:
    """Each row of what is read together counts where its series count, in the group that it is in there."""
    views = [view("jobs"), view("jobs", ("ok",)), view("jobs_failed"), view("job_cpu_eu", ("worker",))]
    views += [view("jobs", ("ok",), region=("eu", "us")), view("jobs", worker=("nobody",))]
    found = [one.number_groups(SERIES, ()) for one in views]
    joined = join_groups(views, found)
    assert {1, 2, 3} == set(joined)
    rows = SumRows([1] * 3, [joined[no] for no in SERIES], [10**no for no in SERIES], sums={0: [0] * 3})
    for one in views:
        one.add_rows(rows, rows.numbers())
    counted = [{key: values[1] // NANOS for key, values in one.answer().groups.items()} for one in views]
    assert {(): 1110} == counted[0]
    assert {("true",): 10, ("false",): 1100} == counted[1]
    assert {(): 1000} == counted[2]
    assert {("ada",): 0} == counted[3]
    assert {("true",): 10, ("false",): 100} == counted[4]
    assert {(): 0} == counted[5]


def test_what_is_counted_is_told_in_units_and_in_nanos() -> None:
    """One answer, whichever is asked for first; a sum is told in units by cutting it off."""
    counted, summed = view("jobs"), view("job_cpu")
    rows = SumRows([0, 1, 1], events=[1, 2, 3], sums={summed.slots[0]: [7, NANOS, 8 * NANOS + 5]})
    for one in (counted, summed):
        one.add_rows(rows, rows.numbers())
    answer, summed_answer = counted.answer(), summed.answer()
    assert [1, 5] == list(answer.counts)
    assert 6 * NANOS == answer.total
    assert {(): [NANOS, 5 * NANOS]} == answer.groups
    assert answer.values is answer.groups[()]
    assert 1 == len(answer.groups)
    assert [7, 9 * NANOS + 5] == summed_answer.values
    assert [0, 9] == list(summed_answer.counts)
    assert 9 * NANOS + 12 == summed_answer.total


def test_views_that_take_nothing_have_no_groups_together() -> None:
    """No series passes any filter."""
    views = [view("jobs", region=("mars",)), view("jobs", worker=("nobody",))]
    assert {} == join_groups(views, [one.number_groups(SERIES, ()) for one in views])


@pytest.mark.parametrize(
    ("meter", "group_by", "filters", "coarse"),
    [
        ("jobs", (), {}, True),
        ("jobs", ("region", "ok"), {"region": ("eu",)}, True),
        ("jobs", ("worker",), {}, False),
        ("jobs", (), {"worker": ("ada",)}, False),
        ("jobs_of_ada", ("region",), {}, True),
        ("jobs_failed", ("worker",), {}, False),
        ("job_max", (), {}, False),
        ("job_codes", (), {}, False),
    ],
)
def test_summaries_will_do_where_no_free_text_decides(
    meter: str, group_by: tuple[str, ...], filters: dict[str, tuple[str, ...]], *, coarse: bool
) -> None:
    """Conditions on free text are remembered by a flag; marks and distinct values have no summary."""
    assert coarse is view(meter, group_by, **filters).is_coarse(())


def test_prices_that_go_by_free_text_need_every_series() -> None:
    """Where the meter is made of money; elsewhere prices decide nothing."""
    dear = Price(meter="jobs", unit_price=1, filter={"worker": "ada"})
    local = Price(meter="jobs", unit_price=1, filter={"region": "eu"})
    assert [True, False] == [view("job_gpu_usd").is_coarse(prices) for prices in ((local,), (local, dear))]
    assert view("jobs").is_coarse((dear,))


def test_events_that_no_meter_reads_are_never_coarse() -> None:
    """Their types are their series."""
    unmetered = Generation(2, 1, State.SERVING, Shape("*", dimensions=("type",)))
    question = Question("events_unmetered", WINDOWS)
    assert not View(question, Answering(load_catalogue(BUILTIN).meter("events_unmetered"), unmetered, {})).is_coarse(())


def test_sums_are_told_in_units_until_a_fraction_comes() -> None:
    """Rows without fractions are in units, others in nanos, in any order, of one field or of several."""
    one, several, priced = view("job_cpu"), view("job_all"), view("job_gpu_usd")
    whole, other = one.slots[0], next(slot for slot in several.slots if slot != one.slots[0])
    one.add_rows(SumRows([0, 1], wholes={whole: [3, 4]}), (0,))
    told = one.answer()
    assert (True, [3, 4], [3 * NANOS, 4 * NANOS]) == (told.is_whole, list(told.counts), list(told.values))
    assert 7 * NANOS == told.total
    mixed = SumRows([0, 1], sums={other: [5, 6]}, wholes={whole: [1, 2]})
    for rows in (SumRows([1], wholes={whole: [10]}), mixed, SumRows([1], wholes={other: [20]})):
        several.add_rows(rows, (0,))
    told = several.answer()
    assert (False, [NANOS + 5, 32 * NANOS + 6]) == (told.is_whole, list(told.values))
    priced.number_groups(SERIES, (Price("jobs", 100),))
    carried = SumRows([0], events=[4], counts={priced.slots[0]: [1]}, wholes={priced.slots[0]: [9]})
    priced.add_rows(carried, (0,))
    assert [9 * NANOS + 300, 0] == list(priced.answer().values)


def test_a_single_event_makes_nanos_of_what_was_whole() -> None:
    """Edges are counted one by one, beside rollups of any kind."""
    one = view("job_cpu")
    one.add_rows(SumRows([0], wholes={one.slots[0]: [3]}), (0,))
    one.add_sums(0, 0, Sums(1, [(1, 5)]))
    assert [3 * NANOS + 5, 0] == list(one.answer().values)
