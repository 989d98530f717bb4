"""Plans over the native API: sets of limits and prices, in versions that never change."""

from typing import Any

import msgspec

from tallybook.core.errors import Conflict, FieldInvalid, NotFound
from tallybook.core.key import ADMIN, USAGE_READ
from tallybook.core.plan import DEFAULT_ALERTS, Plan, write_plan
from tallybook.web.endpoint import Ask, Endpoint, JsonBody


class PlanBody(msgspec.Struct, frozen=True):
    """A plan's content; see docs for the kinds of limits and prices."""

    title: str = ""
    tier: str = ""
    currency: str = "USD"
    limits: list[dict[str, Any]] = []
    prices: list[dict[str, Any]] = []
    alerts: list[int | dict[str, Any]] = msgspec.field(default_factory=lambda: [one.percent for one in DEFAULT_ALERTS])


class PlanAnswer(msgspec.Struct, frozen=True):
    """One version of a plan."""

    name: str
    version: int
    title: str
    tier: str
    currency: str
    limits: list[dict[str, Any]]
    prices: list[dict[str, Any]]
    alerts: list[int | dict[str, Any]]


class PlansAnswer(msgspec.Struct, frozen=True):
    """The newest version of every plan."""

    plans: list[PlanAnswer]


def write_version(plan: Plan) -> PlanAnswer:
    """Return the plan as JSON has it."""
    return msgspec.convert({"name": plan.name, "version": plan.version, **write_plan(plan)}, PlanAnswer)


def put_plan(ask: Ask[None, JsonBody]) -> PlanAnswer:
    """Make a new version of the plan."""
    return write_version(ask.rooms.accounts.put_plan(ask.path["name"], ask.body.value))


def get_plan(ask: Ask[None, None]) -> PlanAnswer:
    """Return the newest version of one plan."""
    return write_version(ask.rooms.accounts.plan(ask.path["name"]))


def list_plans(ask: Ask[None, None]) -> PlansAnswer:
    """Return every plan."""
    return PlansAnswer([write_version(plan) for plan in ask.rooms.accounts.plans()])


_LIMIT = {"name": "messages", "kind": "period", "mode": "hard", "meter": "messages", "quantity": "10000"}
_BODY = {"title": "Team", "currency": "USD", "limits": [_LIMIT], "prices": [], "alerts": [80, 95, 100]}
_EXAMPLE = PlanAnswer("team", 1, "Team", "team", "USD", [{**_LIMIT, "period": "P1M"}], [], [80, 95, 100])

ENDPOINTS = (
    Endpoint(
        "PUT",
        "/v1/plans/{name}",
        put_plan,
        ADMIN,
        "Make a new version of a plan",
        answer=PlanAnswer,
        body=JsonBody,
        body_documented=PlanBody,
        operator_only=True,
        errors=(FieldInvalid("must be one of period, rolling, lifetime", pointer="/limits/0/kind"), Conflict),
        description="Accounts that are on the plan stay on their version until they are put on it again.",
        body_example=_BODY,
        example=_EXAMPLE,
    ),
    Endpoint(
        "GET",
        "/v1/plans/{name}",
        get_plan,
        USAGE_READ,
        "One plan",
        answer=PlanAnswer,
        operator_only=True,
        errors=(NotFound("there is no plan of this name"),),
        example=_EXAMPLE,
    ),
    Endpoint(
        "GET",
        "/v1/plans",
        list_plans,
        USAGE_READ,
        "All plans",
        answer=PlansAnswer,
        operator_only=True,
        example=PlansAnswer([_EXAMPLE]),
    ),
)
