"""Receivers of webhooks, kind and hostile, in one event loop of their own: what they do is the first word of the path.

    ok, 500, 410, 429   answer so (429 with Retry-After: 3600)
    hang                take the request and say nothing
    drip                answer one byte of a header a second
    huge                answer 200 and then a gigabyte
    redirect            answer 302 to /ok of the same place
    reset               take the request and reset the connection
    echo                answer 200 with what came

Every request that arrived whole is kept.
"""

import asyncio
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

_GIGABYTE = 1_000_000_000
_CHUNK = b"x" * 65_536
_ANSWERS = {
    "ok": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "500": b"HTTP/1.1 500 Oops\r\nContent-Length: 4\r\n\r\noops",
    "410": b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n",
    "429": b"HTTP/1.1 429 Slow\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n",
}
_Reader = asyncio.StreamReader
_Writer = asyncio.StreamWriter


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes
    at_s: float

    @property
    def message_id(self) -> str:
        """The id of the message in it."""
        return self.headers["webhook-id"]


class Receivers:
    """Answers on one port of every loopback address until it is closed; with *tls*, over TLS."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, host: str = "0.0.0.0") -> None:  # noqa: S104 - a test
        self.received: list[Received] = []
        self.connections = 0
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._released = asyncio.Event()
        self._listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._listener.bind((host, 0))
        self._listener.listen(512)
        self.port = int(self._listener.getsockname()[1])
        self._tls = tls
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()
        self._thread.join()

    def url(self, path: str, host: str = "127.0.0.1") -> str:
        """Return the URL of a receiver."""
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}/{path}"

    def wait_for(self, done: Callable[[list[Received]], bool], timeout_s: float = 60.0) -> list[Received]:
        """Wait until what was received is enough, and return it."""
        with self._changed:
            assert self._changed.wait_for(lambda: done(self.received), timeout_s), f"{len(self.received)} received"
            return list(self.received)

    def release(self) -> None:
        """Let go of all that hang, and receive nothing more."""
        with suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(self._released.set)

    # --- in the thread of the loop ---------------------------------------------------------------------------------

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._until_released())
        self._loop.close()

    async def _until_released(self) -> None:
        server = await asyncio.start_server(self._connected, sock=self._listener, ssl=self._tls)
        self._ready.set()
        await self._released.wait()
        server.close()
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _connected(self, reader: _Reader, writer: _Writer) -> None:
        self.connections += 1
        try:
            while await self._one(reader, writer):
                await writer.drain()
        except (OSError, EOFError, asyncio.CancelledError):
            pass  # whoever called is gone, or the test is over
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _one(self, reader: _Reader, writer: _Writer) -> bool:
        """Answer one request; say whether the connection goes on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:-2])}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        path = head[0].split(" ")[1]
        with self._changed:
            self.received.append(Received(path, headers, body, time.monotonic()))
            self._changed.notify_all()
        behaviour = path.strip("/").split("/")[0]
        if behaviour in _ANSWERS:
            writer.write(_ANSWERS[behaviour])
            return True
        if behaviour == "echo":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            return True
        if behaviour == "redirect":
            target = self.url("ok/redirected").encode()
            writer.write(b"HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % target)
            return True
        hostile: dict[str, Callable[[_Writer], Coroutine[Any, Any, None]]] = {
            "hang": self._hang,
            "drip": _drip,
            "huge": _huge,
            "reset": _reset,
        }
        await hostile[behaviour](writer)
        return False

    async def _hang(self, writer: _Writer) -> None:
        del writer
        await self._released.wait()


async def _drip(writer: _Writer) -> None:
    for byte in b"HTTP/1.1 200 OK\r\nX-Slow: " + b"z" * 600:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(1)


async def _huge(writer: _Writer) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % _GIGABYTE)
    for _ in range(_GIGABYTE // len(_CHUNK)):
        writer.write(_CHUNK)
        await writer.drain()


async def _reset(writer: _Writer) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
