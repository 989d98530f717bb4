"""A house over one ledger, with the words in which admission is tried: to be opened, used up and reopened.

Not the web: what goes over HTTP is in `servers`.
"""

from collections.abc import Sequence
from decimal import Decimal
from types import TracebackType
from typing import Self

from tallybook.core.clock import FrozenClock
from tallybook.core.hold import Decision, Hold, Wanted
from tallybook.core.ids import AccountId
from tallybook.core.intake import Receipt
from tallybook.core.key import SCOPES, Caller
from tallybook.core.lease import Lease
from tallybook.core.limit import LimitState
from tallybook.core.meter import Question
from tallybook.core.number import NANOS
from tallybook.core.plan import Account
from tallybook.core.window import Span, all_time
from tallybook.flows.admit import Settled
from tallybook.flows.lease import Granted
from tallybook.house import House
from tallybook.settings import Settings

NOW_US = 1_772_366_400_000_000
"""2026-03-01T12:00:00Z."""
OPERATOR = Caller("key_operator", None, frozenset(SCOPES))


class Floor:
    """One process's worth of admission; a context manager that drains and closes. Quantities are whole units."""

    def __init__(self, url: str, clock: FrozenClock | None = None) -> None:
        self.clock = clock or FrozenClock(NOW_US)
        self._house = House.open(Settings(ledger_url=url), self.clock)
        self.accounts, self.ingest, self.measure = self._house.accounts, self._house.ingest, self._house.measure
        self.limits, self.leases = self._house.limits, self._house.leases

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Commit what is queued and close the ledger."""
        self._house.close()

    def sweep(self) -> int:
        """Do what happens by itself; return how many leases that ended."""
        return self._house.sweeper.run()["leases"]

    # --- accounts ------------------------------------------------------------------------------------------------

    def allow(self, account_id: str, *limits: dict[str, object]) -> None:
        """Put the account on a plan of these limits, from now on."""
        plan = f"{account_id}-plan"
        self.accounts.put_plan(plan, {"limits": list(limits)})
        self.accounts.put(AccountId(account_id), plan=plan)

    def states(self, account_id: str) -> dict[str, LimitState]:
        """Where the account stands now, by the limit's name."""
        account = self.accounts.get(AccountId(account_id))
        return {state.limit.name: state for state in self.limits.states(account, self.clock.now_us())}

    def total(self, account_id: str, meter: str, span: Span | None = None) -> int:
        """What was used of a meter, in nanos."""
        account = self.accounts.get(AccountId(account_id))
        return self.measure.ask(account, [Question(meter, (span or all_time(),))])[0].value

    # --- doing ---------------------------------------------------------------------------------------------------

    def write(self, events: Sequence[object]) -> Receipt:
        """Count decoded events."""
        return self.ingest.write(events, OPERATOR)

    def check(self, account_id: str, **units: int | Decimal) -> Decision:
        """Ask whether it may go on."""
        account = self.accounts.get(AccountId(account_id))
        return self.limits.check(account, wanted(**units), self.clock.now_us())

    def reserve(self, account_id: str, ttl_s: int = 600, **units: int | Decimal) -> tuple[Decision, Hold | None]:
        """Hold units of limits."""
        account = self._met(account_id)
        action = self.limits.reserve(account, wanted(**units), ttl_s, self.clock.now_us())
        return self.limits.run(account, action).result()

    def commit(self, account_id: str, hold_id: str, **units: int | Decimal) -> Settled:
        """Settle a reservation with what was really used."""
        account = self._met(account_id)
        action = self.limits.commit(account, hold_id, wanted(**units), None, self.clock.now_us())
        return self.limits.run(account, action).result()

    def release(self, account_id: str, hold_id: str) -> Hold:
        """Give a reservation back."""
        account = self._met(account_id)
        return self.limits.run(account, self.limits.release(account, hold_id)).result()

    def grant(self, account_id: str, limit: str, ttl_s: int = 30, call_id: str | None = None) -> Granted:
        """Ask for a slot."""
        account = self._met(account_id)
        action = self.leases.grant(account, limit, ttl_s, call_id, self.clock.now_us())
        return self.leases.run(account, action).result()

    def heartbeat(self, account_id: str, lease_id: str, token: str) -> Lease:
        """Keep a slot."""
        account = self._met(account_id)
        action = self.leases.heartbeat(account, lease_id, token, self.clock.now_us())
        return self.leases.run(account, action).result()

    def _met(self, account_id: str) -> Account:
        """The account as the web hands it over to decisions in its lane: perhaps not as it is any more."""
        return self.accounts.met(AccountId(account_id)) or self.accounts.get(AccountId(account_id))

    def let_go(self, account_id: str, lease_id: str, token: str) -> Lease:
        """Free a slot."""
        account = self._met(account_id)
        action = self.leases.release(account, lease_id, token, self.clock.now_us())
        return self.leases.run(account, action).result()


def wanted(**units: int | Decimal) -> tuple[Wanted, ...]:
    """Return what is asked of each limit, in units."""
    return tuple(Wanted(name, int(quantity * NANOS)) for name, quantity in units.items())
