"""Webhook endpoints as JSON has them: what is sent, what is answered, and an example. What is done is `webhooks`."""

from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tallybook.core.delivery import Destination
from tallybook.core.instant import instant_text
from tallybook.core.message import PATTERNS_MAX
from tallybook.flows.endpoints import OVERLAP_S, OVERLAP_S_MAX, SCHEME, Endpoint
from tallybook.web.native.lists import Cursor, Limit

PAGE_DEFAULT = 100

Events = Annotated[
    list[str],
    Meta(min_length=1, max_length=PATTERNS_MAX, description="Event types; `usage.*` is all that begin so, `*` all."),
]


class Signature(StrEnum):
    """How messages are signed; both as Standard Webhooks writes it."""

    HMAC = "hmac-sha256"
    ED25519 = "ed25519"


class EndpointBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An endpoint to be made."""

    url: Annotated[str, Meta(description="An https URL of a public host.")]
    account: Annotated[
        str | None, Meta(description="Whose messages; without it, with an operator's key, those of every account.")
    ] = None
    events: Events = msgspec.field(default_factory=lambda: ["*"])
    description: str = ""
    signature: Signature = Signature.HMAC


class EndpointPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be another."""

    url: str | UnsetType = UNSET
    events: Events | UnsetType = UNSET
    description: str | UnsetType = UNSET


class RotateBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a secret is replaced; no body at all does as well."""

    overlap_s: Annotated[
        int, Meta(ge=0, le=OVERLAP_S_MAX, description="For how long the old secret is valid beside the new one.")
    ] = OVERLAP_S


class EndpointAnswer(msgspec.Struct, frozen=True):
    """An endpoint; `account` is null for one of the operator, which gets the messages of every account."""

    id: str
    account: str | None
    url: str
    events: list[str]
    description: str
    signature: str
    state: str
    disabled_reason: str | None
    disabled_at: str | None
    failing_since: str | None
    created_at: str


class KeyAnswer(msgspec.Struct, frozen=True):
    """A key that messages are signed with now; `public_key` is null where it is a secret."""

    public_key: str | None
    expires_at: str | None


class EndpointDetail(EndpointAnswer, frozen=True):
    """An endpoint with the keys that its messages are signed with, the newest first."""

    keys: list[KeyAnswer]


class EndpointMade(EndpointDetail, frozen=True):
    """An endpoint with a new key: `secret` is shown this once; with ed25519 it is the public key."""

    secret: str


class EndpointsAnswer(msgspec.Struct, frozen=True):
    """One page of endpoints, by id."""

    endpoints: list[EndpointAnswer]
    next_cursor: str | None


class EndpointsQuery(msgspec.Struct, frozen=True):
    """Which endpoints, which page."""

    account: Annotated[str | None, Meta(description="Only the endpoints of this account.")] = None
    cursor: Cursor = None
    limit: Limit = PAGE_DEFAULT


def write_endpoint(found: Destination) -> EndpointAnswer:
    """Return the endpoint as lists have it."""
    return EndpointAnswer(**_fields(found))


def write_detail(kept: Endpoint) -> EndpointDetail:
    """Return the endpoint with its keys."""
    return EndpointDetail(**_fields(kept.destination), keys=_keys(kept))


def write_made(kept: Endpoint) -> EndpointMade:
    """Return the endpoint with its new secret."""
    assert kept.shown is not None  # what was just made is shown
    return EndpointMade(**_fields(kept.destination), keys=_keys(kept), secret=kept.shown)


def _fields(found: Destination) -> dict[str, Any]:
    return {
        "id": found.destination_id,
        "account": found.account_id,
        "url": found.address,
        "events": list(found.patterns),
        "description": found.description,
        "signature": found.options[SCHEME],
        "state": found.state.value,
        "disabled_reason": None if found.reason is None else found.reason.value,
        "disabled_at": _instant(found.disabled_us),
        "failing_since": _instant(found.failing_since_us),
        "created_at": instant_text(found.created_us),
    }


def _keys(kept: Endpoint) -> list[KeyAnswer]:
    return [KeyAnswer(key.public, _instant(key.expires_us)) for key in kept.keys]


def _instant(instant_us: int | None) -> str | None:
    return None if instant_us is None else instant_text(instant_us)


EXAMPLE_FIELDS: dict[str, Any] = {
    "id": "hook_5f0c61",
    "account": "acme",
    "url": "https://example.com/hooks/usage",
    "events": ["usage.*", "lease.terminated"],
    "description": "",
    "signature": "hmac-sha256",
    "state": "enabled",
    "disabled_reason": None,
    "disabled_at": None,
    "failing_since": None,
    "created_at": "2026-03-15T12:00:00Z",
}
EXAMPLE = EndpointDetail(**EXAMPLE_FIELDS, keys=[KeyAnswer(None, None)])
EXAMPLE_MADE = EndpointMade(**EXAMPLE_FIELDS, keys=[KeyAnswer(None, None)], secret="whsec_...")  # noqa: S106 - it is three dots
