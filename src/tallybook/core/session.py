"""Sessions of the dashboard and links into it: how long they live, what their secrets look like, who may frame them.

A session speaks for the key it began with and dies with it. Not for keeping them (see `ledger.sessions`).
"""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from tallybook.core.clock import US_PER_S
from tallybook.core.errors import FieldInvalid
from tallybook.core.ids import AccountId
from tallybook.core.instant import HOUR_US, MINUTE_US
from tallybook.core.key import SCOPES, Caller

IDLE_US = 30 * MINUTE_US
"""How long a session lives unused."""
HARD_US = 12 * HOUR_US
"""How long it lives at most, however busy."""
TOUCH_US = MINUTE_US
"""How old the note of a session's last use may grow before it is written again."""

LINK_TTL_S_DEFAULT, LINK_TTL_S_MAX = 900, 86_400
ANCESTORS_MAX = 8
ANCESTOR_CHARS_MAX = 256
SECRET_BYTES = 32

_ORIGIN = re.compile(r"https?://[a-z0-9*](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is logged in.

    Attributes:
        account_id: Whose numbers they see; None for the operator.
        ends_us: When it ends even if it is used without a pause.
        ancestors: The origins that may frame its pages; empty for none.
        is_portal: Whether it began with a portal link rather than a key.
    """

    key_id: str
    account_id: AccountId | None
    scopes: frozenset[str]
    started_us: int
    seen_us: int
    ends_us: int
    ancestors: tuple[str, ...] = ()
    is_portal: bool = False

    @property
    def caller(self) -> Caller:
        """Who asks, for everything that asks a key."""
        return Caller(self.key_id, self.account_id, self.scopes)

    def is_over(self, now_us: int) -> bool:
        """Whether it ended: by its age, or because nobody used it."""
        return now_us >= min(self.ends_us, self.seen_us + IDLE_US)


@dataclass(frozen=True, slots=True)
class PortalLink:
    """A link into one account's pages, to be used once."""

    link_id: str
    key_id: str
    account_id: AccountId
    scopes: frozenset[str]
    ancestors: tuple[str, ...]
    created_us: int
    expires_us: int
    used_us: int | None = None

    def is_open(self, now_us: int) -> bool:
        """Whether it still leads in."""
        return self.used_us is None and now_us < self.expires_us


def session_of(caller: Caller, now_us: int, *, ancestors: tuple[str, ...] = (), is_portal: bool = False) -> Session:
    """Return the session of somebody who came in just now."""
    return Session(
        caller.key_id,
        caller.account_id,
        caller.scopes,
        started_us=now_us,
        seen_us=now_us,
        ends_us=now_us + HARD_US,
        ancestors=ancestors,
        is_portal=is_portal,
    )


def new_secret() -> str:
    """Return 256 fresh random bits, fit for a cookie and for the fragment of an address."""
    return secrets.token_urlsafe(SECRET_BYTES)


def link_end_us(ttl_s: int, now_us: int) -> int:
    """Return when a link that is made now expires.

    Raises:
        FieldInvalid: If *ttl_s* is out of bounds.
    """
    if not 1 <= ttl_s <= LINK_TTL_S_MAX:
        raise FieldInvalid(f"must be from 1 to {LINK_TTL_S_MAX}", pointer="/ttl_s")
    return now_us + ttl_s * US_PER_S


def check_ancestors(origins: Sequence[str]) -> tuple[str, ...]:
    """Return the origins that may frame a page, as a Content-Security-Policy names them.

    Raises:
        FieldInvalid: For anything but a scheme, a host (``*.`` may begin it) and a port.
    """
    if len(origins) > ANCESTORS_MAX:
        raise FieldInvalid(f"names at most {ANCESTORS_MAX} origins", pointer="/frame_ancestors")
    for index, origin in enumerate(origins):
        if len(origin) > ANCESTOR_CHARS_MAX or not _ORIGIN.fullmatch(origin):
            raise FieldInvalid(
                "must be an origin in lower case such as https://app.example.com", pointer=f"/frame_ancestors/{index}"
            )
    return tuple(dict.fromkeys(origins))


def scopes_text(scopes: frozenset[str]) -> str:
    """Return the scopes in their usual order, as the ledger keeps them."""
    return " ".join(scope for scope in SCOPES if scope in scopes)
