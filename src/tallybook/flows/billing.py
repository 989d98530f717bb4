"""Billing status: the operator says which invoices were paid and which failed; each change is told once.

That an account is suspended follows from time (see `core.arrears`) and holds at once everywhere; what happens here by
itself is only that it is told.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from tallybook.core.arrears import GRACE_US, Arrears, Billed, Invoice
from tallybook.core.clock import Clock
from tallybook.core.desk import Desk
from tallybook.core.ids import AccountId
from tallybook.core.instant import instant_text
from tallybook.core.plan import Account, BillingStatus

if TYPE_CHECKING:
    from concurrent.futures import Future

CHANGED = "billing.status_changed"
_T = TypeVar("_T")


class Lanes(Protocol):
    """Runs decisions inside lanes: `flows.ingest`."""

    def act(self, account_id: str, action: Callable[[Desk], _T]) -> "Future[_T]":
        """Run *action* inside the next transaction of the account's lane."""
        ...


class ArrearsSource(Protocol):
    """Finds accounts whose grace is over."""

    def untold(self, now_us: int) -> list[AccountId]:
        """Return accounts that are suspended by now and of which nobody told so, up to a bound."""
        ...


class AccountSource(Protocol):
    """Finds accounts: `flows.subscribe`."""

    def get(self, account_id: AccountId) -> Account:
        """Return the account."""
        ...


class Billing:
    """Takes in what became of invoices."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes

    def invoice(self, account: Account, became: Invoice, at_us: int, now_us: int) -> Callable[[Desk], Billed]:
        """Return the action that notes an invoice.

        A failed one begins the days of grace at *at_us*; another that fails meanwhile does not prolong them. A paid
        one ends the arrears, whenever.
        """

        def action(desk: Desk) -> Billed:
            known = self._tell_suspended(desk, account, now_us)
            if became is Invoice.PAID:
                if known is not None:
                    desk.drop_arrears(account.no)
                    _tell(desk, account, (known.status(now_us), BillingStatus.ACTIVE), at_us, now_us)
                return Billed(BillingStatus.ACTIVE)
            if known is None:
                desk.put_arrears(account.no, Arrears(at_us, at_us + GRACE_US))
                _tell(desk, account, (BillingStatus.ACTIVE, BillingStatus.PAST_DUE), at_us, now_us)
                known = self._tell_suspended(desk, account, now_us)
            assert known is not None  # it was there, or is now
            return Billed(known.status(now_us), known.grace_ends_us)

        return action

    def suspend(self, account: Account, now_us: int) -> Callable[[Desk], bool]:
        """Return the action that tells of a suspension; False where somebody else did, or it was paid meanwhile."""

        def action(desk: Desk) -> bool:
            before = desk.arrears(account.no)
            return before != self._tell_suspended(desk, account, now_us)

        return action

    def _tell_suspended(self, desk: Desk, account: Account, now_us: int) -> Arrears | None:
        """Return what the account owes, having told of its suspension if it is due and nobody did."""
        known = desk.arrears(account.no)
        if known is None or known.told_us is not None or known.status(now_us) is not BillingStatus.SUSPENDED:
            return known
        told = replace(known, told_us=now_us)
        desk.put_arrears(account.no, told)
        _tell(desk, account, (BillingStatus.PAST_DUE, BillingStatus.SUSPENDED), known.grace_ends_us, now_us)
        return told

    def run(self, account: Account, action: Callable[[Desk], _T]) -> "Future[_T]":
        """Queue *action* for the account's lane; the future is done when what it wrote is durable."""
        return self._lanes.act(account.id, action)


def _tell(desk: Desk, account: Account, change: tuple[BillingStatus, BillingStatus], at_us: int, now_us: int) -> None:
    body = {"account": account.id, "from": change[0].value, "to": change[1].value, "at": instant_text(at_us)}
    desk.tell(account.no, CHANGED, body, now_us)


class Suspensions:
    """Tells of accounts whose grace is over."""

    def __init__(self, billing: Billing, accounts: AccountSource, source: ArrearsSource, clock: Clock) -> None:
        self._billing = billing
        self._accounts = accounts
        self._source = source
        self._clock = clock

    def step(self) -> int:
        """Tell of those that are due by now, up to a bound; return how many this call told of.

        Raises:
            Unavailable: If the store cannot be written; a later call goes on.
        """
        now_us = self._clock.now_us()
        waiting = []
        for account_id in self._source.untold(now_us):
            account = self._accounts.get(account_id)
            waiting.append(self._billing.run(account, self._billing.suspend(account, now_us)))
        return sum(future.result() for future in waiting)
