"""Where batches of an import go: straight into the house of a data directory, or to a server over HTTP."""

from concurrent.futures import Future, ThreadPoolExecutor

import msgspec
import zstandard

from tallybook.cli.client import Server
from tallybook.cli.importing.load import BATCHES_UNDER_WAY_MAX
from tallybook.cli.importing.mapping import Event
from tallybook.core.event import encode_lines
from tallybook.core.intake import Receipt
from tallybook.core.key import Caller
from tallybook.flows.ingest import Ingest

BODY_BYTES_MAX = 3 * 1024 * 1024
"""Unpacked size of one request: below the 4 MiB that a server takes by default."""

_PATH = "/v1/events?backfill=true"
_HEADERS = {"Content-Type": "application/x-ndjson", "Content-Encoding": "zstd"}


class HouseDestination:
    """The ingest flow of a house in this process."""

    def __init__(self, ingest: Ingest, caller: Caller) -> None:
        self._ingest = ingest
        self._caller = caller

    def submit(self, events: list[Event]) -> Future[Receipt]:
        """Prepare the events here; they are written while the next ones are read."""
        return self._ingest.submit(self._ingest.prepare(list(events), self._caller, backfill=True))


class ServerDestination:
    """A server that takes events over HTTP."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._threads = ThreadPoolExecutor(BATCHES_UNDER_WAY_MAX, thread_name_prefix="import")

    def close(self) -> None:
        """Let the requests under way end."""
        self._threads.shutdown(cancel_futures=True)

    def submit(self, events: list[Event]) -> Future[Receipt]:
        """Send the events, in more than one request where they are large."""
        return self._threads.submit(self._send, events)

    def _send(self, events: list[Event]) -> Receipt:
        body = encode_lines(list(events))
        if len(body) > BODY_BYTES_MAX and len(events) > 1:
            half = len(events) // 2
            return _joined(self._send(events[:half]), self._send(events[half:]), half)
        answer = self._server.send(_PATH, zstandard.ZstdCompressor(level=1).compress(body), _HEADERS)
        return msgspec.convert(answer, Receipt)


def _joined(first: Receipt, second: Receipt, offset: int) -> Receipt:
    later = [msgspec.structs.replace(error, index=error.index + offset) for error in second.errors]
    return Receipt(
        accepted=first.accepted + second.accepted,
        duplicate=first.duplicate + second.duplicate,
        conflict=first.conflict + second.conflict,
        rejected=first.rejected + second.rejected,
        errors=(*first.errors, *later),
    )
