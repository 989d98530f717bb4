"""Lines of requests are written together, a moment later, and none is lost or out of order."""

import asyncio
from io import StringIO

import msgspec

from tallybook.web.log import GATHERED_MAX, RequestLine, ServerLog, make_log

LINE = RequestLine("native", "GET /healthz", "GET", "/healthz", 200, 0.001, "req_00000001", None)


class Told(StringIO):
    """A stream that says when something is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = asyncio.Event()
        self.pieces = 0

    def write(self, text: str) -> int:
        """Take it."""
        self.pieces += 1
        self.written.set()
        return super().write(text)


def gathering(out: StringIO, gather_s: float) -> ServerLog:
    """A log that gathers as a server's does."""
    return ServerLog(make_log("json", out)._log, out, gather_s=gather_s)


def test_lines_of_a_moment_are_one_piece() -> None:
    """Written by themselves when the moment is over; and the next moment, too."""
    out = Told()

    async def serve() -> None:
        log = gathering(out, 0.001)
        for moment in (1, 2):
            out.written.clear()
            for _ in range(10):
                log.request(LINE)
            assert moment - 1 == out.pieces
            await out.written.wait()

    asyncio.run(serve())
    assert (2, 20) == (out.pieces, len(out.getvalue().splitlines()))


def test_what_is_gathered_stands_before_what_is_logged_after_it() -> None:
    """So that a log reads in order, and its last line has all requests before it."""
    out = StringIO()

    async def serve() -> None:
        log = gathering(out, 60)
        for say in (log.info, log.warning, log.error):
            log.request(LINE)
            say("told")

    asyncio.run(serve())
    lines = [msgspec.json.decode(line)["event"] for line in out.getvalue().splitlines()]
    assert ["request", "told"] * 3 == lines


def test_no_more_lines_are_gathered_than_are_meant_to() -> None:
    """However long the moment."""
    out = StringIO()

    async def serve() -> None:
        log = gathering(out, 60)
        for _ in range(GATHERED_MAX + 1):
            log.request(LINE)

    asyncio.run(serve())
    assert GATHERED_MAX == len(out.getvalue().splitlines())
