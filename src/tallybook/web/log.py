"""The server's log: structured lines to standard error, one for each request among them.

No header, no query string and no body is ever logged.
"""

import asyncio
import sys
import threading
from dataclasses import dataclass
from typing import Protocol, TextIO

import msgspec
import structlog

from tallybook.core.clock import SystemClock
from tallybook.core.instant import instant_text

PATH_CHARS_MAX = 512
GATHER_S, GATHERED_MAX = 0.05, 200
"""How long lines of requests are gathered before they are written, and how many: whoever writes lets go of the
interpreter's lock, and may wait for it longer than the request took."""
_encode = msgspec.json.Encoder().encode
_CLOCK = SystemClock()
"""A log tells real time, also where the ledger's clock is a test's."""


@dataclass(frozen=True, slots=True)
class RequestLine:
    """What is noted of one request; *path* as it was sent, without the query."""

    surface: str
    route: str
    method: str
    path: str
    status: int
    duration_s: float
    request_id: str
    key_id: str | None


class Log(Protocol):
    """A structured logger: an event name and fields."""

    def info(self, event: str, **fields: object) -> object:
        """Log something expected."""
        ...

    def warning(self, event: str, **fields: object) -> object:
        """Log something an operator should look at."""
        ...

    def error(self, event: str, **fields: object) -> object:
        """Log a bug or an outage; with ``exc_info=error`` its traceback."""
        ...


def make_log(form: str = "auto", stream: TextIO | None = None) -> "ServerLog":
    """Return a logger that writes to *stream* (standard error).

    Args:
        form: ``json`` (one object a line), ``console``, or ``auto``: console on a terminal.
        stream: Where lines go.
    """
    out = stream or sys.stderr
    console = form == "console" or (form == "auto" and out.isatty())
    finish: list[structlog.types.Processor] = (
        [structlog.dev.ConsoleRenderer(colors=out.isatty())]
        if console
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(default=repr)]
    )
    log: structlog.BoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(out),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *finish,
        ],
        wrapper_class=structlog.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return ServerLog(log, None if console else out, gather_s=0 if stream else GATHER_S)


class ServerLog:
    """The log of `make_log`; request lines, thousands a second, are written without the way through structlog.

    They are written together with others of the same moment, in the order in which all was logged.
    """

    def __init__(self, log: structlog.BoundLogger, lines: TextIO | None, *, gather_s: float = 0) -> None:
        """Log through *log*, and requests as JSON to *lines* where that is given, *gather_s* later at most."""
        self._log = log
        self._lines = lines
        self._gather_s = gather_s
        self._gathered: list[str] = []
        self._lock = threading.Lock()

    def info(self, event: str, **fields: object) -> None:
        """Log something expected."""
        self.write()
        self._log.info(event, **fields)

    def warning(self, event: str, **fields: object) -> None:
        """Log something an operator should look at."""
        self.write()
        self._log.warning(event, **fields)

    def error(self, event: str, **fields: object) -> None:
        """Log a bug or an outage."""
        self.write()
        self._log.error(event, **fields)

    def request(self, line: RequestLine) -> None:
        """Log one answered request; called on an event loop."""
        fields = request_fields(line)
        if self._lines is None:
            self._log.info("request", **fields)
            return
        now = instant_text(_CLOCK.now_us())
        said = _encode({**fields, "event": "request", "level": "info", "timestamp": now})
        with self._lock:
            self._gathered.append(f"{said.decode()}\n")
            count = len(self._gathered)
        if not self._gather_s or count >= GATHERED_MAX:
            self.write()
        elif count == 1:
            asyncio.get_running_loop().call_later(self._gather_s, self.write)

    def write(self) -> None:
        """Write the lines that were gathered."""
        with self._lock:
            gathered, self._gathered = self._gathered, []
        if gathered and self._lines is not None:
            self._lines.write("".join(gathered))
            self._lines.flush()


def request_fields(line: RequestLine) -> dict[str, object]:
    """Return what is said of a request."""
    return {
        "request_id": line.request_id,
        "method": line.method,
        "path": line.path[:PATH_CHARS_MAX],
        "surface": line.surface,
        "route": line.route,
        "status": line.status,
        "duration_ms": round(line.duration_s * 1000, 1),
        "key_id": line.key_id,
    }
