"""Cells become exact values, or say what is wrong with them."""

from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from tallybook.cli.importing.cells import TYPES, CellInvalid, instants, multiplied
from tallybook.core.errors import Invalid
from tallybook.core.instant import parse_event_time

UTC = ZoneInfo("UTC")
PARIS = ZoneInfo("Europe/Paris")


@pytest.mark.parametrize(
    ("kind", "cell", "expected"),
    [
        ("text", "0042", "0042"),
        ("text", 42, "42"),
        ("text", Decimal("1.50"), "1.50"),
        ("text", True, "true"),
        ("integer", " 0042 ", 42),
        ("integer", "-3", -3),
        ("integer", "12.000", 12),
        ("integer", 7, 7),
        ("integer", Decimal("7.0"), 7),
        ("decimal", "12.50", Decimal("12.5")),
        ("decimal", "12.00", 12),
        ("decimal", ".5", Decimal("0.5")),
        ("decimal", Decimal("0.1"), Decimal("0.1")),
        ("boolean", "Yes", True),
        ("boolean", 0, False),
        ("json", '{"a": [1.10]}', {"a": [Decimal("1.1")]}),
        ("json", {"a": 1}, {"a": 1}),
    ],
)
def test_a_cell_becomes_the_value_its_type_says(kind, cell, expected):
    """
    Each type reads what spreadsheets and JSON write, exactly.
    """
    made = TYPES[kind](cell)
    assert (expected, type(expected)) == (made, type(made))


@pytest.mark.parametrize(
    ("kind", "cell"),
    [
        ("text", ["a"]),
        ("integer", "12.5"),
        ("integer", "1_000"),
        ("integer", "٣"),
        ("integer", True),
        ("decimal", "NaN"),
        ("decimal", "1e5"),
        ("decimal", "1,5"),
        ("decimal", False),
        ("boolean", "maybe"),
        ("json", "{'a': 1}"),
    ],
)
def test_a_cell_that_is_something_else_is_refused(kind, cell):
    """
    Nothing is guessed: what is not plainly of the type is refused.
    """
    with pytest.raises(CellInvalid):
        TYPES[kind](cell)


def test_a_product_is_exact():
    """
    Milliseconds become seconds without a float in between.
    """
    assert Decimal("0.123") == multiplied(Decimal("0.001"))("123")
    assert 2 == multiplied(Decimal("0.001"))("2000")


@pytest.mark.parametrize(
    ("form", "zone", "cell", "expected"),
    [
        ("iso", UTC, "2023-11-16 18:17:03.9799600", "2023-11-16T18:17:03.9799600Z"),
        ("iso", UTC, "2026-03-01", "2026-03-01T00:00:00Z"),
        ("iso", UTC, "2026-03-01T12:30", "2026-03-01T12:30:00Z"),
        ("iso", UTC, "2026-03-01T12:30:00,5 UTC", "2026-03-01T12:30:00.5Z"),
        ("iso", PARIS, "2026-03-01T12:30:00+0530", "2026-03-01T12:30:00+05:30"),
        ("iso", PARIS, "2026-03-01T12:30:00-08", "2026-03-01T12:30:00-08:00"),
        ("iso", PARIS, "2026-03-01 12:30:00", "2026-03-01T11:30:00Z"),
        ("iso", PARIS, "2026-07-01 12:30:00.1234567", "2026-07-01T10:30:00.123456Z"),
        ("iso", PARIS, "2026-10-25 02:30:00", "2026-10-25T00:30:00Z"),
        ("epoch_s", UTC, "1700000000", "2023-11-14T22:13:20Z"),
        ("epoch_s", UTC, "1700000000.25", "2023-11-14T22:13:20.25Z"),
        ("epoch_ms", UTC, 1700000000250, "2023-11-14T22:13:20.25Z"),
        ("epoch_us", UTC, "1700000000000001", "2023-11-14T22:13:20.000001Z"),
        ("epoch_ns", UTC, "1700000000000001999", "2023-11-14T22:13:20.000001Z"),
        ("%d/%b/%Y:%H:%M:%S %z", UTC, "17/May/2015:10:05:03 +0200", "2015-05-17T08:05:03Z"),
        ("%d.%m.%Y %H:%M", PARIS, "01.07.2026 12:00", "2026-07-01T10:00:00Z"),
    ],
)
def test_a_time_is_read_in_its_form_and_zone(form, zone, cell, expected):
    """
    Times come out as an event's time, which the core then reads as that very instant.
    """
    written = instants(form, zone)(cell)
    assert expected == written
    parse_event_time(written, "/time")


@pytest.mark.parametrize(
    ("form", "cell"),
    [
        ("iso", "yesterday"),
        ("iso", "01/02/2026"),
        ("iso", None),
        ("epoch_s", "soon"),
        ("epoch_s", "-1"),
        ("epoch_s", "1700000000000"),
        ("%Y", "0001"),
        ("%d/%m", "31/31"),
    ],
)
def test_a_time_of_another_form_is_refused(form, cell):
    """
    A time that is not in the form, or outside [1970, 2200), is refused with a word about it.
    """
    with pytest.raises(CellInvalid):
        instants(form, UTC)(cell)


def test_a_time_that_the_calendar_lacks_is_refused():
    """
    31 February in a local zone is no instant.
    """
    with pytest.raises(CellInvalid, match="calendar"):
        instants("iso", PARIS)("2026-02-31 10:00:00")


def test_an_unknown_form_is_refused_when_the_mapping_is_read():
    """
    A form without a % that is none of ours is a mistake of the mapping.
    """
    with pytest.raises(Invalid, match="epoch_ms"):
        instants("rfc822", UTC)
