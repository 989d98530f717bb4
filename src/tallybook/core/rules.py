"""Rules of one account for alerts, and its budgets: what they say, read from JSON.

Not for when anything is crossed (see `alert`), nor for keeping them (see `flows.alerting`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from tallybook.core.alert import BUDGET_MARK, HYSTERESIS_PERCENT
from tallybook.core.errors import FieldInvalid, QuantityInvalid
from tallybook.core.fields import Problems, read_object
from tallybook.core.number import parse_nanos, to_text
from tallybook.core.threshold import Threshold, at, read_thresholds, write_thresholds

BUDGETS_MAX = 20
"""Most budgets of one account."""
HYSTERESIS_PERCENT_MAX = 50
MONTH = "P1M"
DEFAULT_THRESHOLDS = at(80, 95, 100)

_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Budget:
    """What the usage of one billing period may cost, in nanos of *currency*, before somebody is told."""

    name: str
    amount: int
    currency: str
    thresholds: tuple[Threshold, ...]

    @property
    def subject(self) -> str:
        """What its watches and alerts are filed under."""
        return f"{BUDGET_MARK}{self.name}"


@dataclass(frozen=True, slots=True)
class Rules:
    """An account's own rules for alerts, over those of its plan.

    Attributes:
        thresholds: Instead of the plan's; None where the plan's count.
        hysteresis: Percent of the quantity.
        forecast: Whether forecasts are told.
    """

    thresholds: tuple[Threshold, ...] | None = None
    hysteresis: int = HYSTERESIS_PERCENT
    forecast: bool = True


NO_RULES = Rules()


@dataclass(frozen=True, slots=True)
class Own:
    """The rules and budgets of one account."""

    rules: Rules = NO_RULES
    budgets: tuple[Budget, ...] = ()

    @property
    def is_plain(self) -> bool:
        """Whether the plan says all."""
        return self.rules == NO_RULES and not self.budgets


PLAIN = Own()


# --- reading and writing ---------------------------------------------------------------------------------------------

_RULES_FIELDS = {"thresholds", "hysteresis", "forecast"}
_BUDGET_FIELDS = {"amount", "currency", "period", "thresholds"}


def read_rules(value: object, pointer: str = "") -> Rules:
    """Read the body of an account's alert rules.

    Raises:
        FieldInvalid: Telling all that is wrong.
    """
    body, problems = read_object(value, pointer), Problems()
    problems.only(body, _RULES_FIELDS, pointer, "alert rules")
    thresholds = None
    if body.get("thresholds") is not None:
        thresholds = problems.take(read_thresholds, body["thresholds"], f"{pointer}/thresholds", None)
    given = body.get("hysteresis", HYSTERESIS_PERCENT)
    hysteresis = problems.take(_read_hysteresis, given, f"{pointer}/hysteresis", HYSTERESIS_PERCENT)
    forecast = body.get("forecast", True)
    if not isinstance(forecast, bool):
        problems.add(f"{pointer}/forecast", "must be true or false")
    problems.finish()
    return Rules(thresholds, hysteresis, forecast is True)


def write_rules(rules: Rules) -> dict[str, object]:
    """Return JSON that `read_rules` reads back."""
    thresholds = None if rules.thresholds is None else write_thresholds(rules.thresholds)
    return {"thresholds": thresholds, "hysteresis": rules.hysteresis, "forecast": rules.forecast}


def read_budget(name: str, value: object, currency: str, pointer: str = "") -> Budget:
    """Read the body of a budget; *currency* is that of the account's prices, in which it must be.

    Raises:
        FieldInvalid: Telling all that is wrong.
    """
    body, problems = read_object(value, pointer), Problems()
    problems.only(body, _BUDGET_FIELDS, pointer, "a budget")
    amount = problems.take(_read_amount, body.get("amount"), f"{pointer}/amount", 1)
    said = body.get("currency", currency)
    if not isinstance(said, str) or not _CURRENCY.fullmatch(said) or (currency and said != currency):
        problems.add(f"{pointer}/currency", f"must be {currency}, the currency of the account's prices")
    if body.get("period", MONTH) != MONTH:
        problems.add(f"{pointer}/period", f"must be {MONTH}: a budget is for a billing period")
    thresholds = DEFAULT_THRESHOLDS
    if body.get("thresholds") is not None:
        thresholds = problems.take(read_thresholds, body["thresholds"], f"{pointer}/thresholds", DEFAULT_THRESHOLDS)
    if any(one.limit for one in thresholds):
        problems.add(f"{pointer}/thresholds", "a threshold of a budget names no limit")
    problems.finish()
    return Budget(name, amount, str(said), thresholds)


def write_budget(budget: Budget) -> dict[str, object]:
    """Return JSON that `read_budget` reads back; the name stands beside it."""
    return {
        "amount": to_text(budget.amount),
        "currency": budget.currency,
        "period": MONTH,
        "thresholds": write_thresholds(budget.thresholds),
    }


def own_of(bodies: Mapping[str, object]) -> Own:
    """Return what was kept: rules under the empty name, budgets under their subjects."""
    rules = read_rules(bodies[""]) if "" in bodies else NO_RULES
    budgets = [
        read_budget(subject.removeprefix(BUDGET_MARK), body, "") for subject, body in sorted(bodies.items()) if subject
    ]
    return Own(rules, tuple(budgets))


def _read_hysteresis(value: object, pointer: str) -> int:
    if type(value) is not int or not 0 <= value <= HYSTERESIS_PERCENT_MAX:
        raise FieldInvalid(f"must be a whole percent from 0 to {HYSTERESIS_PERCENT_MAX}", pointer=pointer)
    return value


def _read_amount(value: object, pointer: str) -> int:
    if value is None:
        raise FieldInvalid("is required", pointer=pointer)
    nanos = parse_nanos(value, pointer)
    if nanos <= 0:
        raise QuantityInvalid("must be above 0", pointer=pointer)
    return nanos
