"""The things an account has: listed, counted, and put there or released by hand, which is an event like any other.

Not for how words about a thing win over one another (see `core.resource`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from tallybook.core.clock import Clock
from tallybook.core.desk import Desk
from tallybook.core.errors import FieldInvalid
from tallybook.core.event import FUTURE_US
from tallybook.core.hold import Decision
from tallybook.core.ids import new_id
from tallybook.core.instant import instant_text
from tallybook.core.intake import Prepared, Receipt
from tallybook.core.key import Caller
from tallybook.core.pending import read_again
from tallybook.core.plan import Account
from tallybook.core.ports import ResourceStore
from tallybook.core.resource import Change, Resource, ResourceCount

if TYPE_CHECKING:
    from concurrent.futures import Future

PAGE_MAX = 1_000
RELEASED_MAX = 100_000
SOURCE = "tallybook/inventory"


_T = TypeVar("_T")


class EventSink(Protocol):
    """Takes events in, and runs decisions inside lanes: `flows.ingest`."""

    def prepare(self, events: Sequence[object], caller: Caller) -> Prepared:
        """Read events."""
        ...

    def submit(self, prepared: Prepared) -> "Future[Receipt]":
        """Queue them; the future is done when they are durable."""
        ...

    def act(self, account_id: str, action: Callable[[Desk], _T]) -> "Future[_T]":
        """Run *action* inside the next transaction of the account's lane."""
        ...


class Room(Protocol):
    """Knows what limits allow: `flows.admit`."""

    def room_for(self, desk: Desk, account: Account, kind: str, resource_id: str, now_us: int) -> Decision:
        """Say, inside the lane, whether a thing may be created."""
        ...


class Inventory:
    """Reads and changes what accounts have, for every surface."""

    def __init__(self, store: ResourceStore, events: EventSink, room: Room, clock: Clock) -> None:
        self._store = store
        self._events = events
        self._room = room
        self._clock = clock

    def resources(
        self,
        account: Account,
        kind: str | None = None,
        *,
        after: tuple[str, str] = ("", ""),
        limit: int = PAGE_MAX,
        released: bool = False,
    ) -> Sequence[Resource]:
        """Return up to *limit* things of the account, by kind and id, beginning after (kind, id)."""
        return self._store.page(account.no, kind, after, min(limit, PAGE_MAX), released=released)

    def released(self, account: Account, kind: str) -> Sequence[str]:
        """Return the ids of the things of *kind* that are gone, also of those whose creation nobody told.

        The first RELEASED_MAX by id, if there are more.
        """
        return self._store.released(account.no, kind, RELEASED_MAX)

    def counts(self, account: Account) -> Mapping[str, ResourceCount]:
        """Return how many things of each kind there are; kinds of which there never was one are missing."""
        return self._store.counts(account.no)

    def put(
        self,
        caller: Caller,
        account: Account,
        kind: str,
        resource_id: str,
        *,
        name: str | None = None,
        shared: bool | None = None,
        active: bool | None = None,
    ) -> None:
        """Say that the thing exists now; what is None stays as it was said before.

        A new thing needs room within the account's limits, which is decided where nobody else takes it meanwhile.

        Raises:
            FieldInvalid: If the catalogue refuses it.
            QuotaExceeded: If a hard limit on things of this kind is reached and it is a new one.
            Unavailable: If nothing can be written just now.
        """
        said: dict[str, object] = {"name": name, "shared": shared, "active": active}
        said = {key: value for key, value in said.items() if value is not None}
        prepared = self._prepare(caller, account, Change.CREATED, {"kind": kind, "resource_id": resource_id, **said})
        now_us = self._clock.now_us()

        def action(desk: Desk) -> None:
            self._room.room_for(desk, account, kind, resource_id, now_us).require(now_us)
            desk.write([read_again(pending, desk.scheme) for pending in prepared.pending])

        self._events.act(account.id, action).result()

    def release(self, caller: Caller, account: Account, kind: str, resource_id: str) -> None:
        """Say that the thing is gone; lifetime limits go on counting it.

        Raises:
            FieldInvalid: If the catalogue refuses it.
            Unavailable: If nothing can be written just now.
        """
        prepared = self._prepare(caller, account, Change.RELEASED, {"kind": kind, "resource_id": resource_id})
        self._events.submit(prepared).result()

    def _prepare(self, caller: Caller, account: Account, change: Change, data: Mapping[str, object]) -> Prepared:
        event = {
            "id": new_id("inv"),
            "source": SOURCE,
            "type": change.value,
            "subject": account.id,
            "time": instant_text(self._after_all_words(account, data)),
            "data": data,
        }
        prepared = self._events.prepare([event], caller)
        for error in prepared.errors:
            pointer = error.pointer.removeprefix("/0").removeprefix("/data")
            raise FieldInvalid(error.detail, pointer=pointer, reason=error.code)
        return prepared

    def _after_all_words(self, account: Account, data: Mapping[str, object]) -> int:
        """Return now, or the instant after the newest word on the thing: what is said by hand is said last."""
        now_us = self._clock.now_us()
        told_us = self._store.newest_us(account.no, str(data["kind"]), str(data["resource_id"]))
        return min(max(now_us, told_us + 1), now_us + FUTURE_US)
