"""The OpenAPI document describes every message that webhooks get, and what arrives fits it."""

import json

import pytest
from jsonschema import Draft202012Validator, ValidationError

from tallybook.core.message_types import MESSAGE_TYPES
from tallybook.web.openapi import document
from tallybook.web.openapi_messages import example_of
from tests.support.client import open_desk
from tests.web.operations import NATIVE

DOCUMENT = document(NATIVE)


def validator(name):
    """Return what validates the body of a message by the document."""
    content = DOCUMENT["webhooks"][name]["post"]["requestBody"]["content"]["application/json"]
    schema = {"$defs": DOCUMENT["components"]["schemas"], **content["schema"]}
    return Draft202012Validator(json.loads(json.dumps(schema).replace("#/components/schemas/", "#/$defs/")))


def test_every_type_of_message_is_described():
    """
    And nothing that is none.
    """
    assert {each.name for each in MESSAGE_TYPES} == set(DOCUMENT["webhooks"])


@pytest.mark.parametrize("message", MESSAGE_TYPES, ids=lambda message: message.name)
def test_the_example_fits_and_nothing_less_does(message):
    """
    Every field of the data that has no default is required, and the type is the type.
    """
    checked, example = validator(message.name), example_of(message)
    checked.validate(example)
    shown = DOCUMENT["webhooks"][message.name]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert example == shown
    for broken in (
        {**example, "type": "other.type"},
        {**example, "data": None},
        {k: example[k] for k in ("id", "type")},
    ):
        with pytest.raises(ValidationError):
            checked.validate(broken)


def told(desk):
    """Return the messages in the outbox, as they would arrive."""
    queue = desk.house.webhooks._queue
    queue.fan_out(desk.clock.now_us())
    claimed = queue.claim(desk.clock.now_us(), {}, room=100, total=100)
    return [json.loads(one.message.envelope()) for one in claimed]


def test_what_is_really_told_fits(tmp_path):
    """
    A status that changed, a call that was cut off, a reservation that held too little, a test.
    """
    with open_desk(tmp_path) as desk:
        key = desk.account("acme", plan="agentphone-pro")
        made = desk.post("/v1/webhook-endpoints", desk.operator, json={"url": "https://example.com/"}).json()
        desk.post(f"/v1/webhook-endpoints/{made['id']}/test", desk.operator)
        desk.put("/v1/accounts/acme/billing", desk.operator, json={"invoice": "failed"})
        path = "/v1/accounts/acme/reservations"
        items = [{"limit": "messages", "quantity": "1"}]
        held = desk.post(path, key, json={"items": items, "ttl_s": 60})
        assert 201 == held.status_code, held.text
        more = [{"limit": "messages", "quantity": "5"}]
        assert 200 == desk.post(f"{path}/{held.json()['id']}/commit", key, json={"items": more}).status_code
        lease = {"limit": "concurrent_calls", "ttl_s": 3_600, "call_id": "c1"}
        assert 201 == desk.post("/v1/accounts/acme/leases", key, json=lease).status_code
        desk.clock.advance(1_800_000_000)
        desk.house.sweeper.run()
        messages = told(desk)

    wanted = {"endpoint.test", "billing.status_changed", "reservation.overage", "lease.terminated"}
    assert wanted <= {message["type"] for message in messages}
    for message in messages:
        validator(message["type"]).validate(message)
