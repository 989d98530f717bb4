"""Backtests: what accounts would have paid for past usage under another rate card, and how that differs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from tallybook.core.bill import Card
from tallybook.core.errors import Conflict
from tallybook.core.plan import Account, Plan
from tallybook.core.ports import UsageSnapshot
from tallybook.core.window import Span, all_time

SCANNED_MAX = 1_000
"""Most accounts that one page looks at, to find those that are on the plan."""

_T = TypeVar("_T")


class Spent(Protocol):
    """What windows cost: `flows.cost.Spending`."""

    @property
    def currency(self) -> str:
        """The currency of all of it."""
        ...

    @property
    def total(self) -> int:
        """What all windows cost together."""
        ...


class CostReader(Protocol):
    """Prices spans: `flows.cost`."""

    def priced(
        self, snapshot: UsageSnapshot, account: Account, cards: Sequence[Card], windows: Sequence[Span]
    ) -> Spent:
        """Return what *windows* would cost if *cards* had been in force."""
        ...

    def retried(self, read: Callable[[UsageSnapshot], _T]) -> _T:
        """Return what *read* makes of a snapshot."""
        ...


class AccountSource(Protocol):
    """Lists accounts and their cards: `flows.subscribe`."""

    def list(self, after: str = "", limit: int = ...) -> Sequence[Account]:
        """Return up to *limit* accounts, by id."""
        ...

    def cards(self, account: Account) -> Sequence[Card]:
        """Return the rate cards of the account's plans, ascending and tiling all time."""
        ...


@dataclass(frozen=True, slots=True)
class Compared:
    """What one account paid *before* and would have paid *after*, in nanos; *problem* says why that cannot be told."""

    account_id: str
    before: int = 0
    after: int = 0
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Compare:
    """One page: *scanned* accounts were looked at, the last is *reached*; *done* says that there are no more."""

    rows: Sequence[Compared]
    scanned: int
    reached: str
    done: bool


class Backtests:
    """Replays past usage."""

    def __init__(self, accounts: AccountSource, costs: CostReader) -> None:
        self._accounts = accounts
        self._costs = costs

    def page(self, plan: Plan, span: Span, after: str, limit: int, *, everybody: bool = False) -> Compare:
        """Compare up to *limit* accounts whose id comes after *after*.

        Args:
            plan: The card to be tried, as if it had been in force for ever.
            span: Which usage.
            after: The last account of the page before.
            limit: Most rows.
            everybody: All accounts, not only those that are on a plan of this name now.
        """
        cards = [Card(all_time(), plan.prices, plan.currency, plan.name, plan.version)]
        rows: list[Compared] = []
        found = self._accounts.list(after, SCANNED_MAX)
        for scanned, account in enumerate(found, start=1):
            after = account.id
            if everybody or account.plan_name == plan.name:
                rows.append(self._compared(account, cards, span))
            if len(rows) >= limit and scanned < len(found):
                return Compare(rows, scanned, after, done=False)
        return Compare(rows, len(found), after, done=len(found) < SCANNED_MAX)

    def _compared(self, account: Account, cards: Sequence[Card], span: Span) -> Compared:
        """Compare one account, both from one snapshot."""
        known = self._accounts.cards(account)

        def read(snapshot: UsageSnapshot) -> tuple[Spent, Spent]:
            before = self._costs.priced(snapshot, account, known, [span])
            return before, self._costs.priced(snapshot, account, cards, [span])

        try:
            before, after = self._costs.retried(read)
        except Conflict as error:
            return Compared(account.id, problem=error.message)
        if before.currency != after.currency:
            return Compared(account.id, problem=f"it paid in {before.currency}, the card is in {after.currency}")
        return Compared(account.id, before.total, after.total)
