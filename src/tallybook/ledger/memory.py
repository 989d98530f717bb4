"""What a lane remembers from one transaction to the next: accounts, and what live reservations hold of them.

Only for a ledger that no other process writes: there it need not be read again for each reservation. Where others write
as well, `desk` reads it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from tallybook.core.changes import Changes, Memory
from tallybook.core.hold import Held, Hold
from tallybook.core.number import from_limbs
from tallybook.ledger.held import Place
from tallybook.ledger.hot import Hot
from tallybook.ledger.rows import fold, from_json

if TYPE_CHECKING:
    from tallybook.core.plan import Account

ACCOUNTS_KNOWN_MAX = 20_000
"""Most accounts remembered as they were read last."""
ACCOUNTS_KEPT_MAX = 20_000
ITEMS_KEPT_MAX = 500_000
"""Most accounts, and items of live reservations, remembered at once; beyond either all are read again."""

_ITEMS = Hot(
    fold(
        ("limit_name", "value", "hold_id", "expires_us", "giga", "unit", "nano"),
        "FROM hold_items WHERE account_no = :account_no AND expires_us > :now_us",
        sqlite=True,
    )
)


@dataclass(slots=True)
class _Sum:
    """What is held of one place, by how many reservations, and when each ends; those that were settled too."""

    nanos: int = 0
    live: int = 0
    ends: list[tuple[int, str]] = field(default_factory=list)


class _Account:
    """What live reservations hold of one account."""

    def __init__(self, rows: Iterable[Sequence[object]], now_us: int) -> None:
        self.as_of_us = now_us
        self._holds: dict[str, list[tuple[Place, int]]] = {}
        self._ends: list[tuple[int, str]] = []
        self._sums: dict[Place, _Sum] = {}
        for name, value, hold_id, expires_us, giga, unit, nano in rows:
            self._add((str(name), str(value)), str(hold_id), _int(expires_us), _nanos(giga, unit, nano))

    def put(self, hold: Hold) -> None:
        """Count a new reservation."""
        for item in hold.items:
            self._add((item.limit, item.value), hold.hold_id, hold.expires_us, item.quantity)

    def _add(self, place: Place, hold_id: str, expires_us: int, nanos: int) -> None:
        items = self._holds.get(hold_id)
        if items is None:
            items = self._holds[hold_id] = []
            heappush(self._ends, (expires_us, hold_id))
        items.append((place, nanos))
        of = self._sums.get(place)
        if of is None:
            of = self._sums[place] = _Sum()
        of.nanos += nanos
        of.live += 1
        heappush(of.ends, (expires_us, hold_id))

    def drop(self, hold_id: str) -> None:
        """Count a reservation no more; one that is not counted is none."""
        for place, nanos in self._holds.pop(hold_id, ()):
            of = self._sums[place]
            of.nanos -= nanos
            of.live -= 1
            if not of.live:
                del self._sums[place]
            elif len(of.ends) > 2 * of.live + 64:  # most of them are of settled ones
                of.ends = [end for end in of.ends if end[1] in self._holds]
                heapify(of.ends)
        if len(self._ends) > 2 * len(self._holds) + 64:
            self._ends = [end for end in self._ends if end[1] in self._holds]
            heapify(self._ends)

    def pass_time(self, now_us: int) -> None:
        """Drop what has expired by *now_us*."""
        self.as_of_us = now_us
        while self._ends and self._ends[0][0] <= now_us:
            self.drop(heappop(self._ends)[1])

    def held(self) -> Mapping[Place, Held]:
        """Return what is held."""
        return {place: Held(of.nanos, self._first_us(of)) for place, of in self._sums.items()}

    def live(self) -> int:
        """Return how many reservations there are of the place that has most."""
        return max((of.live for of in self._sums.values()), default=0)

    def _first_us(self, of: _Sum) -> int:
        """Return when the first reservation of a place ends."""
        while of.ends[0][1] not in self._holds:
            heappop(of.ends)
        return of.ends[0][0]


class Holdings:
    """What live reservations hold of the accounts of one lane."""

    def __init__(self) -> None:
        self._accounts: dict[int, _Account] = {}
        self._items = 0  # that were ever put in

    def at(self, account_no: int, now_us: int, read: Callable[[], Connection]) -> _Account:
        """Return what is held of an account at *now_us*; *read* gives the transaction in which all is written."""
        known = self._accounts.get(account_no)
        if known is None or now_us < known.as_of_us:  # a clock that was set back brings expired ones to life
            rows = from_json(_ITEMS.scalar(read(), {"account_no": account_no, "now_us": now_us}))
            known = self._accounts[account_no] = _Account(rows, now_us)
            self._items += len(rows)
        known.pass_time(now_us)
        return known

    def put(self, account_no: int, hold: Hold) -> None:
        """Count a new reservation; of an account that is not known it will be read."""
        known = self._accounts.get(account_no)
        if known is not None:
            known.put(hold)
            self._items += len(hold.items)

    def drop(self, account_no: int, hold: Hold) -> None:
        """Count a reservation no more."""
        known = self._accounts.get(account_no)
        if known is not None:
            known.drop(hold.hold_id)

    def forget(self) -> None:
        """Forget all: a transaction was rolled back."""
        self._accounts.clear()
        self._items = 0

    def trim(self) -> None:
        """Forget all if it has become too much; not inside a transaction that wrote some of it."""
        if len(self._accounts) > ACCOUNTS_KEPT_MAX or self._items > ITEMS_KEPT_MAX:
            self.forget()


class LaneMemory:
    """What a lane remembers from one transaction to the next: nothing where other processes write, too.

    Attributes:
        accounts: As they were read last.
        holdings: What live reservations hold.
    """

    def __init__(self, changes: Changes | None) -> None:
        self.changes = changes
        self.accounts: Memory[Account] = Memory(None if changes is None else changes.terms, ACCOUNTS_KNOWN_MAX)
        self.holdings = None if changes is None else Holdings()

    def trim(self) -> None:
        """Forget what has become too much; between transactions."""
        if self.holdings is not None:
            self.holdings.trim()

    def undo(self) -> None:
        """Forget what a transaction wrote that was rolled back."""
        if self.holdings is not None:
            self.holdings.forget()


def _int(value: object) -> int:
    assert isinstance(value, int)
    return value


def _nanos(giga: object, unit: object, nano: object) -> int:
    return from_limbs(_int(giga), _int(unit), _int(nano))
