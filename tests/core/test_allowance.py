"""What an account is allowed: its plan's limits, its own in their place or beside them, add-ons while they last."""

import pytest

from tallybook.core.allowance import NO_OWN_LIMITS, AddOn, OwnLimits, limits_in_force, read_add_on
from tallybook.core.errors import FieldInvalid
from tallybook.core.fields import errors_of
from tallybook.core.limit import Limit, LimitKind
from tallybook.core.number import NANOS

A = Limit("a", LimitKind.PERIOD, quantity=10, meter="credits")
B = Limit("b", LimitKind.PERIOD, quantity=20, meter="credits")
OWN_A = Limit("a", LimitKind.STOCK, quantity=5, resource="agent")
C = Limit("c", LimitKind.PERIOD, quantity=None, meter="credits")
LENGTH = Limit("length", LimitKind.DURATION, quantity=60 * NANOS, seconds=60)
NOW_US = 1_772_366_400_000_000


def test_own_limits_replace_or_join_those_of_the_plan():
    """In the plan's order, the new ones behind."""
    assert (A, B) == limits_in_force([A, B], NO_OWN_LIMITS, 0)
    assert (OWN_A, B, C) == limits_in_force([A, B], OwnLimits([C, OWN_A]), 0)


def test_add_ons_count_from_their_start_until_their_end():
    """Half-open, on top of whatever the limit is, several at once."""
    own = OwnLimits([], [AddOn("1", "a", 3, 100, 200), AddOn("2", "a", 4, 150), AddOn("3", "zz", 5, 0)])
    found = [limits_in_force([A], own, now_us)[0].quantity for now_us in (99, 100, 149, 150, 199, 200)]
    assert [10, 13, 13, 17, 17, 14] == found


def test_add_ons_change_neither_what_has_no_limit_nor_a_length():
    """Unlimited stays so; a length is no quantity."""
    own = OwnLimits([], [AddOn("1", "c", 3, 0), AddOn("2", "length", 3, 0)])
    assert (C, LENGTH) == limits_in_force([C, LENGTH], own, 1)


def test_add_ons_stand_on_own_limits():
    """What was bought is added to what was agreed."""
    own = OwnLimits([Limit("a", LimitKind.PERIOD, quantity=50, meter="credits")], [AddOn("1", "a", 3, 0)])
    assert 53 == limits_in_force([A], own, 1)[0].quantity


def test_an_add_on_is_read():
    """It starts now unless it says when, and has no end unless it says one."""
    assert AddOn("x", "a", 2 * NANOS, NOW_US, None) == read_add_on({"limit": "a", "quantity": "2"}, "x", NOW_US)
    body = {"limit": "a", "quantity": 2, "starts_at": "2026-04-01T00:00:00Z", "ends_at": "2026-05-01T02:00:00+02:00"}
    read = read_add_on(body, "x", NOW_US)
    assert (1_775_001_600_000_000, 1_777_593_600_000_000) == (read.starts_us, read.ends_us)


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ([], [""]),
        ({}, ["/limit", "/quantity"]),
        ({"limit": "a", "quantity": "0"}, ["/quantity"]),
        ({"limit": "a", "quantity": "-1", "note": "x"}, ["/note", "/quantity"]),
        ({"limit": "a", "quantity": 1, "starts_at": "soon"}, ["/starts_at"]),
        ({"limit": "a", "quantity": 1, "ends_at": "2026-03-01T12:00:00Z"}, ["/ends_at"]),
        ({"limit": "a", "quantity": 1, "ends_at": "2026-03-01T12:00:00"}, ["/ends_at"]),
    ],
    ids=str,
)
def test_a_wrong_add_on_is_told_where(body, pointers):
    """With all that is wrong at once."""
    with pytest.raises(FieldInvalid) as refused:
        read_add_on(body, "x", NOW_US)
    assert pointers == [pointer for pointer, _ in errors_of(refused.value)]
