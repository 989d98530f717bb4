"""The HTTP server: uvicorn in this process, started and stopped so that no acknowledged request is cut short.

SIGTERM or SIGINT first makes /readyz say no for a moment, then closes the listening socket, then waits for what runs.
"""

import gc
import logging
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import FrameType

import uvicorn

from tallybook.core.errors import StartRefused
from tallybook.web.app import App
from tallybook.web.log import Log
from tallybook.web.protocol import BoundedProtocol

BACKLOG = 2048
KEEP_ALIVE_S = 75
SWITCH_INTERVAL_S = 0.002
"""How long a thread may keep the interpreter's lock from others; much less costs more in changing than it saves."""
GC_THRESHOLDS = (50_000, 20, 100)
"""Objects made before the youngest are looked at, and how often their elders are."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where to listen and how to stop; port 0 takes a free one."""

    host: str
    port: int
    connections_max: int
    drain_notice_s: int
    drain_timeout_s: int


class Server:
    """One server; *draining* is called once, when the first signal comes."""

    def __init__(self, app: App, settings: ServerSettings, log: Log, *, draining: Callable[[], None]) -> None:
        self._settings = settings
        self._log = log
        config = uvicorn.Config(
            app,
            http=BoundedProtocol,
            loop="auto",  # uvloop where there is one
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,  # nobody reads the client's address
            server_header=False,
            limit_concurrency=settings.connections_max,
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=settings.drain_timeout_s,
        )
        self._uvicorn = _Draining(config, settings.drain_notice_s, draining)

    def run(self) -> None:
        """Listen and answer until a signal comes.

        Raises:
            StartRefused: If the address cannot be listened on.
        """
        listener = listen(self._settings.host, self._settings.port)
        host, port = listener.getsockname()[:2]
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        self._uvicorn.on_listening = partial(self._say, "listening", url=url)
        _tune_interpreter()
        with listener, _logged(self._log):
            self._uvicorn.run(sockets=[listener])
        self._log.info("stopped")

    def _say(self, event: str, **values: str) -> None:
        self._log.info(event, **values)

    def stop(self) -> None:
        """Do what a first signal does; any thread may."""
        self._uvicorn.drain()


def _tune_interpreter() -> None:
    """Set what suits one process that reads many small objects in some threads and waits for SQL in another.

    A batch of events is a hundred thousand objects, none of them in a cycle: with the interpreter's own thresholds
    looking at them again and again took 40 % of the time to read them. And a lane's thread gives the interpreter's lock
    away for each of its statements; it should not wait 5 ms to have it back.
    """
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        StartRefused: In one line, with what to do about it.
    """
    # The protocol is named because asyncio turns Nagle's algorithm off only where it is: with it on, the head of an
    # answer would wait 40 ms for the client's acknowledgement before its body follows.
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except (OSError, UnicodeError) as error:
        listener.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise StartRefused(f"cannot listen on {host} port {port}: {reason}; choose another host or port") from None
    return listener


class _Draining(uvicorn.Server):
    """Uvicorn's server with a pause between the first signal and the closing of its socket."""

    def __init__(self, config: uvicorn.Config, notice_s: int, draining: Callable[[], None]) -> None:
        super().__init__(config)
        self._notice_s = notice_s
        self._tell = draining
        self.on_listening: Callable[[], None] = _nothing
        self._drained_s: float | None = None

    def drain(self) -> None:
        """Begin to stop; a second time, stop without waiting for what runs."""
        if self._drained_s is not None:
            self.should_exit = self.force_exit = True
            return
        self._drained_s = time.monotonic()
        self._tell()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer; signals are caught by now, so whoever waits for this may send one."""
        await super().startup(sockets)
        self.on_listening()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Answer a signal; unlike uvicorn, never send it to ourselves again: a drained server exits with 0."""
        del sig, frame
        self.drain()

    async def on_tick(self, counter: int) -> bool:
        """Look, ten times a second, whether it is time to go."""
        if self._drained_s is not None and time.monotonic() >= self._drained_s + self._notice_s:
            self.should_exit = True
        return await super().on_tick(counter)


def _nothing() -> None:
    """Tell nobody."""


class _Forward(logging.Handler):
    """Hands what uvicorn has to say to our own log."""

    def __init__(self, log: Log) -> None:
        super().__init__(logging.WARNING)
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        """Pass one record on."""
        error = record.exc_info[1] if record.exc_info else None
        self._log.warning("server", message=record.getMessage(), exc_info=error)


@contextmanager
def _logged(log: Log) -> Iterator[None]:
    source, handler = logging.getLogger("uvicorn"), _Forward(log)
    source.addHandler(handler)
    source.propagate = False
    try:
        yield
    finally:
        source.removeHandler(handler)
        source.propagate = True
