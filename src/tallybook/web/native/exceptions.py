"""Exceptions for one account over the native API: limits of its own, and add-ons; the operator's to give."""

from typing import Any

import msgspec

from tallybook.core.allowance import AddOn
from tallybook.core.errors import Conflict, FieldInvalid, NotFound
from tallybook.core.instant import instant_text
from tallybook.core.key import ADMIN
from tallybook.core.limit import Limit, write_limit
from tallybook.core.number import to_text
from tallybook.flows.once import KeyInFlight, KeyReused
from tallybook.web.endpoint import AccountOf, Ask, Endpoint, Pending, RawBody
from tallybook.web.native.acting import Act, perform, perform_plainly, read_json

LIMIT = "/v1/accounts/{account_id}/limits/{name}"
ADD_ONS = "/v1/accounts/{account_id}/add-ons"


class LimitSent(msgspec.Struct, frozen=True, omit_defaults=True):
    """A limit as plans have it, without its name; see docs/limits.md for the kinds."""

    kind: str
    mode: str = "hard"
    meter: str | None = None
    resource: str | None = None
    filter: dict[str, str] = {}
    per: str | None = None
    quantity: str | None = None
    period: str | None = None
    window: str | None = None
    seconds: int | None = None


class OwnLimitAnswer(LimitSent, frozen=True, omit_defaults=True, kw_only=True):
    """A limit that the account has for itself."""

    name: str


class AddOnSent(msgspec.Struct, frozen=True):
    """A quantity to add to a limit, from now on unless it says when, for ever unless it says until."""

    limit: str
    quantity: str
    starts_at: str | None = None
    ends_at: str | None = None


class AddOnAnswer(msgspec.Struct, frozen=True):
    """An add-on."""

    id: str
    limit: str
    quantity: str
    starts_at: str
    ends_at: str | None


class AddOnsAnswer(msgspec.Struct, frozen=True):
    """All add-ons of an account, by when they start."""

    account: str
    add_ons: list[AddOnAnswer]


def put_limit(ask: Ask[None, RawBody]) -> Pending:
    """Give the account a limit of its own."""
    action = ask.rooms.exceptions.put_limit(ask.account, ask.path["name"], read_json(ask.body))

    def write(limit: Limit) -> OwnLimitAnswer:
        return msgspec.convert(write_limit(limit), OwnLimitAnswer)

    return perform(ask, "put-limit", Act(action, write))


def delete_limit(ask: Ask[None, None]) -> Pending:
    """Take the account's own limit away; the plan's counts again."""
    return perform_plainly(ask, ask.rooms.exceptions.drop_limit(ask.account, ask.path["name"]))


def post_add_on(ask: Ask[None, RawBody]) -> Pending:
    """Add a quantity to a limit."""
    action = ask.rooms.exceptions.put_add_on(ask.account, read_json(ask.body), ask.now_us)
    return perform(ask, "add-on", Act(action, write_add_on, 201))


def list_add_ons(ask: Ask[None, None]) -> AddOnsAnswer:
    """Return every add-on, also those that ended or are yet to start."""
    own = ask.rooms.exceptions.of(ask.account)
    return AddOnsAnswer(ask.account.id, [write_add_on(add_on) for add_on in own.add_ons])


def delete_add_on(ask: Ask[None, None]) -> Pending:
    """Take an add-on back."""
    return perform_plainly(ask, ask.rooms.exceptions.drop_add_on(ask.account, ask.path["add_on_id"]))


def write_add_on(add_on: AddOn) -> AddOnAnswer:
    """Return the add-on as JSON has it."""
    return AddOnAnswer(
        id=add_on.add_on_id,
        limit=add_on.limit,
        quantity=to_text(add_on.quantity),
        starts_at=instant_text(add_on.starts_us),
        ends_at=None if add_on.ends_us is None else instant_text(add_on.ends_us),
    )


_LIMIT: dict[str, Any] = {"kind": "period", "mode": "hard", "meter": "messages", "quantity": "20000"}
_ADD_ON = AddOnAnswer("add_5f0c61", "messages", "500", "2026-03-15T12:00:00Z", "2026-04-01T00:00:00Z")

ENDPOINTS = (
    Endpoint(
        "PUT",
        LIMIT,
        put_limit,
        ADMIN,
        "Give an account a limit of its own",
        answer=OwnLimitAnswer,
        body=RawBody,
        body_documented=LimitSent,
        account=AccountOf.PATH,
        operator_only=True,
        idempotent=True,
        errors=(
            FieldInvalid("must be one of period, rolling, lifetime", pointer="/kind"),
            Conflict,
            KeyReused,
            KeyInFlight,
        ),
        description="It replaces the plan's limit of this name, or stands beside the plan's; usage counts on.",
        body_example=_LIMIT,
        example=OwnLimitAnswer(name="messages", period="P1M", **_LIMIT),
    ),
    Endpoint(
        "DELETE",
        LIMIT,
        delete_limit,
        ADMIN,
        "Take an account's own limit away",
        account=AccountOf.PATH,
        operator_only=True,
        status=204,
        description="What the plan says of this name counts again. Taking away what is not there is harmless.",
    ),
    Endpoint(
        "POST",
        ADD_ONS,
        post_add_on,
        ADMIN,
        "Add a quantity to a limit of an account",
        answer=AddOnAnswer,
        body=RawBody,
        body_documented=AddOnSent,
        account=AccountOf.PATH,
        operator_only=True,
        idempotent=True,
        status=201,
        errors=(FieldInvalid("must be above 0", pointer="/quantity"), NotFound, Conflict, KeyReused, KeyInFlight),
        description="While it is in force the limit's quantity is so much more; several add up.",
        body_example={"limit": "messages", "quantity": "500", "ends_at": "2026-04-01T00:00:00Z"},
        example=_ADD_ON,
    ),
    Endpoint(
        "GET",
        ADD_ONS,
        list_add_ons,
        ADMIN,
        "Add-ons of an account",
        answer=AddOnsAnswer,
        account=AccountOf.PATH,
        operator_only=True,
        example=AddOnsAnswer("acme", [_ADD_ON]),
    ),
    Endpoint(
        "DELETE",
        f"{ADD_ONS}/{{add_on_id}}",
        delete_add_on,
        ADMIN,
        "Take an add-on back",
        account=AccountOf.PATH,
        operator_only=True,
        status=204,
        errors=(NotFound,),
    ),
)
