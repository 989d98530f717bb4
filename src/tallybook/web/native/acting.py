"""Requests that are decided inside their account's lane, and answered once for an Idempotency-Key.

Not for what is decided (see `flows.admit`, `flows.lease`, `flows.exceptions`, `flows.billing`).
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from tallybook.core.desk import Answered, Desk
from tallybook.core.errors import FieldInvalid
from tallybook.core.event import decode_json
from tallybook.core.fields import read_object
from tallybook.web.endpoint import (
    IDEMPOTENCY_HEADER,
    IDEMPOTENCY_KEY_BYTES_MAX,
    JSON,
    Ask,
    Pending,
    RawBody,
    Reply,
    to_json,
)
from tallybook.web.errors import IdempotencyKeyInvalid
from tallybook.web.wire import media_type

REPLAYED = {"Idempotency-Replayed": "true"}


class NothingSent(msgspec.Struct, frozen=True):
    """An empty object; no body at all does as well."""


@dataclass(frozen=True, slots=True)
class Act:
    """What to do inside the lane: *action*, then *write* makes the answer's struct of its outcome, None for 204."""

    action: Callable[[Desk], Any]
    write: Callable[[Any], msgspec.Struct | None]
    status: int = 200


def read_json(body: RawBody) -> dict[str, object]:
    """Return the body, which must be a JSON object.

    Raises:
        MediaUnsupported, JsonMalformed, FieldInvalid: If it is not.
    """
    media_type(body.headers, (JSON,))
    return read_object(decode_json(body.data), "")


def read_nothing(body: RawBody) -> None:
    """Check the body of a request that says all in its path: none, or an empty object.

    Raises:
        MediaUnsupported, JsonMalformed, FieldInvalid: If it is anything else.
    """
    if body.data.strip():
        for name in read_json(body):
            raise FieldInvalid("nothing is read here", pointer=f"/{name[:64]}")


def perform(ask: Ask[None, RawBody], name: str, act: Act) -> Pending:
    """Do *act* in the lane of the ask's account; the answer comes when it is durable.

    Args:
        ask: The request.
        name: The operation; the same key on another operation, path or body is refused.
        act: What to do.
    """
    key = _key(ask.body)
    words = [name.encode(), *(value.encode() for value in ask.path.values()), ask.body.data]
    digest = hashlib.sha256(b"\0".join(words)).hexdigest() if key else ""

    def answer(desk: Desk) -> Answered:
        said = act.write(act.action(desk))
        return Answered(digest, act.status, b"" if said is None else to_json(said))

    return Pending(ask.rooms.once.perform(ask.account, key, digest, answer, ask.now_us), _reply)


def perform_plainly(ask: Ask[None, None], action: Callable[[Desk], None]) -> Pending:
    """Do *action* in the lane of the ask's account; it is harmless to repeat, and answered with nothing."""
    return Pending(ask.rooms.limits.run(ask.account, action), _nothing)


def _nothing(_: None) -> None:
    return None


def _reply(answered: Answered) -> Reply:
    return Reply(answered.status, answered.body, headers=REPLAYED if answered.replayed else {})


def _key(body: RawBody) -> str | None:
    keys = body.headers.getlist(IDEMPOTENCY_HEADER)
    if not keys:
        return None
    key = keys[0]
    if len(keys) > 1 or not 0 < len(key.encode()) <= IDEMPOTENCY_KEY_BYTES_MAX or not key.isprintable():
        raise IdempotencyKeyInvalid(
            f"{IDEMPOTENCY_HEADER} must be given once, with 1 to {IDEMPOTENCY_KEY_BYTES_MAX} printable bytes"
        )
    return key
