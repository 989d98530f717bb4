"""Who asks: keys are made, found by their token, listed and revoked. What a key may do is `core.key`."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tallybook.core.clock import Clock
from tallybook.core.errors import FieldInvalid, NotFound, Unauthenticated
from tallybook.core.fields import Problems
from tallybook.core.ids import NAME_BYTES_MAX, AccountId, check_text, new_id
from tallybook.core.key import Caller, Key, check_scopes, is_plausible, new_token, token_hash, token_hint
from tallybook.core.ports import KeyStore

CACHE_S = 0.5
"""How long a found key is believed, so that a revocation on another process takes effect within a second."""
CACHED_MAX = 10_000
"""Most keys remembered at once."""
PAGE_MAX = 1_000
NO_SCOPES: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key that was just made; its *token* is shown this once and kept nowhere."""

    key: Key
    token: str

    @property
    def key_id(self) -> str:
        """The id by which the key is listed and revoked."""
        return self.key.key_id


@dataclass(frozen=True, slots=True)
class _Found:
    caller: Caller
    until_s: float


class Access:
    """Knows keys by their tokens; safe for any number of threads."""

    def __init__(self, store: KeyStore, clock: Clock, *, elapsed_s: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._elapsed_s = elapsed_s
        self._found: dict[str, _Found] = {}
        self._lent: dict[str, Caller] = {}
        self._revocations = 0
        self._lock = threading.Lock()

    def remembered(self, token: str) -> Caller | None:
        """Return who holds *token* if that is known without asking the store, None otherwise; never waits.

        Raises:
            Unauthenticated: If the token cannot be a key.
        """
        known = self._remembered(token_hash(token))
        if known is None and not is_plausible(token):
            raise Unauthenticated("the key is not known")
        return known

    def authenticate(self, token: str) -> Caller:
        """Return who holds *token*.

        A token that cannot be a key costs no look-up, an unknown one costs one, a known one costs one every CACHE_S.

        Raises:
            Unauthenticated: If there is no such key, or it was revoked.
        """
        if not is_plausible(token):
            raise Unauthenticated("the key is not known")
        hashed = token_hash(token)
        known = self._remembered(hashed)
        if known is not None:
            return known
        now_s, before = self._elapsed_s(), self._revocations
        key = self._store.find(hashed)
        if key is None or key.revoked_us is not None:
            raise Unauthenticated("the key is not known")
        caller = Caller(key.key_id, key.account_id, key.scopes)
        with self._lock:
            if before == self._revocations:
                self._remember(hashed, _Found(caller, now_s + CACHE_S))
        return caller

    def _remembered(self, hashed: str) -> Caller | None:
        found = self._found.get(hashed)
        if found is not None and self._elapsed_s() < found.until_s:
            return found.caller
        return self._lent.get(hashed)

    def _remember(self, hashed: str, found: _Found) -> None:
        if len(self._found) >= CACHED_MAX:
            self._found.clear()
        self._found[hashed] = found

    def lend(self, caller: Caller) -> str:
        """Return a fresh token that stands for *caller* in this process only: no ledger and no list knows it.

        The command line works with it on a data directory: whoever may write the files may do everything.
        """
        token = new_token()
        self._lent[token_hash(token)] = caller
        return token

    def create_key(
        self, account_id: AccountId | None, scopes: Iterable[object], name: str = "", token: str | None = None
    ) -> NewKey:
        """Make a key of the account, or of the operator (None).

        Args:
            account_id: Whose key.
            scopes: What it may do, of `core.key.SCOPES`.
            name: What the list of keys calls it.
            token: The token that an existing client already holds; None for a fresh one.

        Raises:
            FieldInvalid: For an unknown scope, or a name or token that cannot be one.
            NotFound: For an unknown account.
            Conflict: If the token is in use already.
        """
        problems = Problems()
        known = problems.take(_check_scopes, scopes, "/scopes", NO_SCOPES)
        if name:
            problems.take(_check_name, name, "/name", "")
        if token is not None:
            problems.take(_check_token, token, "/token", "")
        problems.finish()
        token = new_token() if token is None else token
        key = Key(new_id("key"), account_id, name, token_hint(token), known, self._clock.now_us(), None)
        self._store.put(key, token_hash(token))
        return NewKey(key, token)

    def list_keys(
        self, account_id: AccountId | None = None, *, after: str = "", limit: int = PAGE_MAX
    ) -> Sequence[Key]:
        """Return up to *limit* keys of the account (None: every key), by their ids, beginning after *after*."""
        return self._store.page(account_id, after, min(limit, PAGE_MAX))

    def revoke_key(self, key_id: str) -> Key:
        """Revoke the key: on this process at once, on every other within CACHE_S.

        Raises:
            NotFound: If there is no such key.
        """
        key = self._store.revoke(key_id, self._clock.now_us())
        with self._lock:
            self._revocations += 1
            self._found.clear()
        if key is None:
            raise NotFound("there is no such key")
        return key


def _check_scopes(value: object, pointer: str) -> frozenset[str]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise FieldInvalid("must be an array", pointer=pointer)
    return check_scopes(value)


def _check_name(value: object, pointer: str) -> str:
    return check_text(value, pointer, bytes_max=NAME_BYTES_MAX)


def _check_token(value: object, pointer: str) -> str:
    if not isinstance(value, str) or not (value.isascii() and value.isprintable() and " " not in value):
        raise FieldInvalid("must be printable ASCII without spaces", pointer=pointer)
    if not is_plausible(value):
        raise FieldInvalid(
            "must have 16 to 512 characters, and a correct checksum if it begins with tb_", pointer=pointer
        )
    return value
