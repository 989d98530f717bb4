"""Keys of an account: listed, made and revoked. A new key is shown this once, on the page that answers its making."""

import msgspec

from tallybook.core.errors import FieldInvalid, Forbidden, NotFound
from tallybook.core.fields import errors_of
from tallybook.core.key import ADMIN, SCOPES
from tallybook.flows.access import NewKey
from tallybook.web.dashboard.page import Page, Visit, first, redirect
from tallybook.web.endpoint import Reply

PAGE_KEYS = 100
_NEAR = 10
"""Keys looked at to find one by its id: ids begin alike only by chance."""

ABOUT = {
    "events:write": "send events",
    "usage:read": "read usage, limits and events",
    "limits:write": "check and reserve limits",
    "billing:manage": "see usage and billing as the account's manager",
    "admin": "make and revoke keys, change settings",
}


class KeysQuery(msgspec.Struct, frozen=True):
    """Which keys: those whose id comes after *after*."""

    after: str | None = None


def get_keys(visit: Visit) -> Reply:
    """Show one page of keys."""
    return _page(visit, after=visit.query.after or "")


def _page(visit: Visit, *, after: str = "", made: NewKey | None = None, wrong: str = "", status: int = 200) -> Reply:
    keys = visit.rooms.access.list_keys(visit.account.id, after=after, limit=PAGE_KEYS)
    return visit.html(
        "keys.html",
        status=status,
        keys=sorted(keys, key=lambda key: (key.revoked_us is not None, -key.created_us)),
        last=keys[-1].key_id if len(keys) == PAGE_KEYS else None,
        first_page=not after,
        made=made,
        wrong=wrong,
        scopes=[scope for scope in SCOPES if visit.allows(scope)],
        all_scopes=SCOPES,
        about=ABOUT,
    )


def post_key(visit: Visit) -> Reply:
    """Make a key, which can do no more than the session may, and show it."""
    fields = visit.form()
    wanted = fields.get("scope", [])
    for scope in wanted:
        if scope in SCOPES and not visit.allows(scope):
            raise Forbidden(f"a key cannot give the scope {scope}", required_scope=scope)
    try:
        made = visit.rooms.access.create_key(visit.account.id, wanted, first(fields, "name"))
    except FieldInvalid as error:
        words = "; ".join(f"{pointer[1:].partition('/')[0]} {message}" for pointer, message in errors_of(error))
        return _page(visit, wrong=words, status=422)
    return _page(visit, made=made)


def post_revoke(visit: Visit) -> Reply:
    """Revoke a key of the account; the session that it began, if it did, ends with it."""
    key_id = visit.path["key_id"]
    near = [] if "\x00" in key_id else visit.rooms.access.list_keys(visit.account.id, after=key_id[:-1], limit=_NEAR)
    if not any(key.key_id == key_id for key in near):
        raise NotFound("there is no such key")
    visit.rooms.access.revoke_key(key_id)
    return redirect(f"{visit.here}/keys")


PAGES = (
    Page("keys", "GET", "/accounts/{account_id}/keys", get_keys, ADMIN, query=KeysQuery),
    Page("keys", "POST", "/accounts/{account_id}/keys", post_key, ADMIN),
    Page("keys", "POST", "/accounts/{account_id}/keys/{key_id}/revoke", post_revoke, ADMIN),
)
