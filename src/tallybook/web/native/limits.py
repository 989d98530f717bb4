"""Limits over the native API: what an account's plan allows, what was used of it, what is left."""

from collections.abc import Sequence
from typing import Any

import msgspec

from tallybook.core.hold import Standing
from tallybook.core.instant import instant_text
from tallybook.core.key import USAGE_READ
from tallybook.core.lease import Lease
from tallybook.core.limit import Limit, LimitKind, write_limit
from tallybook.core.number import to_text
from tallybook.web.endpoint import AccountOf, Ask, Endpoint
from tallybook.web.native.accounts import SpanShown


class LeaseShown(msgspec.Struct, frozen=True):
    """A live lease; only its holder knows the token."""

    id: str
    call_id: str | None
    granted_at: str
    expires_at: str
    deadline: str | None


class LimitAnswer(msgspec.Struct, frozen=True):
    """One limit; quantities are decimal strings, null where there is no limit.

    Of `meter` and `resource` one says what is counted, or neither. `value` is the value of the dimension `per`. `over`:
    more was used than the limit allows. `resets_at`: the end of the billing period; `frees_at`: when the next unit
    comes free. `leases`: those that are live, of a concurrency limit.
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
    over: bool
    period: SpanShown | None
    resets_at: str | None
    frees_at: str | None
    leases: list[LeaseShown] | None


class LimitsAnswer(msgspec.Struct, frozen=True):
    """Where an account stands against every limit of its plan."""

    account: str
    plan: str
    plan_version: int
    limits: list[LimitAnswer]


def write_limit_standing(standing: Standing, leases: Sequence[Lease]) -> LimitAnswer:
    """Return the standing as JSON has it."""
    state = standing.state
    limit, period = state.limit, state.period
    body: dict[str, Any] = write_limit(limit)
    return LimitAnswer(
        name=limit.name,
        kind=str(limit.kind),
        mode=str(limit.mode),
        meter=limit.meter,
        resource=limit.resource,
        filter=dict(limit.filter),
        per=limit.per,
        value=state.value,
        window=body.get("window"),
        seconds=body.get("seconds"),
        used=to_text(state.used),
        held=to_text(state.held),
        quantity=None if state.quantity is None else to_text(state.quantity),
        remaining=None if state.remaining is None else to_text(state.remaining),
        over=state.over,
        period=None if period is None else SpanShown(instant_text(period.start_us), instant_text(period.end_us)),
        resets_at=_instant(period.end_us if period is not None and limit.kind is LimitKind.PERIOD else None),
        frees_at=_instant(standing.frees_at_us),
        leases=_leases(limit, leases),
    )


def _leases(limit: Limit, leases: Sequence[Lease]) -> list[LeaseShown] | None:
    if limit.kind is not LimitKind.CONCURRENT:
        return None
    return [
        LeaseShown(
            lease.lease_id,
            lease.call_id,
            instant_text(lease.granted_us),
            instant_text(lease.expires_us),
            _instant(lease.deadline_us),
        )
        for lease in leases
        if lease.limit == limit.name
    ]


def _instant(at_us: int | None) -> str | None:
    return None if at_us is None else instant_text(at_us)


def get_limits(ask: Ask[None, None]) -> LimitsAnswer:
    """Return every limit that is in force for the account."""
    account, rooms = ask.account, ask.rooms
    standings = rooms.limits.standings(account, ask.now_us)
    slots = any(standing.state.limit.kind is LimitKind.CONCURRENT for standing in standings)
    leases = rooms.leases.live(account, ask.now_us) if slots else []
    shown = [write_limit_standing(standing, leases) for standing in standings]
    return LimitsAnswer(account.id, account.plan_name, account.plan_version, shown)


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
    over=False,
    period=SpanShown("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"),
    resets_at="2026-04-01T00:00:00Z",
    frees_at="2026-04-01T00:00:00Z",
    leases=None,
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
