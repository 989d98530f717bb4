"""HTTP connections with bounds that uvicorn leaves open: how long the head of a request may be, and may take.

Without them one client could fill the memory with headers, or hold every connection by never finishing one. And whoever
is refused before all was sent is listened to for a moment longer: else the answer would be lost with the connection.
"""

import asyncio
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import quote_from_bytes

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tallybook.core.errors import TallybookError
from tallybook.web.doorstep import HeadTooLarge, full, turned_away
from tallybook.web.errors import HttpMalformed
from tallybook.web.router import METHODS

HEAD_BYTES_MAX = 64 * 1024
"""Request line and headers together; what comes in one piece with the end of the head is not counted."""

HEAD_TIMEOUT_S = 30.0
"""From the connection, or the first byte of a further request, to the end of its head."""

LINGER_S = 5.0
LINGER_BYTES_MAX = 16 * 1024 * 1024
"""How long, and how much, is still read and thrown away of a request whose answer is on its way."""

ARRIVAL = "tallybook.arrival"
"""Under this name a request's ASGI extensions have its `Arrival`."""

_ASCII = bytes(range(128))

UNKNOWN_METHOD = "?"
"""What a request with a method that no endpoint has is called by, in its scope, logs and metrics."""

_USUAL = tuple(f"{method} ".encode() for method in METHODS)
_METHOD = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}(?= [^ ]+ HTTP/1\.[01]\r?\Z)")
_STAND_IN = b"REPORT"
"""A method that the parser knows and no endpoint has."""


class Arrival:
    """Whether all of a request's body is there, so that nobody need wait for it."""

    __slots__ = ("is_complete",)

    def __init__(self) -> None:
        self.is_complete = False


class BoundedProtocol(HttpToolsProtocol):
    """One connection, closed when the head of a request is too long or too slow."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._connections_max, self.limit_concurrency = self.limit_concurrency, None
        self._head_bytes = 0
        self._head_read = False
        self._head_timer: asyncio.TimerHandle | None = None
        self._all_read = True
        self._method_unknown = False
        self._left_bytes: int | None = None
        self._linger_timer: asyncio.TimerHandle | None = None
        self._arrival = Arrival()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to wait for the first head."""
        super().connection_made(_Joining(transport, self._linger))  # type: ignore[arg-type]  # it has what uvicorn asks
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_timer()
        if self._linger_timer is not None:
            self._linger_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass *data* on, unless the head has grown too long by it, or the answer is on its way already."""
        if self._left_bytes is not None:
            self._left_bytes -= len(data)
            if self._left_bytes < 0:
                self.transport.close()
            return
        super().data_received(self._readable(data) if self._all_read else data)
        if self._head_read or self.transport.is_closing():
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES_MAX:
            self._turn_away(HeadTooLarge(f"request line and headers have at most {HEAD_BYTES_MAX} bytes together"))

    def on_message_begin(self) -> None:
        """Begin to count a head."""
        super().on_message_begin()
        self._head_bytes, self._head_read, self._all_read = 0, False, False
        if self._head_timer is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        """The head is there; uvicorn bounds the rest."""
        self._head_read = True
        self._stop_timer()
        if self._connections_max is not None and len(self.connections) > self._connections_max:
            self.app = full
        self._arrival = Arrival()
        self.scope["extensions"] = {ARRIVAL: self._arrival}  # type: ignore[dict-item]  # of nobody's but ours
        super().on_headers_complete()
        if self._method_unknown:
            self.scope["method"], self._method_unknown = UNKNOWN_METHOD, False

    def on_message_complete(self) -> None:
        """Nothing more of the request will come."""
        self._all_read = True
        super().on_message_complete()
        self._arrival.is_complete = True

    def on_response_complete(self) -> None:
        """Send what is still held: an answer to HEAD has no body that it could go with."""
        self.transport.flush()  # type: ignore[attr-defined]  # ours
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be read."""
        del msg  # the same for everything
        self._turn_away(HttpMalformed("this is not a request as HTTP/1.1 has it"))

    def _readable(self, data: bytes) -> bytes:
        """Return the beginning of a request as the parser can take it.

        It takes a method that it does not know for no HTTP; with another in its place the surface of the path says no.
        """
        end = data.find(b"\n")
        line = data if end < 0 else data[:end]
        readable = _typed(line)
        method = None if readable.startswith(_USUAL) else _METHOD.match(readable)
        if method is not None:
            self._method_unknown = True
            readable = _STAND_IN + readable[method.end() :]
        return data if readable is line else readable + data[len(line) :]

    def _turn_away(self, error: TallybookError) -> None:
        self._all_read = False
        self.transport.write(turned_away(error))
        self.transport.close()

    def _linger(self) -> bool:
        """Say whether to wait for the rest of a request before its connection is closed, and begin to."""
        if self._all_read:
            return False
        self._left_bytes = LINGER_BYTES_MAX
        self.flow.resume_reading()
        self._linger_timer = self.loop.call_later(LINGER_S, self.transport.close)
        return True

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self.transport.cut)  # type: ignore[attr-defined]  # ours

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def _typed(line: bytes) -> bytes:
    """Return the first line of a request with its bytes beyond ASCII percent-encoded.

    Some clients send what was typed; the parser takes it for no HTTP.
    """
    return line if line.isascii() else quote_from_bytes(line, safe=_ASCII).encode("ascii")


class _Joining:
    """A transport that sends the head of an answer together with the first piece of its body: one packet, not two.

    Asked to close, it asks *linger* first: if that says yes it only stops writing, and closes when it is asked again.
    """

    __slots__ = ("_closing", "_head", "_linger", "_transport")

    def __init__(self, transport: asyncio.Transport, linger: Callable[[], bool]) -> None:
        self._transport = transport
        self._linger = linger
        self._closing = False
        self._head = b""

    def write(self, data: bytes) -> None:
        """Send *data*, or hold it if it is a head."""
        if self._head:
            data, self._head = self._head + data, b""
        elif data.startswith(b"HTTP/1.1 ") and not data.startswith(b"HTTP/1.1 100"):
            self._head = data
            return
        self._transport.write(data)

    def flush(self) -> None:
        """Send the head that is held, if any."""
        if self._head:
            self._transport.write(self._head)
            self._head = b""

    def close(self) -> None:
        """Send what is held, then close, at once or when nothing more comes."""
        self.flush()
        if self._closing or self._transport.is_closing() or not self._linger():
            self._transport.close()
        else:
            self._transport.write_eof()
        self._closing = True

    def cut(self) -> None:
        """Close now."""
        self._closing = True
        self.close()

    def is_closing(self) -> bool:
        """Say whether nothing more will be sent."""
        return self._closing or self._transport.is_closing()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
