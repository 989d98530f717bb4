"""200 holders of slots that go silent, tokens that are too old, and threads that fight for slots."""

import threading
from collections.abc import Iterator

import pytest

from tallybook.core.clock import US_PER_S
from tallybook.core.lease import Ending, Lease
from tallybook.core.number import NANOS
from tallybook.flows.lease import LeaseLost
from tests.sim.admission.floor import Floor
from tests.sim.admission.race import Tried, crowd, each, tried

HOLDERS, TTL_S = 200, 5
SLOTS = 10


def slots(quantity: int) -> dict[str, object]:
    """A limit of concurrent calls."""
    return {"name": "calls", "kind": "concurrent", "quantity": str(quantity)}


def take_all(floor: Floor) -> list[Lease]:
    """Take all the slots there are, which are free."""
    granted = each(range(HOLDERS), lambda _: floor.grant("acme", "calls", TTL_S))
    return [one.lease for one in granted if one.lease is not None]


def free(floor: Floor) -> int:
    """How many slots are free."""
    remaining = floor.states("acme")["calls"].remaining
    assert remaining is not None
    return remaining // NANOS


def fill(floor: Floor) -> list[Lease]:
    """Take all the slots there are."""
    floor.allow("acme", slots(HOLDERS))
    taken = take_all(floor)
    assert HOLDERS == len({lease.token for lease in taken})
    assert floor.grant("acme", "calls", TTL_S).lease is None
    return taken


def test_slots_of_200_dead_holders_come_back(floor: Floor) -> None:
    """Not before the TTL, and all of them at it: nobody waits for a sweep; the sweep then ends each once."""
    taken = fill(floor)
    floor.clock.advance(TTL_S * US_PER_S - 1)
    assert (0, 0) == (free(floor), floor.sweep())
    floor.clock.advance(1)
    assert HOLDERS == free(floor)
    again = take_all(floor)
    assert 0 == free(floor)
    assert (HOLDERS, 0) == (floor.sweep(), floor.sweep())
    assert 0 == free(floor)
    assert not {lease.token for lease in taken} & {lease.token for lease in again}


def test_only_the_silent_lose_their_slots(floor: Floor) -> None:
    """Half of them are killed; the others, renewing at a third of the TTL, keep theirs for as long as they like."""
    taken = fill(floor)
    alive = taken[::2]
    for _ in range(6):
        floor.clock.advance(TTL_S * US_PER_S // 3)
        each(alive, lambda lease: floor.heartbeat("acme", lease.lease_id, lease.token))
    assert HOLDERS // 2 == free(floor)
    assert HOLDERS // 2 == floor.sweep()
    each(alive, lambda lease: floor.let_go("acme", lease.lease_id, lease.token))
    assert HOLDERS == free(floor)


def test_a_stale_token_frees_nothing(floor: Floor) -> None:
    """Whoever lost a slot can neither keep, nor free, nor take over the slot of whoever has it now."""
    taken = fill(floor)
    floor.clock.advance(TTL_S * US_PER_S)
    again = take_all(floor)

    def try_all(pair: tuple[Lease, Lease]) -> None:
        stale, held = pair
        with pytest.raises(LeaseLost):
            floor.heartbeat("acme", stale.lease_id, stale.token)
        for token in (stale.token, f"{held.fence}.{'0' * 24}"):
            with pytest.raises(LeaseLost):
                floor.heartbeat("acme", held.lease_id, token)
            with pytest.raises(LeaseLost):
                floor.let_go("acme", held.lease_id, token)
        floor.let_go("acme", stale.lease_id, stale.token)

    each(zip(taken, again, strict=True), try_all)
    assert 0 == free(floor)
    assert max(lease.fence for lease in taken) < min(lease.fence for lease in again)


def test_a_release_twice_is_harmless(floor: Floor) -> None:
    """The second frees nothing that somebody else has taken meanwhile, and answers as the first did."""
    taken = fill(floor)
    first = each(taken, lambda lease: floor.let_go("acme", lease.lease_id, lease.token))
    assert HOLDERS == len(take_all(floor))
    second = each(taken, lambda lease: floor.let_go("acme", lease.lease_id, lease.token))
    assert first == second
    assert {Ending.RELEASED} == {lease.ending for lease in second}
    assert 0 == free(floor)


def test_slots_are_held_across_a_restart(floor: Floor, ledger_url: str) -> None:
    """A server that comes back knows who holds what, and the holders' tokens are good."""
    taken = fill(floor)
    floor.close()
    with Floor(ledger_url, floor.clock) as reopened:
        assert 0 == free(reopened)
        reopened.heartbeat("acme", taken[0].lease_id, taken[0].token)
        reopened.clock.advance(TTL_S * US_PER_S - 1)
        reopened.let_go("acme", taken[1].lease_id, taken[1].token)
        assert 1 == free(reopened)


def test_never_more_slots_than_there_are(floor: Floor) -> None:
    """64 threads take and free 10 slots; at no instant do they have more, and the peak that is metered says so."""
    floor.allow("acme", slots(SLOTS))
    lock = threading.Lock()
    live: list[int] = [0]
    most: list[int] = [0]

    def work(number: int) -> Iterator[Tried]:
        for _ in range(10):
            granted = floor.grant("acme", "calls", TTL_S)
            if granted.lease is not None:
                with lock:
                    live[0] += 1
                    most[0] = max(most[0], live[0])
                    live[0] -= number % 8 == 0
                if number % 8 == 0:
                    floor.let_go("acme", granted.lease.lease_id, granted.lease.token)
            yield tried(1, granted.decision)

    tries = crowd(work)
    assert SLOTS == live[0] + free(floor)
    assert most[0] <= SLOTS
    assert all(one.admitted == (one.before < SLOTS) for one in tries)
    assert SLOTS * NANOS == floor.total("acme", "concurrent_calls_peak")
