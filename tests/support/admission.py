"""Asking the limits of one account, as the web room does it, without HTTP."""

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import select

from tallybook.core.arrears import Billed, Invoice
from tallybook.core.demand import read_items
from tallybook.core.hold import Decision, Hold, Standing
from tallybook.core.ids import AccountId
from tallybook.core.key import Caller
from tallybook.core.lease import Lease
from tallybook.core.number import to_text
from tallybook.core.plan import Account
from tallybook.flows.admit import Settled
from tallybook.flows.lease import Granted
from tallybook.ledger.limit_tables import outbox
from tests.support.rooms import OPERATOR, Flows

Item = tuple[str, object] | tuple[str, object, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Gate:
    """One account's limits; every call is answered before the next, at the clock's now."""

    flows: Flows
    account_id: str = "acme"

    @property
    def account(self) -> Account:
        """The account as it is now."""
        return self.flows.accounts.get(AccountId(self.account_id))

    @property
    def now_us(self) -> int:
        """The instant of the clock."""
        return self.flows.clock.now_us()

    def check(self, *items: Item) -> Decision:
        """May this go on?"""
        return self.flows.limits.check(self.account, read_items(_written(items), "/items", zero=True), self.now_us)

    def ask(self, *items: Item, ttl_s: int = 60) -> tuple[Decision, Hold | None]:
        """Ask for a reservation."""
        limits = self.flows.limits
        wanted = read_items(_written(items), "/items", zero=False)
        return limits.run(self.account, limits.reserve(self.account, wanted, ttl_s, self.now_us)).result()

    def reserve(self, *items: Item, ttl_s: int = 60) -> Hold:
        """Hold items that must fit."""
        decision, hold = self.ask(*items, ttl_s=ttl_s)
        assert hold is not None, decision.violated
        return hold

    def commit(self, hold: Hold, *items: Item, event: Mapping[str, object] | None = None) -> Settled:
        """Settle a reservation."""
        limits, pending = self.flows.limits, None
        real = read_items(_written(items), "/items", zero=True)
        if event is not None:
            caller = Caller("key", AccountId(self.account_id), frozenset())
            prepared = self.flows.ingest.prepare([event], caller, lone=True)
            assert [] == prepared.errors
            (pending,) = prepared.pending
        action = limits.commit(self.account, hold.hold_id, real, pending, self.now_us)
        return limits.run(self.account, action).result()

    def release(self, hold: Hold) -> Hold:
        """Give a reservation back."""
        limits = self.flows.limits
        return limits.run(self.account, limits.release(self.account, hold.hold_id)).result()

    def ask_lease(self, limit: str = "calls", *, ttl_s: int = 30, call_id: str | None = None) -> Granted:
        """Ask for a slot."""
        leases = self.flows.leases
        return leases.run(self.account, leases.grant(self.account, limit, ttl_s, call_id, self.now_us)).result()

    def lease(self, limit: str = "calls", *, ttl_s: int = 30, call_id: str | None = None) -> Lease:
        """Take a slot that must be free."""
        granted = self.ask_lease(limit, ttl_s=ttl_s, call_id=call_id)
        assert granted.lease is not None, granted.decision.violated
        return granted.lease

    def beat(self, lease: Lease, token: str | None = None) -> Lease:
        """Keep a lease alive."""
        leases = self.flows.leases
        action = leases.heartbeat(self.account, lease.lease_id, token or lease.token, self.now_us)
        return leases.run(self.account, action).result()

    def free(self, lease: Lease, token: str | None = None) -> Lease:
        """Release a lease."""
        leases = self.flows.leases
        action = leases.release(self.account, lease.lease_id, token or lease.token, self.now_us)
        return leases.run(self.account, action).result()

    def invoice(self, became: Invoice, at_us: int | None = None) -> Billed:
        """Say what became of an invoice."""
        billing = self.flows.billing
        action = billing.invoice(self.account, became, self.now_us if at_us is None else at_us, self.now_us)
        return billing.run(self.account, action).result()

    def create(self, kind: str, resource_id: str, **said: bool | str) -> None:
        """Create a thing by the API."""
        self.flows.inventory.put(OPERATOR, self.account, kind, resource_id, **said)  # type: ignore[arg-type]

    def standings(self) -> dict[str, Standing]:
        """Where the account stands, by limit and, after a slash, value."""
        found = self.flows.limits.standings(self.account, self.now_us)
        return {s.state.limit.name + (f"/{s.state.value}" if s.state.value else ""): s for s in found}

    def used(self, limit: str) -> str:
        """What is used of a limit."""
        return to_text(self.standings()[limit].state.used)

    def held(self, limit: str) -> str:
        """What is held of a limit."""
        return to_text(self.standings()[limit].state.held)

    def told(self) -> list[tuple[str, str]]:
        """Return the messages of the outbox, oldest first: type and JSON."""
        mine = outbox.c.account_no == self.account.no
        found = select(outbox.c.type, outbox.c.body).where(mine).order_by(outbox.c.message_no)
        with self.flows.ledger.reading() as connection:
            return [(row[0], row[1]) for row in connection.execute(found)]


def limited(flows: Flows, *limits: Mapping[str, object], account_id: str = "acme", **put: object) -> Gate:
    """Put an account on a plan of these limits."""
    flows.accounts.put_plan(f"{account_id}-plan", {"limits": [dict(limit) for limit in limits]})
    flows.accounts.put(AccountId(account_id), plan=f"{account_id}-plan", **put)  # type: ignore[arg-type]
    return Gate(flows, account_id)


def _written(items: tuple[Item, ...]) -> list[dict[str, object]]:
    written = []
    for limit, quantity, *dimensions in items:
        item: dict[str, object] = {"limit": limit, "quantity": quantity}
        if dimensions:
            item["dimensions"] = dimensions[0]
        written.append(item)
    return written
