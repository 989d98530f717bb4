"""What a request asks: items are read strictly, and every limit that the same usage counts against is asked."""

import pytest

from tallybook.core.demand import ITEMS_MAX, expand, read_items, split_demand
from tallybook.core.errors import FieldInvalid, NotFound
from tallybook.core.fields import errors_of
from tallybook.core.hold import Wanted
from tallybook.core.limit import Limit, LimitKind
from tallybook.core.number import NANOS


def limit(name: str, kind: LimitKind = LimitKind.PERIOD, meter: str | None = "credits", **more: object) -> Limit:
    """A limit on credits."""
    return Limit(name, kind, quantity=100 * NANOS, meter=meter, **more)  # type: ignore[arg-type]


DAY, MONTH = limit("day", LimitKind.ROLLING, window="PT24H"), limit("month")
AGENT_A, EACH = limit("agent-a", filter={"agent_id": "a"}), limit("each", per="agent_id")
REQUESTS = limit("requests", meter="requests")
EVER = limit("ever", LimitKind.LIFETIME, None, resource="agent")
NOW = limit("now", LimitKind.STOCK, None, resource="agent")
SLOTS, LENGTH = limit("slots", LimitKind.CONCURRENT, None), limit("length", LimitKind.DURATION, None)


def asked(limits: list[Limit], *wanted: tuple[str, int] | tuple[str, int, str], peek: bool = False) -> dict[str, int]:
    """What is asked of each limit, in units; of values under `name/value`."""
    items = [Wanted(n, q * NANOS, *v, *(["agent_id"] if v else [])) for n, q, *v in wanted]  # type: ignore[arg-type]
    found = expand(limits, items, peek=peek)
    return {f"{name}/{value}" if value else name: nanos // NANOS for (name, value), (_, nanos) in found.items()}


@pytest.mark.parametrize(
    ("limits", "wanted", "expected"),
    [
        pytest.param([MONTH, REQUESTS], [("month", 3)], {"month": 3}, id="another meter is not asked"),
        pytest.param([MONTH, DAY], [("month", 3)], {"month": 3, "day": 3}, id="the same usage counts against both"),
        pytest.param([MONTH, DAY], [("month", 3), ("day", 3)], {"month": 3, "day": 3}, id="said twice, used once"),
        pytest.param(
            [MONTH, DAY], [("month", 3), ("day", 5)], {"month": 5, "day": 5}, id="of the same usage, the most"
        ),
        pytest.param([MONTH, DAY], [("month", 3), ("month", 4)], {"month": 7, "day": 7}, id="one limit twice adds up"),
        pytest.param([MONTH, AGENT_A], [("agent-a", 3)], {"month": 3, "agent-a": 3}, id="a part counts for the whole"),
        pytest.param([MONTH, AGENT_A], [("month", 3)], {"month": 3}, id="the whole does not count for a part"),
        pytest.param(
            [MONTH, AGENT_A], [("month", 5), ("agent-a", 3)], {"month": 5, "agent-a": 3}, id="the whole holds its part"
        ),
        pytest.param(
            [MONTH, AGENT_A], [("month", 1), ("agent-a", 3)], {"month": 3, "agent-a": 3}, id="a part larger than said"
        ),
        pytest.param(
            [MONTH, EACH],
            [("each", 3, "a"), ("each", 4, "b")],
            {"month": 7, "each/a": 3, "each/b": 4},
            id="values are apart, and add up in the whole",
        ),
        pytest.param([EACH, AGENT_A], [("each", 3, "a")], {"agent-a": 3}, id="a limit of its own speaks for a value"),
        pytest.param([EACH, AGENT_A, MONTH], [("agent-a", 3)], {"agent-a": 3, "month": 3}, id="and is asked itself"),
        pytest.param([EVER, NOW], [("now", 1)], {"ever": 1, "now": 1}, id="a thing counts for ever and for now"),
    ],
)
def test_every_limit_that_usage_counts_against_is_asked(limits, wanted, expected):
    """The tightest decides, so all are asked; nothing is counted twice for being said twice."""
    assert expected == asked(limits, *wanted)


def test_slots_and_lengths_can_only_be_looked_at():
    """A check may ask about them; nothing of them can be held."""
    assert {"slots": 1, "length": 9} == asked([SLOTS, LENGTH], ("slots", 1), ("length", 9), peek=True)
    for name in ("slots", "length"):
        with pytest.raises(FieldInvalid, match="of which nothing can be reserved") as refused:
            asked([SLOTS, LENGTH], (name, 1))
        assert "/items/0/limit" == refused.value.pointer


def test_an_unknown_limit_and_a_wrong_dimension_are_refused_with_their_place():
    """The second item is the wrong one, and says so."""
    with pytest.raises(NotFound) as refused:
        expand([MONTH], [Wanted("month", 1), Wanted("nope", 1)])
    assert "/items/1/limit" == refused.value.pointer
    for item in (Wanted("each", 1), Wanted("each", 1, "x", "model"), Wanted("month", 1, "a", "agent_id")):
        with pytest.raises(FieldInvalid) as wrong:
            expand([MONTH, EACH], [item])
        assert "/items/0/dimensions" == wrong.value.pointer


def test_usage_is_split_without_overlap():
    """What a part says is not said again by the whole."""
    split = split_demand([MONTH, AGENT_A], [Wanted("month", 5), Wanted("agent-a", 3)])
    assert [2, 3] == [nanos for _, nanos in split]
    assert [0, 3] == [nanos for _, nanos in split_demand([MONTH, AGENT_A], [Wanted("month", 1), Wanted("agent-a", 3)])]


def test_items_are_read_with_all_that_is_wrong():
    """Quantities are decimal strings or JSON numbers; everything else has its pointer."""
    good = [{"limit": "a", "quantity": "1.5"}, {"limit": "b", "quantity": 2, "dimensions": {"agent_id": "x"}}]
    expected = Wanted("a", 1_500_000_000), Wanted("b", 2 * NANOS, "x", "agent_id")
    assert expected == read_items(good, "/items", zero=False)
    bad = [
        {},
        {"limit": "a b", "quantity": "1e3"},
        {"limit": "a", "quantity": 0},
        {"limit": "a", "quantity": -1, "colour": 1},
        {"limit": "a", "quantity": True, "dimensions": {"a": "b", "c": "d"}},
        7,
    ]
    with pytest.raises(FieldInvalid) as refused:
        read_items(bad, "/items", zero=False)
    assert [
        "/items/0/limit",
        "/items/0/quantity",
        "/items/1/limit",
        "/items/1/quantity",
        "/items/2/quantity",
        "/items/3/colour",
        "/items/3/quantity",
        "/items/4/quantity",
        "/items/4/dimensions",
        "/items/5",
    ] == [pointer for pointer, _ in errors_of(refused.value)]


@pytest.mark.parametrize("items", [None, [], {}, "x", [{"limit": "a", "quantity": 1}] * (ITEMS_MAX + 1)], ids=str)
def test_the_number_of_items_is_bounded(items):
    """At least one, at most twenty."""
    with pytest.raises(FieldInvalid) as refused:
        read_items(items, "/items", zero=True)
    assert "/items" == refused.value.pointer


def test_nothing_may_be_asked_only_where_that_means_something():
    """A check and a commit may say 0, a reservation may not."""
    item = [{"limit": "a", "quantity": "0"}]
    assert (Wanted("a", 0),) == read_items(item, "/items", zero=True)
    with pytest.raises(FieldInvalid, match="above 0"):
        read_items(item, "/items", zero=False)
