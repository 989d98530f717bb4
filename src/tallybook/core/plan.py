"""Plans and the accounts that are on them: a plan is a set of limits and a rate card, in versions.

Not for what a limit or a price is (see `limit`, `price`), nor for who put whom on which plan (see `flows.subscribe`).
"""

import re
import tomllib
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from tallybook.core.card import LISTS, read_price, write_price
from tallybook.core.currency import read_currency
from tallybook.core.errors import FieldInvalid, NotFound, StartRefused
from tallybook.core.fields import Problems, errors_of, escape, read_name, read_object
from tallybook.core.ids import NAME_BYTES_MAX, AccountId, AccountNo, check_text
from tallybook.core.instant import INSTANT_MAX_US
from tallybook.core.limit import Limit, read_limit, write_limit
from tallybook.core.price import Price
from tallybook.core.threshold import Threshold, at, read_thresholds, write_thresholds

DEFAULT_PLAN = "default"
"""The plan of every account that nobody put on another."""
LIMITS_MAX = 50
PRICES_MAX = 1_000
DEFAULT_ALERTS = at(80, 95, 100)
DEFAULT_CURRENCY = "USD"
DEFAULT_ZONE = "UTC"
DEFAULT_ANCHOR_DAY = 1
ANCHOR_DAY_MAX = 31

_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
"""What a stored version may say: the list of currencies changes, versions never do."""
_SEPARATORS = re.compile(r"[._/: ]")
_FIELDS = {"title", "tier", "currency", "limits", "prices", "alerts"}
_T = TypeVar("_T")


class BillingStatus(StrEnum):
    """Whether an account pays: past due is still served, suspended is refused."""

    ACTIVE = "active"
    PAST_DUE = "past_due"
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class Plan:
    """One version of a plan; versions are numbered from 1 and never change.

    Attributes:
        tier: The word that a published API shows for it: ``pro`` of ``agentphone-pro``.
        alerts: When somebody is told (see `threshold`).
    """

    name: str
    version: int
    title: str
    tier: str
    currency: str = DEFAULT_CURRENCY
    limits: tuple[Limit, ...] = ()
    prices: tuple[Price, ...] = ()
    alerts: tuple[Threshold, ...] = DEFAULT_ALERTS

    def limit(self, name: str) -> Limit | None:
        """Return the limit called *name*, None if the plan has none."""
        return next((limit for limit in self.limits if limit.name == name), None)


@dataclass(frozen=True, slots=True)
class Subscription:
    """An account is on a plan's version from *starts_us* until the next subscription starts."""

    starts_us: int
    plan_name: str
    plan_version: int


@dataclass(frozen=True, slots=True)
class Account:
    """One customer of the operator, with the plan in force when it was asked for.

    Attributes:
        timezone, anchor_day: A billing period begins at midnight of this day of the month in this zone.
        billing_status: As it was at that instant (see `BillingStatus`).
        grace_ends_us: Where an invoice failed: when it becomes, or became, suspended.
        has_own_limits: Whether it has limits or add-ons besides those of its plan.
        next_plan: The change of plan that is scheduled next.
    """

    no: AccountNo
    id: AccountId
    name: str | None
    timezone: str
    anchor_day: int
    plan_name: str
    plan_version: int
    billing_status: str
    created_us: int
    grace_ends_us: int | None = None
    has_own_limits: bool = False
    next_plan: Subscription | None = None

    def same_until_us(self, now_us: int) -> int:
        """Return the instant at which this, as it was read at *now_us*, changes by itself at the earliest."""
        times = [INSTANT_MAX_US]
        if self.next_plan is not None:
            times.append(self.next_plan.starts_us)
        if self.grace_ends_us is not None and self.grace_ends_us > now_us:
            times.append(self.grace_ends_us)
        return min(times)


# --- finding -----------------------------------------------------------------------------------------------------


def find_plan(plans: Mapping[str, _T], tiers: Mapping[str, str], asked: str) -> _T:
    """Return the plan that *asked* means.

    That is the plan of this name, also with ``. _ / :`` or a space for the dash; else the only plan of this tier.

    Args:
        plans: What to return, by plan name.
        tiers: The tier of each of them.
        asked: A name, or a bare tier such as ``professional``.

    Raises:
        NotFound: If there is none; naming the candidates where a tier has several.
    """
    if asked in plans:
        return plans[asked]
    name = _SEPARATORS.sub("-", asked.lower())
    if name in plans:
        return plans[name]
    candidates = sorted(plan for plan, tier in tiers.items() if tier == name)
    if len(candidates) == 1:
        return plans[candidates[0]]
    if candidates:
        raise NotFound(f"several plans have the tier {name[:64]!r}: {', '.join(candidates)}", candidates=candidates)
    raise NotFound(f"there is no plan called {asked[:64]!r}")


def plan_in_force(subscriptions: Iterable[Subscription], at_us: int) -> Subscription | None:
    """Return the subscription that counts at *at_us*, None before the first."""
    begun = (subscription for subscription in subscriptions if subscription.starts_us <= at_us)
    return max(begun, key=lambda subscription: subscription.starts_us, default=None)


# --- reading and writing --------------------------------------------------------------------------------------------


def read_plan(name: str, value: object, *, version: int = 0, pointer: str = "") -> Plan:
    """Read the body of ``PUT /v1/plans/{name}``, or a table of a plan file.

    Raises:
        FieldInvalid: Telling all that is wrong in *errors*, with pointers below *pointer*.
    """
    body, problems = read_object(value, pointer), Problems()
    problems.only(body, _FIELDS, pointer, "a plan")
    problems.take(read_name, name, f"{pointer}/name", "")
    tier = name.rsplit("-", 1)[-1]
    places = f"{pointer}/limits", f"{pointer}/prices"
    limits = _read_each(body.get("limits", []), read_limit, places[0], problems, length_max=LIMITS_MAX)
    prices = _read_each(body.get("prices", []), read_price, places[1], problems, length_max=PRICES_MAX)
    _refuse_twice((item and item.name for item in limits), places[0], "has the name of another limit", problems)
    _refuse_twice((item and _price_key(item) for item in prices), places[1], "is priced twice", problems)
    currency = body.get("currency", DEFAULT_CURRENCY)
    for index, price in enumerate(prices):
        if price and price.price_list is not None and LISTS.get(price.price_list) not in {None, currency}:
            problems.add(f"{places[1]}/{index}/list", f"is in {LISTS[price.price_list]}, as the plan has to be")
    plan = Plan(
        name,
        version,
        problems.take(_read_text, body.get("title", name), f"{pointer}/title", name),
        problems.take(_read_text, body.get("tier", tier), f"{pointer}/tier", tier),
        problems.take(
            _read_stored_currency if version else read_currency,
            body.get("currency", DEFAULT_CURRENCY),
            f"{pointer}/currency",
            DEFAULT_CURRENCY,
        ),
        tuple(limit for limit in limits if limit is not None),
        tuple(price for price in prices if price is not None),
        _read_alerts(body, pointer, problems),
    )
    problems.finish()
    return plan


def write_plan(plan: Plan) -> dict[str, object]:
    """Return the plan's content as JSON that `read_plan` reads back; name and version stand beside it."""
    return {
        "title": plan.title,
        "tier": plan.tier,
        "currency": plan.currency,
        "limits": [write_limit(limit) for limit in plan.limits],
        "prices": [write_price(price) for price in plan.prices],
        "alerts": write_thresholds(plan.alerts),
    }


def load_plans(text: str, source: str) -> list[Plan]:
    """Read a plan file (TOML, a table ``[plans.NAME]`` for each).

    Raises:
        StartRefused: Naming *source*, the place in it and what is wrong there.
    """
    try:
        document = tomllib.loads(text)
        problems = Problems()
        problems.only(document, {"plans"}, "", "a plan file")
        problems.finish()
        tables = read_object(document.get("plans", {}), "/plans")
        return [read_plan(name, body, pointer=f"/plans/{escape(name)}") for name, body in tables.items()]
    except tomllib.TOMLDecodeError as error:
        raise StartRefused(f"{source}: {error}") from None
    except FieldInvalid as error:
        told = "; ".join(f"{place[1:]}: {message}" for place, message in errors_of(error))
        raise StartRefused(f"{source}: {told}") from None


def _read_each(
    value: object, read: Callable[[object, str], _T], pointer: str, problems: Problems, *, length_max: int
) -> list[_T | None]:
    """Return what *read* makes of each item of an array, None for those it refused."""
    if not isinstance(value, list) or len(value) > length_max:
        problems.add(pointer, f"must be an array of at most {length_max}")
        return []
    return [problems.take(read, item, f"{pointer}/{index}", None) for index, item in enumerate(value)]


def _refuse_twice(keys: Iterable[Hashable], pointer: str, message: str, problems: Problems) -> None:
    """Note every key but None that stands a second time."""
    seen: set[Hashable] = set()
    for index, key in enumerate(keys):
        if key is not None and key in seen:
            problems.add(f"{pointer}/{index}", message)
        seen.add(key)


def _price_key(price: Price) -> Hashable:
    subject = price.meter or price.resource
    return (
        price.meter,
        price.resource,
        frozenset(price.filter.items()),
        None if subject else (price.fee is None, price.label),
    )


def _read_text(value: object, pointer: str) -> str:
    return check_text(value, pointer, bytes_max=NAME_BYTES_MAX)


def _read_stored_currency(value: object, pointer: str) -> str:
    if not isinstance(value, str) or not _CURRENCY.fullmatch(value):
        raise FieldInvalid("must be an ISO 4217 code such as USD", pointer=pointer)
    return value


def _read_alerts(body: Mapping[str, object], pointer: str, problems: Problems) -> tuple[Threshold, ...]:
    if "alerts" not in body:
        return DEFAULT_ALERTS
    return problems.take(read_thresholds, body["alerts"], f"{pointer}/alerts", DEFAULT_ALERTS)
