"""Threads of one process race for a limit: never above it, and nobody who fits is refused."""

import threading
from collections.abc import Iterator

from tallybook.core.ids import AccountId
from tallybook.core.number import NANOS
from tests.sim.admission.floor import Floor, wanted
from tests.sim.admission.race import (
    LIMIT,
    THREADS,
    Tried,
    admitted,
    check_order,
    check_refusals,
    crowd,
    rounds_of,
    sizes,
    tried,
)
from tests.sim.scale import scaled

SETTLING = 4
LOOKING = 4
"""Threads that settle while others look."""
ROUNDS, CALLS = scaled((2, 25), (200, 200))


def credits_limit(quantity: int) -> dict[str, object]:
    """A hard limit of credits in a billing period."""
    return {"name": "credits", "kind": "period", "meter": "credits", "quantity": str(quantity)}


def race(floor: Floor, account: str, *, single: bool, calls: int) -> list[Tried]:
    """All threads reserve, and keep what they get."""

    def work(number: int) -> Iterator[Tried]:
        for units in sizes(f"{account} {number}", calls):
            asked = 1 if single else units
            yield tried(asked, floor.reserve(account, credits=asked)[0])

    return crowd(work)


def play(floor: Floor, rounds: int, calls: int) -> None:
    """Race again and again, each time for the units of another account."""
    for account, single in rounds_of(rounds):
        floor.allow(account, credits_limit(LIMIT))
        tries = race(floor, account, single=single, calls=calls)
        check_order(tries)
        check_refusals(tries)
        assert THREADS * calls == len(tries)
        assert LIMIT * NANOS == floor.states(account)["credits"].held
        assert LIMIT == admitted(tries)


def test_threads_never_pass_a_limit(floor: Floor) -> None:
    """64 threads take exactly the 100 units there are, whatever the sizes."""
    play(floor, ROUNDS, CALLS)


def test_a_limit_that_is_lowered_and_raised_meanwhile(floor: Floor) -> None:
    """Each decision is made by a limit that was in force; what was held before is not taken back."""
    floor.allow("acme", credits_limit(1_000))
    lowered, raised = threading.Event(), threading.Event()

    def work(number: int) -> Iterator[Tried]:
        for place, units in enumerate(sizes(number, 30)):
            if number == 0 and place == 5:
                floor.allow("acme", credits_limit(60))
                lowered.set()
            if number == 1 and place == 20:
                lowered.wait()  # its next call is decided by the low limit, the one after that by the high one
            if number == 1 and place == 21:
                floor.allow("acme", credits_limit(2_000))
                raised.set()
            begun_lowered, begun_raised = lowered.is_set(), raised.is_set()
            one = tried(units, floor.reserve("acme", credits=units)[0])
            assert one.limit in ({2_000} if begun_raised else {60, 2_000} if begun_lowered else {1_000, 60, 2_000})
            yield one

    tries = crowd(work)
    check_order(tries)
    check_refusals(tries)
    assert {60, 2_000} <= {one.limit for one in tries}


def test_a_period_that_ends_meanwhile(floor: Floor) -> None:
    """The old period's usage stays within its limit and the new one has the whole limit again, and no more."""
    floor.allow("acme", credits_limit(LIMIT))
    account = floor.accounts.get(AccountId("acme"))
    old = floor.accounts.period(account, floor.clock.now_us())
    floor.clock.set(old.end_us - 1)
    spent = threading.Semaphore(0)

    def work(number: int) -> Iterator[Tried]:
        for place in range(12):
            if number == 0 and place == 6:
                for _ in range(LIMIT // 2):
                    spent.acquire()
                floor.clock.set(old.end_us)
            decision, hold = floor.reserve("acme", credits=1)
            if hold is not None:
                floor.commit("acme", hold.hold_id, credits=1)
                spent.release()
            yield tried(1, decision)

    crowd(work)
    assert floor.total("acme", "credits", old) <= LIMIT * NANOS
    state = floor.states("acme")["credits"]
    assert (LIMIT * NANOS, 0, old.end_us) == (state.used, state.held, state.period and state.period.start_us)


def test_who_waited_while_the_period_ended_is_decided_by_the_new_one(floor: Floor) -> None:
    """What was asked in the old period, when nothing was used, cannot be added to a new one that is used up already."""
    floor.allow("acme", credits_limit(LIMIT))
    account = floor.accounts.get(AccountId("acme"))
    end_us = floor.accounts.period(account, floor.clock.now_us()).end_us
    floor.clock.set(end_us - 1)
    late = floor.limits.reserve(account, wanted(credits=LIMIT), 600, floor.clock.now_us())
    floor.clock.set(end_us)
    _, hold = floor.reserve("acme", credits=LIMIT)
    assert hold is not None
    floor.commit("acme", hold.hold_id, credits=LIMIT)
    decision, none = floor.limits.run(account, late).result()
    assert (["credits"], None) == (decision.violated, none)


def test_the_first_call_of_a_new_account(floor: Floor) -> None:
    """All threads create the account and reserve at once."""
    floor.accounts.put_plan("hundred", {"limits": [credits_limit(LIMIT)]})

    def work(number: int) -> Iterator[Tried]:
        floor.accounts.put(AccountId("fresh"), plan="hundred")
        for units in sizes(number, 20):
            yield tried(units, floor.reserve("fresh", credits=units)[0])

    tries = crowd(work)
    check_order(tries)
    check_refusals(tries)
    assert LIMIT == admitted(tries)


def test_many_look_while_others_reserve(floor: Floor) -> None:
    """However many check at once, each is answered, from a moment in which the limit held."""
    floor.allow("acme", credits_limit(LIMIT))

    def work(number: int) -> Iterator[Tried]:
        for units in sizes(number, 10):
            if number % 2:
                floor.reserve("acme", credits=units)
            yield tried(units, floor.check("acme", credits=units))

    tries = crowd(work)
    assert all(one.before <= LIMIT and one.admitted == (one.before + one.units <= LIMIT) for one in tries)


def test_nobody_sees_a_quantity_twice_or_not_at_all_while_it_is_settled(floor: Floor) -> None:
    """What moves from what is held to what is used is in one of them for everybody who looks, at every instant."""
    floor.allow("acme", credits_limit(LIMIT))
    holds = [hold for _, hold in (floor.reserve("acme", credits=1) for _ in range(LIMIT)) if hold is not None]
    assert LIMIT == len(holds)
    todo, settled = iter(holds), threading.Event()
    lock = threading.Lock()

    def settle() -> None:
        while True:
            with lock:
                hold = next(todo, None)
            if hold is None:
                settled.set()
                return
            floor.commit("acme", hold.hold_id, credits=1)

    def work(number: int) -> Iterator[Tried]:
        if number < SETTLING:
            settle()
        while number < SETTLING + LOOKING and not settled.is_set():
            yield tried(1, floor.check("acme", credits=1))

    tries = crowd(work)
    assert {LIMIT} == {one.before for one in tries}
    assert not any(one.admitted for one in tries)
    assert LIMIT * NANOS == floor.total("acme", "credits")
