"""Messages: what is told to others about an account, which types of it there are, and who wants to hear which.

A message is written into the outbox in the transaction that makes it true. Not for where messages go and how often
that is tried (see `delivery`), nor for when there is one (see `lease`, `arrears`, `settle`, `alert`).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import msgspec

from tallybook.core.errors import FieldInvalid
from tallybook.core.fields import read_list
from tallybook.core.ids import AccountId
from tallybook.core.instant import instant_text

OPERATOR_NO = 0
"""Stands where the number of an account does, in messages that are the operator's own; accounts begin at 1."""

PATTERNS_MAX = 50
"""Most event-type filters of one destination."""
EVERYTHING = "*"
ENDPOINT_DISABLED = "endpoint.disabled"
ENDPOINT_TEST = "endpoint.test"

_PATTERN = re.compile(r"\*|[a-z][a-z0-9_]{0,63}(\.[a-z][a-z0-9_]{0,63}){0,3}(\.\*)?", re.ASCII)
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Message:
    """One thing to be told, the same to whomever and however often it is told.

    Attributes:
        message_id: Receivers know it again by this; it never changes, whatever is tried.
        account_id: Whom it is about; None where it is about the operator's own installation.
        body: JSON of the data, an object.
        time_us: When it became true.
    """

    message_id: str
    type: str
    account_id: AccountId | None
    body: bytes
    time_us: int

    def envelope(self) -> bytes:
        """Return the JSON that webhooks carry: `id`, `type`, `timestamp` and `data`; the same bytes every time."""
        return _encode(
            {
                "id": self.message_id,
                "type": self.type,
                "timestamp": instant_text(self.time_us),
                "data": msgspec.Raw(self.body),
            }
        )


@dataclass(frozen=True, slots=True)
class MessageType:
    """A type of messages: its name, what it says, the struct of its data, and an example of one."""

    name: str
    about: str
    data: type[msgspec.Struct]
    example: msgspec.Struct


def check_patterns(value: object, pointer: str, known: Iterable[str]) -> tuple[str, ...]:
    """Return *value* if it is a list of filters: a type, ``name.*`` for all that begin so, or ``*`` for everything.

    Args:
        value: What was sent.
        pointer: Where.
        known: Names of all types there are: a filter that lets none of them pass is a typing mistake.

    Raises:
        FieldInvalid: With a pointer to the filter that is none.
    """
    names = sorted(known)
    patterns = []
    for index, pattern in enumerate(read_list(value, pointer, length_max=PATTERNS_MAX)):
        place = f"{pointer}/{index}"
        if not isinstance(pattern, str) or not _PATTERN.fullmatch(pattern):
            raise FieldInvalid("must be an event type, one that ends in .*, or *", pointer=place)
        if not any(wants([pattern], name) for name in names):
            raise FieldInvalid(f"matches no event type; there are: {', '.join(names)}", pointer=place)
        patterns.append(pattern)
    if not patterns:
        raise FieldInvalid("must name at least one event type; * is everything", pointer=pointer)
    return tuple(dict.fromkeys(patterns))


def wants(patterns: Sequence[str], message_type: str) -> bool:
    """Whether one of the filters lets the type pass."""
    return any(
        pattern in (EVERYTHING, message_type) or (pattern.endswith(".*") and message_type.startswith(pattern[:-1]))
        for pattern in patterns
    )


# --- the types that are told without alerts ---------------------------------------------------------------------------


class LeaseTerminated(msgspec.Struct, frozen=True):
    """A lease met its deadline: the platform hangs up now, and the call is billed at its limit."""

    account: str
    lease: str
    limit: str
    call_id: str | None
    ended_at: str


class BillingStatusChanged(msgspec.Struct, frozen=True, rename={"before": "from", "after": "to"}):
    """An account's billing status is another one: active, past_due or suspended."""

    account: str
    before: str
    after: str
    at: str


class ReservationOverage(msgspec.Struct, frozen=True):
    """More was used than was reserved; `limits` are those that are passed now."""

    account: str
    reservation: str
    limits: list[str]


class EndpointDisabled(msgspec.Struct, frozen=True):
    """A destination gets nothing any more until it is enabled again; `account` is null for one of the operator."""

    endpoint: str
    account: str | None
    kind: str
    address: str
    reason: str
    at: str


class EndpointTest(msgspec.Struct, frozen=True):
    """Somebody asked for a message, to see it arrive."""

    endpoint: str
    account: str | None


OWN_TYPES = (
    MessageType(
        "lease.terminated",
        "A call met its longest allowed duration: hang up.",
        LeaseTerminated,
        LeaseTerminated("acme", "lse_5f0c61", "concurrent_calls", "call-17", "2026-03-15T12:30:00Z"),
    ),
    MessageType(
        "billing.status_changed",
        "An account fell into arrears, was suspended, or pays again.",
        BillingStatusChanged,
        BillingStatusChanged("acme", "active", "past_due", "2026-03-15T12:00:00Z"),
    ),
    MessageType(
        "reservation.overage",
        "A reservation was settled with more than it held, or passed a limit.",
        ReservationOverage,
        ReservationOverage("acme", "rsv_5f0c61", ["credits"]),
    ),
    MessageType(
        ENDPOINT_DISABLED,
        "A webhook endpoint or another destination was disabled; told to the operator.",
        EndpointDisabled,
        EndpointDisabled(
            "hook_5f0c61", "acme", "webhook", "https://example.com/hook", "failing", "2026-03-20T12:00:00Z"
        ),
    ),
    MessageType(
        ENDPOINT_TEST,
        "Sent when somebody asks for a test, and to that endpoint only, whatever its filter.",
        EndpointTest,
        EndpointTest("hook_5f0c61", "acme"),
    ),
)
"""What is told whatever else is built; `alert` has its own."""
