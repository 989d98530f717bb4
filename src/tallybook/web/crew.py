"""Worker threads for handlers, and the way back to the event loop.

An event loop is woken once for all that was done meanwhile, not once for each piece of work: at thousands of small
requests a second the waking costs more than the work. Not for what the work is (see `pipeline`).
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

_T = TypeVar("_T")


_Outcome = tuple["asyncio.Future[Any]", Any, BaseException | None]


class _Returns:
    """What was done, on its way back to one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._done: deque[_Outcome] = deque()
        self._woken = False
        self._lock = threading.Lock()

    def put(self, outcomes: Iterable[_Outcome]) -> None:
        """Hand outcomes over; any thread may."""
        with self._lock:
            self._done.extend(outcomes)
            if self._woken:
                return
            self._woken = True
        try:
            self.loop.call_soon_threadsafe(self._deliver)
        except RuntimeError:  # the loop is closed: nobody waits any more
            return

    def _deliver(self) -> None:
        with self._lock:
            done, self._done = self._done, deque()
            self._woken = False
        for waiting, result, failure in done:
            if waiting.cancelled():
                continue
            if failure is None:
                waiting.set_result(result)
            else:
                waiting.set_exception(failure)


_Job = tuple[Callable[[], Any], "asyncio.Future[Any]", _Returns]


class Crew:
    """Threads that do what they are given, in its order."""

    def __init__(self, threads: int, name: str, *, at_once: int = 1) -> None:
        """Start *threads* threads, each of which takes up to *at_once* pieces of work and returns them together."""
        self._at_once = at_once
        self._waiting: deque[_Job] = deque()
        self._room = threading.Condition()
        self._closed = False
        self._returns: _Returns | None = None
        self._threads = [threading.Thread(target=self._run, name=f"{name}-{n}", daemon=True) for n in range(threads)]
        for thread in self._threads:
            thread.start()

    def run(self, work: Callable[[], _T]) -> "asyncio.Future[_T]":
        """Have *work* done by a thread; called on an event loop, which awaits the outcome."""
        waiting, returns = self._expected()
        with self._room:
            if self._closed:
                raise RuntimeError("the crew has gone home")
            self._waiting.append((work, waiting, returns))
            self._room.notify()
        return waiting

    def outcome(self, future: "Future[_T]") -> "asyncio.Future[_T]":
        """Await what another thread promised, by the same way back."""
        waiting, returns = self._expected()

        def done(finished: "Future[_T]") -> None:
            failure = finished.exception()
            returns.put(((waiting, finished.result() if failure is None else None, failure),))

        future.add_done_callback(done)
        return waiting

    def close(self) -> None:
        """Let the threads finish what was given to them, then end them."""
        with self._room:
            self._closed = True
            self._room.notify_all()
        for thread in self._threads:
            thread.join()

    def _expected(self) -> "tuple[asyncio.Future[Any], _Returns]":
        loop = asyncio.get_running_loop()
        returns = self._returns
        if returns is None or returns.loop is not loop:
            returns = self._returns = _Returns(loop)
        return loop.create_future(), returns

    def _run(self) -> None:
        while batch := self._take():
            done: dict[_Returns, list[_Outcome]] = {}
            for work, waiting, returns in batch:
                done.setdefault(returns, []).append(_outcome(work, waiting))
            for returns, outcomes in done.items():
                returns.put(outcomes)

    def _take(self) -> "list[_Job]":
        """Wait for work; return nothing when the crew is closed and all is done."""
        with self._room:
            while not self._waiting and not self._closed:
                self._room.wait()
            return [self._waiting.popleft() for _ in range(min(self._at_once, len(self._waiting)))]


def _outcome(work: Callable[[], Any], waiting: "asyncio.Future[Any]") -> _Outcome:
    try:
        return waiting, work(), None
    except BaseException as failure:  # edge: whoever awaits it is told
        return waiting, None, failure
