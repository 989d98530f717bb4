"""Runs steps over HTTP: in the caller's thread, or in a task. The only place that knows httpx.

Not for deciding anything: what to send, and whether again, is the steps' business.
"""

import os
import ssl
from functools import cache
from importlib.metadata import PackageNotFoundError, version

import httpx

from tallybook.client.clock import Clock
from tallybook.client.errors import ClientClosed
from tallybook.client.exchange import Pause, Reply, Request, Silence, Step, Steps, T

CONNECTIONS_MAX = 100


def base_of(url: str, key: str) -> tuple[str, dict[str, str]]:
    """Return the checked base URL and the headers that go with every request.

    Raises:
        ValueError: If *url* is no HTTP URL, or *key* cannot be in a header.
    """
    try:
        parsed = httpx.URL(url.rstrip("/"))
    except httpx.InvalidURL:
        parsed = httpx.URL("")
    if parsed.scheme not in {"http", "https"} or not parsed.host or parsed.query or parsed.fragment:
        raise ValueError(f"{url!r} is no base URL such as https://usage.example.com")
    if parsed.userinfo:
        raise ValueError("a base URL carries no password; the key is given apart")
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError("the key is empty, or holds characters that no key has")
    return str(parsed), {"Authorization": f"Bearer {key}", "User-Agent": f"tallybook-python/{_version()}"}


class Runner:
    """Runs steps in the caller's thread; any thread may."""

    def __init__(self, base: tuple[str, dict[str, str]], clock: Clock) -> None:
        self._base = base
        self._clock = clock
        self._connect()

    def _connect(self) -> None:
        url, headers = self._base
        self._pid = os.getpid()
        self._http = httpx.Client(base_url=url, headers=headers, limits=_limits(), verify=_tls())

    def run(self, steps: Steps[T]) -> T:
        """Do each step until there is a result, and return it.

        Raises:
            ClientClosed: After `close`.
        """
        if self._http.is_closed:
            raise ClientClosed
        came: Reply | Silence | None = None
        while True:
            try:
                step = steps.send(came)
            except StopIteration as done:
                result: T = done.value
                return result
            came = self._do(step)

    def _do(self, step: Step) -> Reply | Silence | None:
        if isinstance(step, Pause):
            self._clock.sleep(step.seconds)
            return None
        return self.send(step)

    def send(self, request: Request) -> Reply | Silence:
        """Send one request once."""
        if os.getpid() != self._pid:
            self._connect()  # a forked child must not talk over the connections of its parent
        try:
            answer = self._http.request(
                request.method,
                request.path,
                content=request.body or None,
                headers=dict(request.headers),
                params=list(request.query) or None,
                timeout=request.timeout_s,
            )
        except (httpx.TransportError, httpx.DecodingError, RuntimeError) as error:
            return _silence(error)
        return _reply(answer)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


class AsyncRunner:
    """Runs steps in tasks of one event loop."""

    def __init__(self, base: tuple[str, dict[str, str]], clock: Clock) -> None:
        url, headers = base
        self._clock = clock
        self._http = httpx.AsyncClient(base_url=url, headers=headers, limits=_limits(), verify=_tls())

    async def run(self, steps: Steps[T]) -> T:
        """Do each step until there is a result, and return it.

        Raises:
            ClientClosed: After `close`.
        """
        if self._http.is_closed:
            raise ClientClosed
        came: Reply | Silence | None = None
        while True:
            try:
                step = steps.send(came)
            except StopIteration as done:
                result: T = done.value
                return result
            came = await self._do(step)

    async def _do(self, step: Step) -> Reply | Silence | None:
        if isinstance(step, Pause):
            await self._clock.pause(step.seconds)
            return None
        return await self.send(step)

    async def send(self, request: Request) -> Reply | Silence:
        """Send one request once."""
        try:
            answer = await self._http.request(
                request.method,
                request.path,
                content=request.body or None,
                headers=dict(request.headers),
                params=list(request.query) or None,
                timeout=request.timeout_s,
            )
        except (httpx.TransportError, httpx.DecodingError, RuntimeError) as error:
            return _silence(error)
        return _reply(answer)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()


@cache
def _tls() -> ssl.SSLContext:
    """Return what checks certificates; reading the authorities takes a while, so it is done once."""
    return httpx.create_ssl_context()


def _limits() -> httpx.Limits:
    return httpx.Limits(max_connections=CONNECTIONS_MAX, max_keepalive_connections=20, keepalive_expiry=30.0)


def _silence(error: Exception) -> Silence:
    # RuntimeError is how httpx says that the client was closed under a request that was under way.
    return Silence(f"{type(error).__name__}: {error}" if str(error) else type(error).__name__)


def _reply(answer: httpx.Response) -> Reply:
    return Reply(answer.status_code, answer.content, {name.lower(): value for name, value in answer.headers.items()})


def _version() -> str:
    try:
        return version("tallybook")
    except PackageNotFoundError:
        return "unknown"
