"""64 threads that all want the same 100 units, and what must be true of whatever they got.

What an admission read and held is in its decision, so that the order in which the lane admitted can be told from the
decisions alone: each began where the one before it ended.
"""

import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import TypeVar

from tallybook.core.hold import Decision
from tallybook.core.number import NANOS

Item, Outcome = TypeVar("Item"), TypeVar("Outcome")
THREADS = 64
LIMIT = 100


@dataclass(frozen=True, slots=True)
class Tried:
    """One reservation that was asked for, in units; *before* is what was taken when it was decided."""

    units: int
    admitted: bool
    before: int
    limit: int


def tried(units: int, decision: Decision) -> Tried:
    """Read a decision about one limit."""
    (standing,) = decision.standings
    taken = standing.state.used + standing.state.held
    assert standing.state.quantity is not None
    return Tried(units, decision.allowed, taken // NANOS, standing.state.quantity // NANOS)


def sizes(seed: object, calls: int) -> list[int]:
    """Return how many units a thread asks for, call by call."""
    dice = Random(f"race {seed}")
    return [dice.randint(1, 7) for _ in range(calls)]


def crowd(work: Callable[[int], Iterable[Tried]], threads: int = THREADS) -> list[Tried]:
    """Run *work* in so many threads that all begin at the same instant; return all that was tried."""
    barrier = threading.Barrier(threads)

    def run(number: int) -> list[Tried]:
        barrier.wait()
        return list(work(number))

    with ThreadPoolExecutor(threads) as pool:
        return [one for tries in pool.map(run, range(threads)) for one in tries]


def each(items: Iterable[Item], work: Callable[[Item], Outcome]) -> list[Outcome]:
    """Do *work* for every item, many at once, as the clients of a server do; return the outcomes in order."""
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(work, items))


def admitted(tries: Iterable[Tried]) -> int:
    """Return how many units were admitted."""
    return sum(one.units for one in tries if one.admitted)


def check_order(tries: list[Tried]) -> None:
    """Whoever was admitted came one after the other, and found all that those before had taken."""
    taken = sorted((one for one in tries if one.admitted), key=lambda one: one.before)
    assert [0] == [one.before for one in taken[:1]]
    for earlier, later in pairwise(taken):
        assert later.before == earlier.before + earlier.units
    assert all(one.before + one.units <= one.limit for one in taken)


def check_refusals(tries: list[Tried]) -> None:
    """Nobody was refused who would have fitted, as things stood when it was decided."""
    assert all(one.before + one.units > one.limit for one in tries if not one.admitted)


def rounds_of(count: int) -> Iterator[tuple[str, bool]]:
    """Yield (account, whether all ask for one unit), by turns."""
    for number in range(count):
        yield f"round-{number}", number % 2 == 1
