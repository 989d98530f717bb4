"""A name server that changes its mind, and a resolver that asks it: as attackers run them for rebinding."""

import asyncio
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from dnslib import QTYPE, RR, A, DNSRecord
from dnslib.server import DNSServer

from tallybook.outside.resolver import NameUnknown


class Rebinding:
    """Answers each question with the next of *answers*, the last one for ever; everything with a TTL of 0."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self._answers = list(answers)
        self.asked = 0
        self._server = DNSServer(self, address="127.0.0.1", port=0, logger=_Silent())

    def resolve(self, request: Any, handler: Any) -> Any:
        """Answer one question; dnslib calls it."""
        del handler
        addresses = self._answers[min(self.asked, len(self._answers) - 1)]
        self.asked += 1
        reply = request.reply()
        for address in addresses:
            reply.add_answer(RR(request.q.qname, QTYPE.A, rdata=A(address), ttl=0))
        return reply

    def __enter__(self) -> Self:
        self._server.start_thread()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.stop()
        self._server.server.server_close()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server.server_address[1])


class AskingResolver:
    """Asks one name server, as the system's own resolver would if it were set up to."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def resolve(self, host: str) -> list[str]:
        """Return the addresses of *host*.

        Raises:
            NameUnknown: If there is none.
        """
        question = DNSRecord.question(host)
        raw = await asyncio.to_thread(question.send, "127.0.0.1", self._port, timeout=5)
        addresses = [str(answer.rdata) for answer in DNSRecord.parse(raw).rr]
        if not addresses:
            raise NameUnknown(host)
        return addresses


class FixedResolver:
    """Knows all names there are, and counts who asks."""

    def __init__(self, **addresses: Sequence[str]) -> None:
        self._addresses = {name.replace("_", "."): list(found) for name, found in addresses.items()}
        self.asked: list[str] = []

    async def resolve(self, host: str) -> list[str]:
        """Return the addresses of *host*.

        Raises:
            NameUnknown: If there is none.
        """
        self.asked.append(host)
        if host not in self._addresses:
            raise NameUnknown(host)
        return self._addresses[host]


class _Silent:
    """A log that nobody reads."""

    def __getattr__(self, name: str) -> Any:
        del name
        return lambda *_: None
