"""An HTTP server in a thread of this process, for tests: it says when it listens, and stops when it is told.

Not the server that users run: that one looks ten times a second whether to stop, and so does uvicorn's own.
"""

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

START_TIMEOUT_S = 30
STOP_TIMEOUT_S = 30
REQUESTS_TIMEOUT_S = 1
"""How long a request may still run when its server stops."""
_TURN_S = 0.001


class PromptServer(uvicorn.Server):
    """Uvicorn's server without its tenths of a second."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._listening = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer."""
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        self._listening.set()

    async def main_loop(self) -> None:
        """Answer until told to stop."""
        await self.on_tick(0)
        await self._told.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close what is idle, let running requests end, and cut off what does not."""
        for listener in (*self.servers, *(sockets or ())):
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        for _ in range(int(REQUESTS_TIMEOUT_S / _TURN_S)):
            if not self.server_state.connections and not self.server_state.tasks:
                break
            await asyncio.sleep(_TURN_S)
        for task in self.server_state.tasks:
            task.cancel()

    def wait(self) -> None:
        """Wait until it listens."""
        assert self._listening.wait(START_TIMEOUT_S)

    def stop(self) -> None:
        """Stop; any thread may say so."""
        assert self._loop is not None  # it was waited for
        self._loop.call_soon_threadsafe(self._told.set)


@contextmanager
def listening(app: Any, listener: socket.socket, **config: Any) -> Iterator[None]:
    """Serve *app* at *listener*, which is closed with it."""
    settings = {"lifespan": "off", "log_config": None, "access_log": False, "ws": "none", **config}
    server = PromptServer(uvicorn.Config(app, **settings))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    server.wait()
    try:
        yield
    finally:
        server.stop()
        thread.join(STOP_TIMEOUT_S)
        listener.close()
