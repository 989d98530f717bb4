"""Finding the addresses of a host, in threads of its own: a silent name server holds up its own names only.

Not for judging them (see `core.egress`).
"""

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
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
    """Asks as the system is set up to; the answer is used at once and never kept."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS_MAX, thread_name_prefix="resolver")

    async def resolve(self, host: str) -> list[str]:
        """Return the addresses of *host*.

        Raises:
            NameUnknown: If there is none.
        """
        return await asyncio.get_running_loop().run_in_executor(self._threads, addresses_of, host)

    def close(self) -> None:
        """Stop asking; what still waits for a name server is left behind."""
        self._threads.shutdown(wait=False, cancel_futures=True)


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
