"""Finding the addresses of a host, in threads of its own: a silent name server holds up its own names only.

Not for judging them (see `core.egress`).
"""

import asyncio
import socket
import threading
from contextlib import suppress
from typing import Protocol

THREADS_MAX = 64
ADDRESSES_MAX = 8
"""Most addresses of one host that are looked at."""


class NameUnknown(Exception):
    """The host has no address."""


class Resolver(Protocol):
    """Finds addresses; tests bring name servers of their own."""

    async def resolve(self, host: str) -> list[str]:
        """Return the addresses of *host*, the preferred first.

        Raises:
            NameUnknown: If there is none.
        """
        ...


class SystemResolver:
    """Asks as the system is set up to; the answer is used at once and never kept.

    Each question has a thread of its own that nobody waits for at the end: a name server may take minutes to fail.
    """

    def __init__(self, threads_max: int = THREADS_MAX) -> None:
        self._room = asyncio.Semaphore(threads_max)

    async def resolve(self, host: str) -> list[str]:
        """Return the addresses of *host*.

        Raises:
            NameUnknown: If there is none.
        """
        await self._room.acquire()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[str]] = loop.create_future()
        threading.Thread(target=self._ask, args=(host, loop, answer), name="resolver", daemon=True).start()
        return await answer

    def _ask(self, host: str, loop: asyncio.AbstractEventLoop, answer: "asyncio.Future[list[str]]") -> None:
        found: list[str] = []
        with suppress(NameUnknown):
            found = addresses_of(host)
        with suppress(RuntimeError):  # the loop is closed, so nobody waits
            loop.call_soon_threadsafe(self._tell, host, found, answer)

    def _tell(self, host: str, found: list[str], answer: "asyncio.Future[list[str]]") -> None:
        self._room.release()
        if answer.done():  # whoever asked has given up
            return
        if found:
            answer.set_result(found)
        else:
            answer.set_exception(NameUnknown(host))


def addresses_of(host: str) -> list[str]:
    """Return the addresses of *host*, waiting for them.

    Raises:
        NameUnknown: If there is none.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise NameUnknown(host) from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))[:ADDRESSES_MAX]
