"""What flows need from the rooms below and beside them: protocols, and the values that pass through them."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import msgspec

from tallybook.core.aggregate import Head
from tallybook.core.allowance import OwnLimitSource
from tallybook.core.bundle import Bundle
from tallybook.core.cover import Segment
from tallybook.core.errors import Unavailable
from tallybook.core.event import Outcome
from tallybook.core.ids import AccountId, AccountNo
from tallybook.core.key import Key
from tallybook.core.limit import Limit
from tallybook.core.meter import Answer, Question
from tallybook.core.plan import Account, Plan, Subscription
from tallybook.core.resource import Life, Resource, ResourceCount
from tallybook.core.scheme import Generation, Scheme
from tallybook.core.shape import Shape
from tallybook.core.sums import Place, SumRows
from tallybook.core.window import Span

# --- writing events ---------------------------------------------------------------------------------------------------


class SchemeOutdated(Exception):
    """A meter was added since the events were read; read them again under the new scheme."""


class Verdict(msgspec.Struct, frozen=True):
    """What became of one event; *code* says why where there is something to say."""

    outcome: Outcome
    code: str


Exceptions = Mapping[int, Verdict]
"""What became of those events of a bundle that were not just accepted, by *seq*."""


@dataclass(frozen=True, slots=True)
class Group:
    """The events of one commit, read by *scheme* and received at *received_us*.

    Attributes:
        heads: What `LaneWriter.look_up` said of each bundle when it queued; nothing if it was not asked.
    """

    bundles: Sequence[Bundle]
    received_us: int
    scheme: Scheme
    heads: Sequence[Sequence[Head] | None] = ()

    @property
    def scheme_version(self) -> int:
        """The version of the scheme that the events were read by."""
        return self.scheme.version

    def columns(self, type_no: int) -> tuple[str, ...]:
        """Names of the values in a series of that type number."""
        return self.scheme.written[type_no].shape.columns

    def foldable(self, type_no: int) -> frozenset[int]:
        """Places in a series that may be folded together beyond the cap."""
        return self.scheme.foldable(type_no)


# --- the scheme -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StoredScheme:
    """What the ledger knows of meters: its version, the generations, and the meters added by API (name, JSON)."""

    version: int
    generations: tuple[Generation, ...]
    meters: tuple[tuple[str, str], ...]


class SchemeStore(Protocol):
    """Keeps event types, generations and added meters."""

    def load(self) -> StoredScheme:
        """Return what is stored."""
        ...

    def version(self) -> int:
        """Return the version of what is stored: a cheap look."""
        ...

    def rebuild(self, shape: Shape) -> StoredScheme:
        """Count all events of the shape's type anew, beside the rollups that serve meanwhile."""
        ...

    def register(
        self, shapes: Mapping[str, Shape], added: Mapping[str, str], now_us: int, *, declared: Collection[str] = ()
    ) -> StoredScheme:
        """Make sure each type has a generation that covers its shape; keep *added* meters; return what is stored."""
        ...


@dataclass(frozen=True, slots=True)
class FillProgress:
    """How far an event type's new generation is: *done* of *total* batches; 0 of 0 while old rows are cleared."""

    event_type: str
    done: int
    total: int


class FillStore(Protocol):
    """Fills new generations from the raw events."""

    def step(self, scheme: Scheme) -> FillProgress | None:
        """Do the next piece of work; None when there is none left."""
        ...


# --- reading usage ----------------------------------------------------------------------------------------------------


class UsageSnapshot(Protocol):
    """One consistent look at the rollups."""

    def scheme_version(self) -> int:
        """Return the version of the scheme that is in force in this snapshot."""
        ...

    def series(self, account_no: int, type_no: int) -> Mapping[int, Mapping[str, str]]:
        """Return every series of a type: number -> the dimension values that are there."""
        ...

    def sums(self, place: Place, segments: Sequence[Segment], groups: Mapping[int, int] | None) -> Iterator[SumRows]:
        """Add rollups up by window and group; *groups* maps series to group (None: all series, group 0)."""
        ...

    def marks(
        self, place: Place, segments: Sequence[Segment], groups: Mapping[int, int] | None
    ) -> Iterator[tuple[int, int, str]]:
        """Return (window, group, greatest mark) of the mark that *place* names."""
        ...

    def uniques(
        self, place: Place, segments: Sequence[Segment], groups: Mapping[int, int] | None
    ) -> Iterator[tuple[int, int, int, int]]:
        """Return (window, group, value_hi, value_lo), each distinct value once per window and group."""
        ...

    def events(self, account_no: int, account_id: AccountId, span: Span) -> Iterator[dict[str, object]]:
        """Return the raw events of an account whose hours touch *span*; the caller looks at the exact times."""
        ...

    def voided(self, account_no: int) -> set[tuple[int, int]]:
        """Return the identities (key_hi, key_lo) of events that were taken back."""
        ...

    def names(self, account_no: int, dimension: str, values: Iterable[str] | None) -> Mapping[str, str]:
        """Return the latest seen display names."""
        ...

    def first_minute(self, place: Place, span: Span, groups: Mapping[int, int] | None) -> int | None:
        """Return the start, in microseconds, of the first minute in *span* with a row in *groups*."""
        ...

    def resource_counts(self, account_no: int) -> Mapping[str, ResourceCount]:
        """Return how many things of each kind there are."""
        ...

    def lives(self, account_no: int, kinds: Collection[str]) -> list[Life]:
        """Return from when to when each thing of *kinds* existed."""
        ...


class MetersChanged(Unavailable):
    """Another process added a meter since the snapshot was opened; the next one will do."""


class UsageStore(Protocol):
    """Opens snapshots for reading."""

    def snapshot(self) -> AbstractContextManager[UsageSnapshot]:
        """Return one consistent look at everything."""
        ...

    def ranking(
        self, place: Place, segments: Sequence[Segment], *, by_series: bool
    ) -> list[tuple[AccountId, Mapping[str, str], int, tuple[tuple[int, int], ...]]]:
        """Return (account, dimensions, events, slots) per account or, *by_series*, per account and series."""
        ...


class UsageReader(Protocol):
    """Answers questions about usage: `flows.measure`, for the flows that may not import it."""

    @property
    def scheme(self) -> Scheme:
        """The scheme in force, with the catalogue of meters."""
        ...

    def ask(self, account: Account, questions: Sequence[Question]) -> list[Answer]:
        """Answer *questions* in their order, all from one snapshot."""
        ...

    def ask_in(self, snapshot: "UsageSnapshot", account: Account, questions: Sequence[Question]) -> list[Answer]:
        """Answer *questions* from a snapshot that is open already."""
        ...

    def first_use_us(self, snapshot: "UsageSnapshot", account: Account, question: Question) -> int | None:
        """Return the start of the first minute with usage in the question's only window."""
        ...


# --- accounts, plans, keys and inventory ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AccountChange:
    """What to change of an account; None leaves it as it is, or as accounts begin.

    Attributes:
        plan_name, plan_version: The plan to be put on, both or none.
        starts_us: When that begins; None for now, or for an account that is new since ever.
    """

    account_id: AccountId
    name: str | None = None
    timezone: str | None = None
    anchor_day: int | None = None
    plan_name: str | None = None
    plan_version: int | None = None
    starts_us: int | None = None


class AccountStore(Protocol):
    """Keeps accounts and their subscriptions."""

    def get(self, account_id: AccountId, at_us: int) -> Account | None:
        """Return the account with the plan in force at *at_us*."""
        ...

    def page(self, after: str, limit: int, at_us: int) -> list[Account]:
        """Return up to *limit* accounts whose id comes after *after*."""
        ...

    def search(self, part: str, limit: int, at_us: int) -> list[Account]:
        """Return up to *limit* accounts that have *part* in their id or name."""
        ...

    def put(self, change: AccountChange, now_us: int) -> Account:
        """Create or change an account in one transaction; raises Conflict beyond the bound on subscriptions."""
        ...

    def subscriptions(self, account_no: AccountNo) -> Sequence[Subscription]:
        """Return all subscriptions, by when they start."""
        ...


class PlanStore(Protocol):
    """Keeps plans in versions."""

    def newest(self) -> Sequence[Plan]:
        """Return the newest version of every plan, by name."""
        ...

    def get(self, name: str, version: int | None = None) -> Plan | None:
        """Return one version, the newest unless named."""
        ...

    def put(self, plans: Sequence[Plan], now_us: int) -> Sequence[Plan]:
        """Write a new version of each plan whose content changed; raises Conflict beyond the bound on plans."""
        ...

    def register(self, builtin: Sequence[Plan], now_us: int) -> Sequence[str]:
        """Write the built-in plans that are new or changed, but not over somebody else's; return their names."""
        ...


class PlanSource(Protocol):
    """Which plan an account is on: `flows.subscribe`, for the flows that may not import it."""

    def plan_of(self, account: Account, at_us: int | None = None) -> Plan:
        """Return the plan in force, or the one that was or will be at *at_us*."""
        ...

    def limits_of(self, account: Account, now_us: int, source: OwnLimitSource | None = None) -> tuple[Limit, ...]:
        """Return the limits in force: those of the plan, with the account's own exceptions and add-ons.

        Inside a lane, *source* is the desk: what it wrote counts.
        """
        ...


class KeyStore(Protocol):
    """Keeps API keys by the hash of their token."""

    def find(self, token_hash: str) -> Key | None:
        """Return the key, also if it was revoked."""
        ...

    def put(self, key: Key, token_hash: str) -> None:
        """Keep a new key; raises Conflict if the token is known, NotFound if the account is not."""
        ...

    def page(self, account_id: AccountId | None, after: str, limit: int) -> Sequence[Key]:
        """Return up to *limit* keys of the account (None: all keys) whose id comes after *after*."""
        ...

    def revoke(self, key_id: str, now_us: int) -> Key | None:
        """Revoke the key once and return it, None if there is none."""
        ...


class ResourceStore(Protocol):
    """Reads the inventory, which events write."""

    def page(
        self, account_no: AccountNo, kind: str | None, after: tuple[str, str], limit: int, *, released: bool
    ) -> Sequence[Resource]:
        """Return up to *limit* things after (kind, id)."""
        ...

    def released(self, account_no: AccountNo, kind: str, limit: int) -> Sequence[str]:
        """Return the ids of up to *limit* things that are gone."""
        ...

    def counts(self, account_no: AccountNo) -> Mapping[str, ResourceCount]:
        """Return how many things of each kind there are."""
        ...

    def newest_us(self, account_no: AccountNo, kind: str, resource_id: str) -> int:
        """Return the time of the newest word on a thing, NEVER_US if there is none."""
        ...
