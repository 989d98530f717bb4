"""Plans are read strictly, written back the same, and found under the names that people use."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallybook.core.errors import FieldInvalid, NotFound, StartRefused
from tallybook.core.fields import errors_of
from tallybook.core.limit import Limit, LimitKind
from tallybook.core.plan import LIMITS_MAX, PRICES_MAX, Plan, find_plan, load_plans, read_plan, write_plan
from tallybook.core.price import Price
from tallybook.core.threshold import at

LIMIT = {"name": "messages", "kind": "period", "meter": "messages", "quantity": "1"}
PRICE = {"meter": "requests", "unit_price": "1"}


def test_an_empty_plan_has_no_limits_and_the_usual_rest() -> None:
    """Its title is its name, its tier the last word of it."""
    plan = read_plan("acme-pro", {})
    assert Plan("acme-pro", 0, "acme-pro", "pro", "USD", (), (), at(80, 95, 100)) == plan
    assert "gold" == read_plan("gold", {}).tier


@given(
    st.text(st.characters(exclude_characters="\x00", codec="utf-8"), min_size=1, max_size=20),
    st.lists(st.integers(1, 1000), unique=True, max_size=10).map(sorted),
    st.permutations(range(5)),
)
def test_a_plan_is_read_back_as_it_was_written(title: str, alerts: list[int], order: list[int]) -> None:
    """With its limits and prices in their order."""
    limits = tuple(Limit(f"l{n}", LimitKind.STOCK, quantity=n, resource="seat") for n in order)
    prices = tuple(Price("requests", n, {"api_id": str(n)}) for n in order)
    plan = Plan("acme-pro", 7, title, "pro", "EUR", limits, prices, at(*alerts))
    assert plan == read_plan("acme-pro", write_plan(plan), version=7)


@pytest.mark.parametrize(
    ("name", "body", "pointers"),
    [
        ("Acme Pro", {}, ["/name"]),
        ("acme", [], [""]),
        ("acme", {"heading": "x"}, ["/heading"]),
        ("acme", {"title": ""}, ["/title"]),
        ("acme", {"currency": "usd"}, ["/currency"]),
        ("acme", {"alerts": [95, 80]}, ["/alerts"]),
        ("acme", {"alerts": [80, 80]}, ["/alerts"]),
        ("acme", {"alerts": [0]}, ["/alerts/0"]),
        ("acme", {"alerts": [True]}, ["/alerts/0"]),
        ("acme", {"alerts": "80"}, ["/alerts"]),
        ("acme", {"alerts": list(range(1, 12))}, ["/alerts"]),
        ("acme", {"limits": [LIMIT, LIMIT]}, ["/limits/1"]),
        ("acme", {"limits": [{}, LIMIT, 5, LIMIT]}, ["/limits/0/kind", "/limits/2", "/limits/3"]),
        ("acme", {"prices": [PRICE, PRICE | {"filter": {}}]}, ["/prices/1"]),
        ("acme", {"limits": [LIMIT] * (LIMITS_MAX + 1)}, ["/limits"]),
        ("acme", {"prices": [PRICE] * (PRICES_MAX + 1)}, ["/prices"]),
        ("acme", {"limits": None, "prices": {}}, ["/limits", "/prices"]),
    ],
)
def test_a_wrong_plan_is_refused_with_every_place(name: str, body: object, pointers: list[str]) -> None:
    """Faults inside limits and prices too."""
    with pytest.raises(FieldInvalid) as caught:
        read_plan(name, body)
    assert pointers == [pointer for pointer, _ in errors_of(caught.value)]


def test_a_plans_limit_is_found_by_its_name() -> None:
    """Or not."""
    plan = read_plan("acme", {"limits": [LIMIT]})
    assert plan.limits[0] is plan.limit("messages")
    assert None is plan.limit("calls")


TIERS = {"acme-pro": "pro", "zeta-pro": "pro", "zeta-free": "free", "pro-max": "max"}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("acme-pro", "acme-pro"),
        ("ACME:Pro", "acme-pro"),
        ("zeta free", "zeta-free"),
        ("FREE", "zeta-free"),
        ("max", "pro-max"),
    ],
)
def test_a_plan_is_found_under_its_loose_name(asked: str, found: str) -> None:
    """Exactly first, then with any separator, then by a tier that is its alone."""
    assert found == find_plan({name: name for name in TIERS}, TIERS, asked)


def test_an_exact_name_goes_before_a_tier() -> None:
    """Even where the tier would fit others."""
    tiers = {**TIERS, "pro": "basic"}
    assert "pro" == find_plan({name: name for name in tiers}, tiers, "pro")


def test_what_several_plans_could_be_is_not_guessed() -> None:
    """The refusal names them; an unknown name is told, shortened."""
    with pytest.raises(NotFound, match="acme-pro, zeta-pro"):
        find_plan({name: name for name in TIERS}, TIERS, "pro")
    with pytest.raises(NotFound, match=r"^there is no plan called 'x{64}'$"):
        find_plan({name: name for name in TIERS}, TIERS, "x" * 1000)


def test_a_plan_file_holds_plans_by_name() -> None:
    """In its order; its faults stop the start."""
    assert ["b", "a"] == [plan.name for plan in load_plans("[plans.b]\n[plans.a]\ntitle = 'A'\n", "mine")]
    assert [] == load_plans("", "mine")
    with pytest.raises(StartRefused, match=r"^mine: plans/a/title: must be a string$"):
        load_plans("[plans.a]\ntitle = 5\n", "mine")
    with pytest.raises(StartRefused, match=r"^mine: plans: must be an object$"):
        load_plans("plans = 5\n", "mine")
