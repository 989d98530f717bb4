"""The story of one event: when it was accepted, what it counted for, and what became of copies of it.

Only what is told; it is put together by `flows.story`.
"""

import hashlib
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tallybook.core.cover import Level
from tallybook.core.event import Outcome
from tallybook.core.ids import AccountId
from tallybook.core.meter import Meter

NOTES_KEPT_DAYS = 35
"""How long it is remembered that an event came again or was refused: as long as events may come late."""

_two_integers = struct.Struct(">qq").unpack


@dataclass(frozen=True, slots=True)
class EventNote:
    """An event that was not counted: it came again, clashed with another, or was refused."""

    account_id: AccountId
    event_id: str
    source: str
    type: str
    outcome: Outcome
    code: str
    pointer: str
    detail: str
    seen_us: int


@dataclass(frozen=True, slots=True)
class FoundEvent:
    """An accepted event as it lies in the ledger: *body* is what was sent, with what was left out filled in."""

    body: Mapping[str, object]
    batch_no: int
    received_us: int


@dataclass(frozen=True, slots=True)
class Stop:
    """Where a look stopped: in this batch, after so many of the events it found there."""

    batch_no: int
    seen: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events are searched; empty texts match all.

    Attributes:
        start_us, end_us: Times of events, half-open.
        place: Where an earlier look stopped.
    """

    start_us: int
    end_us: int
    type: str = ""
    event_id: str = ""
    place: Stop | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """Events, newest received first; *stop* is where to go on, None where there is no more to look at."""

    events: Sequence[FoundEvent]
    stop: Stop | None
    batches: int


@dataclass(frozen=True, slots=True)
class Share:
    """What the event counts for one meter, in nanos."""

    meter: Meter
    nanos: int


@dataclass(frozen=True, slots=True)
class RollupPlace:
    """A rollup that the event is part of: its size, when it begins, and the dimension values of its series."""

    level: Level
    start_us: int
    dimensions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Story:
    """Everything that is known of one identity; *event* is None where none was ever accepted."""

    event: FoundEvent | None
    time_us: int | None
    voided: bool
    shares: Sequence[Share]
    rollups: Sequence[RollupPlace]
    notes: Sequence[EventNote]


def identity_of(account_id: str, source: str, event_id: str) -> tuple[int, int]:
    """Return the 128-bit identity under which the ledger keeps an event."""
    digest = hashlib.blake2b(f"{account_id}\0{source}\0{event_id}".encode(), digest_size=16).digest()
    key_hi, key_lo = _two_integers(digest)
    return key_hi, key_lo
