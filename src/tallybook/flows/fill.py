"""Filling new meters from earlier events, in the background of a server or at a command's bidding."""

import threading
import time
from collections.abc import Callable
from typing import Protocol

from tallybook.core.errors import TallybookError
from tallybook.core.ports import FillProgress, FillStore
from tallybook.core.scheme import Scheme

LOOK_EVERY_S = 2.0
CATCH_UP_S_MAX = 5
"""How long a caller who added a meter may wait for it to be complete; the rest goes on in the background."""


class SchemeSource(Protocol):
    """Where the scheme in force comes from."""

    def refresh(self) -> Scheme:
        """Read it again from the ledger."""
        ...


class Fill:
    """Brings every new generation of rollups up to date, one step after the other."""

    def __init__(self, store: FillStore, schemes: SchemeSource) -> None:
        self._store = store
        self._schemes = schemes
        self._stop = threading.Event()
        self._working = threading.Lock()
        self._thread: threading.Thread | None = None

    def run(self, seen: Callable[[FillProgress], None] | None = None, *, most_s: float | None = None) -> None:
        """Do all the work there is, or as much as *most_s* seconds allow, telling *seen* after each step.

        Raises:
            Unavailable: If the store cannot be written; what was done stays done.
        """
        until_s = None if most_s is None else time.monotonic() + most_s
        with self._working:
            scheme = self._schemes.refresh()
            while not self._stop.is_set() and (progress := self._store.step(scheme)) is not None:
                scheme = self._schemes.refresh()
                if seen is not None:
                    seen(progress)
                if until_s is not None and time.monotonic() > until_s:
                    return

    def catch_up(self) -> None:
        """Work for at most CATCH_UP_S_MAX: enough for a young ledger to answer a new meter at once."""
        try:
            self.run(most_s=CATCH_UP_S_MAX)
        except TallybookError:
            return  # the store is full or away; the background goes on when it is back

    def start(self) -> None:
        """Look for work now and then, in a thread of its own."""
        self._thread = threading.Thread(target=self._watch, name="tallybook-fill", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop after the step at hand."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                self.run()
            except TallybookError:
                self._stop.wait(LOOK_EVERY_S)  # the store is full or away; the next look tries again
            self._stop.wait(LOOK_EVERY_S)
