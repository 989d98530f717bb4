"""What an admission may do inside the transaction of its account's lane: read what is true, write what it decides.

Within a lane's transaction nobody else changes the account: what was read stays true until the commit.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from tallybook.core.aggregate import Head
from tallybook.core.allowance import AddOn, OwnLimits
from tallybook.core.arrears import Arrears
from tallybook.core.bundle import Bundle
from tallybook.core.changes import Count
from tallybook.core.crossing import Crossing
from tallybook.core.figures import Figures
from tallybook.core.hold import Held, Hold
from tallybook.core.lease import Lease
from tallybook.core.limit import Limit
from tallybook.core.pending import Pending
from tallybook.core.plan import Account
from tallybook.core.ports import Exceptions, Group, UsageSnapshot, Verdict
from tallybook.core.scheme import Scheme


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer under an Idempotency-Key, the digest of the request it answered, and whether it is given again."""

    digest: str
    status: int
    body: bytes
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Thing:
    """Whether a thing exists, and whether it ever did."""

    live: bool
    ever: bool


class Desk(Protocol):
    """One lane's transaction, as admissions see it."""

    @property
    def snapshot(self) -> UsageSnapshot:
        """Usage as it is with all that this transaction wrote."""
        ...

    @property
    def scheme(self) -> Scheme:
        """The scheme that events of this transaction are read by; what was read before it is read again."""
        ...

    @property
    def figures(self) -> Figures | None:
        """What is remembered of usage in this transaction alone; None where it is remembered for longer."""
        ...

    def write(self, pending: Sequence[Pending]) -> list[Verdict]:
        """Count events in this transaction."""
        ...

    def figures_count(self, account: Account) -> Count | None:
        """Return what changes with the account's usage; None where that may not be remembered."""
        ...

    def account(self, account: Account, at_us: int) -> Account:
        """Return the account as it is now, with the plan and the billing status in force at *at_us*."""
        ...

    def own_limits(self, account_no: int) -> OwnLimits:
        """Return the account's exceptions from its plan."""
        ...

    def put_override(self, account_no: int, limit: Limit) -> None:
        """Keep a limit of the account's own in place of the one of that name."""
        ...

    def drop_override(self, account_no: int, limit_name: str) -> None:
        """Forget a limit of the account's own, if there is one."""
        ...

    def put_add_on(self, account_no: int, add_on: AddOn) -> None:
        """Keep a new add-on."""
        ...

    def drop_add_on(self, account_no: int, add_on_id: str) -> bool:
        """Forget an add-on; say whether there was one."""
        ...

    def put_own(self, account_no: int, name: str, body: Mapping[str, object]) -> None:
        """Keep an account's rules for alerts (under the empty name) or a budget."""
        ...

    def drop_own(self, account_no: int, name: str) -> bool:
        """Forget rules or a budget; say whether there were any."""
        ...

    def reconsider(self, account_no: int) -> None:
        """Have the account's limits looked at when all else of the transaction is written."""
        ...

    def arrears(self, account_no: int) -> Arrears | None:
        """Return what the account owes, None if it pays."""
        ...

    def put_arrears(self, account_no: int, owed: Arrears) -> None:
        """Keep what the account owes."""
        ...

    def drop_arrears(self, account_no: int) -> None:
        """Note that the account pays."""
        ...

    def thing(self, account_no: int, kind: str, resource_id: str) -> Thing:
        """Say whether a thing of the inventory exists, and whether it ever did."""
        ...

    def held(self, account_no: int, now_us: int) -> Mapping[tuple[str, str], Held]:
        """Return what live reservations hold, by (limit, value)."""
        ...

    def holds_live(self, account_no: int, now_us: int) -> int:
        """Return how many reservations are live on the limit of the account that has most."""
        ...

    def find_hold(self, account_no: int, hold_id: str) -> Hold | None:
        """Return a reservation, settled or not."""
        ...

    def put_hold(self, account_no: int, hold: Hold, now_us: int) -> None:
        """Keep a new reservation."""
        ...

    def settle_hold(self, account_no: int, hold: Hold) -> None:
        """Give back what a reservation holds; its state says how it ended."""
        ...

    def slots_taken(self, account_no: int, limit: str, now_us: int) -> tuple[int, int | None]:
        """Return how many leases of a limit are live, and when the first of them runs out."""
        ...

    def last_fence(self, account_no: int, limit: str) -> int:
        """Return the greatest fence that was given out for a limit, 0 for none."""
        ...

    def find_lease(self, account_no: int, lease_id: str) -> Lease | None:
        """Return a lease, ended or not."""
        ...

    def put_lease(self, account_no: int, lease: Lease) -> None:
        """Keep a new lease, or what became of a known one."""
        ...

    def call_reported(self, account_no: int, call_id: str) -> bool:
        """Whether a lease of the same call was billed already."""
        ...

    def set_billed(self, account_no: int, lease_id: str, event: str | None) -> None:
        """Note the call event that a lease's deadline wrote, or that a real one took its place."""
        ...

    def answered(self, account_no: int, key: str) -> Answered | None:
        """Return the answer that was given under an Idempotency-Key."""
        ...

    def remember(self, account_no: int, key: str, answer: Answered, now_us: int) -> None:
        """Keep the answer given under an Idempotency-Key."""
        ...

    def tell(self, account_no: int, event_type: str, body: Mapping[str, object], now_us: int) -> None:
        """Put a message into the outbox."""
        ...

    def cross(self, account_no: int, crossing: Crossing, now_us: int) -> bool:
        """Write a crossing of a threshold and, unless it is late, its message; False if it was there already."""
        ...


class Errand(Protocol):
    """Something to decide inside a lane's transaction; it keeps its own outcome.

    Attributes:
        account_id: The only account of which it changes anything.
    """

    account_id: str

    def run(self, desk: Desk) -> None:
        """Decide, and write what was decided; refuse only before anything was written."""
        ...


class LaneWriter(Protocol):
    """Writes for one lane: groups of events, then the errands of admission, in one transaction."""

    def look_up(self, bundle: Bundle) -> Sequence[Head] | None:
        """Return the heads of a bundle's series, None if some have none yet; on any thread, before it is committed.

        A head is never given to anything else, so it holds whenever the commit comes.
        """
        ...

    def commit(self, group: Group, errands: Sequence[Errand] = ()) -> list[Exceptions]:
        """Write *group*, run *errands* in their order, and say what became of each bundle's events.

        Raises:
            SchemeOutdated: If a meter was added meanwhile; nothing was written.
            Unavailable: If the store is full, locked or away; nothing was written.
        """
        ...
