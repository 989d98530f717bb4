"""Thresholds as plans and rules say them."""

import pytest

from tallybook.core.errors import FieldInvalid
from tallybook.core.fields import errors_of
from tallybook.core.limit import Limit, LimitKind
from tallybook.core.threshold import Level, Threshold, at, read_thresholds, thresholds_of, write_thresholds


def test_a_percent_says_how_serious_it_is() -> None:
    """From 100 an overage, from 90 critical, below that a warning."""
    levels = [Level.WARNING, Level.WARNING, Level.CRITICAL, Level.CRITICAL, Level.OVERAGE, Level.OVERAGE]
    assert levels == [one.level for one in at(1, 89, 90, 99, 100, 150)]


def test_thresholds_are_read_back_as_they_were_written() -> None:
    """What says no more than its percent is a number."""
    body = [50, {"percent": 80, "event": "usage.limit_reached"}, {"percent": 60, "limit": "seats"}, 100]
    assert body == write_thresholds(read_thresholds(body, ""))


def test_a_limit_with_thresholds_of_its_own_has_only_those() -> None:
    """The general ones are for all others."""
    thresholds = read_thresholds([80, 100, {"percent": 60, "limit": "seats"}], "")
    assert (Threshold(60, Level.WARNING, "seats"),) == thresholds_of(Limit("seats", LimitKind.STOCK), thresholds)
    assert at(80, 100) == thresholds_of(Limit("messages", LimitKind.PERIOD, meter="messages"), thresholds)


@pytest.mark.parametrize(
    ("limit", "level"),
    [
        (Limit("a", LimitKind.PERIOD, meter="requests", per="api_id"), Level.LIMIT_REACHED),
        (Limit("b", LimitKind.PERIOD, meter="requests", filter={"api_id": "api_1"}), Level.LIMIT_REACHED),
        (Limit("c", LimitKind.PERIOD, meter="requests"), Level.WARNING),
        (Limit("d", LimitKind.PERIOD, meter="requests", per="endpoint"), Level.WARNING),
        (Limit("e", LimitKind.PERIOD, meter="request_errors", per="api_id"), Level.WARNING),
        (Limit("f", LimitKind.ROLLING, meter="requests", per="api_id", window="P1D"), Level.WARNING),
    ],
)
def test_80_percent_of_what_an_api_may_is_the_limit_reached_of_the_document(limit: Limit, level: Level) -> None:
    """Of the requests of a period only; other percents, and events that were named, stay what they are."""
    thresholds = read_thresholds([70, 80, 95, 100], "")
    levels = [Level.WARNING, level, Level.CRITICAL, Level.OVERAGE]
    assert levels == [one.level for one in thresholds_of(limit, thresholds)]
    named = read_thresholds([{"percent": 80, "event": "usage.critical"}], "")
    assert named == thresholds_of(limit, named)


@pytest.mark.parametrize(
    ("value", "pointers"),
    [
        (80, ["/t"]),
        (["80"], ["/t/0"]),
        ([0], ["/t/0"]),
        ([1001], ["/t/0"]),
        ([True], ["/t/0"]),
        ([80, 80], ["/t"]),
        ([95, 80], ["/t"]),
        (list(range(1, 12)), ["/t"]),
        ([{"percent": 80, "event": "usage.often"}], ["/t/0/event"]),
        ([{"percent": 80, "event": 5}], ["/t/0/event"]),
        ([{"percent": 80, "limit": "No Name"}], ["/t/0/limit"]),
        ([{"event": "usage.warning"}], ["/t/0/percent"]),
        ([{"percent": 80, "colour": "red"}], ["/t/0/colour"]),
    ],
)
def test_what_is_wrong_is_told_with_its_place(value: object, pointers: list[str]) -> None:
    """With a pointer to each item."""
    with pytest.raises(FieldInvalid) as refused:
        read_thresholds(value, "/t")
    assert pointers == [pointer for pointer, _ in errors_of(refused.value)]
