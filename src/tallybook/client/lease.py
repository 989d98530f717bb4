"""A slot of a concurrency limit in the caller's hands: kept alive by heartbeats, given back when the block is left.

The heartbeats are steps that run in a task, of the caller's loop or of the keeper's (see `keeper`). Not for asking
for a slot: the clients do that.
"""

# edge: a mistake in the caller's on_lost must not end the heartbeats' task unseen.

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

from tallybook.client.calls import OnUnreachable, Slot, end_lease, heartbeat
from tallybook.client.errors import LeaseLost, Refused, TallybookError, Unreachable
from tallybook.client.exchange import Pause, Policy, Steps, new_key, patient

if TYPE_CHECKING:
    from concurrent.futures import Future
    from datetime import datetime

Reason = Literal["refused", "expired", "deadline"]
HEARTBEATS_PER_TTL = 3
_LOST = frozenset({404, 409})
_log = logging.getLogger("tallybook.client")


@dataclass(frozen=True, slots=True)
class LeaseTerms:
    """What a lease was asked for with."""

    account: str
    limit: str
    ttl_s: int
    policy: Policy
    choice: OnUnreachable
    on_lost: Callable[[Any], object] | None


class LeaseBase:
    """What leases of both clients share.

    Attributes:
        id: The server's id, None where the lease is assumed.
        deadline: When a duration limit ends the lease, whatever the heartbeats; None without such a limit.
        assumed: True while nobody knows: Tallybook could not be reached and ``on_unreachable="allow"`` decided.
        lost_reason: Why it is lost: ``refused``, ``expired`` or ``deadline``; None while it is not.
    """

    lost: threading.Event | asyncio.Event

    def __init__(self, slot: Slot | None, terms: LeaseTerms) -> None:
        self.account, self.limit = terms.account, terms.limit
        self.id: str | None = None if slot is None else slot.granted.id
        self.deadline: datetime | None = None if slot is None else slot.granted.deadline
        self.assumed = slot is None
        self.lost_reason: Reason | None = None
        self._slot = slot
        self._terms = terms
        self._ended = False
        self._key = new_key()

    def __repr__(self) -> str:
        state = f"lost, {self.lost_reason}" if self.lost_reason else "released" if self._ended else "live"
        return f"<{type(self).__name__} {self.id or 'assumed'} of {self.account}: {state}>"

    def raise_if_lost(self) -> None:
        """Raise `LeaseLost` if the slot is no longer ours.

        Example:
            >>> with client.lease("concurrent_calls", account="acme") as lease:
            ...     lease.raise_if_lost()
        """
        if self.lost_reason is not None:
            raise LeaseLost(self.lost_reason)

    def _keep(self) -> Steps[None]:
        """Send heartbeats until the lease is released or lost."""
        slot, terms = self._slot, self._terms
        if slot is None:
            return
        clock, every_s = terms.policy.clock, terms.ttl_s / HEARTBEATS_PER_TTL
        deadline_s, expires_s, next_s, failures = slot.deadline_s, slot.asked_s + terms.ttl_s, slot.asked_s + every_s, 0
        while True:
            wake_s = min(next_s, deadline_s, next_s if self.assumed else expires_s)
            yield Pause(max(0.0, wake_s - clock.elapsed_s()))
            now_s = clock.elapsed_s()
            if self._ended or self._over(now_s, expires_s, deadline_s):
                return
            if now_s < next_s:
                continue
            patience_s = min(terms.policy.timeout_s, every_s, deadline_s - now_s)
            try:
                yield from heartbeat(self.account, slot.granted, patient(terms.policy, timeout_s=patience_s))
            except TallybookError as error:
                if self._refused(error):
                    return
                next_s = clock.elapsed_s() + min(every_s, terms.policy.backoff_s(failures))
                failures += 1
            else:
                expires_s, next_s, failures, self.assumed = now_s + terms.ttl_s, now_s + every_s, 0, False

    def _over(self, now_s: float, expires_s: float, deadline_s: float) -> bool:
        if now_s >= deadline_s:
            self._lose("deadline")
        elif now_s >= expires_s and self._terms.choice == "allow":
            self.assumed = True
        elif now_s >= expires_s:
            self._lose("expired")
        return self.lost_reason is not None

    def _refused(self, error: TallybookError) -> bool:
        if isinstance(error, Refused) and error.status in _LOST:
            self._lose("refused")
            return True
        log = _log.debug if isinstance(error, Unreachable) else _log.warning
        log("a heartbeat of the lease %s failed: %s", self.id, error)
        return False

    def _lose(self, reason: Reason) -> None:
        if self._ended:
            return
        self.lost_reason = reason
        self.lost.set()
        if self._terms.on_lost is None:
            _log.warning("the lease %s of %s is lost: %s", self.id, self.account, reason)
            return
        try:
            self._terms.on_lost(self)
        except Exception:
            _log.exception("on_lost failed for the lease %s", self.id)

    def _release(self) -> Steps[None]:
        self._ended = True
        if self._slot is not None and self.lost_reason is None:
            yield from end_lease(self.account, self._slot.granted, self._terms.policy, idempotency_key=self._key)

    def _log_leaving(self, error: TallybookError) -> None:
        _log.warning("the lease %s could not be released and will expire: %s", self.id, error)


class Lease(LeaseBase):
    """A slot that is kept alive for you, by heartbeats every third of its time to live.

    *lost* is a `threading.Event`, set when the slot is no longer ours.

    Example:
        >>> with client.lease("concurrent_calls", ttl_s=30, account="acme", call_id="call-1") as lease:
        ...     lease.lost.is_set()
        False
    """

    lost: threading.Event

    def __init__(self, slot: Slot | None, terms: LeaseTerms, run: Callable[[Steps[Any]], Any]) -> None:
        super().__init__(slot, terms)
        self.lost = threading.Event()
        self._run = run
        self._keeping: Future[None] | None = None

    def kept_by(self, keep: Callable[[Steps[None]], "Future[None]"]) -> Self:
        """Begin the heartbeats."""
        if self._slot is not None:
            self._keeping = keep(self._keep())
        return self

    def release(self) -> None:
        """Give the slot back; doing so twice is harmless.

        Example:
            >>> lease = client.lease("concurrent_calls", account="acme")
            >>> lease.release()
        """
        if self._ended:
            return
        steps = self._release()
        if self._keeping is not None:
            self._keeping.cancel()
        self._run(steps)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.release()
        except TallybookError as failure:
            self._log_leaving(failure)


class AsyncLease(LeaseBase):
    """The same as `Lease`, in tasks; *lost* is an `asyncio.Event`. A cancelled task gives the slot back.

    Example:
        >>> async def answer(client):
        ...     async with client.lease("concurrent_calls", account="acme") as lease:
        ...         return lease.lost.is_set()
        >>> run(answer)
        False
    """

    lost: asyncio.Event

    def __init__(self, slot: Slot | None, terms: LeaseTerms, run: Callable[[Steps[Any]], Awaitable[Any]]) -> None:
        super().__init__(slot, terms)
        self.lost = asyncio.Event()
        self._run = run
        self._keeping: asyncio.Task[None] | None = None

    def kept_by(self, keep: Callable[[Steps[None]], "asyncio.Task[None]"]) -> Self:
        """Begin the heartbeats."""
        if self._slot is not None:
            self._keeping = keep(self._keep())
        return self

    async def release(self) -> None:
        """Give the slot back; doing so twice is harmless.

        Example:
            >>> async def answer(client):
            ...     lease = await client.lease("concurrent_calls", account="acme")
            ...     await lease.release()
            >>> run(answer)
        """
        if self._ended:
            return
        if self._keeping is not None:
            self._keeping.cancel()
        await self._run(self._release())

    async def leave(self) -> None:
        """Release what is still held; failing is logged, since the lease expires by itself."""
        try:
            await self.release()
        except TallybookError as failure:
            self._log_leaving(failure)


def lease_body(limit: str, ttl_s: int, call_id: str | None) -> dict[str, object]:
    """Return what a lease is asked for with, as the wire has it."""
    body: dict[str, object] = {"limit": limit, "ttl_s": ttl_s}
    if call_id is not None:
        body["call_id"] = call_id
    return body
