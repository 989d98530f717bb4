"""What this process has committed, counted by account: whoever remembers an answer knows by it whether it still holds.

Only for a ledger that no other process writes. An answer that was read after a count was taken may be given again for
as long as the count stays the same: nothing that it was made of has changed.
"""

import threading
from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

ACCOUNTS_COUNTED_MAX = 100_000
"""Most accounts counted each on its own; beyond it everything counts as changed once."""
Count = tuple[int, int]
_Value = TypeVar("_Value")


class Counts:
    """Counts commits, of each account and of all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._commits = 0
        self._all = 0
        self._last: dict[str, int] = {}

    def count(self, account_id: str) -> Count:
        """Return a value that changes with every commit that may have changed anything of the account."""
        return self._all, self._last.get(account_id, 0)

    def note(self, account_ids: Iterable[str] | None) -> None:
        """Count a commit that changed these accounts, or (None) anything; before anybody is told of it."""
        with self._lock:
            self._commits += 1
            if account_ids is None or len(self._last) > ACCOUNTS_COUNTED_MAX:
                self._last = {}
                self._all = self._commits
                return
            for account_id in account_ids:
                self._last[account_id] = self._commits


@dataclass(frozen=True, slots=True)
class Changing:
    """What a commit may change: the usage of some accounts, what is held of others, and all that there is of others.

    The accounts may be filled in until it is noted.
    """

    used: Collection[str] = ()
    changed: Collection[str] = ()
    held: Collection[str] = ()
    then: Callable[[], object] | None = None
    """Called when it is committed and noted, before anybody else commits, or takes counts to look by."""


NOTHING = Changing()
"""A commit of what no remembered answer is made of, such as sessions or deliveries."""


class Changes:
    """Counts commits.

    Attributes:
        anything: Those that may have changed anything of an account, its usage and what is held of it too.
        terms: Those that may have changed the account itself, its plan, its exceptions or its billing status.
        figures: Those that may have changed what its meters say.
        holds: Those that may have changed what is held of it.
    """

    def __init__(self) -> None:
        self.anything = Counts()
        self.terms = Counts()
        self.figures = Counts()
        self.holds = Counts()
        self._lock = threading.Lock()
        self._settling: Collection[str] | None = frozenset()

    def begin(self, changing: Changing | None) -> None:
        """Say what a commit is about to change: until it is noted, whoever reads may see it or not."""
        with self._lock:
            self._settling = None if changing is None else {*changing.used, *changing.changed, *changing.held}

    def note(self, changing: Changing | None, *, is_done: bool = True) -> None:
        """Count a commit that changed what *changing* says, or (None) anything; before anybody is told of it.

        Unless it *is_done*, it may or may not have changed anything, and nothing is done then.
        """
        with self._lock:
            self._settling = frozenset()
            if changing is None:
                for counts in (self.terms, self.figures, self.holds, self.anything):
                    counts.note(None)
                return
            if changing.changed:
                self.terms.note(changing.changed)
            if changing.used or changing.changed:
                self.figures.note({*changing.used, *changing.changed})
            if changing.held or changing.changed:
                self.holds.note({*changing.held, *changing.changed})
            self.anything.note({*changing.used, *changing.changed, *changing.held})
            if is_done and changing.then is not None:
                changing.then()  # who takes counts meanwhile waits for it: that is shorter than reading the store

    def now(self, account_id: str) -> tuple[Count, Count]:
        """Return the counts of an account's figures and of what is held of it, as of the same commit."""
        with self._lock:
            return self.figures.count(account_id), self.holds.count(account_id)

    def stands(self, account_id: str, counts: tuple[Count | None, Count | None]) -> bool:
        """Whether these are the counts still, and no commit is about to change them."""
        with self._lock:
            if self._settling is None or account_id in self._settling:
                return False
            return counts == (self.figures.count(account_id), self.holds.count(account_id))


class Memory(Generic[_Value]):
    """Answers by account and question, each good for a span of time and while nothing of its account changes."""

    def __init__(self, counts: Counts | None, most: int) -> None:
        """Remember up to *most* answers; none at all without *counts*, where other processes write as well."""
        self._counts = counts
        self._most = most
        self._known: dict[Hashable, tuple[Count, int, int, _Value]] = {}

    def count(self, account_id: str) -> Count | None:
        """Return the account's count, to be taken before an answer is read; None where nothing is remembered."""
        return None if self._counts is None else self._counts.count(account_id)

    def find(self, question: Hashable, count: Count | None, now_us: int) -> _Value | None:
        """Return the answer that was given at the same *count*, if it is good at *now_us*."""
        known = self._known.get(question)
        if known is None or known[0] != count or not known[1] <= now_us < known[2]:
            return None
        return known[3]

    def keep(self, question: Hashable, count: Count | None, good: tuple[int, int], answer: _Value) -> None:
        """Remember *answer*, read after *count* was taken and good from one instant until before another."""
        if count is None:
            return
        if len(self._known) >= self._most:
            self._known.clear()
        self._known[question] = (count, *good, answer)
