"""The client for tasks: the same as `client`, awaited.

Events are delivered by a thread here as well, so a busy event loop delays none. Made and used in one event loop.
"""

import asyncio
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
from tallybook.client.exchange import Steps, new_key
from tallybook.client.hold import AsyncHold, Terms
from tallybook.client.lease import AsyncLease, LeaseTerms, lease_body
from tallybook.client.memory import OnFull
from tallybook.client.opening import Background, Opening
from tallybook.client.quantity import Quantity
from tallybook.client.runner import AsyncRunner
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


class AsyncClient(Tracking):
    """Talks to one Tallybook with one key, from tasks. The arguments are those of `Client`.

    `track` is a plain call here too: it never waits.

    Example:
        >>> import asyncio
        >>> from tallybook.client import AsyncClient
        >>> async def main():
        ...     async with AsyncClient("http://127.0.0.1:8080", "tb_live_...") as book:
        ...         return repr(book)
        >>> asyncio.run(main())
        '<AsyncClient of http://127.0.0.1:8080>'
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
        self._runner = AsyncRunner(self._base, self._policy.clock)
        self._background = Background()
        self._keeping = Background()

    # --- limits ------------------------------------------------------------------------------------------------------

    async def check(
        self,
        limit_or_items: Asked,
        quantity: Quantity = 1,
        *,
        account: str,
        on_unreachable: OnUnreachable | None = None,
    ) -> Decision:
        """Ask whether something may go on, and hold nothing; see `Client.check`.

        Example:
            >>> async def answer(client):
            ...     return (await client.check("messages", 3, account="acme")).allowed
            >>> run(answer)
            True
        """
        items = written_items(limit_or_items, quantity)
        return await self._runner.run(calls.check(account, items, self._policy, self._choose(on_unreachable)))

    def reserve(
        self,
        limit_or_items: Asked,
        quantity: Quantity = 1,
        *,
        account: str,
        ttl_s: int = TTL_RESERVATION_S,
        on_unreachable: OnUnreachable | None = None,
    ) -> Opening[AsyncHold]:
        """Hold quantities, by ``async with`` or ``await``; see `Client.reserve`.

        Example:
            >>> async def answer(client):
            ...     async with client.reserve("messages", 5, account="acme") as hold:
            ...         return (await hold.commit(2)).assumed
            >>> run(answer)
            False
        """
        choice = self._choose(on_unreachable)
        items = written_items(limit_or_items, quantity)

        async def make() -> AsyncHold:
            steps = calls.reserve(account, items, ttl_s, self._policy, choice=choice, idempotency_key=new_key())
            made = await self._runner.run(steps)
            return AsyncHold(made, Terms(account, items, self._policy, choice, self._track_made), self._runner.run)

        return Opening(make, self._background)

    def lease(
        self,
        limit: str,
        *,
        account: str,
        ttl_s: int = TTL_LEASE_S,
        call_id: str | None = None,
        on_lost: Callable[[AsyncLease], object] | None = None,
        on_unreachable: OnUnreachable | None = None,
    ) -> Opening[AsyncLease]:
        """Take a slot and keep it, by ``async with`` or ``await``; see `Client.lease`. *on_lost* is a plain function.

        Example:
            >>> async def answer(client):
            ...     async with client.lease("concurrent_calls", account="acme") as lease:
            ...         return lease.lost.is_set()
            >>> run(answer)
            False
        """
        choice = self._choose(on_unreachable)
        body = lease_body(limit, ttl_s, call_id)
        terms = LeaseTerms(account, limit, ttl_s, self._policy, choice, on_lost)

        async def make() -> AsyncLease:
            steps = calls.lease(account, body, ttl_s, self._policy, choice=choice, idempotency_key=new_key())
            return AsyncLease(await self._runner.run(steps), terms, self._runner.run).kept_by(self._keep)

        return Opening(make, self._background)

    def _keep(self, steps: Steps[None]) -> "asyncio.Task[None]":
        return self._keeping.run(self._runner.run(steps))

    # --- reading -----------------------------------------------------------------------------------------------------

    async def usage(
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
        """Return usage of one meter in ``[start, end)``; see `Client.usage`.

        Example:
            >>> async def answer(client):
            ...     return (await client.usage("acme", "messages")).unit
            >>> run(answer)
            'messages'
        """
        question = UsageQuestion(start, end, granularity, group_by, filters or {}, tz)
        return await self._runner.run(calls.usage(account, meter, question, self._policy))

    async def limits(self, account: str) -> AccountLimits:
        """Return where an account stands against every limit of its plan.

        Example:
            >>> async def answer(client):
            ...     return (await client.limits("acme")).plan
            >>> run(answer)
            'agentphone-pro'
        """
        return await self._runner.run(calls.limits(account, self._policy))

    # --- delivery ----------------------------------------------------------------------------------------------------

    async def flush(self, timeout_s: float = FLUSH_TIMEOUT_S) -> bool:
        """Send at once, and wait until all that was tracked before is delivered; False if *timeout_s* is over first.

        Example:
            >>> async def answer(client):
            ...     client.track("message", {"direction": "inbound"}, account="acme", id="m-1")
            ...     return await client.flush(timeout_s=5)
            >>> run(answer)
            True
        """
        return await asyncio.to_thread(self._delivery.flush, timeout_s)

    async def aclose(self, timeout_s: float | None = None) -> bool:
        """Give back what cancelled tasks left, deliver what waits, and end; False if events were left behind.

        Example:
            >>> async def answer(client):
            ...     return await client.aclose()
            >>> run(answer)
            True
        """
        await self._background.finish()
        self._keeping.cancel()
        await self._keeping.finish()
        wait_s = self._delivery.close_timeout_s if timeout_s is None else timeout_s
        done = await asyncio.to_thread(self._delivery.close, wait_s)
        self._events.close()
        await self._runner.aclose()
        return done

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()
