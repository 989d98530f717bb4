"""Inventory: things an account has, each with a life, told by events that may arrive late and in any order.

The newest word by event time wins, for each attribute on its own; among equals the greatest does, and a release wins
over a creation. So changes merge in any order and grouping to the same inventory.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

NEVER_US = -1
"""The time of a word that was never said: older than every event."""


class Change(StrEnum):
    """What an event says about a thing; the value is the event's type."""

    CREATED = "resource.created"
    UPDATED = "resource.updated"
    RELEASED = "resource.released"


ResourceKey = tuple[int, str, str]
"""Account number, kind and id."""


@dataclass(frozen=True, slots=True)
class ResourceWord:
    """What one event, or many merged, say about one thing: each attribute with the time of the newest word on it.

    Attributes:
        live: Whether it exists; True only by a creation that no release at or after *life_us* undid.
        created_us: Its first creation, None while none was seen.
    """

    name: str | None = None
    name_us: int = NEVER_US
    shared: bool = False
    shared_us: int = NEVER_US
    active: bool = True
    active_us: int = NEVER_US
    live: bool = False
    life_us: int = NEVER_US
    created_us: int | None = None

    def merged(self, other: "ResourceWord") -> "ResourceWord":
        """Return what both say together; the order does not matter."""
        name_us, name = max((self.name_us, self.name or ""), (other.name_us, other.name or ""))
        shared_us, shared = max((self.shared_us, self.shared), (other.shared_us, other.shared))
        active_us, active = max((self.active_us, self.active), (other.active_us, other.active))
        life_us, released = max((self.life_us, not self.live), (other.life_us, not other.live))
        births = [born for born in (self.created_us, other.created_us) if born is not None]
        return ResourceWord(
            name=None if name_us == NEVER_US else name,
            name_us=name_us,
            shared=shared,
            shared_us=shared_us,
            active=active,
            active_us=active_us,
            live=not released,
            life_us=life_us,
            created_us=min(births, default=None),
        )


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing of the inventory as it stands; *released* ones stay, because lifetime limits count them."""

    kind: str
    resource_id: str
    name: str | None
    shared: bool
    active: bool
    live: bool
    created_us: int


@dataclass(frozen=True, slots=True)
class Life:
    """From when to when one thing existed, with its attributes as they stand; *ended_us* is None while it does."""

    kind: str
    shared: bool
    active: bool
    begun_us: int
    ended_us: int | None

    @property
    def dimensions(self) -> dict[str, str]:
        """The attributes as a price's filter names them."""
        return {"shared": "true" if self.shared else "false", "active": "true" if self.active else "false"}


@dataclass(frozen=True, slots=True)
class ResourceCount:
    """How many things of one kind there are.

    Attributes:
        live: Those that exist now.
        lifetime: All that were ever created, released ones included.
        shared, active: Those of the live ones that are.
    """

    live: int = 0
    lifetime: int = 0
    shared: int = 0
    active: int = 0


NO_RESOURCES = ResourceCount()


def read_word(event_type: str, time_us: int, data: Mapping[str, object]) -> ResourceWord:
    """Return what one event says; its *data* has passed the catalogue."""
    change = Change(event_type)
    name, shared, active = data.get("name"), data.get("shared"), data.get("active")
    return ResourceWord(
        name=name if isinstance(name, str) else None,
        name_us=time_us if isinstance(name, str) else NEVER_US,
        shared=shared is True,
        shared_us=time_us if isinstance(shared, bool) else NEVER_US,
        active=active is not False,
        active_us=time_us if isinstance(active, bool) else NEVER_US,
        live=change is Change.CREATED,
        life_us=NEVER_US if change is Change.UPDATED else time_us,
        created_us=time_us if change is Change.CREATED else None,
    )


def merge_words(words: Iterable[tuple[ResourceKey, ResourceWord]]) -> dict[ResourceKey, ResourceWord]:
    """Return one word per thing."""
    merged: dict[ResourceKey, ResourceWord] = {}
    for key, word in words:
        known = merged.get(key)
        merged[key] = word if known is None else known.merged(word)
    return merged
