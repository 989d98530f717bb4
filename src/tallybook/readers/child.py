"""A reader: a process that reads batches and keeps nothing. Run by `crew`, as ``python -m tallybook.readers.child FD``.

It ends when its server does, which closes the other end of the socket, however it ends.
"""

import gc
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from queue import Queue

import msgspec

from tallybook.core.errors import TallybookError
from tallybook.core.event import Admission
from tallybook.core.intake import read_batch
from tallybook.core.key import Caller
from tallybook.core.scheme import Scheme, make_scheme
from tallybook.core.usual import Batch
from tallybook.readers.letters import AHEAD_MAX, Read, Rules, Unable, Work, receive, send

_GC_THRESHOLDS = (50_000, 20, 100)
"""A batch is many small objects, none of them in a cycle."""
_SWITCH_INTERVAL_S = 0.0005
"""How long the next batch may wait for the interpreter's lock on its way in: its server waits for it to go."""

_decoder = msgspec.msgpack.Decoder(Rules | Work)


def main(descriptor: int) -> None:
    """Read what comes over the socket until it is closed."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the server is told, too, and has batches to be read until it is done
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    with socket.socket(fileno=descriptor) as connection:
        try:
            serve(connection)
        except OSError:
            return


def serve(connection: socket.socket) -> None:
    """Answer every `Work` by the latest `Rules`."""
    scheme, lanes = None, 1
    for letter in _ahead(connection):
        if isinstance(letter, Rules):
            scheme, lanes = make_scheme(letter.version, letter.catalogue, letter.generations), letter.lanes
            continue
        try:
            send(connection, Unable() if scheme is None else _read(letter, scheme, lanes))
        except OverflowError:
            send(connection, Unable())


def _ahead(connection: socket.socket) -> Iterator[Rules | Work]:
    """Yield what comes; the next letters are taken in while one is read."""
    letters: Queue[Rules | Work | None] = Queue(2 * AHEAD_MAX)  # each may bring new rules

    def take() -> None:
        try:
            with suppress(OSError):
                while (letter := receive(connection, _decoder)) is not None:
                    letters.put(letter)
        finally:
            letters.put(None)

    threading.Thread(target=take, daemon=True).start()
    while (letter := letters.get()) is not None:
        yield letter


def _read(work: Work, scheme: Scheme, lanes: int) -> Read | Unable:
    caller = Caller("reader", work.account_id, frozenset())
    try:
        prepared = read_batch(
            Batch(work.body, work.lines), Admission(caller, work.now_us, work.backfill), scheme, lanes=lanes
        )
    except TallybookError:
        return Unable()
    return Read(prepared.bundles, prepared.errors)


if __name__ == "__main__":
    main(int(sys.argv[1]))
