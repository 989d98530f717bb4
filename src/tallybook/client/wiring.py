"""What both clients are put together from: the policy of their requests, and the delivery of their events.

Not for asking anything (see `client` and `async_client`).
"""

import os
import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from tallybook.client.answers import DeliveryStats
from tallybook.client.calls import OnUnreachable, read_choice
from tallybook.client.clock import Clock, Random, SystemClock
from tallybook.client.delivery import Delivery, OnRejected
from tallybook.client.event import Data, line_of, make_event
from tallybook.client.exchange import Policy
from tallybook.client.memory import Memory, OnFull, Store
from tallybook.client.runner import Runner, base_of
from tallybook.client.spool import Spool
from tallybook.client.tuning import Tuning

TIMEOUT_S = 10.0
RETRIES = 3
FLUSH_TIMEOUT_S = 30.0
TTL_RESERVATION_S, TTL_LEASE_S = 60, 30


@dataclass(frozen=True, slots=True)
class Options:
    """What a client was made with; see `Client`."""

    timeout_s: float
    retries: int
    on_unreachable: OnUnreachable
    on_full: OnFull
    on_rejected: OnRejected | None
    spool: str | os.PathLike[str] | None
    tuning: Tuning | None
    clock: Clock | None
    random: Random | None


class Tracking:
    """The half that both clients share: events, which are delivered by a thread, whoever tracks them."""

    def __init__(self, base_url: str, key: str, options: Options) -> None:
        if options.retries < 0 or not options.timeout_s > 0:
            raise ValueError("retries is at least 0, and timeout_s is above 0")
        self._choice = read_choice(options.on_unreachable)
        self._base = base_of(base_url, key)
        tuning = options.tuning or Tuning()
        clock = options.clock or SystemClock()
        self._policy = Policy(clock, options.random or random.SystemRandom(), options.timeout_s, options.retries)
        self._events = Runner(self._base, clock)
        self._delivery = Delivery(
            _store(options.spool, tuning),
            self._events.send,
            self._policy,
            tuning=tuning,
            on_full=options.on_full,
            on_rejected=options.on_rejected,
        )
        self._delivery.start()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._base[0]}>"

    def track(
        self,
        type: str,  # noqa: A002 - an event's type is called so, here as on the wire
        data: Data | None = None,
        *,
        account: str | None = None,
        id: str | None = None,  # noqa: A002 - likewise
        source: str | None = None,
        time: datetime | str | None = None,
    ) -> str:
        """Keep one event for delivery and return its id. Never waits for the network.

        Id and time are fixed now, so however often the event is sent, it counts once.

        Args:
            type: Such as ``message``; what else there is stands in the server's catalogue.
            data: What happened; Decimals are sent digit by digit, floats as they print.
            account: Whose usage it is; may be left out with a key that belongs to an account.
            id: An id of your own, if what happened has one; then also tracking it twice counts once.
            source: What *id* is unique in.
            time: When it happened; now, if left out.

        Raises:
            EventInvalid: If it could never be accepted.
            BufferFull: If there is no room and the client was made with ``on_full="raise"``.
            ClientClosed: After `close`.

        Example:
            >>> client.track("message", {"direction": "inbound"}, account="acme", id="m-1")
            'm-1'
        """
        event = make_event(type, data, self._policy.clock, account=account, id_=id, source=source, time=time)
        self._delivery.track(line_of(event))
        return str(event["id"])

    def stats(self) -> DeliveryStats:
        """Return what became of the events that were tracked so far.

        Example:
            >>> client.flush(timeout_s=5)
            True
            >>> client.stats().pending
            0
        """
        return self._delivery.stats()

    def _track_made(self, event: Mapping[str, object]) -> bool:
        return self._delivery.track(line_of(event))

    def _choose(self, choice: OnUnreachable | None) -> OnUnreachable:
        return self._choice if choice is None else read_choice(choice)


def _store(spool: str | os.PathLike[str] | None, tuning: Tuning) -> Store:
    if spool is None:
        return Memory(tuning.buffer_events_max, tuning.buffer_bytes_max)
    return Spool(Path(spool), tuning.spool_bytes_max)
