"""Rules and budgets as they are sent."""

import pytest

from tallybook.core.errors import FieldInvalid
from tallybook.core.fields import errors_of
from tallybook.core.rules import NO_RULES, own_of, read_budget, read_rules, write_budget, write_rules


def test_rules_are_read_back_as_they_were_written() -> None:
    """Also those that say nothing."""
    for body in ({}, {"thresholds": [50, {"percent": 80, "limit": "seats"}], "hysteresis": 0, "forecast": False}):
        rules = read_rules(body)
        assert rules == read_rules(write_rules(rules))
    assert NO_RULES == read_rules({})


def test_budgets_are_read_back_as_they_were_written() -> None:
    """With the usual thresholds unless they have their own."""
    budget = read_budget("monthly", {"amount": "12.5", "thresholds": [50]}, "EUR")
    assert budget == read_budget("monthly", write_budget(budget), "EUR")
    own = own_of({"": write_rules(NO_RULES), budget.subject: write_budget(budget)})
    assert ((budget,), True) == (own.budgets, own.rules == NO_RULES)
    assert own_of({}).is_plain


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ([], [""]),
        ({"colour": 1}, ["/colour"]),
        ({"thresholds": [0]}, ["/thresholds/0"]),
        ({"hysteresis": 51}, ["/hysteresis"]),
        ({"hysteresis": "5"}, ["/hysteresis"]),
        ({"forecast": "yes"}, ["/forecast"]),
    ],
)
def test_wrong_rules_are_told(body: object, pointers: list[str]) -> None:
    """With their places."""
    with pytest.raises(FieldInvalid) as refused:
        read_rules(body)
    assert pointers == [pointer for pointer, _ in errors_of(refused.value)]


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, ["/amount"]),
        ({"amount": "0"}, ["/amount"]),
        ({"amount": 1.5e300}, ["/amount"]),
        ({"amount": "1", "currency": "EUR"}, ["/currency"]),
        ({"amount": "1", "currency": "dollars"}, ["/currency"]),
        ({"amount": "1", "period": "P1D"}, ["/period"]),
        ({"amount": "1", "thresholds": [{"percent": 5, "limit": "seats"}]}, ["/thresholds"]),
        ({"amount": "1", "thresholds": [0]}, ["/thresholds/0"]),
        ({"amount": "1", "name": "x"}, ["/name"]),
    ],
)
def test_wrong_budgets_are_told(body: object, pointers: list[str]) -> None:
    """With their places."""
    with pytest.raises(FieldInvalid) as refused:
        read_budget("monthly", body, "USD")
    assert pointers == [pointer for pointer, _ in errors_of(refused.value)]
