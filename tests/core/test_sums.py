"""Columns of sums: what of them is wanted, and what becomes of rows that are shared out."""

from tallybook.core.sums import SumRows, Wanted, join_wanted

ROWS = SumRows([0, 1, 1, 2, 3], [0, 0, 1, 1, 0], [1, 2, 3, 4, 5], {2: [0, 1, 0, 1, 0]}, {2: [10, 20, 30, 40, 50]})


def test_what_several_want_together_is_all_that_one_or_another_wants() -> None:
    """Each column once, in the order of the slots."""
    several = [Wanted(events=True), Wanted(counts=(3,), sums=(3, 0)), Wanted(sums=(1, 3))]
    assert Wanted(events=True, counts=(3,), sums=(0, 1, 3)) == join_wanted(several)
    assert several[1] is join_wanted(several[1:2])


def test_a_part_of_the_slots_has_its_own_columns() -> None:
    """Events are counted once, beside the first slots."""
    wanted = Wanted(events=True, counts=(0, 4), sums=(3,))
    assert {0, 3, 4} == wanted.slots
    assert Wanted(events=True, counts=(0,)) == wanted.within(range(3))
    assert Wanted(counts=(4,), sums=(3,)) == wanted.within(range(3, 6))


def test_the_groups_of_rows_are_told_once_each() -> None:
    """All rows are of group 0 where groups are not told, and no rows are of none."""
    assert [0, 1] == list(ROWS.numbers())
    assert [0] == list(SumRows([4, 4]).numbers())
    assert [] == list(SumRows([]).numbers()) == list(SumRows([], []).numbers())


def test_rows_of_some_windows_are_numbered_from_the_first_of_them() -> None:
    """All columns are cut alike, those that are not there too."""
    assert SumRows([0, 0, 1], [0, 1, 1], [2, 3, 4], {2: [1, 0, 1]}, {2: [20, 30, 40]}) == ROWS.between(1, 3)
    assert SumRows([], [], [], {2: []}, {2: []}) == ROWS.between(4, 9)
    assert SumRows([0]) == SumRows([7, 9]).between(9, 10)


def test_rows_of_some_places_are_numbered_as_these_are() -> None:
    """Where a question is answered in pieces."""
    assert SumRows([5, 6, 6, 8, 9], ROWS.groups, ROWS.events, ROWS.counts, ROWS.sums) == ROWS.at([5, 6, 8, 9])


def test_whole_sums_are_cut_and_placed_as_well() -> None:
    """They are columns like any other."""
    rows = SumRows([0, 1, 2], wholes={4: [1, 2, 3]})
    assert SumRows([0, 1], wholes={4: [2, 3]}) == rows.between(1, 3)
    assert SumRows([7, 8, 9], wholes={4: [1, 2, 3]}) == rows.at([7, 8, 9])
