"""The log of deliveries: how one is shown, which are listed, and what is sent again.

Not for delivering (see `delivery`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from tallybook.core.delivery import Outcome, Status
from tallybook.core.ids import AccountId
from tallybook.core.message import ENDPOINT_TEST, Message


@dataclass(frozen=True, slots=True)
class LoggedAttempt:
    """One attempt as the log has it."""

    started_us: int
    latency_us: int
    outcome: Outcome
    error: str
    status: int | None
    request_headers: Mapping[str, str]
    response_headers: Mapping[str, str]
    response_body: bytes


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery as it is shown.

    Attributes:
        account_id: The destination's.
        attempts: All that were ever made.
        due_us: When the next is due; while one is made, when it counts as lost.
        error, answer_status: Of the latest attempt.
        message, logged: Only of a delivery that was asked for alone; the message is None once it is pruned.
    """

    delivery_id: str
    destination_id: str
    account_id: AccountId | None
    message_id: str
    type: str
    status: Status
    attempts: int
    created_us: int
    due_us: int | None
    finished_us: int | None
    error: str
    answer_status: int | None
    message: Message | None = None
    logged: tuple[LoggedAttempt, ...] = ()


@dataclass(frozen=True, slots=True)
class LogFilter:
    """Which deliveries to list; None lets all pass. The span is half-open."""

    status: Status | None = None
    type: str | None = None
    from_us: int | None = None
    to_us: int | None = None


class Which(StrEnum):
    """What of a span is to be sent again."""

    FAILED = "failed"
    """What was given up."""
    MISSING = "missing"
    """What never was handed to the destination: from before it was made, or while it was disabled."""
    ALL = "all"
    """Both, and what was delivered."""


@dataclass(frozen=True, slots=True)
class Replay:
    """Messages of ``[from_us, to_us)`` to be sent again; *never* is a type that is not."""

    which: Which
    from_us: int
    to_us: int
    never: str = ENDPOINT_TEST


class DeliveryLog(Protocol):
    """What was delivered, and sending it again."""

    def get(self, delivery_id: str) -> Delivery | None:
        """Return one delivery with its message and its latest attempts."""
        ...

    def page(
        self, destination_id: str, wanted: LogFilter, before: int | None, limit: int
    ) -> tuple[Sequence[Delivery], int | None]:
        """Return up to *limit* deliveries of a destination, the newest first, and where the next page begins."""
        ...

    def send(self, destination_id: str, message: Message, now_us: int) -> str:
        """Queue a message for one destination only; return the id of the delivery; raises Conflict."""
        ...

    def replay(self, delivery_id: str, now_us: int) -> None:
        """Queue one delivery again; raises Conflict."""
        ...

    def replay_many(self, destination_id: str, asked: Replay, now_us: int) -> tuple[int, bool]:
        """Queue deliveries of a destination again; return how many, and whether there are more; raises Conflict."""
        ...
