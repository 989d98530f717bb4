"""What was delivered, and delivering it again: one, those of a span, what failed, what was missed; and a test message.

Who may see an endpoint sees its deliveries. Not for endpoints themselves (see `endpoints`).
"""

from collections.abc import Sequence

import msgspec

from tallybook.core.delivery import Destination
from tallybook.core.delivery_log import Delivery, DeliveryLog, LogFilter, Replay
from tallybook.core.errors import NotFound
from tallybook.core.ids import new_id
from tallybook.core.message import ENDPOINT_TEST, EndpointTest, Message

_encode = msgspec.json.Encoder().encode


class Redeliveries:
    """Looks at the log, and queues again. Which endpoint is meant, and whether the caller may, is found out before."""

    def __init__(self, log: DeliveryLog) -> None:
        self._log = log

    def get(self, delivery_id: str) -> Delivery:
        """Return one delivery with its attempts.

        Raises:
            NotFound: If there is none.
        """
        found = None if "\x00" in delivery_id else self._log.get(delivery_id)
        if found is None:
            raise delivery_unknown()
        return found

    def page(
        self, endpoint: Destination, wanted: LogFilter, before: int | None, limit: int
    ) -> tuple[Sequence[Delivery], int | None]:
        """Return deliveries of an endpoint, the newest first, and where the next page begins."""
        return self._log.page(endpoint.destination_id, wanted, before, limit)

    def replay(self, delivery_id: str, now_us: int) -> Delivery:
        """Queue one delivery again; the message keeps its id.

        Raises:
            NotFound: If there is none.
            Conflict: If its endpoint is disabled, its message was pruned, or it is being tried just now.
        """
        self._log.replay(delivery_id, now_us)
        return self.get(delivery_id)

    def replay_many(self, endpoint: Destination, asked: Replay, now_us: int) -> tuple[int, bool]:
        """Queue deliveries again; return how many, and whether there are more.

        Raises:
            Conflict: If the endpoint is disabled.
        """
        return self._log.replay_many(endpoint.destination_id, asked, now_us)

    def test(self, endpoint: Destination, now_us: int) -> Delivery:
        """Queue a message of the type ``endpoint.test``.

        Raises:
            Conflict: If the endpoint is disabled.
        """
        body = _encode(EndpointTest(endpoint.destination_id, endpoint.account_id))
        message = Message(new_id("msg"), ENDPOINT_TEST, endpoint.account_id, body, now_us)
        return self.get(self._log.send(endpoint.destination_id, message, now_us))


def delivery_unknown() -> NotFound:
    """Return the refusal for a delivery that does not exist or is not the caller's."""
    return NotFound("there is no such delivery")
