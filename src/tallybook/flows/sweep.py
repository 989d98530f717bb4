"""What happens by itself, in a thread of its own: every job looks for its work and does it in bounded steps.

Any number of processes may sweep one ledger at once: each piece of work is decided where only one can do it. Not for
what the jobs are (see `flows.lease`, `flows.billing` and `ledger.prune`; `house` puts them together).
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tallybook.core.clock import Clock
from tallybook.core.errors import TallybookError
from tallybook.core.vitals import Swept

SWEEP_EVERY_S = 0.5
STEPS_MAX = 100
"""Most steps of one job before the next has its turn."""


@dataclass(frozen=True, slots=True)
class Job:
    """One kind of work: *step* does some and returns how much it did, 0 where none is left; *every* so many sweeps."""

    name: str
    step: Callable[[], int]
    every: int = 1


class Sweeper:
    """Runs the jobs until it is closed; with a *clock* it can tell when each of them was last run."""

    def __init__(self, jobs: Sequence[Job], clock: Clock | None = None) -> None:
        self._jobs = jobs
        self._clock = clock
        self._swept: dict[str, Swept] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def run(self) -> dict[str, int]:
        """Do all there is to do now; return how much each job did.

        Raises:
            Unavailable: If the store cannot be written; a later sweep goes on.
        """
        done = {job.name: self._exhaust(job) for job in self._jobs}
        for job in self._jobs:
            self._note(job, done[job.name])
        return done

    def start(self) -> None:
        """Sweep every half second until `close`."""
        self._thread = threading.Thread(target=self._watch, name="tallybook-sweeper", daemon=True)
        self._thread.start()

    def swept(self) -> list[Swept]:
        """Return the last run of each job that has been run, in their order."""
        known = dict(self._swept)
        return [known[job.name] for job in self._jobs if job.name in known]

    def close(self) -> None:
        """Stop after the step at hand."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _exhaust(self, job: Job) -> int:
        done = 0
        for _ in range(STEPS_MAX):
            step = job.step()
            done += step
            if not step or self._stop.is_set():
                break
        return done

    def _watch(self) -> None:
        sweep = 0
        while not self._stop.wait(SWEEP_EVERY_S):
            sweep += 1
            for job in self._jobs:
                if sweep % job.every == 0:
                    self._try(job)

    def _try(self, job: Job) -> None:
        try:
            self._note(job, self._exhaust(job))
        except TallybookError:
            self._note(job, 0, failed=True)
            self._stop.wait(SWEEP_EVERY_S)  # the store is full or away; the next sweep tries again

    def _note(self, job: Job, did: int, *, failed: bool = False) -> None:
        if self._clock is not None:
            self._swept[job.name] = Swept(job.name, self._clock.now_us(), did, failed)
