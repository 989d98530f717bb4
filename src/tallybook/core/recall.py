"""What is remembered of accounts' usage and holds, and how far it may be trusted by whoever looks at limits.

A lane may use and keep it as it likes, for nobody else changes its accounts. Whoever looks from outside takes either
all of a look from memory, by counts that were taken together, or all from one snapshot: a reservation that is settled
moves a quantity from what is held to what is used, and must not be seen in both, or in neither.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn, Protocol, cast

from tallybook.core.changes import Changes, Count, Memory
from tallybook.core.figures import Figures, Rule
from tallybook.core.hold import Held
from tallybook.core.instant import INSTANT_MAX_US
from tallybook.core.meter import Question
from tallybook.core.plan import Account

if TYPE_CHECKING:
    from tallybook.core.ports import UsageReader, UsageSnapshot

HeldBy = Mapping[tuple[str, str], Held]
HELD_KNOWN_MAX = 20_000
"""Most accounts of which it is remembered what is held."""


class NotRemembered(Exception):
    """Something would have to be read."""


class _Nothing:
    """Where nothing can be read."""

    def __getattr__(self, name: str) -> NoReturn:
        raise NotRemembered(name)


class Holds(Protocol):
    """What is reserved and leased, seen from outside a lane or from inside one."""

    def held(self, account_no: int, now_us: int) -> HeldBy:
        """Return what live reservations hold, by (limit, value)."""
        ...

    def slots_taken(self, account_no: int, limit: str, now_us: int) -> tuple[int, int | None]:
        """Return how many leases of a limit are live, and when the first of them runs out."""
        ...


NO_USAGE, NO_SNAPSHOT = cast("UsageReader", _Nothing()), cast("UsageSnapshot", _Nothing())
NO_HOLDS = cast("Holds", _Nothing())


@dataclass(slots=True)
class Known:
    """What one look may use of what is remembered, and what it adds to it.

    Attributes:
        counts: Of the account's figures and holds, taken together; None where nothing may be remembered.
        is_used: Whether anything may be found.
        waits: Whether what is read is kept only when `Recall.settle` says that it may be.
    """

    account: Account
    figures: Figures
    holds: Memory[HeldBy]
    counts: tuple[Count | None, Count | None] = (None, None)
    is_used: bool = True
    waits: bool = False
    read: list[tuple[Hashable, tuple[int | None, Rule | None]]] = field(default_factory=list)
    held: tuple[HeldBy, int] | None = None

    def find(self, question: Question, about: str = "value") -> tuple[int | None] | None:
        """Return what is known of a question about one window."""
        if not self.is_used:
            return None
        return self.figures.find(self.account.id, _key(question, about), self.counts[0])

    def keep(self, question: Question, value: int | None, rule: Rule | None) -> None:
        """Remember an answer, which is good whenever it is asked: the span is part of the question."""
        key = _key(question, "first" if rule is not None and rule.is_first else "value")
        if self.waits:
            self.read.append((key, (value, rule)))
        else:
            self.figures.keep(self.account.id, key, self.counts[0], (value, rule))

    def find_held(self, now_us: int) -> HeldBy | None:
        """Return what is known to be held."""
        return self.holds.find(self.account.id, self.counts[1], now_us) if self.is_used else None

    def settle(self) -> None:
        """Keep what was read."""
        for key, figure in self.read:
            self.figures.keep(self.account.id, key, self.counts[0], figure)
        if self.held is not None:
            held, now_us = self.held
            until_us = min((one.ends_us for one in held.values()), default=INSTANT_MAX_US)
            self.holds.keep(self.account.id, self.counts[1], (now_us, until_us), held)


def _key(question: Question, about: str) -> Hashable:
    return about, question.meter, question.windows[0], tuple(question.filters.items())


class Recall:
    """What is remembered; nothing without *changes*, where other processes write as well."""

    def __init__(self, changes: Changes | None, figures: Figures) -> None:
        self._changes = changes
        self._figures = figures
        self._holds: Memory[HeldBy] = Memory(None if changes is None else changes.holds, HELD_KNOWN_MAX)

    def in_lane(self, account: Account, count: Count | None, figures: Figures | None) -> Known:
        """Return what a lane may use; *figures* are its transaction's own. What is held it knows better."""
        return Known(account, figures or self._figures, self._holds, (count, None))

    def alone(self, account: Account) -> Known | None:
        """Return what may be used where nothing can be read; None where nothing is remembered at all."""
        if self._changes is None:
            return None
        return Known(account, self._figures, self._holds, self._changes.now(account.id))

    def beside_snapshot(self, account: Account) -> Known:
        """Return what takes notes of a look into a snapshot that is about to be opened."""
        counts = (None, None) if self._changes is None else self._changes.now(account.id)
        return Known(account, self._figures, self._holds, counts, is_used=False, waits=True)

    def settle(self, known: Known) -> None:
        """Keep what was read, unless a commit came between: then the snapshot may be older or newer than the counts."""
        if self._changes is not None and self._changes.stands(known.account.id, known.counts):
            known.settle()
