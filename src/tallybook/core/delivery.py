"""Deliveries: bringing a message to a destination of any kind, how often that is tried, and when it is given up.

One delivery is one message for one destination. It is tried at least until the receiver takes it or the schedule is
over, always under the message's own id. How an attempt is made is the `Sender`'s of the destination's kind; where
deliveries are kept, claimed and logged is `ledger`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

from tallybook.core.clock import US_PER_S
from tallybook.core.ids import AccountId
from tallybook.core.instant import DAY_US
from tallybook.core.message import Message

ATTEMPT_TIMEOUT_S = 15
"""An attempt that takes longer is over, whatever the receiver does meanwhile; senders stop by then, or are stopped."""
RESPONSE_BYTES_MAX = 64 * 1024
"""What is read, and kept, of an answer."""
RETRY_DELAYS_S = (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 36_000)
"""Waits before each of the 8 attempts: at once, 5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 10 h; 27 h 35 min in all."""
JITTER_PERCENT = 10
"""By how much a wait may be longer, so that what failed together does not come back together."""
RETRY_AFTER_S_MAX = 36_000
"""Most that a receiver's Retry-After can put an attempt off."""
FAILING_DAYS_MAX = 5
"""A destination where everything failed for so long is disabled."""

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class State(StrEnum):
    """Whether a destination gets anything."""

    ENABLED = "enabled"
    DISABLED = "disabled"


class Reason(StrEnum):
    """Why a destination was disabled."""

    ASKED = "asked"
    GONE = "gone"
    FAILING = "failing"


@dataclass(frozen=True, slots=True)
class Secret:
    """What a sender needs and nobody may read; valid until *expires_us*, None for as long as it is not replaced."""

    number: int
    scheme: str
    value: bytes = field(repr=False)
    expires_us: int | None = None


@dataclass(frozen=True, slots=True)
class Destination:
    """Where messages go: a webhook endpoint, a mailbox, a channel.

    Attributes:
        account_id: Whose messages it gets; None for the operator's, which gets those of every account.
        kind: Which sender brings them: ``webhook``, ``email``, ``slack``.
        address: A URL or mail address, as it may be shown; what must not be shown is a secret.
        patterns: Event types it wants (see `message.wants`).
        options: What else the sender of its kind needs to know, as texts.
        failing_since_us: The first failure since the last success.
        secrets: Only for senders, the newest first; empty where destinations are listed.
    """

    destination_id: str
    account_id: AccountId | None
    kind: str
    address: str
    patterns: tuple[str, ...]
    description: str = ""
    options: Mapping[str, str] = field(default_factory=lambda: _NO_HEADERS)
    state: State = State.ENABLED
    reason: Reason | None = None
    created_us: int = 0
    disabled_us: int | None = None
    failing_since_us: int | None = None
    secrets: tuple[Secret, ...] = field(default=(), repr=False)


class Outcome(StrEnum):
    """What became of one attempt."""

    DELIVERED = "delivered"
    FAILED = "failed"
    """Tried again, as the schedule says."""
    REJECTED = "rejected"
    """This message will never be taken: not tried again, while others still are."""
    GONE = "gone"
    """The receiver wants nothing any more: the destination is disabled."""


@dataclass(frozen=True, slots=True)
class Attempted:
    """What happened in one attempt, as it is logged.

    Attributes:
        error: A stable code such as ``timeout`` or ``blocked-address``; empty if delivered. The log shows it to the
            owner of the destination, so it tells nothing of the network around us.
        status: The status of the answer, where there was one.
        latency_us: From the attempt's begin to its end.
        request_headers: As sent; without secrets.
        response_body: The first RESPONSE_BYTES_MAX of it.
        retry_after_s: How long the receiver asks to be left alone.
    """

    outcome: Outcome
    latency_us: int
    error: str = ""
    status: int | None = None
    request_headers: Mapping[str, str] = field(default_factory=lambda: _NO_HEADERS)
    response_headers: Mapping[str, str] = field(default_factory=lambda: _NO_HEADERS)
    response_body: bytes = b""
    retry_after_s: int | None = None


class Sender(Protocol):
    """Brings messages to destinations of one kind; runs in the event loop of deliveries and never blocks it."""

    async def send(self, destination: Destination, message: Message) -> Attempted:
        """Try once; whatever the receiver does is an `Attempted`, never an exception."""
        ...

    async def close(self) -> None:
        """Let go of what is open."""
        ...


class Status(StrEnum):
    """The life of a delivery."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Claimed:
    """A delivery that this process may try now, and nobody else until the claim runs out.

    Attributes:
        number: The delivery's number in the ledger.
        tries: Attempts made in this run of the schedule before this one.
        queued_us: When the message was handed to the destination, or asked to be sent again.
        until_us: When the claim runs out.
    """

    number: int
    delivery_id: str
    destination: Destination
    message: Message
    tries: int
    queued_us: int
    until_us: int


@dataclass(frozen=True, slots=True)
class Settled:
    """An attempt and what follows from it.

    Attributes:
        next_us: When the next attempt is due; None if this was the last.
        disable: Why the destination is to be disabled, if it is.
    """

    claimed: Claimed
    attempted: Attempted
    started_us: int
    ended_us: int
    status: Status
    next_us: int | None = None
    disable: Reason | None = None


def settle(claimed: Claimed, attempted: Attempted, started_us: int, ended_us: int, luck: int) -> Settled:
    """Decide what follows from an attempt.

    Args:
        claimed: What was tried.
        attempted: How it went.
        started_us: When the attempt began.
        ended_us: When it ended.
        luck: A random number of 0 to 999, for the jitter.
    """
    status, next_us, disable = Status.FAILED, None, None
    if attempted.outcome is Outcome.DELIVERED:
        status = Status.DELIVERED
    elif attempted.outcome is Outcome.GONE:
        disable = Reason.GONE
    else:
        since_us = claimed.destination.failing_since_us
        if since_us is not None and ended_us - since_us >= FAILING_DAYS_MAX * DAY_US:
            disable = Reason.FAILING
        elif attempted.outcome is Outcome.FAILED and claimed.tries + 1 < len(RETRY_DELAYS_S):
            status, next_us = Status.PENDING, ended_us + _wait_us(claimed.tries + 1, attempted.retry_after_s, luck)
    return Settled(claimed, attempted, started_us, ended_us, status, next_us, disable)


def _wait_us(tries: int, retry_after_s: int | None, luck: int) -> int:
    wait_us = RETRY_DELAYS_S[tries] * US_PER_S
    wait_us += wait_us * JITTER_PERCENT * luck // 100_000
    return max(wait_us, min(max(0, retry_after_s or 0), RETRY_AFTER_S_MAX) * US_PER_S)


# --- what flows need of the ledger ------------------------------------------------------------------------------------


class DeliveryQueue(Protocol):
    """The outbox and what is due, shared by every process of a ledger; all of it raises Unavailable."""

    def fan_out(self, now_us: int) -> int:
        """Turn waiting messages of the outbox into deliveries; return how many messages."""
        ...

    def claim(self, now_us: int, rooms: Mapping[str, int], *, room: int, total: int) -> Sequence[Claimed]:
        """Take what is due: up to *rooms* of known destinations, *room* of others, *total* of all."""
        ...

    def give_back(self, claimed: Sequence[Claimed], now_us: int) -> None:
        """Let others try what was claimed and not tried."""
        ...

    def settle(self, settled: Sequence[Settled]) -> None:
        """Write attempts and what follows from them, in one transaction."""
        ...


class DestinationStore(Protocol):
    """Keeps destinations of all kinds."""

    def get(self, destination_id: str, kind: str) -> Destination | None:
        """Return a destination without its secrets, None if there is none of that kind."""
        ...

    def secrets_of(self, destination_id: str, now_us: int) -> tuple[Secret, ...]:
        """Return the secrets that are valid, the newest first."""
        ...

    def page(
        self, kind: str, account_id: AccountId | None, after: str, limit: int, *, operator_only: bool = False
    ) -> Sequence[Destination]:
        """Return up to *limit* destinations after the id *after*, of an account, the operator or everybody."""
        ...

    def put(self, destination: Destination) -> None:
        """Keep a new destination with its secrets; raises NotFound, Conflict."""
        ...

    def change(self, destination_id: str, values: Mapping[str, object]) -> None:
        """Change the address, patterns, options or description."""
        ...

    def enable(self, destination_id: str) -> None:
        """Let messages go there again, as if nothing had failed."""
        ...

    def disable(self, destination_id: str, reason: Reason, now_us: int) -> None:
        """Let nothing go there any more; what waited is given up, and can be replayed."""
        ...

    def delete(self, destination_id: str, now_us: int) -> None:
        """Forget a destination with its secrets."""
        ...

    def rotate(self, destination_id: str, scheme: str, value: bytes, now_us: int, *, old_until_us: int) -> None:
        """Add a secret; those that are valid now are so until *old_until_us* at most; raises Conflict."""
        ...
