"""HTTP over a kept-alive socket with as little Python as it takes, so that what is measured is the server."""

import socket

_BUFFER_BYTES = 65_536


class Wire:
    """One connection; a request is sent as ready bytes and answered by (status, body)."""

    def __init__(self, port: int, timeout_s: float = 60.0) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""

    def ask(self, request: bytes, body: bytes = b"") -> tuple[int, bytes]:
        """Send one request and return its answer."""
        self._socket.sendall(request)
        if body:
            self._socket.sendall(body)
        received = self._rest
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._receive()
        head, answer = received[:end], received[end + 4 :]
        length = _length(head)
        while len(answer) < length:
            answer += self._receive()
        self._rest = answer[length:]
        return int(head[9:12]), answer[:length]

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _receive(self) -> bytes:
        received = self._socket.recv(_BUFFER_BYTES)
        if not received:
            raise ConnectionError("the server hung up")
        return received


def _length(head: bytes) -> int:
    lowered = head.lower()
    at = lowered.index(b"content-length:") + 15
    return int(lowered[at:].split(b"\r\n", 1)[0])


def get_request(path: str, headers: dict[str, str]) -> bytes:
    """Return the bytes of a GET."""
    return _head("GET", path, headers)


def post_head(path: str, headers: dict[str, str], body_bytes: int) -> bytes:
    """Return the head of a POST of JSON; the body follows."""
    return _head("POST", path, {**headers, "Content-Type": "application/json", "Content-Length": str(body_bytes)})


def _head(method: str, path: str, headers: dict[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
