"""The server's log: structured lines to standard error, one for each request among them.

No header, no query string and no body is ever logged.
"""

import sys
from dataclasses import dataclass
from typing import Protocol, TextIO

import msgspec
import structlog

from tallybook.core.clock import SystemClock
from tallybook.core.instant import instant_text

PATH_CHARS_MAX = 512
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
    return ServerLog(log, None if console else out)


class ServerLog:
    """The log of `make_log`; request lines, thousands a second, are written without the way through structlog."""

    def __init__(self, log: structlog.BoundLogger, lines: TextIO | None) -> None:
        """Log through *log*, and requests as JSON to *lines* where that is given."""
        self.info = log.info
        self.warning = log.warning
        self.error = log.error
        self._lines = lines

    def request(self, line: RequestLine) -> None:
        """Log one answered request."""
        fields = request_fields(line)
        if self._lines is None:
            self.info("request", **fields)
            return
        now = instant_text(_CLOCK.now_us())
        said = _encode({**fields, "event": "request", "level": "info", "timestamp": now})
        self._lines.write(f"{said.decode()}\n")
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
