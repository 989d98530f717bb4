"""The ASGI application: finds the surface by host and prefix, runs its endpoint, and lets each surface say no its way.

Every answer leaves through here, with a request id, a log line and a metric. What endpoints do is in `native` and
`dialects`; how one is run is in `pipeline`.
"""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from tallybook.core.errors import Forbidden, TallybookError, TooLarge, Unauthenticated, Unavailable
from tallybook.core.ids import new_id
from tallybook.flows.once import KeyInFlight
from tallybook.web.endpoint import Refusal, Reply, Surface
from tallybook.web.errors import AddressTooLong, HttpMalformed, InternalError, MethodNotAllowed, RateLimited
from tallybook.web.headers import RequestHeaders
from tallybook.web.log import RequestLine
from tallybook.web.observe import Observer
from tallybook.web.pipeline import Crews, Pipeline, Request, Trace
from tallybook.web.problem import faults_of, status_of
from tallybook.web.protocol import ARRIVAL, Arrival
from tallybook.web.reference import STYLE_PATH
from tallybook.web.rooms import Rooms, WebSettings
from tallybook.web.router import Router
from tallybook.web.wire import ClientGone

ADDRESS_BYTES_MAX = 16 * 1024
"""Path and query together."""

EVERY_HOST_PATHS = frozenset({"/healthz", "/readyz", "/metrics", STYLE_PATH})
"""These stand on every host name, also on those that belong to a dialect."""

_NONE: Mapping[str, Arrival] = {}
CHALLENGE = 'Bearer realm="tallybook"'

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,128}", re.ASCII)
_SECURITY = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)


@dataclass(frozen=True, slots=True)
class _Desk:
    """One surface, ready to answer."""

    surface: Surface
    router: Router
    pipeline: Pipeline


class App:
    """The whole web room as one ASGI application."""

    def __init__(self, surfaces: Sequence[Surface], rooms: Rooms, observer: Observer, settings: WebSettings) -> None:
        self._observer = observer
        self._requests_max = settings.requests_max
        self._running = 0
        self._crews = Crews(quick_threads=settings.quick_threads, common_threads=settings.handler_threads_max)
        desks = [
            _Desk(
                surface,
                Router(surface.endpoints),
                Pipeline(surface, rooms, self._crews, body_bytes_max=settings.body_bytes_max),
            )
            for surface in surfaces
        ]
        self._native = next(desk for desk in desks if not desk.surface.prefix)
        self._by_prefix = {desk.surface.prefix: desk for desk in desks if desk.surface.prefix}
        by_name = {desk.surface.name: desk for desk in desks}
        self._by_host = {host: by_name[name] for host, name in settings.dialect_hosts.items()}

    @property
    def running(self) -> int:
        """How many requests are being answered now."""
        return self._running

    def close(self) -> None:
        """End the worker threads, after what they are doing."""
        self._crews.close()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one connection's request."""
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        began_s = time.perf_counter()
        headers = RequestHeaders(scope["headers"])
        path = _raw_path(scope)
        arrival = scope.get("extensions", _NONE).get(ARRIVAL)
        request = Request(scope["method"], path, scope["query_string"], headers, receive, _request_id(headers), arrival)
        desk, below = self._find(headers, path)
        trace = Trace()
        self._running += 1
        try:
            reply = await self._answer(desk, below, request, trace)
        except ClientGone:
            return
        finally:
            self._running -= 1
        extra = {} if trace.allowance is None else trace.allowance.headers()
        await _send(send, request, reply, extra)
        self._observer.request(
            RequestLine(
                surface=desk.surface.name,
                route=trace.route,
                method=request.method if request.method.isalpha() else "?",
                path=path,
                status=reply.status,
                duration_s=time.perf_counter() - began_s,
                request_id=request.request_id,
                key_id=trace.key_id,
            )
        )

    def _find(self, headers: Headers, path: str) -> tuple[_Desk, str]:
        """Return whose request it is, and the path below that surface's prefix."""
        if self._by_host and path.removesuffix("/") not in EVERY_HOST_PATHS:
            desk = self._by_host.get(_host(headers))
            if desk is not None:
                return desk, path
        prefix = "/" + path[1:].partition("/")[0]
        desk = self._by_prefix.get(prefix)
        if desk is not None:
            return desk, path[len(prefix) :] or "/"
        return self._native, path

    async def _answer(self, desk: _Desk, path: str, request: Request, trace: Trace) -> Reply:
        desk.pipeline.untouched(trace)
        try:
            if len(request.path) + len(request.query) > ADDRESS_BYTES_MAX:
                raise AddressTooLong(f"path and query have at most {ADDRESS_BYTES_MAX} bytes together")
            _check_framing(request.headers)
            match = desk.router.match(request.method, path)
            trace.route = match.endpoint.name
            if self._running > self._requests_max and match.endpoint.scope is not None:
                raise Unavailable("too many requests are being answered; try again", retry_after_s=1)
            return await desk.pipeline.run(match, request, trace)
        except MethodNotAllowed as error:
            if request.method == "OPTIONS":
                return Reply(204, b"", headers={"Allow": ", ".join(error.allow)})
            return _refuse(desk.surface, error, request)
        except TallybookError as error:
            if isinstance(error, Unavailable):
                self._observer.unavailable(error, request_id=request.request_id)
            return _refuse(desk.surface, error, request)
        except ClientGone:
            raise
        except Exception as error:
            self._observer.bug(error, request_id=request.request_id, route=trace.route)
            return _refuse(desk.surface, InternalError(), request)


def _refuse(surface: Surface, error: TallybookError, request: Request) -> Reply:
    refusal = Refusal(error, status_of(error), request.path, request.request_id, faults_of(error))
    reply = surface.refuse(refusal)
    return Reply(reply.status, reply.body, reply.media, {**reply.headers, **_headers_of(error)})


def _headers_of(error: TallybookError) -> Mapping[str, str]:
    """Return the headers that HTTP asks for with a refusal, whoever shapes its body."""
    match error:
        case Unauthenticated():
            return {"WWW-Authenticate": CHALLENGE}
        case Forbidden():
            scope = error.detail.get("required_scope")
            return {"WWW-Authenticate": f'{CHALLENGE}, error="insufficient_scope", scope="{scope}"'} if scope else {}
        case MethodNotAllowed():
            return {"Allow": ", ".join(error.allow)}
        case Unavailable() | RateLimited() | KeyInFlight():
            return {"Retry-After": str(max(1, error.retry_after_s))}
        case TooLarge() | HttpMalformed():
            return {"Connection": "close"}
        case _:
            return {}


def _check_framing(headers: Headers) -> None:
    """Refuse a body in a transfer coding that nobody takes off again; the parser looks for chunks only.

    Raises:
        HttpMalformed: Naming where a packed body says so instead.
    """
    codings = headers.getlist("transfer-encoding")
    if codings and [coding.strip().lower() for coding in codings] != ["chunked"]:
        raise HttpMalformed("Transfer-Encoding may only be chunked; a packed body says so in Content-Encoding")


# --- the ends of a request ----------------------------------------------------------------------------------------


def _raw_path(scope: Scope) -> str:
    """Return the path as it was sent; percent-encoding is undone segment by segment, later."""
    raw: bytes = scope.get("raw_path") or scope["path"].encode()
    return raw.partition(b"?")[0].decode("ascii", "backslashreplace")


def _request_id(headers: Headers) -> str:
    given = headers.get("x-request-id", "")
    return given if _REQUEST_ID.fullmatch(given) else new_id("req")


def _host(headers: Headers) -> str:
    host = headers.get("host", "").strip().lower()
    return host if host.endswith("]") else host.rsplit(":", 1)[0]


async def _send(send: Send, request: Request, reply: Reply, extra: Mapping[str, str]) -> None:
    headers = [(b"x-request-id", request.request_id.encode("latin-1"))]
    if extra or reply.headers:
        named = {**extra, **reply.headers}
        headers += [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in named.items()]
        given = {name for name, _ in headers}
        headers += [pair for pair in _SECURITY if pair[0] not in given]
    else:
        headers += _SECURITY
    if reply.status != 204:
        headers.append((b"content-type", reply.media.encode("latin-1")))
        headers.append((b"content-length", b"%d" % len(reply.body)))
    start: Message = {"type": "http.response.start", "status": reply.status, "headers": headers}
    await send(start)
    await send({"type": "http.response.body", "body": b"" if request.method == "HEAD" else reply.body})


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        else:
            await send({"type": "lifespan.shutdown.complete"})
            return
