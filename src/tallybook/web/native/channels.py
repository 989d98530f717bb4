"""Channels over the native API: mailboxes and chats that are told of alerts; webhooks are `webhooks`.

With an operator's key every account's and the operator's own, with an account's key its own.
"""

from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tallybook.core.channel import EMAIL, SLACK, Pace, pace_of, read_pace, write_pace
from tallybook.core.delivery import Destination, State
from tallybook.core.egress import NOT_ALLOWED, UrlNotAllowed
from tallybook.core.errors import Conflict, FieldInvalid, NotFound
from tallybook.core.ids import AccountId, check_text
from tallybook.core.instant import instant_text
from tallybook.core.key import BILLING_MANAGE
from tallybook.flows.channels import DEFAULT_EVENTS, ChannelChange, NewChannel
from tallybook.web.endpoint import Ask, Endpoint
from tallybook.web.errors import CursorInvalid
from tallybook.web.native.deliveries import DeliveryAnswer, write_delivery
from tallybook.web.native.lists import PAGE_DEFAULT, Cursor, Limit, read_cursor, write_cursor

ONE = "/v1/channels/{channel_id}"


class Kind(StrEnum):
    """What reads it."""

    EMAIL = EMAIL
    SLACK = SLACK


class PaceBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """When the channel speaks; times of the day are by `timezone`, or else by the account's zone."""

    digest: Annotated[
        int | str | None, Meta(description='Minutes to collect for, "daily" or "daily 08:00"; null is at once.')
    ] = None
    quiet_hours: Annotated[str | None, Meta(description='Such as "22:00-07:00".')] = None
    minimum_gap_minutes: int = 0
    timezone: str | None = None


class ChannelBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A channel to be made: `address` for mail, `url` for chat."""

    kind: Kind
    address: str | None = None
    url: Annotated[str | None, Meta(description="A URL that takes Slack's messages; it is never shown again.")] = None
    account: Annotated[str | None, Meta(description="Whose; without it the operator's, which hears of all.")] = None
    events: list[str] = msgspec.field(default_factory=lambda: list(DEFAULT_EVENTS))
    pace: PaceBody | None = None
    description: str = ""


class ChannelPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to change; the rest stays."""

    events: list[str] | UnsetType = UNSET
    pace: PaceBody | UnsetType | None = UNSET
    description: str | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class ChannelAnswer(msgspec.Struct, frozen=True):
    """A channel; of a chat's URL only the host and its end are shown."""

    id: str
    kind: str
    address: str
    account: str | None
    events: list[str]
    pace: PaceBody
    description: str
    state: str
    disabled_reason: str | None
    created_at: str


class ChannelsAnswer(msgspec.Struct, frozen=True):
    """One page of channels, by id."""

    channels: list[ChannelAnswer]
    next_cursor: str | None


class ChannelsQuery(msgspec.Struct, frozen=True):
    """Which channels, which page."""

    account: Annotated[str | None, Meta(description="Only the channels of this account.")] = None
    cursor: Cursor = None
    limit: Limit = PAGE_DEFAULT


def post_channel(ask: Ask[None, ChannelBody]) -> ChannelAnswer:
    """Make a channel."""
    body = ask.body
    account_id = None if body.account is None else AccountId(check_text(body.account, "/account"))
    target, other, place = (
        (body.address, body.url, "/url") if body.kind is Kind.EMAIL else (body.url, body.address, "/address")
    )
    if other is not None:
        raise FieldInvalid(f"cannot stand in a channel of kind {body.kind}", pointer=place)
    new = NewChannel(body.kind.value, target or "", account_id, body.events, _pace(body.pace), body.description)
    return write_channel(ask.rooms.channels.create(ask.caller, new, ask.now_us))


def list_channels(ask: Ask[ChannelsQuery, None]) -> ChannelsAnswer:
    """Return one page of channels."""
    wanted = ask.query.account
    (after,) = read_cursor(ask, "channels", wanted or "") or ("",)
    account_id = None if wanted is None else AccountId(wanted)
    found = ask.rooms.channels.page(ask.caller, account_id, after, ask.query.limit)
    if not found and account_id is not None:
        ask.rooms.accounts.get(account_id)
    place = (found[-1].destination_id,) if found else ("",)
    cursor = write_cursor(ask, found, place, "channels", wanted or "")
    return ChannelsAnswer([write_channel(one) for one in found], cursor)


def get_channel(ask: Ask[None, None]) -> ChannelAnswer:
    """Return a channel."""
    return write_channel(ask.rooms.channels.find(ask.caller, ask.path["channel_id"]))


def patch_channel(ask: Ask[None, ChannelPatch]) -> ChannelAnswer:
    """Change a channel."""
    body = ask.body
    change = ChannelChange(
        events=None if body.events is UNSET else body.events,
        pace=None if body.pace is UNSET else _pace(body.pace),
        description=None if body.description is UNSET else body.description,
        enabled=None if body.enabled is UNSET else body.enabled,
    )
    return write_channel(ask.rooms.channels.change(ask.caller, ask.path["channel_id"], change, ask.now_us))


def delete_channel(ask: Ask[None, None]) -> None:
    """Forget a channel."""
    ask.rooms.channels.delete(ask.caller, ask.path["channel_id"], ask.now_us)


def test_channel(ask: Ask[None, None]) -> DeliveryAnswer:
    """Queue a test message."""
    channel = ask.rooms.channels.find(ask.caller, ask.path["channel_id"])
    return write_delivery(ask.rooms.redeliveries.test(channel, ask.now_us))


def write_channel(channel: Destination) -> ChannelAnswer:
    """Return a channel as JSON has it."""
    return ChannelAnswer(
        id=channel.destination_id,
        kind=channel.kind,
        address=channel.address,
        account=channel.account_id,
        events=list(channel.patterns),
        pace=msgspec.convert(write_pace(pace_of(channel.options)), PaceBody),
        description=channel.description,
        state=channel.state.value,
        disabled_reason=None if channel.state is State.ENABLED or channel.reason is None else channel.reason.value,
        created_at=instant_text(channel.created_us),
    )


def _pace(body: PaceBody | None) -> Pace:
    return Pace() if body is None else read_pace(msgspec.to_builtins(body), "/pace")


_EXAMPLE = ChannelAnswer(
    id="chn_5f0c61",
    kind="email",
    address="ops@example.com",
    account="acme",
    events=["usage.*", "budget.*"],
    pace=PaceBody(digest=15, quiet_hours="22:00-07:00", minimum_gap_minutes=10),
    description="",
    state="enabled",
    disabled_reason=None,
    created_at="2026-03-15T12:00:00Z",
)
_UNKNOWN = NotFound("there is no such channel")
_BODY: dict[str, Any] = {
    "kind": "email",
    "address": "ops@example.com",
    "account": "acme",
    "pace": {"digest": 15, "quiet_hours": "22:00-07:00"},
}

ENDPOINTS = (
    Endpoint(
        "POST",
        "/v1/channels",
        post_channel,
        BILLING_MANAGE,
        "Make a channel for mail or chat",
        answer=ChannelAnswer,
        body=ChannelBody,
        status=201,
        errors=(
            UrlNotAllowed(NOT_ALLOWED, pointer="/url"),
            FieldInvalid("must be a mail address such as ops@example.com", pointer="/address"),
            NotFound("there is no such account"),
            Conflict,
        ),
        description="One without `account` is the operator's, hears of every account, and needs `admin`, too.",
        body_example=_BODY,
        example=_EXAMPLE,
    ),
    Endpoint(
        "GET",
        "/v1/channels",
        list_channels,
        BILLING_MANAGE,
        "Channels for mail and chat",
        answer=ChannelsAnswer,
        query=ChannelsQuery,
        errors=(CursorInvalid, NotFound("there is no such account")),
        query_example="account=acme",
        example=ChannelsAnswer([_EXAMPLE], None),
    ),
    Endpoint(
        "GET",
        ONE,
        get_channel,
        BILLING_MANAGE,
        "One channel",
        answer=ChannelAnswer,
        errors=(_UNKNOWN,),
        example=_EXAMPLE,
    ),
    Endpoint(
        "PATCH",
        ONE,
        patch_channel,
        BILLING_MANAGE,
        "Change a channel",
        answer=ChannelAnswer,
        body=ChannelPatch,
        errors=(_UNKNOWN, FieldInvalid("must be a time of the day such as 08:00", pointer="/pace/quiet_hours")),
        body_example={"events": ["usage.critical", "usage.overage"], "enabled": True},
        example=_EXAMPLE,
    ),
    Endpoint(
        "DELETE",
        ONE,
        delete_channel,
        BILLING_MANAGE,
        "Forget a channel",
        status=204,
        errors=(_UNKNOWN,),
    ),
    Endpoint(
        "POST",
        f"{ONE}/test",
        test_channel,
        BILLING_MANAGE,
        "Send a channel a test message",
        answer=DeliveryAnswer,
        status=202,
        errors=(_UNKNOWN, Conflict("the endpoint is disabled; enable it first")),
        description="At once, whatever its filter and pace. Its delivery tells how it went.",
    ),
)
