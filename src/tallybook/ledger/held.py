"""What live reservations hold, added up by the store, and kept right by one transaction from then on.

Where other processes write as well, nothing is remembered from one transaction to the next (see `memory`); but while a
transaction has its lane nobody else changes what is held, so it is read once for all its admissions.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from tallybook.core.hold import Held, Hold
from tallybook.core.instant import INSTANT_MAX_US
from tallybook.core.number import from_limbs
from tallybook.ledger.hot import Hot

Place = tuple[str, str]
"""A limit, and the value of its *per* dimension or nothing."""

_HELD = Hot(
    "SELECT limit_name, value, sum(giga), sum(unit), sum(nano), count(*), min(expires_us) FROM hold_items"
    " WHERE account_no = :account_no AND expires_us > :now_us GROUP BY limit_name, value"
)


def read_held(connection: Connection, account_no: int, now_us: int) -> Mapping[Place, Held]:
    """Return what live reservations hold, by (limit, value)."""
    return _Totals(_read(connection, account_no, now_us), now_us).held()


def _read(connection: Connection, account_no: int, now_us: int) -> list[tuple[Any, ...]]:
    return _HELD.rows(connection, {"account_no": account_no, "now_us": now_us})


@dataclass(slots=True)
class _Total:
    """What is held of one place, by how many reservations, and when the first of them ends."""

    nanos: int = 0
    live: int = 0
    ends_us: int = INSTANT_MAX_US


class _Totals:
    """What is held of one account from *as_of_us* until the first reservation ends."""

    def __init__(self, rows: Iterable[tuple[Any, ...]], now_us: int) -> None:
        self.as_of_us = now_us
        self._places: dict[Place, _Total] = {}
        for name, value, *sums in rows:
            giga, unit, nano, live, ends_us = map(int, sums)  # PostgreSQL adds up to decimals
            self._places[name, value] = _Total(from_limbs(giga, unit, nano), live, ends_us)

    def are_of(self, now_us: int) -> bool:
        """Whether they are what is held at an instant."""
        return self.as_of_us <= now_us < min((total.ends_us for total in self._places.values()), default=INSTANT_MAX_US)

    def put(self, hold: Hold) -> None:
        """Count a new reservation."""
        for item in hold.items:
            total = self._places.setdefault((item.limit, item.value), _Total())
            total.nanos += item.quantity
            total.live += 1
            total.ends_us = min(total.ends_us, hold.expires_us)

    def drop(self, hold: Hold) -> bool:
        """Count a reservation no more; False if only the store knows what is held then."""
        if hold.expires_us <= self.as_of_us:
            return True
        for item in hold.items:
            total = self._places.get((item.limit, item.value))
            if total is None or (total.live > 1 and hold.expires_us <= total.ends_us):
                return False
            total.nanos -= item.quantity
            total.live -= 1
            if not total.live:
                del self._places[item.limit, item.value]
        return True

    def held(self) -> Mapping[Place, Held]:
        """Return what is held."""
        return {place: Held(total.nanos, total.ends_us) for place, total in self._places.items()}

    def live(self) -> int:
        """Return how many reservations there are of the place that has most."""
        return max((total.live for total in self._places.values()), default=0)


class HeldOnce:
    """What live reservations hold of accounts, as one transaction reads and changes it."""

    def __init__(self) -> None:
        self._accounts: dict[int, _Totals] = {}

    def at(self, account_no: int, now_us: int, read: Callable[[], Connection]) -> _Totals:
        """Return what is held of an account at *now_us*; *read* gives the transaction in which all is written."""
        known = self._accounts.get(account_no)
        if known is None or not known.are_of(now_us):
            known = self._accounts[account_no] = _Totals(_read(read(), account_no, now_us), now_us)
        return known

    def put(self, account_no: int, hold: Hold) -> None:
        """Count a new reservation; of an account that is not known it will be read."""
        known = self._accounts.get(account_no)
        if known is not None:
            known.put(hold)

    def drop(self, account_no: int, hold: Hold) -> None:
        """Count a reservation no more."""
        known = self._accounts.get(account_no)
        if known is not None and not known.drop(hold):
            del self._accounts[account_no]
