"""Slots of concurrency limits: granted, kept alive, released, and ended by themselves.

A lease counts from its grant until it is released, runs out without a heartbeat, or meets the deadline of a duration
limit. At the deadline the platform is told to hang up (`lease.terminated` in the outbox) and the call is billed at its
limit, until a real `call` event of the same call takes that event's place.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from tallybook.core.clock import US_PER_S, Clock
from tallybook.core.desk import Desk
from tallybook.core.errors import Conflict, FieldInvalid, NotFound
from tallybook.core.event import CALL
from tallybook.core.hold import Decision, Standing, refusal_of
from tallybook.core.ids import AccountId, new_id
from tallybook.core.intake import OwnEvent, read_own
from tallybook.core.lease import LEASES_LIVE_MAX, TERMINATED, Ending, Lease, deadline_us, hang_up, new_token
from tallybook.core.limit import Limit, LimitKind, LimitState
from tallybook.core.number import NANOS
from tallybook.core.pending import Pending
from tallybook.core.plan import Account
from tallybook.core.ports import PlanSource

if TYPE_CHECKING:
    from concurrent.futures import Future

SOURCE = "tallybook/leases"
_T = TypeVar("_T")


class LeaseLost(Conflict):
    """The lease ended, or the token is not the one that holds it: whoever asks holds no slot."""

    code = "lease-lost"


class Lanes(Protocol):
    """Runs decisions inside lanes: `flows.ingest`."""

    def act(self, account_id: str, action: Callable[[Desk], _T]) -> "Future[_T]":
        """Run *action* inside the next transaction of the account's lane."""
        ...

    def now_us(self) -> int:
        """Return the time by the clock that the lanes go by."""
        ...


class LeaseSource(Protocol):
    """Finds leases, as of the last commit."""

    def leases_live(self, account_no: int, now_us: int) -> Sequence[Lease]:
        """Return the live leases of an account, the oldest first, up to a bound."""
        ...

    def run_out(self, now_us: int) -> list[tuple[AccountId, str]]:
        """Return (account, lease) of leases that ran out and that nobody has ended yet."""
        ...


class AccountSource(Protocol):
    """Finds accounts: `flows.subscribe`."""

    def get(self, account_id: AccountId) -> Account:
        """Return the account."""
        ...


@dataclass(frozen=True, slots=True)
class Granted:
    """What became of asking for a slot: *lease* is None where the decision is a no."""

    decision: Decision
    lease: Lease | None


class Leases:
    """Gives slots out and takes them back, for every surface."""

    def __init__(self, plans: PlanSource, source: LeaseSource, lanes: Lanes) -> None:
        self._plans = plans
        self._source = source
        self._lanes = lanes

    def live(self, account: Account, now_us: int) -> Sequence[Lease]:
        """Return the live leases of the account, the oldest first, up to a bound."""
        return self._source.leases_live(account.no, now_us)

    def grant(
        self, account: Account, limit_name: str, ttl_s: int, call_id: str | None, now_us: int
    ) -> Callable[[Desk], Granted]:
        """Return the action that takes a slot of *limit_name*, if one is free."""

        def action(desk: Desk) -> Granted:
            # Others may have been admitted by a later time while this waited.
            at_us = max(now_us, self._lanes.now_us())
            fresh = desk.account(account, at_us)
            limits = self._plans.limits_of(fresh, at_us, desk)
            limit = _concurrent(limits, limit_name)
            live, frees_at_us = desk.slots_taken(account.no, limit.name, at_us)
            standing = Standing(LimitState(limit, live * NANOS), NANOS, frees_at_us)
            decision = Decision([standing], refusal_of(fresh.billing_status))
            if not decision.allowed:
                return Granted(decision, None)
            if live >= LEASES_LIVE_MAX:
                raise Conflict(f"an account has at most {LEASES_LIVE_MAX} live leases")
            lease = Lease(
                lease_id=new_id("lse"),
                limit=limit.name,
                token=new_token(max(at_us, desk.last_fence(account.no, limit.name) + 1)),
                call_id=call_id,
                ttl_us=ttl_s * US_PER_S,
                granted_us=at_us,
                expires_us=at_us + ttl_s * US_PER_S,
                deadline_us=deadline_us(limits, at_us),
            )
            desk.put_lease(account.no, lease)
            desk.write([_granted_event(desk, account, lease, live + 1)])
            return Granted(decision, lease)

        return action

    def heartbeat(self, account: Account, lease_id: str, token: str, now_us: int) -> Callable[[Desk], Lease]:
        """Return the action that keeps a lease alive for its TTL from now.

        It raises NotFound for no such lease, LeaseLost where it ended or another token holds it.
        """

        def action(desk: Desk) -> Lease:
            lease = _held(desk, account, lease_id, token)
            if not lease.is_live(now_us):
                raise LeaseLost("the lease has ended")
            kept = replace(lease, expires_us=now_us + lease.ttl_us)
            desk.put_lease(account.no, kept)
            return kept

        return action

    def release(self, account: Account, lease_id: str, token: str, now_us: int) -> Callable[[Desk], Lease]:
        """Return the action that frees a slot; releasing what has ended already is harmless.

        What ran out before is ended as it would have been by itself, so that it does not matter who comes first.
        """

        def action(desk: Desk) -> Lease:
            lease = _held(desk, account, lease_id, token)
            if lease.ended_us is not None:
                return lease
            if not lease.is_live(now_us):
                return self._run_out(desk, account, lease, now_us)
            ended = replace(lease, ended_us=now_us, ending=Ending.RELEASED)
            desk.put_lease(account.no, ended)
            return ended

        return action

    def end(self, account: Account, lease_id: str, now_us: int) -> Callable[[Desk], Lease | None]:
        """Return the action that ends a lease which ran out; None where somebody else did or it came alive."""

        def action(desk: Desk) -> Lease | None:
            lease = desk.find_lease(account.no, lease_id)
            if lease is None or lease.ended_us is not None or lease.is_live(now_us):
                return None
            return self._run_out(desk, account, lease, now_us)

        return action

    def _run_out(self, desk: Desk, account: Account, lease: Lease, now_us: int) -> Lease:
        ended = lease.run_out()
        desk.put_lease(account.no, ended)
        if ended.ending is Ending.TERMINATED:
            self._terminate(desk, account, ended, now_us)
        return ended

    def _terminate(self, desk: Desk, account: Account, lease: Lease, now_us: int) -> None:
        """Tell the platform to hang up, and bill the time until the deadline."""
        desk.tell(account.no, TERMINATED, hang_up(account.id, lease), now_us)
        call_id = lease.call_id or lease.lease_id
        if desk.call_reported(account.no, call_id):
            return
        seconds = (lease.span.end_us - lease.granted_us) // US_PER_S
        data = {"channel": "voice", "direction": "outbound", "duration_s": seconds, "call_id": call_id}
        event = _event(desk, account, f"{lease.lease_id}.call", CALL, (lease.span.end_us, data))
        desk.set_billed(account.no, lease.lease_id, msgspec.json.encode(event.event.body).decode())
        desk.write([event])

    def run(self, account: Account, action: Callable[[Desk], _T]) -> "Future[_T]":
        """Queue *action* for the account's lane; the future is done when what it wrote is durable."""
        return self._lanes.act(account.id, action)


def _granted_event(desk: Desk, account: Account, lease: Lease, live: int) -> Pending:
    data = {"limit": lease.limit, "live": live, "lease_id": lease.lease_id}
    return _event(desk, account, lease.lease_id, "lease.granted", (lease.granted_us, data))


def _event(
    desk: Desk, account: Account, event_id: str, event_type: str, told: tuple[int, Mapping[str, object]]
) -> Pending:
    return read_own(OwnEvent(SOURCE, event_id, event_type, account.id, *told), desk.scheme)


def _concurrent(limits: Sequence[Limit], name: str) -> Limit:
    limit = next((limit for limit in limits if limit.name == name), None)
    if limit is None:
        raise NotFound(f"the account has no limit called {name[:64]!r}", pointer="/limit")
    if limit.kind is not LimitKind.CONCURRENT:
        raise FieldInvalid(f"is a {limit.kind} limit, of which no lease can be had", pointer="/limit")
    return limit


def _held(desk: Desk, account: Account, lease_id: str, token: str) -> Lease:
    lease = desk.find_lease(account.no, lease_id)
    if lease is None:
        raise NotFound("there is no such lease")
    if lease.token != token:
        raise LeaseLost("the token is not the one that holds this lease")
    return lease


class LeaseEnds:
    """Ends leases that ran out."""

    def __init__(self, leases: Leases, accounts: AccountSource, source: LeaseSource, clock: Clock) -> None:
        self._leases = leases
        self._accounts = accounts
        self._source = source
        self._clock = clock

    def step(self) -> int:
        """End what has run out by now, up to a bound; return how many leases this call ended.

        Raises:
            Unavailable: If the store cannot be written; a later call goes on.
        """
        now_us = self._clock.now_us()
        waiting = []
        for account_id, lease_id in self._source.run_out(now_us):
            account = self._accounts.get(account_id)
            waiting.append(self._leases.run(account, self._leases.end(account, lease_id, now_us)))
        return sum(future.result() is not None for future in waiting)
