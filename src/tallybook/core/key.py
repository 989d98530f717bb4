"""API keys: how a token looks, what is kept of it, which scopes there are. Not for looking keys up."""

import hashlib
import secrets
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from tallybook.core.errors import FieldInvalid, Forbidden, NotFound
from tallybook.core.ids import AccountId

PREFIX = "tb_live_"
SECRET_CHARS = 32
CHECK_CHARS = 6
IMPORTED_CHARS_MIN, IMPORTED_CHARS_MAX = 16, 512
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

EVENTS_WRITE = "events:write"
USAGE_READ = "usage:read"
LIMITS_WRITE = "limits:write"
BILLING_MANAGE = "billing:manage"
ADMIN = "admin"
SCOPES = (EVENTS_WRITE, USAGE_READ, LIMITS_WRITE, BILLING_MANAGE, ADMIN)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the key, its scopes, and its account (None for the operator)."""

    key_id: str
    account_id: AccountId | None
    scopes: frozenset[str]

    @property
    def is_operator(self) -> bool:
        """Whether the key belongs to the operator and so reaches every account."""
        return self.account_id is None

    def require_reach(self, account_id: AccountId | None, unknown: str) -> None:
        """Refuse what belongs to another account, or (None) to the operator, unless the key reaches it.

        Raises:
            NotFound: With the text *unknown*, as if it did not exist.
            Forbidden: If it is the operator's and an operator's key lacks the scope admin.
        """
        if self.is_operator:
            if account_id is None:
                self.require(ADMIN)
        elif account_id != self.account_id:
            raise NotFound(unknown)

    def require(self, scope: str) -> None:
        """Refuse unless the key carries *scope*.

        Raises:
            Forbidden: Naming the scope.
        """
        if scope not in self.scopes:
            raise Forbidden(f"the key lacks the scope {scope}", required_scope=scope)


@dataclass(frozen=True, slots=True)
class Key:
    """What the ledger keeps of a key; never the token."""

    key_id: str
    account_id: AccountId | None
    name: str
    hint: str
    scopes: frozenset[str]
    created_us: int
    revoked_us: int | None


def new_token() -> str:
    """Return a fresh token: prefix, 32 base-62 characters (190 bits), 6 of CRC-32 over what stands before."""
    body = PREFIX + "".join(secrets.choice(_BASE62) for _ in range(SECRET_CHARS))
    return body + _check(body)


def _check(body: str) -> str:
    number, text = zlib.crc32(body.encode()), ""
    for _ in range(CHECK_CHARS):
        number, digit = divmod(number, 62)
        text = _BASE62[digit] + text
    return text


def is_plausible(token: str) -> bool:
    """Say without a look-up whether *token* could be a key: a mistyped token of ours never reaches the ledger."""
    if token.startswith(PREFIX):
        body, check = token[:-CHECK_CHARS], token[-CHECK_CHARS:]
        return len(token) == len(PREFIX) + SECRET_CHARS + CHECK_CHARS and check == _check(body)
    return IMPORTED_CHARS_MIN <= len(token) <= IMPORTED_CHARS_MAX


def token_hash(token: str) -> str:
    """Return what is stored and looked up: the SHA-256 of the token, in hex.

    The look-up is by the hash, so its timing tells nothing about the token.
    """
    return hashlib.sha256(token.encode()).hexdigest()


def token_hint(token: str) -> str:
    """Return the part of the token that is safe to show: its first 8 and last 4 characters."""
    return f"{token[:8]}…{token[-4:]}"


def check_scopes(scopes: Iterable[object]) -> frozenset[str]:
    """Return *scopes* as a set.

    Raises:
        FieldInvalid: If one is not in SCOPES, or there is none.
    """
    known = set()
    for index, scope in enumerate(scopes):
        if scope not in SCOPES:
            raise FieldInvalid(f"must be one of {', '.join(SCOPES)}", pointer=f"/scopes/{index}")
        known.add(str(scope))
    if not known:
        raise FieldInvalid("must name at least one scope", pointer="/scopes")
    return frozenset(known)
