"""The things an account has: listed, counted, and put there or released by hand, which is an event like any other.

Not for how words about a thing win over one another (see `core.resource`).
"""

from collections.abc import Mapping, Sequence

from tallybook.core.clock import Clock
from tallybook.core.errors import FieldInvalid
from tallybook.core.ids import new_id
from tallybook.core.instant import instant_text
from tallybook.core.key import Caller
from tallybook.core.plan import Account
from tallybook.core.ports import EventSink, ResourceStore
from tallybook.core.resource import Change, Resource, ResourceCount

PAGE_MAX = 1_000
SOURCE = "tallybook/inventory"


class Inventory:
    """Reads and changes what accounts have, for every surface."""

    def __init__(self, store: ResourceStore, events: EventSink, clock: Clock) -> None:
        self._store = store
        self._events = events
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

        Raises:
            FieldInvalid: If the catalogue refuses it.
            Unavailable: If nothing can be written just now.
        """
        said: dict[str, object] = {"name": name, "shared": shared, "active": active}
        said = {key: value for key, value in said.items() if value is not None}
        self._write(caller, account, Change.CREATED, {"kind": kind, "resource_id": resource_id, **said})

    def release(self, caller: Caller, account: Account, kind: str, resource_id: str) -> None:
        """Say that the thing is gone; lifetime limits go on counting it.

        Raises:
            FieldInvalid: If the catalogue refuses it.
            Unavailable: If nothing can be written just now.
        """
        self._write(caller, account, Change.RELEASED, {"kind": kind, "resource_id": resource_id})

    def _write(self, caller: Caller, account: Account, change: Change, data: Mapping[str, object]) -> None:
        event = {
            "id": new_id("inv"),
            "source": SOURCE,
            "type": change.value,
            "subject": account.id,
            "time": instant_text(self._clock.now_us()),
            "data": data,
        }
        receipt = self._events.write([event], caller)
        for error in receipt.errors:
            pointer = error.pointer.removeprefix("/0").removeprefix("/data")
            raise FieldInvalid(error.detail, pointer=pointer, reason=error.code)
