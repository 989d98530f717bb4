"""What is read at once: windows that are equal, prices that hold all the while."""

from tallybook.core.catalogue import load_catalogue
from tallybook.core.meter import Question
from tallybook.core.price import Price
from tallybook.core.scheme import Generation, State, make_scheme, shapes_needed
from tallybook.core.tasks import COMPARED_MAX, Covers, Task, alike_of, readings, tasks_of
from tallybook.core.view import make_view
from tallybook.core.window import Span
from tests.support.events import CATALOGUE

CATALOGUED = load_catalogue(CATALOGUE)
SCHEME = make_scheme(1, CATALOGUED, [Generation(1, 1, State.SERVING, shapes_needed(CATALOGUED)["job"])])
HOUR = 3_600_000_000
PRICE = Price("jobs", 100)


def hours(first: int, end: int) -> list[Span]:
    """A list of its own, of hours from one to before another."""
    return [Span(hour * HOUR, (hour + 1) * HOUR) for hour in range(first, end)]


def tasks(*questions: Question, cut: int = 10**6) -> list[Task]:
    """What is to be read for *questions*, where prices change at the hour *cut*."""
    epochs = [(Span(0, cut * HOUR), (PRICE,)), (Span(cut * HOUR, 10**7 * HOUR), (PRICE,))]
    covers = Covers()
    return [task for question in questions for task in tasks_of(make_view(SCHEME, question), epochs, covers)]


def test_equal_windows_are_read_at_once_whoever_made_them() -> None:
    """Short lists are compared; long ones have to be the same."""
    short = tasks(Question("jobs", hours(0, 2)), Question("job_cpu", tuple(hours(0, 2))), Question("jobs", hours(0, 3)))
    assert [2, 1] == [len(alike) for alike in alike_of(short)]
    long = hours(0, COMPARED_MAX + 1)
    assert 1 == len(alike_of(tasks(Question("jobs", long), Question("job_cpu", long))))
    assert 2 == len(alike_of(tasks(Question("jobs", long), Question("job_cpu", [*long]))))


def test_money_is_read_with_the_rest_where_its_prices_hold_all_the_while() -> None:
    """Other series decide about it, yet the same windows are looked at."""
    asked = Question("jobs", hours(1, 4)), Question("job_gpu_usd", hours(1, 4))
    (together,) = readings(tasks(*asked))
    assert 2 == len(together)
    for cut in (4, 1):
        assert [(range(3), False), (range(3), False)] == [(t.places, t.is_partial) for t in tasks(*asked, cut=cut)]


def test_money_is_read_in_pieces_where_prices_change() -> None:
    """Each piece knows which windows it is of; one that is cut in two is in both."""
    asked = Question("job_gpu_usd", [Span(HOUR, 3 * HOUR), Span(3 * HOUR, 5 * HOUR)])
    assert [([0], True), ([0, 1], False)] == [(list(t.places), t.is_partial) for t in tasks(asked, cut=2)]
    assert [([0], True), ([1], True)] == [(list(t.places), t.is_partial) for t in tasks(asked, cut=3)]
