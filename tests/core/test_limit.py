"""Limits are read strictly, written back the same, and the most specific one speaks for usage."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallybook.core.errors import FieldInvalid
from tallybook.core.fields import errors_of
from tallybook.core.instant import DAY_US, HOUR_US
from tallybook.core.limit import (
    SECONDS_MAX,
    Limit,
    LimitKind,
    LimitState,
    Mode,
    limit_for,
    read_limit,
    write_limit,
)
from tallybook.core.number import NANOS, NANOS_MAX

NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_.-]{0,8}", fullmatch=True)
QUANTITIES = st.none() | st.integers(0, NANOS_MAX)
TEXTS = st.text(st.characters(exclude_characters="\x00", codec="utf-8"), min_size=1, max_size=100)
FILTERS = st.dictionaries(TEXTS, TEXTS, max_size=3)
WINDOWS = st.integers(1, 366).map(lambda days: f"P{days}D") | st.integers(1, 8784).map(lambda hours: f"PT{hours}H")


@st.composite
def limits(draw: Callable[..., object]) -> Limit:
    """Any limit of any kind."""
    kind = draw(st.sampled_from(LimitKind))
    name, mode, quantity = draw(NAMES), draw(st.sampled_from(Mode)), draw(QUANTITIES)
    assert isinstance(kind, LimitKind)
    if kind is LimitKind.DURATION:
        seconds = draw(st.integers(1, SECONDS_MAX))
        return Limit(name, kind, mode, seconds * NANOS, seconds=seconds)
    if kind is LimitKind.CONCURRENT:
        return Limit(name, kind, mode, quantity)
    if kind in {LimitKind.LIFETIME, LimitKind.STOCK} and draw(st.booleans()):
        return Limit(name, kind, mode, quantity, resource=draw(NAMES))
    return Limit(
        name,
        kind,
        mode,
        quantity,
        meter=draw(NAMES),
        filter=draw(FILTERS),
        per=draw(st.none() | TEXTS),
        period="P1M" if kind is LimitKind.PERIOD else None,
        window=draw(WINDOWS) if kind is LimitKind.ROLLING else None,
    )


@given(limits())
def test_a_limit_is_read_back_as_it_was_written(limit: Limit) -> None:
    """Whatever its kind, exactly; and equal limits are equal keys."""
    again = read_limit(write_limit(limit), "")
    assert limit == again
    assert hash(limit) == hash(again)


COMMON: dict[str, object] = {"name": "x", "meter": "m", "quantity": "1"}


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ("text", [""]),
        ({}, ["/kind"]),
        ({"kind": "daily"}, ["/kind"]),
        ({"kind": ["period"]}, ["/kind"]),
        ({"kind": "period"}, ["/name", "/quantity", "/meter"]),
        ({"kind": "rolling", **COMMON}, ["/window"]),
        ({"kind": "duration", "name": "x"}, ["/seconds"]),
        ({"kind": "concurrent", "name": "x"}, ["/quantity"]),
        ({"kind": "stock", "name": "x", "quantity": "1"}, ["/meter"]),
        ({"kind": "concurrent", **COMMON}, ["/meter"]),
        ({"kind": "period", "resource": "agent", **COMMON}, ["/resource"]),
        ({"kind": "stock", "resource": "agent", **COMMON}, ["/meter"]),
        ({"kind": "stock", "resource": "an agent", "name": "x", "quantity": "1"}, ["/resource"]),
        ({"kind": "period", "window": "P1D", **COMMON}, ["/window"]),
        ({"kind": "period", "period": "P1Y", **COMMON}, ["/period"]),
        ({"kind": "period", "mode": "soft", **COMMON}, ["/mode"]),
        ({"kind": "period", "per": "", **COMMON}, ["/per"]),
        ({"kind": "period", "filter": {"a": 1}, **COMMON}, ["/filter/a"]),
        ({"kind": "period", "quanttiy": "1", "name": "x", "meter": "m"}, ["/quanttiy", "/quantity"]),
        *(
            ({"kind": "period", "name": "x", "meter": "m", "quantity": quantity}, ["/quantity"])
            for quantity in ("-1", "NaN", "1e5", "", "1_000", "٣", True, [], "10000000000000001")
        ),
        *(
            ({"kind": "rolling", "window": window, **COMMON}, ["/window"])
            for window in (30, "", "30D", "P0D", "P367D", "PT8785H", "P1M", "P1DT1H", "P٣D", "P30D\n", None)
        ),
        *(
            ({"kind": "duration", "name": "x", "seconds": seconds}, ["/seconds"])
            for seconds in (0, -1, True, "900", SECONDS_MAX + 1, None)
        ),
    ],
)
def test_a_wrong_limit_is_refused_with_every_place(body: object, pointers: list[str]) -> None:
    """Nothing is guessed, and a mistyped field is not lost in silence."""
    with pytest.raises(FieldInvalid) as caught:
        read_limit(body, "/limits/0")
    assert [f"/limits/0{pointer}" for pointer in pointers] == [pointer for pointer, _ in errors_of(caught.value)]


@pytest.mark.parametrize(
    ("quantity", "expected"), [("unlimited", None), (None, None), ("0", 0), ("2.5", 2_500_000_000), (3, 3 * NANOS)]
)
def test_quantities_are_exact_or_none(quantity: object, expected: int | None) -> None:
    """Unlimited is said in words or by null; it is not what was left out."""
    body = {"name": "x", "kind": "period", "meter": "m", "quantity": quantity}
    assert expected == read_limit(body, "").quantity


@pytest.mark.parametrize(
    ("window", "expected"), [("P30D", 30 * DAY_US), ("PT24H", DAY_US), ("PT1H", HOUR_US), ("P366D", 366 * DAY_US)]
)  # days: days are meant
def test_windows_are_hours_and_days(window: str, expected: int) -> None:
    """A day of a window has 24 hours."""
    assert expected == Limit("x", LimitKind.ROLLING, window=window).window_us


@given(st.none() | st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 10**12))
def test_what_remains_is_never_below_zero(quantity: int | None, used: int, held: int) -> None:
    """And with no limit there is no such figure."""
    state = LimitState(Limit("x", LimitKind.CONCURRENT, quantity=quantity), used, held=held)
    assert (None if quantity is None else max(0, quantity - used - held)) == state.remaining


PER = Limit("per", LimitKind.PERIOD, meter="requests", per="api_id")
ALL = Limit("all", LimitKind.PERIOD, meter="requests")
ONE = Limit("one", LimitKind.PERIOD, meter="requests", filter={"api_id": "x"})
BOTH = Limit("both", LimitKind.PERIOD, meter="requests", filter={"api_id": "x", "endpoint": "/y"})
OTHER = Limit("other", LimitKind.ROLLING, meter="requests", filter={"api_id": "x"}, window="P1D")


@pytest.mark.parametrize(
    ("dimensions", "expected"),
    [
        ({}, ALL),
        ({"endpoint": "/y"}, ALL),
        ({"api_id": "z"}, PER),
        ({"api_id": "x"}, ONE),
        ({"api_id": "x", "endpoint": "/n"}, ONE),
        ({"api_id": "x", "endpoint": "/y"}, BOTH),
    ],
)
def test_the_most_specific_limit_speaks(dimensions: dict[str, str], expected: Limit) -> None:
    """In whatever order the plan has them."""
    for order in ([PER, ALL, ONE, BOTH, OTHER], [OTHER, BOTH, ONE, ALL, PER]):
        assert expected == limit_for(order, LimitKind.PERIOD, "requests", dimensions)


def test_no_limit_speaks_for_what_is_not_counted() -> None:
    """Another meter, another kind, a value that no filter names."""
    assert None is limit_for([ALL], LimitKind.PERIOD, "messages", {})
    assert None is limit_for([ALL], LimitKind.ROLLING, "requests", {})
    assert None is limit_for([ONE, PER], LimitKind.PERIOD, "requests", {"endpoint": "/y"})


def test_a_limit_that_names_a_value_stands_beside_the_one_for_each() -> None:
    """Only if it differs from it in nothing else."""
    assert ONE.names("api_id", "x", beside=PER)
    assert not ONE.names("api_id", "y", beside=PER)
    assert not BOTH.names("api_id", "x", beside=PER)
    assert not OTHER.names("api_id", "x", beside=PER)
    assert not PER.names("api_id", "x", beside=PER)
