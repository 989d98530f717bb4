"""Leases: slots of a concurrency limit, kept alive by heartbeats, freed by release, expiry or a hard deadline."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from tallybook.core.clock import US_PER_S
from tallybook.core.ids import AccountId
from tallybook.core.instant import instant_text
from tallybook.core.limit import Limit, LimitKind
from tallybook.core.window import Span

TTL_S_DEFAULT, TTL_S_MAX = 30, 3600
TERMINATED = "lease.terminated"
"""The message to the platform when a deadline ended a lease."""
LEASES_LIVE_MAX = 100_000
"""Most live leases of one account."""
LEASES_KEPT_DAYS = 36
"""How long an ended lease is remembered: a day longer than its call's event may come late."""


class Ending(StrEnum):
    """How a lease ended."""

    RELEASED = "released"
    EXPIRED = "expired"
    TERMINATED = "terminated"
    """At the deadline of a duration limit: the platform is told to hang up, the time is billed."""


@dataclass(frozen=True, slots=True)
class Lease:
    """One slot.

    Attributes:
        token: Who holds it proves so; a lease that was lost and taken again has another.
        deadline_us: The instant a duration limit ends it at, whatever the heartbeats; None without such a limit.
        ended_us, ending: None while nobody ended it; it may have run out all the same (see `is_live`).
    """

    lease_id: str
    limit: str
    token: str
    call_id: str | None
    ttl_us: int
    granted_us: int
    expires_us: int
    deadline_us: int | None
    ended_us: int | None = None
    ending: Ending | None = None

    def is_live(self, now_us: int) -> bool:
        """Whether it takes a slot."""
        return self.ended_us is None and now_us < self.runs_out_us

    @property
    def fence(self) -> int:
        """The number in the token, which only rises for a limit."""
        return int(self.token.partition(".")[0])

    @property
    def runs_out_us(self) -> int:
        """When it ends if nothing more is heard of it."""
        return self.expires_us if self.deadline_us is None else min(self.expires_us, self.deadline_us)

    def run_out(self) -> "Lease":
        """Return the lease as it ended by itself: terminated if it met its deadline, expired otherwise."""
        met = self.deadline_us is not None and self.deadline_us <= self.expires_us
        return replace(self, ended_us=self.runs_out_us, ending=Ending.TERMINATED if met else Ending.EXPIRED)

    @property
    def span(self) -> Span:
        """The time it was live."""
        end_us = self.runs_out_us if self.ended_us is None else self.ended_us
        return Span(self.granted_us, max(self.granted_us, end_us))


def new_token(fence: int) -> str:
    """Return a token: a number that only rises for a limit, so that late writers can be told, and 96 random bits."""
    return f"{fence}.{secrets.token_hex(12)}"


def hang_up(account_id: AccountId, lease: Lease) -> Mapping[str, object]:
    """Return the message that tells the platform to end the call of a lease that met its deadline."""
    return {
        "account": account_id,
        "lease": lease.lease_id,
        "limit": lease.limit,
        "call_id": lease.call_id,
        "ended_at": instant_text(lease.span.end_us),
    }


def deadline_us(limits: tuple[Limit, ...], granted_us: int) -> int | None:
    """Return when the tightest duration limit of a plan ends a lease granted at *granted_us*."""
    seconds = [limit.seconds for limit in limits if limit.kind is LimitKind.DURATION and limit.seconds is not None]
    return granted_us + min(seconds) * US_PER_S if seconds else None
