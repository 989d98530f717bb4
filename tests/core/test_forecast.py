"""Forecasts go on at the pace so far."""

from tallybook.core.forecast import paced
from tallybook.core.meter import Answer, Question
from tallybook.core.window import Span


def test_windows_ahead_get_their_share_of_what_came() -> None:
    """In proportion to their length; what is over stays."""
    windows = [Span(0, 10), Span(10, 20), Span(20, 50)]
    answer = Answer(Question("m", windows), {("a",): [30, 10, 999], (None,): [0, 0, 5]})
    (told,) = paced([answer], 0, 20)
    assert {("a",): [30, 10, 60], (None,): [0, 0, 0]} == told.groups
    newcomer = Answer(Question("m", windows), {(): [0, 10, 999]})
    (late,) = paced([newcomer], 10, 20)  # whoever came late has had half the time
    assert [0, 10, 30] == late.groups[()]
    (none,) = paced([Answer(Question("m", windows), {(): [0, 0, 7]})], 20, 20)
    assert [0, 0, 0] == none.groups[()]


def test_imported_usage_moves_the_beginning_of_the_pace() -> None:
    """An account made today that brings a month of events has had a month's time, not a day's."""
    windows = [Span(0, 10), Span(10, 20), Span(20, 50)]
    imported = Answer(Question("m", windows), {(): [30, 10, 999]})
    other = Answer(Question("n", windows), {(): [0, 2, 999]})
    told = paced([imported, other], 10, 20)
    assert [[30, 10, 60], [0, 2, 3]] == [answer.groups[()] for answer in told]


def test_a_peak_stays_what_it_is() -> None:
    """Windows that all begin together are of meters that keep one value."""
    windows = [Span(0, 10), Span(0, 20), Span(0, 50)]
    (told,) = paced([Answer(Question("m", windows), {(): [3, 7, 0]})], 0, 20)
    assert [3, 7, 7] == told.groups[()]
    (none,) = paced([Answer(Question("m", [Span(5, 9), Span(5, 12)]), {(): [4, 4]})], 0, 3)
    assert [0, 0] == none.groups[()]
