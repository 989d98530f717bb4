"""What meters said of accounts, remembered: by events that a commit adds, a figure moves, and need not be read again.

Only for a ledger that no other process writes. Only sums and counts move; other figures are read again once anything of
their account was counted.
"""

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple

from tallybook.core.aggregate import Dimensions, SeriesKey
from tallybook.core.changes import Count, Counts
from tallybook.core.ids import AccountId
from tallybook.core.instant import MINUTE_US
from tallybook.core.meter import Aggregation, Question, Share
from tallybook.core.number import NANOS
from tallybook.core.scheme import Scheme
from tallybook.core.view import make_view

ACCOUNTS_KNOWN_MAX = 20_000
FIGURES_KNOWN_MAX = 200
"""Most accounts, and figures of one, remembered at once."""
UNASKED_MAX = 500
"""How many commits a figure follows without being asked for."""


class Rule(NamedTuple):
    """Which rows of a tally move a figure, and how.

    Attributes:
        places: Where in a series' dimensions which values count.
        slots: The fields that are added up; none where events are counted.
        is_count: Whether it is counted how many events carry the first of *slots*, or are there at all.
        minutes: The first minute that counts, and the first that does not any more.
        is_first: Whether the figure is the first minute with usage rather than how much it was.
    """

    type_no: int
    places: tuple[tuple[int, frozenset[str]], ...]
    slots: tuple[int, ...]
    is_count: bool
    minutes: tuple[int, int]
    is_first: bool = False

    def takes(self, dimensions: Dimensions, minute: int) -> bool:
        """Whether a row of the type counts."""
        if not self.minutes[0] <= minute < self.minutes[1]:
            return False
        return not self.places or all(dimensions[place] in values for place, values in self.places)

    def moved(self, value: int | None, row: Sequence[int], minute: int) -> int | None:
        """Return the figure with one row more."""
        if self.is_first:
            return minute * MINUTE_US if value is None else min(value, minute * MINUTE_US)
        assert value is not None  # only a first minute may be missing
        if self.is_count:
            return value + NANOS * (row[1 + 2 * self.slots[0]] if self.slots else row[0])
        return value + sum([row[2 + 2 * slot] for slot in self.slots])


def rule_of(scheme: Scheme, question: Question, *, is_first: bool = False) -> Rule | None:
    """Return how the answer to *question*, about one window, moves with events; None where it must be read again."""
    view = make_view(scheme, question)
    (window,) = question.windows
    is_cut = window.start_us % MINUTE_US or window.end_us % MINUTE_US
    if view.is_mark or view.is_unique or view.meter.priced_by or question.share is not Share.ALL or is_cut:
        return None
    columns = view.generation.shape.columns
    places = tuple((columns.index(name), values) for name, values in view.filters.items())
    minutes = window.start_us // MINUTE_US, window.end_us // MINUTE_US
    is_count = view.meter.aggregation is not Aggregation.SUM
    return Rule(view.generation.type_no, places, view.slots, is_count, minutes, is_first)


class _Figure:
    """One figure; *unasked* is by how many commits it moved since it was last asked for."""

    __slots__ = ("rule", "unasked", "value")

    def __init__(self, value: int | None, rule: Rule | None, unasked: int = 0) -> None:
        self.value = value
        self.rule = rule
        self.unasked = unasked


class Figures:
    """Figures by account and question, each as of a count of the account's commits; safe for any number of threads."""

    def __init__(self, counts: Counts | None) -> None:
        self._counts = counts
        self._known: dict[AccountId, tuple[Count, Mapping[Hashable, _Figure]]] = {}

    def count(self, account_id: AccountId) -> Count | None:
        """Return the account's count, to be taken before a figure is read; None where nothing is remembered."""
        return None if self._counts is None else self._counts.count(account_id)

    def find(self, account_id: AccountId, key: Hashable, count: Count | None) -> tuple[int | None] | None:
        """Return the figure that was read at *count*, or moved to it; None if it is not known."""
        known = self._known.get(account_id)
        figure = None if known is None or known[0] != count else known[1].get(key)
        if figure is None:
            return None
        figure.unasked = 0
        return (figure.value,)

    def keep(
        self, account_id: AccountId, key: Hashable, count: Count | None, figure: tuple[int | None, Rule | None]
    ) -> None:
        """Remember a figure that was read after *count* was taken, and how it moves."""
        if count is None:
            return
        known = self._known.get(account_id)
        others = {} if known is None or known[0] != count or len(known[1]) >= FIGURES_KNOWN_MAX else known[1]
        if known is None and len(self._known) >= ACCOUNTS_KNOWN_MAX:
            self._known.clear()
        self._known[account_id] = count, {**others, key: _Figure(*figure)}

    def following(self) -> "Following":
        """Return what one transaction does to the figures."""
        return Following(self._known, self._counts)

    def take_over(self, moved: "Following") -> None:
        """Put in what a transaction that is committed, and counted, made of the figures; nobody commits meanwhile."""
        if self._counts is None:
            return
        for account_id, figures in moved.figures.items():
            self._known[account_id] = self._counts.count(account_id), figures


class Following:
    """The figures as one transaction makes them, of the accounts whose events it counts."""

    def __init__(
        self, known: Mapping[AccountId, tuple[Count, Mapping[Hashable, _Figure]]], counts: Counts | None
    ) -> None:
        self._known = known
        self._counts = counts
        self.figures: dict[AccountId, dict[Hashable, _Figure]] = {}
        self._by_type: dict[AccountId, dict[int, list[_Figure]]] = {}
        self._left: set[AccountId] = set()

    def count(self, rows: Iterable[tuple[SeriesKey, int, Sequence[int]]], others: Collection[AccountId]) -> None:
        """Move the figures by what was counted.

        Args:
            rows: Series, minute, and what a tally has of both.
            others: Accounts of which something counts otherwise than *rows* say, whose figures are read again.
        """
        if not self._known or self._counts is None:
            return
        for account_id in others:
            self.leave(account_id)
        for (account_id, type_no, dimensions), minute, row in rows:
            by_type = self._by_type.get(account_id)
            if by_type is None:
                if account_id not in self._known or account_id in self._left:
                    continue
                by_type = self._begin(account_id)
            for figure in by_type.get(type_no, ()):
                rule = figure.rule
                if rule is not None and rule.takes(dimensions, minute):
                    figure.value = rule.moved(figure.value, row, minute)

    def leave(self, account_id: AccountId) -> None:
        """Have the figures of an account read again."""
        self._left.add(account_id)
        self.figures.pop(account_id, None)
        self._by_type.pop(account_id, None)

    def _begin(self, account_id: AccountId) -> dict[int, list[_Figure]]:
        """Follow what is known of an account before the transaction; return it by the type that moves it."""
        assert self._counts is not None  # or nothing is counted
        followed, by_type = self.figures.setdefault(account_id, {}), self._by_type.setdefault(account_id, {})
        count, figures = self._known[account_id]
        if count != self._counts.count(account_id):
            return by_type
        for key, known in figures.items():
            if known.rule is not None and known.unasked < UNASKED_MAX:
                figure = followed[key] = _Figure(known.value, known.rule, known.unasked + 1)
                by_type.setdefault(known.rule.type_no, []).append(figure)
        return by_type
