"""Listeners that nobody may ever connect to, on one port of every IPv4 and IPv6 address of this machine."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Canary:
    """Two listening sockets; connections wait in their queues, so none is missed, however late it is looked."""

    port: int
    sockets: tuple[socket.socket, ...]

    def connects(self) -> int:
        """Return how many connections came since the last look."""
        count = 0
        for listener in self.sockets:
            count += _waiting(listener)
        return count


def _waiting(listener: socket.socket) -> int:
    count = 0
    while True:
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            return count
        connection.close()
        count += 1


@contextmanager
def canary() -> Iterator[Canary]:
    """Listen until the end of the block."""
    with ExitStack() as stack:
        four = stack.enter_context(socket.socket(socket.AF_INET))
        four.bind(("0.0.0.0", 0))  # noqa: S104 - the point
        port = int(four.getsockname()[1])
        six = stack.enter_context(socket.socket(socket.AF_INET6))
        six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        six.bind(("::", port))
        for listener in (four, six):
            listener.setblocking(False)
            listener.listen(64)
        yield Canary(port, (four, six))
