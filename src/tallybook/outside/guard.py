"""HTTP calls to places that somebody else chose: only where the policy allows, to the very address that was judged.

The name is resolved here, every address it has is judged, and the connection is made to one of these: no second
look-up can lead elsewhere, while TLS and the header Host still name the host. Redirects are not followed, answers are
read up to a bound, and the whole call ends at its deadline. No proxy, cookie or password of ours takes part.
"""

import asyncio
import ssl
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
import httpcore

from tallybook.core.delivery import ATTEMPT_TIMEOUT_S, RESPONSE_BYTES_MAX
from tallybook.core.egress import Egress, Target, UrlNotAllowed
from tallybook.outside.resolver import NameUnknown, Resolver

CONNECT_TIMEOUT_S = 5.0
BODY_TIMEOUT_S = 3.0
"""How long the body is waited for once the status is known: it is for the log only."""
IDLE_S = 10.0
IDLE_PER_HOST_MAX = 4
IDLE_MAX = 256
HEADERS_KEPT_MAX = 64
HEADER_CHARS_KEPT_MAX = 1_024

_Origin = tuple[bool, str, int]


class CallFailed(Exception):
    """There was no answer; *code* says why in a word that tells nothing of our network."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class _Blocked(Exception):
    """The host has an address that may not be called."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What a host answered: its body cut at RESPONSE_BYTES_MAX, or at what came before the call was over."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class GuardedClient:
    """Calls URLs; lives in one event loop. Connections are kept for a moment to be used again."""

    def __init__(
        self,
        egress: Egress,
        resolver: Resolver,
        *,
        tls: ssl.SSLContext | None = None,
        timeout_s: float = ATTEMPT_TIMEOUT_S,
    ) -> None:
        self._egress = egress
        self._resolver = resolver
        self._tls = tls
        self._timeout_s = timeout_s
        self._idle: OrderedDict[_Origin, list[_Line]] = OrderedDict()
        self._idle_count = 0
        self._closing: set[asyncio.Task[None]] = set()

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Answered:
        """Send *body* to *url* and return the answer, whatever its status.

        Raises:
            CallFailed: ``blocked-address``, ``name-not-resolved``, ``connect-failed``, ``tls-failed``,
                ``connection-broken`` or ``timeout``.
        """
        try:
            target = self._egress.check_url(url)
        except UrlNotAllowed:
            raise CallFailed("blocked-address") from None
        request = _request(target, body, headers)
        began_s = time.monotonic()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._call(target, request, began_s)
        except TimeoutError:
            raise CallFailed("timeout") from None
        except _Blocked:
            raise CallFailed("blocked-address") from None
        except NameUnknown:
            raise CallFailed("name-not-resolved") from None
        except httpcore.TimeoutException:
            raise CallFailed("timeout") from None
        except httpcore.ConnectError as error:
            raise CallFailed("tls-failed" if _is_tls(error) else "connect-failed") from None
        except (httpcore.NetworkError, httpcore.ProtocolError, ssl.SSLError, OSError):
            raise CallFailed("connection-broken") from None

    @property
    def tls(self) -> ssl.SSLContext:
        """Whom we trust: unless told, the system's authorities, which take a while to read."""
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls

    async def close(self) -> None:
        """Close the connections that are kept."""
        for kept in self._idle.values():
            for line in kept:
                await line.close()
        await asyncio.gather(*self._closing, return_exceptions=True)
        self._idle.clear()
        self._idle_count = 0

    async def _call(self, target: Target, request: httpcore.Request, began_s: float) -> Answered:
        kept = self._kept(target)
        if kept is not None:
            try:
                return await self._exchange(kept, target, request, began_s)
            except (httpcore.NetworkError, httpcore.ProtocolError):
                pass  # it was closed while it was idle; whether the request arrived is unknown, and again is allowed
        return await self._exchange(
            _Line(self._egress, self._resolver, self.tls if target.tls else None, target), target, request, began_s
        )

    async def _exchange(self, line: "_Line", target: Target, request: httpcore.Request, began_s: float) -> Answered:
        whole = False
        try:
            response = await line.connection.handle_async_request(request)
            left_s = min(BODY_TIMEOUT_S, began_s + self._timeout_s - time.monotonic())
            body, whole = await _read(response, left_s)
            if whole:
                await response.aclose()
            return Answered(response.status, _shown(response.headers), body)
        finally:
            if whole and line.connection.is_idle():
                await self._keep(target, line)
            else:
                with anyio.CancelScope(shield=True):
                    await line.close()

    # --- connections that are kept ---------------------------------------------------------------------------------

    def _kept(self, target: Target) -> "_Line | None":
        kept = self._idle.get(_origin(target), [])
        while kept:
            line = kept.pop()
            self._idle_count -= 1
            if line.connection.is_available() and not line.connection.has_expired():
                return line
            self._closing.add(task := asyncio.get_running_loop().create_task(line.close()))
            task.add_done_callback(self._closing.discard)
        self._idle.pop(_origin(target), None)
        return None

    async def _keep(self, target: Target, line: "_Line") -> None:
        kept = self._idle.setdefault(_origin(target), [])
        self._idle.move_to_end(_origin(target))
        if len(kept) >= IDLE_PER_HOST_MAX:
            await line.close()
            return
        kept.append(line)
        self._idle_count += 1
        while self._idle_count > IDLE_MAX:
            _, oldest = self._idle.popitem(last=False)
            self._idle_count -= len(oldest)
            for each in oldest:
                await each.close()


class _Line:
    """One connection, and the socket below it: a TLS handshake that is cut off would leave that open."""

    def __init__(self, egress: Egress, resolver: Resolver, tls: ssl.SSLContext | None, target: Target) -> None:
        self._backend = _Pinned(egress, resolver, target)
        self.connection = httpcore.AsyncHTTPConnection(
            origin=httpcore.Origin(b"https" if target.tls else b"http", target.host.encode(), target.port),
            ssl_context=tls,
            keepalive_expiry=IDLE_S,
            network_backend=self._backend,
        )

    async def close(self) -> None:
        """Close both, whatever state they are in."""
        try:
            await self.connection.aclose()
        finally:
            if self._backend.opened is not None:
                await self._backend.opened.aclose()


class _Pinned(httpcore.AsyncNetworkBackend):
    """Connects to addresses of one target that were judged, and to nothing else."""

    def __init__(self, egress: Egress, resolver: Resolver, target: Target) -> None:
        self._egress = egress
        self._resolver = resolver
        self._target = target
        self._network = httpcore.AnyIOBackend()
        self.opened: httpcore.AsyncNetworkStream | None = None

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's own signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Connect to the first address that answers; one that may not be called rules out all of them."""
        del host, port, timeout, local_address
        target = self._target
        addresses = await self._resolver.resolve(target.host)
        if not addresses or not all(self._egress.permits(target, address) for address in addresses):
            raise _Blocked
        connect = partial(self._network.connect_tcp, timeout=CONNECT_TIMEOUT_S, socket_options=socket_options)
        *others, last = addresses
        for address in others:
            with suppress(httpcore.ConnectError, httpcore.ConnectTimeout):
                self.opened = await connect(address, target.port)
                return self.opened
        self.opened = await connect(last, target.port)
        return self.opened


def _origin(target: Target) -> _Origin:
    return target.tls, target.host, target.port


def _request(target: Target, body: bytes, headers: Mapping[str, str]) -> httpcore.Request:
    url = httpcore.URL(
        scheme=b"https" if target.tls else b"http",
        host=target.host.encode(),
        port=target.port,
        target=target.path.encode(),
    )
    named = {"Host": target.authority, **headers, "Content-Length": str(len(body))}
    pairs = [(name.encode("ascii"), value.encode("ascii")) for name, value in named.items()]
    return httpcore.Request("POST", url, headers=pairs, content=body)


async def _read(response: httpcore.Response, timeout_s: float) -> tuple[bytes, bool]:
    """Return what came of the body within its bounds, and whether that was all of it."""
    read = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            await _fill(read, response)
    except (TimeoutError, httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException):
        return bytes(read[:RESPONSE_BYTES_MAX]), False
    return bytes(read[:RESPONSE_BYTES_MAX]), len(read) <= RESPONSE_BYTES_MAX


async def _fill(read: bytearray, response: httpcore.Response) -> None:
    async for chunk in response.aiter_stream():
        read += chunk
        if len(read) > RESPONSE_BYTES_MAX:
            return


def _shown(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    shown: dict[str, str] = {}
    for name, value in list(headers)[:HEADERS_KEPT_MAX]:
        text = value.decode("latin-1")[:HEADER_CHARS_KEPT_MAX]
        key = name.decode("latin-1").lower()[:HEADER_CHARS_KEPT_MAX]
        shown[key] = f"{shown[key]}, {text}" if key in shown else text
    return shown


def _is_tls(error: BaseException) -> bool:
    """Whether TLS is what failed: the cause is somewhere in the chain."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
