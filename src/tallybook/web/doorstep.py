"""What is said to those who never reach the application: no HTTP, a head that is too long, no connection left.

As the native surface says no, whatever path was asked: no surface has seen the request. What reaches one is `app`.
"""

from http import HTTPStatus

from starlette.types import Receive, Scope, Send

from tallybook.core.errors import TallybookError, TooLarge, Unavailable
from tallybook.core.ids import new_id
from tallybook.web.endpoint import Refusal
from tallybook.web.problem import refuse_as_problem, status_of


class HeadTooLarge(TooLarge):
    """Request line and headers are together longer than the named bound."""

    code = "head-too-large"


def turned_away(error: TallybookError) -> bytes:
    """Return the whole answer to a request that cannot be read, as it goes over the wire."""
    status, headers, body = _shaped(error)
    lines = [b"HTTP/1.1 %d %s" % (status, HTTPStatus(status).phrase.encode())]
    lines += [name + b": " + value for name, value in headers]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


async def full(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer, as an ASGI application, a request on one connection too many."""
    del receive
    status, headers, body = _shaped(Unavailable("too many connections are open; try again", retry_after_s=1))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def _shaped(error: TallybookError) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    status, request_id = status_of(error), new_id("req")
    reply = refuse_as_problem(Refusal(error, status, "", request_id))
    headers = [
        (b"x-request-id", request_id.encode()),
        (b"content-type", reply.media.encode()),
        (b"content-length", b"%d" % len(reply.body)),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"connection", b"close"),
    ]
    if isinstance(error, Unavailable):
        headers.append((b"retry-after", b"%d" % error.retry_after_s))
    return status, headers, reply.body
