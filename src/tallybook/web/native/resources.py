"""The inventory over the native API: what an account has, listed, counted, put there and released."""

from typing import Annotated

import msgspec
from msgspec import Meta

from tallybook.core.errors import FieldInvalid
from tallybook.core.instant import instant_text
from tallybook.core.key import EVENTS_WRITE, USAGE_READ
from tallybook.core.resource import NO_RESOURCES, Resource, ResourceCount
from tallybook.web.endpoint import AccountOf, Ask, Endpoint
from tallybook.web.errors import CursorInvalid
from tallybook.web.native.lists import PAGE_DEFAULT, Cursor, Limit, read_cursor, write_cursor
from tallybook.web.native.reservations import EXAMPLE_REFUSAL


class ResourcesQuery(msgspec.Struct, frozen=True):
    """Which things, which page."""

    kind: Annotated[str | None, Meta(description="Only things of this kind, such as agent.")] = None
    released: Annotated[bool, Meta(description="Whether those that are gone are listed too.")] = False
    cursor: Cursor = None
    limit: Limit = PAGE_DEFAULT


class ResourceBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is known of a thing; what is left out stays as it was."""

    name: str | None = None
    shared: bool | None = None
    active: bool | None = None


class ResourceAnswer(msgspec.Struct, frozen=True):
    """One thing of the inventory; `live` is false once it was released."""

    kind: str
    id: str
    name: str | None
    shared: bool
    active: bool
    live: bool
    created_at: str


class CountAnswer(msgspec.Struct, frozen=True):
    """How many things of one kind exist now, and were ever created; how many of the live are shared, active."""

    live: int
    lifetime: int
    shared: int
    active: int


class ResourcesAnswer(msgspec.Struct, frozen=True):
    """One page of the inventory, by kind and id; `counts` are of all of it, whatever the page."""

    account: str
    resources: list[ResourceAnswer]
    counts: dict[str, CountAnswer]
    next_cursor: str | None


class ResourceSaid(msgspec.Struct, frozen=True):
    """What was written of a thing."""

    account: str
    kind: str
    id: str
    counts: CountAnswer


def write_resource(resource: Resource) -> ResourceAnswer:
    """Return the thing as JSON has it."""
    return ResourceAnswer(
        kind=resource.kind,
        id=resource.resource_id,
        name=resource.name,
        shared=resource.shared,
        active=resource.active,
        live=resource.live,
        created_at=instant_text(resource.created_us),
    )


def write_count(count: ResourceCount) -> CountAnswer:
    """Return the counts as JSON has them."""
    return CountAnswer(count.live, count.lifetime, count.shared, count.active)


def list_resources(ask: Ask[ResourcesQuery, None]) -> ResourcesAnswer:
    """Return one page of the inventory."""
    query, account = ask.query, ask.account
    words = ("resources", account.id, query.kind or "", str(query.released))
    kind, resource_id = read_cursor(ask, *words) or ("", "")
    found = ask.rooms.inventory.resources(
        account, query.kind, after=(kind, resource_id), limit=query.limit, released=query.released
    )
    place = (found[-1].kind, found[-1].resource_id) if found else ("", "")
    counts = {kind: write_count(count) for kind, count in sorted(ask.rooms.inventory.counts(account).items())}
    shown = [write_resource(resource) for resource in found]
    return ResourcesAnswer(account.id, shown, counts, write_cursor(ask, found, place, *words))


def put_resource(ask: Ask[None, ResourceBody]) -> ResourceSaid:
    """Say that a thing exists now."""
    kind, resource_id, body = ask.path["kind"], ask.path["resource_id"], ask.body
    ask.rooms.inventory.put(
        ask.caller, ask.account, kind, resource_id, name=body.name, shared=body.shared, active=body.active
    )
    count = ask.rooms.inventory.counts(ask.account).get(kind, NO_RESOURCES)
    return ResourceSaid(ask.account.id, kind, resource_id, write_count(count))


def delete_resource(ask: Ask[None, None]) -> None:
    """Say that a thing is gone."""
    ask.rooms.inventory.release(ask.caller, ask.account, ask.path["kind"], ask.path["resource_id"])


_EXAMPLE = ResourceAnswer(
    "agent", "agent-7", "Front desk", shared=False, active=True, live=True, created_at="2026-03-01T08:00:00Z"
)
_COUNT = CountAnswer(3, 4, 0, 3)

ENDPOINTS = (
    Endpoint(
        "GET",
        "/v1/accounts/{account_id}/resources",
        list_resources,
        USAGE_READ,
        "The inventory of an account",
        answer=ResourcesAnswer,
        query=ResourcesQuery,
        account=AccountOf.PATH,
        errors=(CursorInvalid,),
        query_example="kind=agent",
        example=ResourcesAnswer("acme", [_EXAMPLE], {"agent": _COUNT}, None),
    ),
    Endpoint(
        "PUT",
        "/v1/accounts/{account_id}/resources/{kind}/{resource_id}",
        put_resource,
        EVENTS_WRITE,
        "Put a thing into the inventory",
        answer=ResourceSaid,
        body=ResourceBody,
        account=AccountOf.PATH,
        errors=(FieldInvalid("must be one of agent, phone_number", pointer="/kind"), EXAMPLE_REFUSAL),
        description=(
            "Writes an event `resource.created`; a thing that was released exists again. A new thing over a hard limit "
            "on its kind is refused; one that exists is only changed."
        ),
        body_example={"name": "Front desk"},
        example=ResourceSaid("acme", "agent", "agent-7", _COUNT),
    ),
    Endpoint(
        "DELETE",
        "/v1/accounts/{account_id}/resources/{kind}/{resource_id}",
        delete_resource,
        EVENTS_WRITE,
        "Release a thing",
        account=AccountOf.PATH,
        status=204,
        errors=(FieldInvalid("must be one of agent, phone_number", pointer="/kind"),),
        description="Writes an event `resource.released`; lifetime limits go on counting the thing.",
    ),
)
