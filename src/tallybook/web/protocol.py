"""HTTP connections with bounds that uvicorn leaves open: how long the head of a request may be, and may take.

Without them one client could fill the memory with headers, or hold every connection by never finishing one.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES_MAX = 64 * 1024
"""Request line and headers together; what comes in one piece with the end of the head is not counted."""

HEAD_TIMEOUT_S = 30.0
"""From the connection, or the first byte of a further request, to the end of its head."""

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n"
    b"x-content-type-options: nosniff\r\n\r\n"
)


class BoundedProtocol(HttpToolsProtocol):
    """One connection, closed when the head of a request is too long or too slow."""

    _head_bytes = 0
    _head_read = False
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Begin to wait for the first head."""
        super().connection_made(_Joining(transport))  # type: ignore[arg-type]  # what uvicorn asks of one, it has
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass *data* on, unless the head has grown too long by it."""
        super().data_received(data)
        if self._head_read or self.transport.is_closing():
            return
        self._head_bytes += len(data)
        if self._head_bytes > HEAD_BYTES_MAX:
            self.transport.write(_TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        """Begin to count a head."""
        super().on_message_begin()
        self._head_bytes, self._head_read = 0, False
        if self._head_timer is None:
            self._await_head()

    def on_headers_complete(self) -> None:
        """The head is there; uvicorn bounds the rest."""
        self._head_read = True
        self._stop_timer()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        """Send what is still held: an answer to HEAD has no body that it could go with."""
        self.transport.flush()  # type: ignore[attr-defined]  # ours
        super().on_response_complete()

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_S, self.transport.close)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class _Joining:
    """A transport that sends the head of an answer together with the first piece of its body: one packet, not two."""

    __slots__ = ("_head", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
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
        """Send what is held, then close."""
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
