"""The client for threads: track events, check, reserve, lease, read usage and limits.

Any thread may use one client; make one for the whole program. Not for tasks (see `async_client`).
"""

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from types import TracebackType
from typing import Self

from tallybook.client import calls
from tallybook.client.answers import AccountLimits, Decision, Usage
from tallybook.client.calls import Asked, Granularity, OnUnreachable, UsageQuestion, written_items
from tallybook.client.clock import Clock, Random
from tallybook.client.delivery import OnRejected
from tallybook.client.exchange import new_key
from tallybook.client.hold import Hold, Terms
from tallybook.client.keeper import Keeper
from tallybook.client.lease import Lease, LeaseTerms, lease_body
from tallybook.client.memory import OnFull
from tallybook.client.quantity import Quantity
from tallybook.client.runner import Runner
from tallybook.client.tuning import Tuning
from tallybook.client.wiring import (
    FLUSH_TIMEOUT_S,
    RETRIES,
    TIMEOUT_S,
    TTL_LEASE_S,
    TTL_RESERVATION_S,
    Options,
    Tracking,
)


class Client(Tracking):
    """Talks to one Tallybook with one key.

    Args:
        base_url: Such as ``https://usage.example.com``.
        key: ``tb_live_...``
        timeout_s: How long each attempt of a request may wait at each step: to connect, to send, to be answered.
        retries: How often a request is tried again when Tallybook is busy or out of reach. Events are tried until
            they are delivered.
        on_unreachable: What checks, reservations and leases do when Tallybook cannot be asked: ``raise``
            `Unreachable`, ``allow`` (fail open; what is granted so is marked *assumed*) or ``deny`` (fail closed).
        on_full: What `track` does when the buffer is full: ``drop_newest``, ``drop_oldest`` or ``raise`` `BufferFull`.
        on_rejected: Called with each `Rejected` event, on the thread that delivers; else they are logged.
        spool: A folder where events wait instead of in memory, and outlive the process.
        tuning: How events are gathered.
        clock, random: Instead of the machine's own, for tests.

    Example:
        >>> with Client("http://127.0.0.1:8080", "tb_live_...", on_unreachable="allow") as book:
        ...     book
        <Client of http://127.0.0.1:8080>
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        timeout_s: float = TIMEOUT_S,
        retries: int = RETRIES,
        on_unreachable: OnUnreachable = "raise",
        on_full: OnFull = "drop_newest",
        on_rejected: OnRejected | None = None,
        spool: str | os.PathLike[str] | None = None,
        tuning: Tuning | None = None,
        clock: Clock | None = None,
        random: Random | None = None,
    ) -> None:
        options = Options(timeout_s, retries, on_unreachable, on_full, on_rejected, spool, tuning, clock, random)
        super().__init__(base_url, key, options)
        self._runner = Runner(self._base, self._policy.clock)
        self._keeper = Keeper(self._base, self._policy.clock)

    # --- limits ------------------------------------------------------------------------------------------------------

    def check(
        self,
        limit_or_items: Asked,
        quantity: Quantity = 1,
        *,
        account: str,
        on_unreachable: OnUnreachable | None = None,
    ) -> Decision:
        """Ask whether something may go on, and hold nothing.

        A no is an answer, not an exception: the decision is false, and names the limits that are in the way.

        Raises:
            Refused: If there is no such account or limit, or the key may not ask.
            Unreachable: With ``on_unreachable="raise"``.

        Example:
            >>> decision = client.check("messages", 3, account="acme")
            >>> decision.allowed, decision.items[0].remaining > 3
            (True, True)
            >>> client.check({"messages": 1}, account="acme").violated
            ()
        """
        items = written_items(limit_or_items, quantity)
        return self._runner.run(calls.check(account, items, self._policy, self._choose(on_unreachable)))

    def reserve(
        self,
        limit_or_items: Asked,
        quantity: Quantity = 1,
        *,
        account: str,
        ttl_s: int = TTL_RESERVATION_S,
        on_unreachable: OnUnreachable | None = None,
    ) -> Hold:
        """Hold quantities for at most *ttl_s*, until they are committed or given back.

        Raises:
            LimitReached: If a limit is in the way; nothing is held then.
            Unreachable: With ``on_unreachable="raise"``.

        Example:
            >>> with client.reserve("messages", 5, account="acme", ttl_s=60) as hold:
            ...     settlement = hold.commit(2)
        """
        choice = self._choose(on_unreachable)
        items = written_items(limit_or_items, quantity)
        steps = calls.reserve(account, items, ttl_s, self._policy, choice=choice, idempotency_key=new_key())
        made = self._runner.run(steps)
        return Hold(made, Terms(account, items, self._policy, choice, self._track_made), self._runner.run)

    def lease(
        self,
        limit: str,
        *,
        account: str,
        ttl_s: int = TTL_LEASE_S,
        call_id: str | None = None,
        on_lost: Callable[[Lease], object] | None = None,
        on_unreachable: OnUnreachable | None = None,
    ) -> Lease:
        """Take a slot of a concurrency limit, and keep it by heartbeats every third of *ttl_s* until it is released.

        Args:
            limit: Name of the limit.
            account: Whose slot it is.
            ttl_s: How long the slot stays taken when nothing more is heard of it.
            call_id: What the slot is for, where it has an id.
            on_lost: Called with the lease, on the heartbeats' thread, when the slot is no longer ours.
            on_unreachable: Instead of the client's own choice.

        Raises:
            LimitReached: If no slot is free.
            Unreachable: With ``on_unreachable="raise"``.

        Example:
            >>> with client.lease("concurrent_calls", ttl_s=30, account="acme") as lease:
            ...     lease.lost.is_set()
            False
        """
        choice = self._choose(on_unreachable)
        body = lease_body(limit, ttl_s, call_id)
        slot = self._runner.run(
            calls.lease(account, body, ttl_s, self._policy, choice=choice, idempotency_key=new_key())
        )
        terms = LeaseTerms(account, limit, ttl_s, self._policy, choice, on_lost)
        return Lease(slot, terms, self._runner.run).kept_by(self._keeper.keep)

    # --- reading -----------------------------------------------------------------------------------------------------

    def usage(
        self,
        account: str,
        meter: str,
        *,
        start: datetime | date | str | None = None,
        end: datetime | date | str | None = None,
        granularity: Granularity = "total",
        group_by: Sequence[str] = (),
        filters: Mapping[str, str | Sequence[str]] | None = None,
        tz: str = "UTC",
    ) -> Usage:
        """Return usage of one meter in ``[start, end)``; without them, of the month to date.

        Args:
            account: Whose usage.
            meter: Such as ``messages``.
            start: An instant, or a date: its midnight in *tz*.
            end: Likewise; the first that no longer counts.
            granularity: How finely the span is cut: a window without usage has a row with 0.
            group_by: Dimensions; groups without usage have no row.
            filters: What dimensions must be: one value, or any of several.
            tz: The calendar's time zone, an IANA name.

        Example:
            >>> usage = client.usage("acme", "messages", granularity="day", filters={"direction": "inbound"})
            >>> usage.unit, usage.rows[0].value
            ('messages', Decimal('0'))
        """
        question = UsageQuestion(start, end, granularity, group_by, filters or {}, tz)
        return self._runner.run(calls.usage(account, meter, question, self._policy))

    def limits(self, account: str) -> AccountLimits:
        """Return where an account stands against every limit of its plan.

        Example:
            >>> [state.quantity for state in client.limits("acme").limits if state.name == "messages"]
            [Decimal('10000')]
        """
        return self._runner.run(calls.limits(account, self._policy))

    # --- delivery ----------------------------------------------------------------------------------------------------

    def flush(self, timeout_s: float | None = FLUSH_TIMEOUT_S) -> bool:
        """Send at once, and wait until all that was tracked before is delivered; False if *timeout_s* is over first.

        Example:
            >>> client.flush(timeout_s=5)
            True
        """
        return self._delivery.flush(timeout_s)

    def close(self, timeout_s: float | None = None) -> bool:
        """Deliver what waits, within *timeout_s* (or the tuning's), and end; False if events were left behind.

        The end of the program does the same. Leases that are still held run out by themselves.

        Example:
            >>> Client("http://127.0.0.1:8080", "tb_live_...").close()
            True
        """
        done = self._delivery.close(self._delivery.close_timeout_s if timeout_s is None else timeout_s)
        self._keeper.close()
        self._events.close()
        self._runner.close()
        return done

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
