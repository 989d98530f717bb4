"""Processes that read large batches: the interpreter's lock lets one thread of a process read at a time, and a lane
needs the same lock to commit. A reader shares nothing with the server but a socket; what it cannot do, or leaves undone
because it was killed, the server reads by itself.
"""

import logging
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from concurrent.futures import Future
from contextlib import suppress

import msgspec

from tallybook.core.event import Admission
from tallybook.core.intake import Prepared
from tallybook.core.scheme import Scheme
from tallybook.core.usual import Batch
from tallybook.readers.letters import AHEAD_MAX, Read, Rules, Unable, Work, receive, send

ANSWER_TIMEOUT_S = 30.0
"""The largest batch takes well below a second; a reader that says nothing for so long is ended."""
AHEAD_BYTES_MAX = 4 * 1024 * 1024
"""Largest batch that is sent ahead."""
ROOM_BYTES = 1024 * 1024
"""What a socket is asked to hold, so that neither end waits for the other to take a letter; systems give less."""
RESTART_AFTER_S = 5.0
"""At least so long between two starts of a reader, so that one which cannot live costs little."""

_log = logging.getLogger(__name__)
_decoder = msgspec.msgpack.Decoder(Read | Unable)


class Readers:
    """Reads batches in so many processes; whoever asks gets a promise."""

    def __init__(self, count: int) -> None:
        """Plan *count* readers; `start` makes them."""
        self._count = count
        self._jobs: deque[_Job] = deque()
        self._room = threading.Condition()
        self._closed = False
        self._idle = 0
        self._threads: list[_Reader] = []

    @property
    def alive(self) -> int:
        """How many processes there are."""
        return sum(reader.is_running for reader in self._threads)

    def start(self) -> None:
        """Start the processes; until they are up, their batches wait no longer than that takes."""
        self._threads = [_Reader(self, number) for number in range(self._count)]

    def read(self, batch: Batch, admission: Admission, scheme: Scheme, *, lanes: int) -> "Future[Prepared | None]":
        """Have *batch* read; the future is None for one that the caller has to read itself.

        It is done in a reader's thread, or at once.
        """
        promise: Future[Prepared | None] = Future()
        with self._room:
            if self._threads and not self._closed:
                self._jobs.append(_Job(batch, admission, scheme, lanes, promise))
                self._room.notify()
                return promise
        promise.set_result(None)
        return promise

    def close(self) -> None:
        """Read what was asked for, then end the processes."""
        with self._room:
            self._closed = True
            self._room.notify_all()
        for reader in self._threads:
            reader.join()

    def next_job(self) -> "_Job | None":
        """Wait for work; None when there will be no more."""
        with self._room:
            self._idle += 1
            while not self._jobs and not self._closed:
                self._room.wait()
            self._idle -= 1
            return self._jobs.popleft() if self._jobs else None

    def job_ahead(self) -> "_Job | None":
        """Return work for a reader that has some; None where there is none, or it is large, or another one has none."""
        with self._room:
            if not self._jobs or self._idle or len(self._jobs[0].batch.body) > AHEAD_BYTES_MAX:
                return None
            return self._jobs.popleft()


class _Job:
    """A batch and who waits for it."""

    __slots__ = ("admission", "batch", "lanes", "promise", "scheme")

    def __init__(
        self, batch: Batch, admission: Admission, scheme: Scheme, lanes: int, promise: "Future[Prepared | None]"
    ) -> None:
        self.batch = batch
        self.admission = admission
        self.scheme = scheme
        self.lanes = lanes
        self.promise = promise


class _Reader:
    """One process and the thread that talks to it."""

    def __init__(self, readers: Readers, number: int) -> None:
        self._readers = readers
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None
        self._rules: tuple[Scheme, int] | None = None
        self._asked: deque[_Job] = deque()
        self._started_s = float("-inf")
        self._thread = threading.Thread(target=self._run, name=f"tallybook-reader-{number}", daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        self._begin()
        while (job := self._asked[0] if self._asked else self._readers.next_job()) is not None:
            if not self._asked:
                self._ask(job)
            self._go_ahead()
            answer = self._answer()
            self._go_ahead()  # so that the process has work while this is handed on
            _hand_on(job, answer)
        self._end()

    def _ask(self, job: "_Job") -> None:
        """Send work to the process; if that cannot be, there will be no answer."""
        self._asked.append(job)
        if self._connection is None and not self._begin():
            return
        assert self._connection is not None  # it has begun
        try:
            self._tell_rules(self._connection, job)
            admission = job.admission
            account_id, now_us, backfill = admission.caller.account_id, admission.now_us, admission.backfill
            send(self._connection, Work(job.batch.body, job.batch.lines, account_id, now_us, backfill))
        except Exception as error:  # edge: somebody waits for the answer, whatever went wrong
            self._lose(error)

    def _go_ahead(self) -> None:
        """Send the process what it is to read next."""
        while len(self._asked) <= AHEAD_MAX and self._connection is not None and (ahead := self._readers.job_ahead()):
            self._ask(ahead)

    def _answer(self) -> Prepared | None:
        """Return what the process read of what it was asked first; None if it could not, whatever the reason."""
        job = self._asked.popleft()
        if self._connection is None:
            return None
        try:
            answer = receive(self._connection, _decoder)
            if answer is None:
                raise OSError("it ended")
        except Exception as error:  # edge: somebody waits for the answer, whatever went wrong
            self._lose(error)
            return None
        if isinstance(answer, Unable):
            return None
        return Prepared(answer.bundles, answer.errors, lone=False, scheme=job.scheme)

    def _lose(self, error: Exception) -> None:
        """Give the process up; what it was asked has no answer."""
        _log.warning("a reader process failed and is replaced: %r", error)
        self._end()

    def _tell_rules(self, connection: socket.socket, job: _Job) -> None:
        if self._rules is not None and self._rules[0] is job.scheme and self._rules[1] == job.lanes:
            return
        generations = list(job.scheme.written.values())
        send(connection, Rules(job.scheme.version, job.scheme.catalogue, generations, job.lanes))
        self._rules = (job.scheme, job.lanes)

    def _begin(self) -> bool:
        """Start the process, unless that was tried a moment ago."""
        now_s = time.monotonic()
        if now_s - self._started_s < RESTART_AFTER_S:
            return False
        self._started_s = now_s
        mine, its = socket.socketpair()
        for end in (mine, its):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM_BYTES)
        command = [sys.executable, "-P", "-m", "tallybook.readers.child", str(its.fileno())]
        try:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                command, stdin=subprocess.DEVNULL, pass_fds=(its.fileno(),)
            )
        except OSError as error:
            _log.warning("a reader process could not be started: %s", error)
            mine.close()
            return False
        finally:
            its.close()
        mine.settimeout(ANSWER_TIMEOUT_S)
        self._connection, self._rules = mine, None
        return True

    def _end(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._process is not None:
            with suppress(OSError):
                self._process.kill()  # it keeps nothing
            self._process.wait()


def _hand_on(job: _Job, prepared: Prepared | None) -> None:
    try:
        job.promise.set_result(prepared)
    except Exception:  # edge: the thread outlives any one request
        _log.exception("a batch was read, but could not be handed on")
