"""Accounts over the native API: created or changed by PUT, read, and listed by the operator."""

from typing import Annotated

import msgspec
from msgspec import Meta

from tallybook.core.errors import FieldInvalid
from tallybook.core.ids import AccountId
from tallybook.core.instant import instant_text, parse_event_time
from tallybook.core.key import ADMIN, USAGE_READ
from tallybook.core.plan import ANCHOR_DAY_MAX, Account
from tallybook.web.endpoint import AccountOf, Ask, Endpoint
from tallybook.web.errors import CursorInvalid
from tallybook.web.native.lists import PageQuery, read_cursor, write_cursor
from tallybook.web.rooms import Rooms


class AccountBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What of an account to set; what is left out stays as it is."""

    name: str | None = None
    plan: Annotated[str | None, Meta(description="A plan's name; its newest version counts.")] = None
    timezone: Annotated[str | None, Meta(description="IANA name; billing periods begin at midnight there.")] = None
    anchor_day: (
        Annotated[int, Meta(ge=1, le=ANCHOR_DAY_MAX, description="Day of the month on which billing periods begin.")]
        | None
    ) = None
    starts_at: Annotated[
        str | None, Meta(description="When the plan begins; default: now, but ever for a new account.")
    ] = None


class SpanShown(msgspec.Struct, frozen=True):
    """A half-open span of time."""

    start: str
    end: str


class NextPlan(msgspec.Struct, frozen=True):
    """A change of plan that is scheduled."""

    plan: str
    plan_version: int
    starts_at: str


class AccountAnswer(msgspec.Struct, frozen=True):
    """An account with the plan in force and the billing period of now.

    `next_plan` is the next change that is scheduled; `grace_ends_at` is there while an invoice is unpaid.
    """

    id: str
    name: str | None
    plan: str
    plan_version: int
    timezone: str
    anchor_day: int
    billing_status: str
    grace_ends_at: str | None
    created_at: str
    period: SpanShown
    next_plan: NextPlan | None


class AccountsAnswer(msgspec.Struct, frozen=True):
    """One page of accounts, by id."""

    accounts: list[AccountAnswer]
    next_cursor: str | None


def write_account(rooms: Rooms, account: Account, now_us: int) -> AccountAnswer:
    """Return the account as JSON has it."""
    period, following = rooms.accounts.period(account, now_us), account.next_plan
    ends_us = account.grace_ends_us
    return AccountAnswer(
        id=account.id,
        name=account.name,
        plan=account.plan_name,
        plan_version=account.plan_version,
        timezone=account.timezone,
        anchor_day=account.anchor_day,
        billing_status=account.billing_status,
        grace_ends_at=None if ends_us is None else instant_text(ends_us),
        created_at=instant_text(account.created_us),
        period=SpanShown(instant_text(period.start_us), instant_text(period.end_us)),
        next_plan=None
        if following is None
        else NextPlan(following.plan_name, following.plan_version, instant_text(following.starts_us)),
    )


def put_account(ask: Ask[None, AccountBody]) -> AccountAnswer:
    """Create the account, or change what the body names."""
    body = ask.body
    starts_us = None if body.starts_at is None else parse_event_time(body.starts_at, "/starts_at")
    account = ask.rooms.accounts.put(
        AccountId(ask.path["account_id"]),
        name=body.name,
        plan=body.plan,
        timezone=body.timezone,
        anchor_day=body.anchor_day,
        starts_us=starts_us,
    )
    return write_account(ask.rooms, account, ask.now_us)


def get_account(ask: Ask[None, None]) -> AccountAnswer:
    """Return one account."""
    return write_account(ask.rooms, ask.account, ask.now_us)


def list_accounts(ask: Ask[PageQuery, None]) -> AccountsAnswer:
    """Return one page of accounts."""
    (after,) = read_cursor(ask, "accounts") or ("",)
    found = ask.rooms.accounts.list(after, ask.query.limit)
    shown = [write_account(ask.rooms, account, ask.now_us) for account in found]
    return AccountsAnswer(shown, write_cursor(ask, found, (found[-1].id,) if found else ("",), "accounts"))


_EXAMPLE = AccountAnswer(
    "acme",
    "Acme GmbH",
    "agentphone-pro",
    1,
    "UTC",
    1,
    "active",
    None,
    "2026-01-07T09:30:00Z",
    SpanShown("2026-03-01T00:00:00Z", "2026-04-01T00:00:00Z"),
    NextPlan("agentphone-starter", 1, "2026-04-01T00:00:00Z"),
)

ENDPOINTS = (
    Endpoint(
        "PUT",
        "/v1/accounts/{account_id}",
        put_account,
        ADMIN,
        "Create or change an account",
        answer=AccountAnswer,
        body=AccountBody,
        operator_only=True,
        errors=(FieldInvalid("must be the name of a plan", pointer="/plan"),),
        body_example={"name": "Acme GmbH", "plan": "agentphone-pro", "timezone": "Europe/Berlin", "anchor_day": 1},
        example=_EXAMPLE,
    ),
    Endpoint(
        "GET",
        "/v1/accounts/{account_id}",
        get_account,
        USAGE_READ,
        "One account",
        answer=AccountAnswer,
        account=AccountOf.PATH,
        example=_EXAMPLE,
    ),
    Endpoint(
        "GET",
        "/v1/accounts",
        list_accounts,
        USAGE_READ,
        "All accounts",
        answer=AccountsAnswer,
        query=PageQuery,
        operator_only=True,
        errors=(CursorInvalid,),
        query_example="limit=100",
        example=AccountsAnswer([_EXAMPLE], None),
    ),
)
