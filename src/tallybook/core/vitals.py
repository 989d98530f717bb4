"""How one server is: what came in minute by minute, what waits, what runs by itself. Told to operators, kept nowhere.

Not for metrics (see `web.observe`), which outlive a process where somebody collects them.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Minute:
    """Events by what became of them, of the minute that begins at *start_us*."""

    start_us: int
    accepted: int = 0
    duplicate: int = 0
    conflict: int = 0
    rejected: int = 0

    @property
    def events(self) -> int:
        """All of them."""
        return self.accepted + self.duplicate + self.conflict + self.rejected


@dataclass(frozen=True, slots=True)
class Swept:
    """The last time that a job looked for work: how much it did, and whether the store failed it."""

    name: str
    at_us: int
    did: int
    failed: bool = False


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits to be delivered.

    Attributes:
        outbox_age_us: For how long the oldest message has waited to be handed to destinations.
        waiting: Deliveries that are to be tried, or tried again; counted up to a bound.
        lag_us: By how much the one that is due first is late.
        disabled: Destinations that get nothing.
    """

    outbox_age_us: int = 0
    waiting: int = 0
    lag_us: int = 0
    disabled: int = 0


@dataclass(frozen=True, slots=True)
class Vitals:
    """All of it; *minutes* ascending, the last is the running one; *trouble* is why no traffic should come."""

    version: str = ""
    ledger: str = ""
    since_us: int = 0
    ledger_bytes: int = 0
    queued_events: int = 0
    backlog: Backlog = Backlog()
    swept: Sequence[Swept] = ()
    minutes: Sequence[Minute] = ()
    total: Minute = Minute(0)
    trouble: Sequence[str] = ()
