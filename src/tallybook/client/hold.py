"""A reservation in the caller's hands: committed with the real quantity, or given back when the block is left.

Not for making one: the clients do that.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from tallybook.client.answers import Made, Settlement
from tallybook.client.calls import Asked, OnUnreachable, commit, release, written_items
from tallybook.client.errors import Conflict, EventInvalid, TallybookError, Unreachable
from tallybook.client.event import Data, make_event
from tallybook.client.exchange import Policy, Steps, new_key
from tallybook.client.quantity import Quantity

if TYPE_CHECKING:
    from datetime import datetime

_EVENT_FIELDS = frozenset({"type", "data", "id", "source", "time", "account"})
_log = logging.getLogger("tallybook.client")


class HoldState(StrEnum):
    """The life of a hold, as far as this side knows.

    Example:
        >>> hold = client.reserve("messages", 1, account="acme")
        >>> hold.release()
        >>> hold.state
        <HoldState.RELEASED: 'released'>
    """

    HELD = "held"
    COMMITTED = "committed"
    RELEASED = "released"
    UNKNOWN = "unknown"
    """A commit got no answer: it may have happened, and may be asked for again."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a hold was asked for with."""

    account: str
    items: list[dict[str, object]]
    policy: Policy
    choice: OnUnreachable
    track: Callable[[Mapping[str, object]], object]
    """Puts an event into the buffer."""


class HoldBase:
    """What holds of both clients share.

    Attributes:
        id: The server's id of the reservation, None where it is assumed.
        expires_at: When the server gives the quantities back by itself.
        state: What became of it.
        assumed: True where Tallybook could not be reached and ``on_unreachable="allow"`` decided.
    """

    def __init__(self, made: Made | None, terms: Terms) -> None:
        self.account = terms.account
        self.id: str | None = None if made is None else made.id
        self.expires_at: datetime | None = None if made is None else made.expires_at
        self.assumed = made is None
        self.state = HoldState.HELD
        self._terms = terms
        self._release_key = new_key()
        self._commit_key = new_key()
        self._committed_as: dict[str, object] | None = None
        self._given: Mapping[str, Any] | None = None
        self._event: dict[str, object] | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.id or 'assumed'} of {self.account}: {self.state}>"

    def _commit(self, quantity: Quantity | Asked | None, event: Mapping[str, Any] | None) -> Steps[Settlement]:
        if self.state in {HoldState.COMMITTED, HoldState.RELEASED}:
            raise Conflict(f"the reservation is {self.state} already", status=409, code="conflict")
        body: dict[str, object] = {"items": self._items(quantity)}
        made = self._make_event(event)
        if made is not None:
            body["event"] = made
        if self.id is None:
            self.state = HoldState.COMMITTED
            return self._assume(made)
        if body != self._committed_as:
            self._committed_as, self._commit_key = body, new_key()
        settlement: Settlement
        try:
            settlement = yield from commit(
                self.account, self.id, body, self._terms.policy, idempotency_key=self._commit_key
            )
        except Unreachable:
            self.state = HoldState.UNKNOWN
            if self._terms.choice != "allow":
                raise
            settlement = self._assume(made)
        self.state = HoldState.COMMITTED
        return settlement

    def _assume(self, event: Mapping[str, object] | None) -> Settlement:
        """Leave the event to the buffer: should the commit have arrived after all, it counts once all the same."""
        if event is not None:
            self._terms.track(event)
        return Settlement(assumed=True)

    def _items(self, quantity: Quantity | Asked | None) -> list[dict[str, object]]:
        reserved = self._terms.items
        if quantity is None:
            return reserved
        if isinstance(quantity, Mapping | list | tuple) or not isinstance(quantity, Quantity):
            return written_items(quantity, 1)
        if len(reserved) != 1:
            raise ValueError(f"{len(reserved)} limits are reserved: commit a mapping of limit to quantity")
        (item,) = reserved
        (written,) = written_items(str(item["limit"]), quantity)
        return [{**item, "quantity": written["quantity"]}]

    def _make_event(self, given: Mapping[str, Any] | None) -> dict[str, object] | None:
        """Return the event with its id and time; the same one when the same is given again."""
        if given is None:
            return None
        if self._event is not None and given == self._given:
            return self._event
        if "type" not in given or not given.keys() <= _EVENT_FIELDS:
            raise EventInvalid(f"the event has a type and may have {', '.join(sorted(_EVENT_FIELDS - {'type'}))}")
        data: Data | None = given.get("data")
        self._given = dict(given)
        self._event = make_event(
            given["type"],
            data,
            self._terms.policy.clock,
            account=given.get("account", self.account),
            id_=given.get("id"),
            source=given.get("source"),
            time=given.get("time"),
        )
        return self._event

    def _release(self) -> Steps[None]:
        if self.state is HoldState.COMMITTED:
            raise Conflict("the reservation is committed already", status=409, code="conflict")
        if self.id is not None and self.state is not HoldState.RELEASED:
            yield from release(self.account, self.id, self._terms.policy, idempotency_key=self._release_key)
        self.state = HoldState.RELEASED

    def _log_leaving(self, error: TallybookError) -> None:
        _log.warning("the reservation %s could not be released and will expire: %s", self.id, error)


class Hold(HoldBase):
    """Quantities that are held for you until you commit or release, or until they expire.

    Leaving the block without a commit, or by an exception, gives them back.

    Example:
        >>> with client.reserve("messages", 5, account="acme", ttl_s=60) as hold:
        ...     settlement = hold.commit(3)
        >>> hold.state
        <HoldState.COMMITTED: 'committed'>
    """

    def __init__(self, made: Made | None, terms: Terms, run: Callable[[Steps[Any]], Any]) -> None:
        super().__init__(made, terms)
        self._run: Callable[[Steps[Any]], Any] = run

    def commit(self, quantity: Quantity | Asked | None = None, *, event: Mapping[str, Any] | None = None) -> Settlement:
        """Settle with the quantity that was really used; without one, with what was reserved.

        More than was held is recorded as overage, never lost. *event* is counted in the same transaction. Asking
        again after `Unreachable` is safe: the request keeps its Idempotency-Key and the event its id.

        Example:
            >>> with client.reserve("messages", 5, account="acme") as hold:
            ...     settlement = hold.commit("1", event={"type": "message", "data": {"direction": "inbound"}})
            >>> settlement.assumed
            False
        """
        settlement: Settlement = self._run(self._commit(quantity, event))
        return settlement

    def release(self) -> None:
        """Give back what is held; doing so twice is harmless.

        Example:
            >>> hold = client.reserve("messages", 1, account="acme")
            >>> hold.release()
        """
        self._run(self._release())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.state is HoldState.HELD:
            try:
                self.release()
            except TallybookError as failure:
                self._log_leaving(failure)


class AsyncHold(HoldBase):
    """The same as `Hold`, in tasks; a task that is cancelled inside the block gives back what is held.

    Example:
        >>> async def answer(client):
        ...     async with client.reserve("messages", 5, account="acme") as hold:
        ...         await hold.commit(3)
        ...     return str(hold.state)
        >>> run(answer)
        'committed'
    """

    def __init__(
        self,
        made: Made | None,
        terms: Terms,
        run: Callable[[Steps[Any]], Awaitable[Any]],
    ) -> None:
        super().__init__(made, terms)
        self._run: Callable[[Steps[Any]], Awaitable[Any]] = run

    async def commit(
        self, quantity: Quantity | Asked | None = None, *, event: Mapping[str, Any] | None = None
    ) -> Settlement:
        """Settle with the quantity that was really used; see `Hold.commit`.

        Example:
            >>> async def answer(client):
            ...     hold = await client.reserve("messages", 5, account="acme")
            ...     return (await hold.commit(3)).assumed
            >>> run(answer)
            False
        """
        settlement: Settlement = await self._run(self._commit(quantity, event))
        return settlement

    async def release(self) -> None:
        """Give back what is held; doing so twice is harmless.

        Example:
            >>> async def answer(client):
            ...     hold = await client.reserve("messages", 5, account="acme")
            ...     await hold.release()
            >>> run(answer)
        """
        await self._run(self._release())

    async def leave(self) -> None:
        """Release what is still held; failing is logged, since the reservation expires by itself."""
        if self.state is HoldState.HELD:
            try:
                await self.release()
            except TallybookError as failure:
                self._log_leaving(failure)
