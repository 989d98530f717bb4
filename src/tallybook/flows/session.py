"""Who is logged in: a key or a portal link becomes a session, which is found by its cookie, used, and ended.

Only hashes of secrets reach the store. Not for keys themselves (see `flows.access`) nor for cookies (see the web room).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tallybook.core.clock import Clock
from tallybook.core.errors import Forbidden, Unauthenticated
from tallybook.core.ids import AccountId, new_id
from tallybook.core.key import ADMIN, USAGE_READ, Caller, check_scopes, token_hash
from tallybook.core.session import (
    LINK_TTL_S_DEFAULT,
    TOUCH_US,
    PortalLink,
    Session,
    check_ancestors,
    link_end_us,
    new_secret,
    session_of,
)

SECRET_CHARS_MAX = 512


class Keys(Protocol):
    """Knows keys by their tokens: `flows.access`."""

    def authenticate(self, token: str) -> Caller:
        """Return who holds the token, or raise Unauthenticated."""
        ...


class SessionStore(Protocol):
    """Keeps sessions and links by the hashes of their secrets."""

    def find(self, session_hash: str) -> Session | None:
        """Return the session, over or not; None where there is none, or its key was revoked."""
        ...

    def put(self, session: Session, session_hash: str) -> None:
        """Keep a new session."""
        ...

    def touch(self, session_hash: str, now_us: int) -> None:
        """Note that the session was used."""
        ...

    def drop(self, session_hash: str) -> None:
        """Forget the session."""
        ...

    def put_link(self, link: PortalLink, secret_hash: str) -> None:
        """Keep a new link; raises NotFound for an unknown account."""
        ...

    def link(self, link_id: str) -> PortalLink | None:
        """Return the link, used and expired ones too."""
        ...

    def take_link(self, link_id: str, secret_hash: str, now_us: int) -> PortalLink | None:
        """Use the link up and return it; None where it does not lead in any more."""
        ...

    def drop_ended(self, now_us: int) -> int:
        """Forget some of what ended; return how many."""
        ...


@dataclass(frozen=True, slots=True)
class Entered:
    """A session that just began; its *secret* is for the cookie and kept nowhere."""

    session: Session
    secret: str


@dataclass(frozen=True, slots=True)
class NewLink:
    """A portal link that was just made; its *secret* is shown this once."""

    link: PortalLink
    secret: str


class Sessions:
    """Begins, finds and ends sessions; safe for any number of threads and processes.

    Attributes:
        public_url: Where people reach this server, for links; empty where nobody said.
    """

    def __init__(self, store: SessionStore, keys: Keys, clock: Clock, *, public_url: str = "") -> None:
        self.public_url = public_url
        self._store = store
        self._keys = keys
        self._clock = clock

    def log_in(self, token: str, former: str | None = None) -> Entered:
        """Begin the session of a key; the one that the browser had before (*former*) ends.

        Raises:
            Unauthenticated: If there is no such key, or it was revoked.
        """
        caller = self._keys.authenticate(token)
        return self._enter(session_of(caller, self._clock.now_us()), former)

    def _enter(self, session: Session, former: str | None) -> Entered:
        if former:
            self._store.drop(token_hash(former[:SECRET_CHARS_MAX]))
        secret = new_secret()
        self._store.put(session, token_hash(secret))
        return Entered(session, secret)

    def find(self, secret: str) -> Session:
        """Return the session, and note about once a minute that it is in use.

        Raises:
            Unauthenticated: If there is none, it is over, or its key was revoked.
        """
        hashed, now_us = token_hash(secret[:SECRET_CHARS_MAX]), self._clock.now_us()
        session = self._store.find(hashed)
        if session is None or session.is_over(now_us):
            raise Unauthenticated("the session is over")
        if now_us - session.seen_us >= TOUCH_US:
            self._store.touch(hashed, now_us)
        return session

    def log_out(self, secret: str) -> None:
        """End the session everywhere; doing so twice is harmless."""
        self._store.drop(token_hash(secret[:SECRET_CHARS_MAX]))

    # --- portal links ------------------------------------------------------------------------------------------------

    def make_link(
        self,
        caller: Caller,
        account_id: AccountId,
        *,
        scopes: Sequence[str] = (USAGE_READ,),
        ttl_s: int = LINK_TTL_S_DEFAULT,
        ancestors: Sequence[str] = (),
    ) -> NewLink:
        """Make a link into the account's pages; it can do no more than *caller* may.

        Who administers may let others look, also without the scope to look.

        Raises:
            Forbidden: For a scope that the caller lacks.
            FieldInvalid: For an unknown scope, a life out of bounds, or an ancestor that is no origin.
        """
        wanted = check_scopes(scopes)
        may_give = caller.scopes | ({USAGE_READ} if ADMIN in caller.scopes else set())
        for scope in wanted - may_give:
            raise Forbidden(f"a link cannot give the scope {scope}, which the key lacks", required_scope=scope)
        now_us, secret = self._clock.now_us(), new_secret()
        link = PortalLink(
            new_id("lnk"),
            caller.key_id,
            account_id,
            wanted,
            check_ancestors(ancestors),
            created_us=now_us,
            expires_us=link_end_us(ttl_s, now_us),
        )
        self._store.put_link(link, token_hash(secret))
        return NewLink(link, secret)

    def look(self, link_id: str) -> PortalLink | None:
        """Return a link that still leads in, without using it; None where it does not."""
        link = self._store.link(link_id)
        return link if link is not None and link.is_open(self._clock.now_us()) else None

    def exchange(self, link_id: str, secret: str, former: str | None = None) -> Entered:
        """Begin the session of a portal link, which works once.

        Raises:
            Unauthenticated: If it was used, expired, or never was.
        """
        now_us = self._clock.now_us()
        link = self._store.take_link(link_id, token_hash(secret[:SECRET_CHARS_MAX]), now_us)
        if link is None:
            raise Unauthenticated("the link was used already, or has expired; ask for a new one")
        caller = Caller(link.key_id, link.account_id, link.scopes)
        return self._enter(session_of(caller, now_us, ancestors=link.ancestors, is_portal=True), former)

    def step(self) -> int:
        """Forget some of what ended; return how many."""
        return self._store.drop_ended(self._clock.now_us())
