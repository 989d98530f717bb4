"""When a threshold is crossed, armed again, recovered."""

from hypothesis import given
from hypothesis import strategies as st

from tallybook.core.alert import FORECAST_PERCENT, Told, judge, needed
from tallybook.core.threshold import at

figures = st.integers(0, 10**13)


def told(*percents: int, quantity: int = 100) -> dict[int, Told]:
    """Return thresholds that stand."""
    return {percent: Told(percent, 0, True, quantity, 0) for percent in percents}


@given(figures, figures, st.integers(1, 1000))
def test_what_is_needed_is_the_least_that_reaches(used: int, quantity: int, percent: int) -> None:
    """One less does not, and nothing used reaches nothing."""
    least = needed(quantity, percent)
    assert (used >= least) == (used > 0 and used * 100 >= percent * quantity)


@given(figures, figures.filter(bool))
def test_a_threshold_that_is_left_is_reached_by_what_is_left(used: int, quantity: int) -> None:
    """Neither earlier nor later."""
    left = judge(used, quantity, at(80, 95, 100), {}, falls=False).left
    if left is not None:
        assert not judge(used + left - 1, quantity, at(80, 95, 100), told(), falls=False).raised or used >= needed(
            quantity, 80
        )
        raised = judge(used + left, quantity, at(80, 95, 100), {}, falls=False).raised
        assert raised[-1].percent == next(p for p in (80, 95, 100) if needed(quantity, p) == used + left or p == 100)


def test_several_are_raised_in_their_order() -> None:
    """The highest last."""
    judged = judge(100, 100, at(80, 95, 100), {}, falls=False)
    assert ([80, 95, 100], None) == ([one.percent for one in judged.raised], judged.left)


def test_what_stands_is_not_told_again() -> None:
    """And the next threshold is the one that is left."""
    judged = judge(85, 100, at(80, 95, 100), told(80), falls=False)
    assert ((), (), (), 10) == (judged.raised, judged.recovered, judged.silent, judged.left)
    assert not judged.changes


def test_usage_of_a_period_that_is_taken_back_arms_nothing() -> None:
    """Only what falls by itself recovers."""
    assert not judge(10, 100, at(80), told(80), falls=False).changes


def test_a_raised_limit_arms_what_is_no_longer_reached() -> None:
    """Without a word in a period, with one where usage falls by itself."""
    assert (80,) == judge(85, 200, at(80), told(80), falls=False).silent
    assert (80,) == judge(85, 200, at(80), told(80), falls=True).recovered
    assert () == judge(170, 200, at(80), told(80), falls=False).silent


def test_what_falls_recovers_below_the_hysteresis() -> None:
    """A little below the threshold is not enough."""
    assert [(), (), (80,)] == [judge(used, 100, at(80), told(80), falls=True).recovered for used in (79, 75, 74)]
    assert (3,) == judge(0, 100, at(3), told(3), falls=True).recovered


def test_a_threshold_that_is_no_longer_asked_for_is_dropped_when_it_is_not_reached() -> None:
    """Its forecast and what was armed before are left alone."""
    assert (50,) == judge(10, 100, at(80), told(50), falls=False).silent
    assert () == judge(60, 100, at(80), told(50), falls=False).silent
    assert not judge(10, 100, at(80), told(FORECAST_PERCENT), falls=False).changes
    assert not judge(10, 100, at(80), {50: Told(50, 0, False, 100, 0)}, falls=False).changes
