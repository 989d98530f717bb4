"""An Idempotency-Key: one request at a time, done once, its answer repeated."""

import threading

import pytest

from tallybook.core.desk import Answered, Desk
from tallybook.core.errors import NotFound
from tallybook.flows.once import KeyInFlight, KeyReused, Once
from tests.support.admission import limited
from tests.support.rooms import Flows

WAIT_S = 30


def test_a_key_that_is_in_flight_is_told_so(flows: Flows) -> None:
    """The same key comes through again once the first is answered; another key, or account, is not held up."""
    gate, once = limited(flows), Once(flows.ingest)
    other = limited(flows, account_id="other")
    begun, go_on = threading.Event(), threading.Event()

    def slow(desk: Desk) -> Answered:
        begun.set()
        assert go_on.wait(WAIT_S)
        return Answered("digest", 201, b"first")

    first = once.perform(gate.account, "key", "digest", slow, gate.now_us)
    assert begun.wait(WAIT_S)
    with pytest.raises(KeyInFlight):
        once.perform(gate.account, "key", "digest", slow, gate.now_us)
    free = [
        once.perform(account, key, "digest", lambda _: Answered("digest", 200, b"free"), gate.now_us)
        for account, key in ((gate.account, "other key"), (other.account, "key"), (gate.account, None))
    ]
    go_on.set()
    assert b"first" == first.result(WAIT_S).body
    assert [b"free"] * 3 == [future.result(WAIT_S).body for future in free]
    again = once.perform(gate.account, "key", "digest", slow, gate.now_us).result(WAIT_S)
    assert (b"first", True) == (again.body, again.replayed)
    with pytest.raises(KeyReused):
        once.perform(gate.account, "key", "another digest", slow, gate.now_us).result(WAIT_S)


def test_a_key_is_free_again_after_a_refusal(flows: Flows) -> None:
    """Whatever became of the first attempt, the next one is tried."""
    gate, once = limited(flows), Once(flows.ingest)

    def refuse(desk: Desk) -> Answered:
        raise NotFound("there is no such thing")

    with pytest.raises(NotFound):
        once.perform(gate.account, "key", "digest", refuse, gate.now_us).result(WAIT_S)
    answer = once.perform(gate.account, "key", "digest", lambda _: Answered("digest", 200, b"now"), gate.now_us)
    assert b"now" == answer.result(WAIT_S).body
