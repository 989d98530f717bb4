"""Keys over the native API: made, listed and revoked; the token itself is shown once.

An account's key with the scope ``admin`` manages the keys of its account, and gives away no scope it lacks.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from tallybook.core.errors import Conflict, FieldInvalid, Forbidden, NotFound
from tallybook.core.ids import AccountId, check_text
from tallybook.core.instant import instant_text
from tallybook.core.key import ADMIN, SCOPES, Caller, Key
from tallybook.web.auth import account_unknown
from tallybook.web.endpoint import Ask, Endpoint
from tallybook.web.errors import CursorInvalid
from tallybook.web.native.lists import Cursor, Limit, read_cursor, write_cursor

PAGE_DEFAULT = 100
_NEAR = 10
"""Keys looked at to find one by its id: ids begin alike only by chance."""


class KeyBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A key to be made."""

    scopes: Annotated[list[str], Meta(min_length=1, max_length=len(SCOPES), description=f"Of: {', '.join(SCOPES)}.")]
    account: Annotated[str | None, Meta(description="Whose key; without it the key is the operator's.")] = None
    name: str = ""
    key: Annotated[
        str | None, Meta(description="The key that an existing client holds already; default: a fresh one.")
    ] = None


class KeyAnswer(msgspec.Struct, frozen=True):
    """A key as it is listed: never the key itself, which `hint` helps to recognise."""

    id: str
    account: str | None
    name: str
    hint: str
    scopes: list[str]
    created_at: str
    revoked_at: str | None


class NewKeyAnswer(KeyAnswer, frozen=True):
    """A key that was just made; `key` is shown this once."""

    key: str


class KeysAnswer(msgspec.Struct, frozen=True):
    """One page of keys, by id."""

    keys: list[KeyAnswer]
    next_cursor: str | None


class KeysQuery(msgspec.Struct, frozen=True):
    """Which keys, which page."""

    account: Annotated[str | None, Meta(description="Only the keys of this account.")] = None
    cursor: Cursor = None
    limit: Limit = PAGE_DEFAULT


def write_key(key: Key) -> KeyAnswer:
    """Return the key as JSON has it."""
    return KeyAnswer(
        id=key.key_id,
        account=key.account_id,
        name=key.name,
        hint=key.hint,
        scopes=[scope for scope in SCOPES if scope in key.scopes],
        created_at=instant_text(key.created_us),
        revoked_at=None if key.revoked_us is None else instant_text(key.revoked_us),
    )


def post_key(ask: Ask[None, KeyBody]) -> NewKeyAnswer:
    """Make a key, or take in one that a client holds already."""
    body, caller = ask.body, ask.caller
    account_id = _account_of_new(caller, body.account)
    if not caller.is_operator:
        for scope in body.scopes:
            if scope in SCOPES and scope not in caller.scopes:
                raise Forbidden(f"a key cannot give the scope {scope}, which it lacks", required_scope=scope)
    made = ask.rooms.access.create_key(account_id, body.scopes, body.name, body.key)
    return NewKeyAnswer(**msgspec.structs.asdict(write_key(made.key)), key=made.token)


def _account_of_new(caller: Caller, named: str | None) -> AccountId | None:
    if named is None:
        return caller.account_id
    if not caller.is_operator and named != caller.account_id:
        raise account_unknown()
    return AccountId(check_text(named, "/account"))


def list_keys(ask: Ask[KeysQuery, None]) -> KeysAnswer:
    """Return one page of keys."""
    wanted, own = ask.query.account, ask.caller.account_id
    if own is not None and wanted not in (None, own):
        raise account_unknown()
    account_id = own if wanted is None else AccountId(wanted)
    if wanted is not None:
        ask.rooms.accounts.get(AccountId(wanted))
    (after,) = read_cursor(ask, "keys", wanted or "") or ("",)
    found = ask.rooms.access.list_keys(account_id, after=after, limit=ask.query.limit)
    place = (found[-1].key_id,) if found else ("",)
    return KeysAnswer([write_key(key) for key in found], write_cursor(ask, found, place, "keys", wanted or ""))


def delete_key(ask: Ask[None, None]) -> None:
    """Revoke a key; doing so again changes nothing."""
    key_id, own = ask.path["key_id"], ask.caller.account_id
    if "\x00" in key_id:
        raise NotFound("there is no such key")
    if own is not None:
        near = ask.rooms.access.list_keys(own, after=key_id[:-1], limit=_NEAR)
        if not any(key.key_id == key_id for key in near):
            raise NotFound("there is no such key")
    ask.rooms.access.revoke_key(key_id)


_EXAMPLE = KeyAnswer("key_0a1b", "acme", "reporting", "tb_live_…x9Zq", ["usage:read"], "2026-03-01T08:00:00Z", None)

ENDPOINTS = (
    Endpoint(
        "POST",
        "/v1/keys",
        post_key,
        ADMIN,
        "Make a key",
        answer=NewKeyAnswer,
        body=KeyBody,
        status=201,
        errors=(
            Conflict("this token is in use already"),
            FieldInvalid(f"must be one of {', '.join(SCOPES)}", pointer="/scopes/0"),
            NotFound,
        ),
        description="The answer is the only place where the key is ever shown; only its SHA-256 is kept.",
        body_example={"account": "acme", "scopes": ["usage:read"], "name": "reporting"},
        example=NewKeyAnswer(**msgspec.structs.asdict(_EXAMPLE), key="tb_live_…"),
    ),
    Endpoint(
        "GET",
        "/v1/keys",
        list_keys,
        ADMIN,
        "All keys, revoked ones included",
        answer=KeysAnswer,
        query=KeysQuery,
        errors=(CursorInvalid, NotFound),
        query_example="account=acme",
        example=KeysAnswer([_EXAMPLE], None),
    ),
    Endpoint(
        "DELETE",
        "/v1/keys/{key_id}",
        delete_key,
        ADMIN,
        "Revoke a key",
        status=204,
        errors=(NotFound("there is no such key"),),
        description="It takes effect at once here, and within a second on every other server of the same ledger.",
    ),
)
