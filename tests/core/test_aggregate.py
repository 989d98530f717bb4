"""Aggregates merge in any order and grouping to the same result, and marks sort like what they stand for."""

from hypothesis import example, given
from hypothesis import strategies as st

from tallybook.core.aggregate import (
    Reading,
    Tally,
    greatest,
    mark_last,
    mark_max,
    mark_min,
    value_of_max,
    value_of_min,
)
from tallybook.core.ids import AccountId
from tallybook.core.instant import INSTANT_MAX_US, MINUTE_US
from tallybook.core.number import NANOS_MAX

quantities = st.integers(-NANOS_MAX, NANOS_MAX)
times = st.integers(0, INSTANT_MAX_US - 1)
ties = st.integers(-(2**63), 2**63 - 1)
readings = st.builds(
    Reading,
    type_no=st.integers(1, 2),
    dimensions=st.tuples(st.sampled_from(("eu", None)), st.sampled_from(("ada", "bob", None))),
    values=st.tuples(st.none() | quantities, st.none() | quantities),
    marks=st.lists(st.tuples(st.integers(0, 1), quantities.map(mark_max)), max_size=2).map(tuple),
    uniques=st.lists(st.tuples(st.just(0), st.integers(0, 3), st.integers(0, 3)), max_size=2).map(tuple),
)
events = st.tuples(st.sampled_from(("acme", "evil")).map(AccountId), st.integers(0, 3 * MINUTE_US), readings)


def tally(several: list[tuple[AccountId, int, Reading]]) -> Tally:
    """Count events one by one."""
    made = Tally()
    for account_id, time_us, reading in several:
        made.add(account_id, time_us, reading)
    return made


def total(rows: list[list[int]]) -> list[int]:
    """Add rows column by column."""
    return [sum(column) for column in zip(*rows, strict=True)]


@given(several=st.lists(events, max_size=30), data=st.data())
def test_the_order_of_events_does_not_matter(
    several: list[tuple[AccountId, int, Reading]], data: st.DataObject
) -> None:
    """Any permutation makes the same rows, marks and distinct values."""
    assert tally(several) == tally(data.draw(st.permutations(several)))


@given(several=st.lists(events, max_size=30), cut=st.integers(0, 30))
def test_counting_in_parts_and_adding_the_parts_is_the_same(
    several: list[tuple[AccountId, int, Reading]], cut: int
) -> None:
    """Rows add column by column, marks by the greatest, distinct values by union: as the ledger's SQL merges them."""
    whole, parts = tally(several), [tally(several[:cut]), tally(several[cut:])]
    assert whole.rows == {place: total([p.rows[place] for p in parts if place in p.rows]) for place in whole.rows}
    assert whole.marks == {place: greatest(p.marks[place] for p in parts if place in p.marks) for place in whole.marks}
    assert whole.uniques == parts[0].uniques | parts[1].uniques
    assert whole.series() == parts[0].series() | parts[1].series()


@given(several=st.lists(events, max_size=30))
def test_rows_hold_what_a_plain_count_finds(several: list[tuple[AccountId, int, Reading]]) -> None:
    """Per series and minute: events, then for each field how many carried it and their sum."""
    for ((account_id, type_no, dimensions), minute), row in tally(several).rows.items():
        mine = [
            reading
            for owner, time_us, reading in several
            if (owner, reading.type_no, reading.dimensions) == (account_id, type_no, dimensions)
            and time_us // MINUTE_US == minute
        ]
        expected = [len(mine)]
        for place in range(2):
            there = [value for reading in mine if (value := reading.values[place]) is not None]
            expected += [len(there), sum(there)]
        assert expected == row


@given(several=st.lists(quantities, min_size=1))
@example(several=[NANOS_MAX, -NANOS_MAX, 0, -1, 1])
def test_extremes_win_as_text(several: list[int]) -> None:
    """The greatest mark is that of the greatest, or of the smallest, value; and the value reads back."""
    assert max(several) == value_of_max(greatest(map(mark_max, several)) or "")
    assert min(several) == value_of_min(greatest(map(mark_min, several)) or "")


@given(several=st.lists(st.tuples(times, ties, quantities), min_size=1, unique_by=lambda told: told[:2]))
@example(several=[(5, -1, 7), (5, 1, 8), (4, 2**63 - 1, 9)])
def test_the_latest_event_has_the_last_word(several: list[tuple[int, int, int]]) -> None:
    """The latest time wins; among equals the tie decides, the same way in any order."""
    latest = max(time_us for time_us, _, _ in several)
    marks = [mark_last(nanos, time_us, tie) for time_us, tie, nanos in several]
    winner = greatest(marks)
    assert winner == greatest(reversed(marks))
    assert value_of_max(winner or "") in {nanos for time_us, _, nanos in several if time_us == latest}


def test_of_nothing_nothing_is_greatest() -> None:
    """No mark, no winner."""
    assert greatest([]) is None
