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
_BEGUN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}( [^ \r]*( [HTP/1.0]{0,8}\r?)?)?")
"""What can still become the first line of a request; anything else is for the parser to refuse at once."""
_STAND_IN = b"REPORT"
"""A method that the parser knows and no endpoint has."""

_END = b"\r\n\r\n"
"""Every head, and every body in chunks, ends with it."""


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
        self._line = b""  # of a request whose first line is not all there
        self._body_bytes = 0  # still to come, where its length was said
        self._seam = b""  # the last bytes of a head that was not all there
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
        """Pass *data* on, one request after another, unless the answer is on its way already."""
        if self._left_bytes is not None:
            self._left_bytes -= len(data)
            if self._left_bytes < 0:
                self.transport.close()
            return
        while data and self._is_reading():
            data = self._body(data) if self._body_bytes else self._head(data)

    def _body(self, data: bytes) -> bytes:
        """Pass on what belongs to a body whose length was said, and return the rest."""
        end = min(len(data), self._body_bytes)
        self._body_bytes -= end
        if not self._all_read:  # else it came with an upgrade that nobody makes, and the parser does not want it
            super().data_received(data[:end])
        return data[end:]

    def _head(self, data: bytes) -> bytes:
        """Pass on what belongs to a head, or to a body in chunks, and return the rest."""
        data, start = self._begin(data) if self._all_read else data, 0
        while start < len(data):
            end = self._end_of_head(data, start)
            super().data_received(data[start:end])
            if not self._head_read and not self.transport.is_closing():
                self._head_bytes += end - start
                if self._head_bytes > HEAD_BYTES_MAX:
                    message = f"request line and headers have at most {HEAD_BYTES_MAX} bytes together"
                    self._turn_away(HeadTooLarge(message))
            start = end
            if self._all_read or self._body_bytes or not self._is_reading():
                break
        return data[start:]

    def _is_reading(self) -> bool:
        """Whether what comes is still looked at: it is not once a request was turned away."""
        return self._left_bytes is None and not self.transport.is_closing()

    def _begin(self, data: bytes) -> bytes:
        """Return *data* as the beginning of a request, or nothing until its first line is all there."""
        data = (self._line + data).lstrip(b"\r\n")  # empty lines before a request mean nothing
        self._line, self._seam = b"", b""
        if b"\n" in data or len(data) > HEAD_BYTES_MAX or not _BEGUN.fullmatch(data):
            return self._readable(data)
        self._line = data
        self._unset_keepalive_if_required()
        if self._head_timer is None:
            self._await_head()
        return b""

    def _end_of_head(self, data: bytes, start: int) -> int:
        """Return how far *data* can be read from *start* on without passing the end of a head, or of a body in chunks.

        The parser does not say where it found an end, and the first line that follows has to be made readable.
        """
        seam = len(self._seam)
        found = (self._seam + data[: len(_END) - 1]).find(_END) if seam else -1
        if found < 0:
            seam, found = 0, data.find(_END, start)
        if found < 0:
            self._seam = (self._seam + data[max(start, len(data) + 1 - len(_END)) :])[1 - len(_END) :]
            return len(data)
        self._seam = b""
        return found + len(_END) - seam

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
        self._body_bytes = int(dict(self.headers).get(b"content-length", 0))
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
