"""Requests that are done once for an Idempotency-Key, however often they are sent.

What is done is decided elsewhere (see `admit`, `lease`, `exceptions`, `billing`).
"""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, TypeVar

from tallybook.core.desk import Answered, Desk
from tallybook.core.errors import Conflict
from tallybook.core.plan import Account

if TYPE_CHECKING:
    from concurrent.futures import Future

REFUSED_STATUS = 400
RETRY_AFTER_S = 1
_T = TypeVar("_T")


class KeyReused(Conflict):
    """An Idempotency-Key came a second time, with another request."""

    code = "idempotency-key-reused"


class KeyInFlight(Conflict):
    """An Idempotency-Key came again while the request that came with it first is being decided."""

    code = "idempotency-key-in-flight"

    retry_after_s = RETRY_AFTER_S


class Lanes(Protocol):
    """Runs decisions inside lanes: `flows.ingest`."""

    def act(self, account_id: str, action: Callable[[Desk], _T]) -> "Future[_T]":
        """Run *action* inside the next transaction of the account's lane."""
        ...


class Once:
    """Runs actions in their account's lane, and repeats answers."""

    def __init__(self, lanes: Lanes) -> None:
        self._lanes = lanes
        self._in_flight: set[tuple[int, str]] = set()
        self._lock = threading.Lock()

    def perform(
        self, account: Account, key: str | None, digest: str, action: Callable[[Desk], Answered], now_us: int
    ) -> "Future[Answered]":
        """Queue *action*, or what repeats its answer; the future is done when what it wrote is durable.

        Answers below status 400 are kept for a repeated *key*; a refusal is not, for it may be another one next time.
        The future fails with KeyReused where the key came with another *digest* before. A key that comes again on
        another server meanwhile waits there for the lane, and gets the answer.

        Raises:
            KeyInFlight: If the first request with *key* is not answered yet.
        """
        if key is None:
            return self._lanes.act(account.id, action)
        mine = account.no, key
        with self._lock:
            if mine in self._in_flight:  # as many as requests are answered at the same time
                raise KeyInFlight("a request with this Idempotency-Key is being decided; send it again in a moment")
            self._in_flight.add(mine)
        try:
            future = self._lanes.act(account.id, _repeatable(account, key, digest, action, now_us))
        except BaseException:
            self._in_flight.discard(mine)
            raise
        future.add_done_callback(lambda _: self._in_flight.discard(mine))
        return future


def _repeatable(
    account: Account, key: str, digest: str, action: Callable[[Desk], Answered], now_us: int
) -> Callable[[Desk], Answered]:
    def repeated(desk: Desk) -> Answered:
        known = desk.answered(account.no, key)
        if known is not None:
            if known.digest != digest:
                raise KeyReused("the Idempotency-Key was used for another request")
            return replace(known, replayed=True)
        answer = action(desk)
        if answer.status < REFUSED_STATUS:
            desk.remember(account.no, key, answer, now_us)
        return answer

    return repeated
