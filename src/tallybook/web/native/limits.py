"""Limits over the native API: what an account's plan allows, what was used of it, what is left."""

from typing import Any

import msgspec

from tallybook.core.instant import instant_text
from tallybook.core.key import USAGE_READ
from tallybook.core.limit import LimitState, write_limit
from tallybook.core.number import to_text
from tallybook.web.endpoint import AccountOf, Ask, Endpoint
from tallybook.web.native.accounts import SpanShown


class LimitAnswer(msgspec.Struct, frozen=True):
    """One limit; quantities are decimal strings, null where there is no limit.

    Of `meter` and `resource` one says what is counted, or neither. `value` is the value of the dimension `per`.
    """

    name: str
    kind: str
    mode: str
    meter: str | None
    resource: str | None
    filter: dict[str, str]
    per: str | None
    value: str | None
    window: str | None
    seconds: int | None
    used: str
    held: str
    quantity: str | None
    remaining: str | None
    period: SpanShown | None


class LimitsAnswer(msgspec.Struct, frozen=True):
    """Where an account stands against every limit of its plan."""

    account: str
    plan: str
    plan_version: int
    limits: list[LimitAnswer]


def write_state(state: LimitState) -> LimitAnswer:
    """Return the state as JSON has it."""
    body: dict[str, Any] = write_limit(state.limit)
    period = state.period
    return LimitAnswer(
        name=state.limit.name,
        kind=str(state.limit.kind),
        mode=str(state.limit.mode),
        meter=state.limit.meter,
        resource=state.limit.resource,
        filter=dict(state.limit.filter),
        per=state.limit.per,
        value=state.value,
        window=body.get("window"),
        seconds=body.get("seconds"),
        used=to_text(state.used),
        held=to_text(state.held),
        quantity=None if state.quantity is None else to_text(state.quantity),
        remaining=None if state.remaining is None else to_text(state.remaining),
        period=None if period is None else SpanShown(instant_text(period.start_us), instant_text(period.end_us)),
    )


def get_limits(ask: Ask[None, None]) -> LimitsAnswer:
    """Return every limit of the account's plan."""
    account = ask.account
    states = ask.rooms.limits.states(account, ask.now_us)
    return LimitsAnswer(account.id, account.plan_name, account.plan_version, [write_state(state) for state in states])


_EXAMPLE = LimitAnswer(
    name="messages",
    kind="period",
    mode="hard",
    meter="messages",
    resource=None,
    filter={},
    per=None,
    value=None,
    window=None,
    seconds=None,
    used="4500",
    held="0",
    quantity="10000",
    remaining="5500",
    period=SpanShown("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"),
)

ENDPOINTS = (
    Endpoint(
        "GET",
        "/v1/accounts/{account_id}/limits",
        get_limits,
        USAGE_READ,
        "Limits of an account, and what is left",
        answer=LimitsAnswer,
        account=AccountOf.PATH,
        example=LimitsAnswer("acme", "agentphone-pro", 1, [_EXAMPLE]),
    ),
)
