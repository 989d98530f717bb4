"""One batch of events on the wire: the request, and what its answer means for each event.

Not for when to send it, nor when to try again (see `delivery`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from tallybook.client.answers import Receipt, Rejected
from tallybook.client.clock import Clock
from tallybook.client.errors import Refused
from tallybook.client.event import read_line
from tallybook.client.exchange import NDJSON, Policy, Reply, Request, Silence, read_error, retry_after_s

PATH = "/v1/events"
ERRORS_SHOWN_MAX = 100
"""Of how many events one answer says why they were not counted."""

_SPLIT = frozenset({400, 409, 413, 422})
"""Answers about what was sent: smaller parts tell which event it is. All others are about who sends it, or where."""


@dataclass(frozen=True, slots=True)
class Done:
    """Each event of the batch was counted, before or now, or never will be."""

    accepted: int
    duplicates: int
    rejected: tuple[Rejected, ...] = ()


@dataclass(frozen=True, slots=True)
class Split:
    """The batch must be sent again in parts of at most *events_max* events."""

    events_max: int


@dataclass(frozen=True, slots=True)
class Again:
    """The batch must be sent again later."""

    reason: str
    retry_after_s: float | None = None


def events_request(lines: Sequence[bytes], policy: Policy) -> Request:
    """Return the request that sends *lines*."""
    return Request("POST", PATH, policy.timeout_s, b"".join(lines), {"Content-Type": NDJSON})


def read_outcome(lines: Sequence[bytes], came: Reply | Silence, clock: Clock) -> Done | Split | Again:
    """Return what the answer means for the batch."""
    error = read_error(came, clock)
    if error is None:
        assert isinstance(came, Reply)
        return _read_receipt(lines, came)
    if isinstance(error, Refused) and error.status in _SPLIT:
        if len(lines) > 1:
            return Split((len(lines) + 1) // 2)
        outcome = "conflict" if error.status == 409 else "rejected"
        pointer = next((fault.pointer for fault in error.faults if fault.pointer), "")
        return Done(0, 0, (Rejected(read_line(lines[0]), outcome, error.code, pointer, error.detail),))
    return Again(str(error), retry_after_s(came, clock))


def told_apart(lines: Sequence[bytes], split: Split) -> list[Sequence[bytes]]:
    """Return *lines* in parts, in order."""
    return [lines[at : at + split.events_max] for at in range(0, len(lines), split.events_max)]


def _read_receipt(lines: Sequence[bytes], reply: Reply) -> Done | Split | Again:
    try:
        receipt = msgspec.json.decode(reply.body, type=Receipt)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Again("the answer is not Tallybook's; is the base URL right?")
    if receipt.accepted + receipt.duplicate + receipt.refused != len(lines):
        return Again("the answer does not speak of all events that were sent")
    told = [error for error in receipt.errors if 0 <= error.index < len(lines)]
    if len(told) < receipt.refused:
        if len(lines) > ERRORS_SHOWN_MAX:
            return Split(ERRORS_SHOWN_MAX)
        if len(lines) > 1:
            return Split((len(lines) + 1) // 2)
    rejected = tuple(
        Rejected(read_line(lines[error.index]), error.outcome, error.code, error.pointer, error.detail)
        for error in told
    )
    return Done(receipt.accepted, receipt.duplicate, rejected)
