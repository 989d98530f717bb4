"""Webhook endpoints over the native API: made, changed, enabled, disabled, deleted, tested, their secrets replaced.

With an operator's key every account's and the operator's own, with an account's key its own. What was delivered is
`deliveries`.
"""

from typing import Any

from msgspec import UNSET

from tallybook.core.delivery import State
from tallybook.core.egress import NOT_ALLOWED, UrlNotAllowed
from tallybook.core.errors import Conflict, NotFound
from tallybook.core.ids import AccountId, check_text
from tallybook.core.key import BILLING_MANAGE
from tallybook.flows.endpoints import Change, NewEndpoint
from tallybook.web.endpoint import Ask, Endpoint, RawBody
from tallybook.web.errors import CursorInvalid
from tallybook.web.native.deliveries import DeliveryAnswer, read_optional, write_delivery
from tallybook.web.native.lists import read_cursor, write_cursor
from tallybook.web.native.webhook_answers import (
    EXAMPLE,
    EXAMPLE_FIELDS,
    EXAMPLE_MADE,
    EndpointAnswer,
    EndpointBody,
    EndpointDetail,
    EndpointMade,
    EndpointPatch,
    EndpointsAnswer,
    EndpointsQuery,
    KeyAnswer,
    RotateBody,
    write_detail,
    write_endpoint,
    write_made,
)

ONE = "/v1/webhook-endpoints/{endpoint_id}"


def post_endpoint(ask: Ask[None, EndpointBody]) -> EndpointMade:
    """Make an endpoint."""
    body = ask.body
    account_id = None if body.account is None else AccountId(check_text(body.account, "/account"))
    new = NewEndpoint(body.url, account_id, body.events, body.description, body.signature.value)
    return write_made(ask.rooms.endpoints.create(ask.caller, new, ask.now_us))


def list_endpoints(ask: Ask[EndpointsQuery, None]) -> EndpointsAnswer:
    """Return one page of endpoints."""
    wanted = ask.query.account
    (after,) = read_cursor(ask, "webhook-endpoints", wanted or "") or ("",)
    account_id = None if wanted is None else AccountId(wanted)
    found = ask.rooms.endpoints.page(ask.caller, account_id, after, ask.query.limit)
    if not found and account_id is not None:
        ask.rooms.accounts.get(account_id)
    place = (found[-1].destination_id,) if found else ("",)
    cursor = write_cursor(ask, found, place, "webhook-endpoints", wanted or "")
    return EndpointsAnswer([write_endpoint(one) for one in found], cursor)


def get_endpoint(ask: Ask[None, None]) -> EndpointDetail:
    """Return an endpoint."""
    return write_detail(ask.rooms.endpoints.get(ask.caller, _id(ask), ask.now_us))


def patch_endpoint(ask: Ask[None, EndpointPatch]) -> EndpointDetail:
    """Change an endpoint."""
    body = ask.body
    change = Change(
        url=None if body.url is UNSET else body.url,
        events=None if body.events is UNSET else body.events,
        description=None if body.description is UNSET else body.description,
    )
    return write_detail(ask.rooms.endpoints.change(ask.caller, _id(ask), change, ask.now_us))


def delete_endpoint(ask: Ask[None, None]) -> None:
    """Forget an endpoint."""
    ask.rooms.endpoints.delete(ask.caller, _id(ask), ask.now_us)


def enable_endpoint(ask: Ask[None, None]) -> EndpointDetail:
    """Let messages go there again."""
    return write_detail(ask.rooms.endpoints.set_state(ask.caller, _id(ask), State.ENABLED, ask.now_us))


def disable_endpoint(ask: Ask[None, None]) -> EndpointDetail:
    """Let nothing go there any more."""
    return write_detail(ask.rooms.endpoints.set_state(ask.caller, _id(ask), State.DISABLED, ask.now_us))


def rotate_secret(ask: Ask[None, RawBody]) -> EndpointMade:
    """Replace the secret."""
    asked = read_optional(ask.body, RotateBody)
    return write_made(ask.rooms.endpoints.rotate(ask.caller, _id(ask), asked.overlap_s, ask.now_us))


def test_endpoint(ask: Ask[None, None]) -> DeliveryAnswer:
    """Queue a test message."""
    endpoint = ask.rooms.endpoints.find(ask.caller, _id(ask))
    return write_delivery(ask.rooms.redeliveries.test(endpoint, ask.now_us))


def _id(ask: Ask[Any, Any]) -> str:
    return ask.path["endpoint_id"]


_UNKNOWN = NotFound("there is no such webhook endpoint")
ENDPOINTS = (
    Endpoint(
        "POST",
        "/v1/webhook-endpoints",
        post_endpoint,
        BILLING_MANAGE,
        "Make a webhook endpoint",
        answer=EndpointMade,
        body=EndpointBody,
        status=201,
        errors=(UrlNotAllowed(NOT_ALLOWED, pointer="/url"), NotFound("there is no such account"), Conflict),
        description="The secret is shown this once. One without `account` is the operator's and needs `admin`, too.",
        body_example={"url": "https://example.com/hooks/usage", "account": "acme", "events": ["lease.terminated"]},
        example=EXAMPLE_MADE,
    ),
    Endpoint(
        "GET",
        "/v1/webhook-endpoints",
        list_endpoints,
        BILLING_MANAGE,
        "Webhook endpoints",
        answer=EndpointsAnswer,
        query=EndpointsQuery,
        errors=(CursorInvalid, NotFound("there is no such account")),
        query_example="account=acme",
        example=EndpointsAnswer([EndpointAnswer(**EXAMPLE_FIELDS)], None),
    ),
    Endpoint(
        "GET",
        ONE,
        get_endpoint,
        BILLING_MANAGE,
        "One webhook endpoint",
        answer=EndpointDetail,
        errors=(_UNKNOWN,),
        example=EXAMPLE,
    ),
    Endpoint(
        "PATCH",
        ONE,
        patch_endpoint,
        BILLING_MANAGE,
        "Change a webhook endpoint",
        answer=EndpointDetail,
        body=EndpointPatch,
        errors=(_UNKNOWN, UrlNotAllowed(NOT_ALLOWED, pointer="/url")),
        description="What is on its way goes to the new URL.",
        body_example={"events": ["usage.*", "lease.terminated"]},
        example=EXAMPLE,
    ),
    Endpoint(
        "DELETE",
        ONE,
        delete_endpoint,
        BILLING_MANAGE,
        "Forget a webhook endpoint",
        status=204,
        errors=(_UNKNOWN,),
    ),
    Endpoint(
        "POST",
        f"{ONE}/enable",
        enable_endpoint,
        BILLING_MANAGE,
        "Let messages go to an endpoint again",
        answer=EndpointDetail,
        errors=(_UNKNOWN,),
        description="What was given up meanwhile can be replayed.",
        example=EXAMPLE,
    ),
    Endpoint(
        "POST",
        f"{ONE}/disable",
        disable_endpoint,
        BILLING_MANAGE,
        "Let nothing go to an endpoint",
        answer=EndpointDetail,
        errors=(_UNKNOWN,),
        example=EndpointDetail(
            **{
                **EXAMPLE_FIELDS,
                "state": "disabled",
                "disabled_reason": "asked",
                "disabled_at": "2026-03-15T12:00:00Z",
            },
            keys=[KeyAnswer(None, None)],
        ),
    ),
    Endpoint(
        "POST",
        f"{ONE}/rotate-secret",
        rotate_secret,
        BILLING_MANAGE,
        "Replace an endpoint's secret",
        answer=EndpointMade,
        body=RawBody,
        body_documented=RotateBody,
        errors=(_UNKNOWN, Conflict("10 secrets are valid already; wait until one runs out")),
        description="Messages carry a signature of each valid secret, so receivers change over when they like.",
        body_example={"overlap_s": 86_400},
        example=EXAMPLE_MADE,
    ),
    Endpoint(
        "POST",
        f"{ONE}/test",
        test_endpoint,
        BILLING_MANAGE,
        "Send an endpoint a test message",
        answer=DeliveryAnswer,
        status=202,
        errors=(_UNKNOWN, Conflict("the endpoint is disabled; enable it first")),
        description="Of the type `endpoint.test`, whatever the endpoint's filter. Its delivery tells how it went.",
    ),
)
