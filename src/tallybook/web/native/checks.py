"""``POST .../checks``: may this go on? Nothing is held, so two that ask at once may both hear yes."""

import msgspec

from tallybook.core.demand import NO_ITEMS, read_items
from tallybook.core.errors import FieldInvalid, NotFound
from tallybook.core.fields import Problems, read_object
from tallybook.core.hold import Decision, Wanted
from tallybook.core.key import LIMITS_WRITE
from tallybook.web.endpoint import AccountOf, Ask, Endpoint, JsonBody, Later
from tallybook.web.quota import StandingAnswer, write_standing


class ItemSent(msgspec.Struct, frozen=True):
    """A quantity of one limit: a decimal string or a JSON number; `dimensions` for a limit by dimension."""

    limit: str
    quantity: str
    dimensions: dict[str, str] = {}


class ItemsSent(msgspec.Struct, frozen=True):
    """1 to 20 items: all of them, or none."""

    items: list[ItemSent]


class CheckAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether all may go on; *items* are all limits that they count against, *violated* those that say no.

    `reason` is there where it is not a limit that says no: "suspended".
    """

    allowed: bool
    items: list[StandingAnswer]
    violated: list[str]
    reason: str | None = None


def post_check(ask: Ask[None, JsonBody]) -> CheckAnswer | Later:
    """Look at the limits."""
    body, problems = read_object(ask.body.value, ""), Problems()
    problems.only(body, {"items"}, "", "a check")
    items = problems.take(_read_items, body.get("items"), "/items", NO_ITEMS)
    problems.finish()
    limits = ask.rooms.limits
    known = limits.recall(ask.account, items, ask.now_us)
    if known is not None:
        return write_decision(known)
    return Later(lambda: write_decision(limits.check(ask.account, items, ask.now_us)))


def _read_items(value: object, pointer: str) -> tuple[Wanted, ...]:
    return read_items(value, pointer, zero=True)


def write_decision(decision: Decision) -> CheckAnswer:
    """Return the decision as JSON has it."""
    return CheckAnswer(
        allowed=decision.allowed,
        items=[write_standing(standing) for standing in decision.standings],
        violated=decision.violated,
        reason=decision.reason,
    )


EXAMPLE_STANDING = StandingAnswer(
    limit="messages",
    kind="period",
    mode="hard",
    used="9998",
    held="0",
    quantity="10000",
    remaining="2",
    asked="1",
    frees_at="2026-04-01T00:00:00Z",
)

ENDPOINTS = (
    Endpoint(
        "POST",
        "/v1/accounts/{account_id}/checks",
        post_check,
        LIMITS_WRITE,
        "May this go on?",
        answer=CheckAnswer,
        body=JsonBody,
        body_documented=ItemsSent,
        account=AccountOf.PATH,
        is_quick=True,
        never_waits=True,
        errors=(FieldInvalid("must be above 0", pointer="/items/0/quantity"), NotFound),
        description="Looks at every limit that the items count against, and holds nothing; to be sure, reserve.",
        body_example={"items": [{"limit": "messages", "quantity": "1"}]},
        example=CheckAnswer(allowed=True, items=[EXAMPLE_STANDING], violated=[]),
    ),
)
