"""A sender that lets a channel speak only when it may: what comes at another time is kept for the next digest."""

import asyncio
from typing import Protocol

from tallybook.core.channel import DIGEST, pace_of
from tallybook.core.delivery import Attempted, Destination, Outcome, Sender
from tallybook.core.errors import Unavailable
from tallybook.core.message import ENDPOINT_TEST, Message

_AT_ONCE = frozenset({DIGEST, ENDPOINT_TEST})


class Shelf(Protocol):
    """Keeps what is held back."""

    def hold(self, destination: Destination, message: Message) -> bool:
        """Keep *message* if the channel may not speak now; otherwise note that it does."""
        ...


class PacedSender:
    """Stands before the sender of a kind."""

    def __init__(self, sender: Sender, shelf: Shelf) -> None:
        self._sender = sender
        self._shelf = shelf

    async def send(self, destination: Destination, message: Message) -> Attempted:
        """Send now, or keep it, which counts as delivered: it goes out with the digest, which is a delivery itself."""
        if message.type not in _AT_ONCE and not pace_of(destination.options).is_plain:
            try:
                held = await asyncio.to_thread(self._shelf.hold, destination, message)
            except Unavailable:
                return Attempted(Outcome.FAILED, 0, "ledger-unavailable")
            if held:
                return Attempted(Outcome.DELIVERED, 0, response_body=b"held for a digest")
        return await self._sender.send(destination, message)

    async def close(self) -> None:
        """Let go of what is open."""
        await self._sender.close()
