"""Alerts for people: the rules of an account, its budgets, its history, and saying that somebody has seen one.

Rules and budgets are written in the account's lane, which looks at everything by them before it answers. Not for what
is crossed (see `watch`), nor for where it is told (see `channels`).
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from tallybook.core.alert import BUDGET_MARK
from tallybook.core.crossing import Alert, AlertFilter, AlertStore
from tallybook.core.desk import Desk
from tallybook.core.errors import Conflict, NotFound
from tallybook.core.fields import read_name
from tallybook.core.ids import AccountId
from tallybook.core.plan import Account
from tallybook.core.rules import BUDGETS_MAX, Budget, Own, Rules, read_budget, read_rules, write_budget, write_rules

if TYPE_CHECKING:
    from concurrent.futures import Future

RECHECKED_MAX = 100
"""Most accounts that one step has looked at again."""
_T = TypeVar("_T")


class RuleSource(Protocol):
    """Reads rules and budgets as of the last commit."""

    def own(self, account_no: int) -> Own:
        """Return the account's rules and budgets."""
        ...


class Currencies(Protocol):
    """Says in which currency an account is charged."""

    def currency(self, account: Account) -> str:
        """Return the currency of the account's prices."""
        ...


class Lanes(Protocol):
    """Runs decisions inside lanes: `flows.ingest`."""

    def act(self, account_id: str, action: Callable[[Desk], _T]) -> "Future[_T]":
        """Run *action* inside the next transaction of the account's lane."""
        ...


class Alerting:
    """Rules, budgets and history, for every surface."""

    def __init__(self, rules: RuleSource, store: AlertStore, currencies: Currencies) -> None:
        self._rules = rules
        self._store = store
        self._currencies = currencies

    # --- rules ---------------------------------------------------------------------------------------------------

    def own(self, account: Account) -> Own:
        """Return the account's rules and budgets."""
        return self._rules.own(account.no)

    def put_rules(self, account: Account, body: object) -> Callable[[Desk], Rules]:
        """Return the action that gives the account rules of its own, in place of its plan's.

        Raises:
            FieldInvalid: Telling all that is wrong with them.
        """
        rules = read_rules(body)

        def action(desk: Desk) -> Rules:
            desk.put_own(account.no, "", write_rules(rules))
            return rules

        return action

    def drop_rules(self, account: Account) -> Callable[[Desk], None]:
        """Return the action after which the plan's thresholds count again."""

        def action(desk: Desk) -> None:
            desk.drop_own(account.no, "")

        return action

    # --- budgets -------------------------------------------------------------------------------------------------

    def put_budget(self, account: Account, name: str, body: object) -> Callable[[Desk], Budget]:
        """Return the action that gives the account a budget, or changes the one of that name.

        Raises:
            FieldInvalid: Telling all that is wrong with it.
        """
        read_name(name, "/name")
        budget = read_budget(name, body, self._currencies.currency(account))

        def action(desk: Desk) -> Budget:
            known = self._rules.own(account.no).budgets
            if len(known) >= BUDGETS_MAX and all(one.name != name for one in known):
                raise Conflict(f"an account has at most {BUDGETS_MAX} budgets")
            desk.put_own(account.no, budget.subject, write_budget(budget))
            return budget

        return action

    def drop_budget(self, account: Account, name: str) -> Callable[[Desk], None]:
        """Return the action that takes a budget away; doing so twice is harmless."""

        def action(desk: Desk) -> None:
            desk.drop_own(account.no, f"{BUDGET_MARK}{name}")

        return action

    # --- history -------------------------------------------------------------------------------------------------

    def page(self, account: Account, wanted: AlertFilter, before: int | None, limit: int) -> Sequence[Alert]:
        """Return alerts of the account, the newest first, below the number *before*."""
        return self._store.page(account.no, wanted, before, limit)

    def acknowledge(self, account: Account, alert_id: str, by: str, note: str | None, now_us: int) -> Alert:
        """Note that somebody has seen an alert; who was first stays.

        Raises:
            NotFound: If there is none.
        """
        known = "\x00" not in alert_id and self._store.acknowledge(account.no, alert_id, by, note, now_us)
        found = self._store.find(account.no, alert_id) if known else None
        if found is None:
            raise NotFound("there is no such alert")
        return found


class Rechecks:
    """Looks again at accounts whose limits changed, and at alerts that may have recovered by themselves."""

    def __init__(self, store: AlertStore, lanes: Lanes, now_us: Callable[[], int]) -> None:
        self._store = store
        self._lanes = lanes
        self._now_us = now_us

    def step(self) -> int:
        """Look at up to RECHECKED_MAX accounts, together; return how many.

        Raises:
            Unavailable: If the store cannot be written; a later sweep goes on.
        """
        waiting = [self._look(*place) for place in self._store.to_recheck(self._now_us(), RECHECKED_MAX)]
        for one in waiting:
            one.result()
        return len(waiting)

    def prune(self) -> int:
        """Forget what is too old; return how many rows."""
        return self._store.prune(self._now_us())

    def _look(self, account_no: int, account_id: AccountId) -> "Future[None]":
        return self._lanes.act(account_id, lambda desk: desk.reconsider(account_no))
