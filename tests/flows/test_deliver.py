"""The engine of deliveries: the schedule as time passes, who holds up whom, and what is left when it stops."""

import asyncio
import threading

import pytest

from tallybook.core.clock import US_PER_S
from tallybook.core.delivery import RETRY_DELAYS_S, Attempted, Outcome, Reason, State, Status
from tallybook.core.errors import Unavailable
from tallybook.core.instant import DAY_US
from tallybook.flows.deliver import Deliverer
from tallybook.ledger.deliveries import CLAIM_S
from tests.support.messages import DELIVERED, FAILED, NOW_US, Post, ToySender, deliverer


@pytest.fixture
def post(ledger):
    """A post office without anybody."""
    return Post(ledger)


def open_deliverer(post, sender, seen=None, queue=None, **more):
    """Return a deliverer that would raise on any bug."""

    def bug(error):
        raise error

    return Deliverer(
        queue or post.process(), {"webhook": sender}, post.clock, seen=seen or (lambda _: None), bug=bug, **more
    )


def test_a_message_is_delivered_once_and_the_senders_are_closed(post):
    """
    There is nothing left to do.
    """
    for name in ("one", "two"):
        post.endpoint(name)
    post.tell(count=3)
    sender = ToySender()
    working = deliverer(post, sender)

    assert (6, 0) == (working.run(), working.run())
    assert (6, 6, 2) == (len(sender.sent), len(set(sender.sent)), sender.closed)
    assert [Status.DELIVERED] * 3 == post.statuses("one") == post.statuses("two")


def test_a_silent_receiver_is_tried_eight_times_over_28_hours_under_one_id(post):
    """
    Never before the time, always by a tenth of the wait after it; then it is given up, and a replay begins anew.
    """
    post.endpoint("one")
    post.tell()
    sender = ToySender(lambda *_: FAILED)
    working = deliverer(post, sender)
    assert 1 == working.run()
    for delay_s in RETRY_DELAYS_S[1:]:
        post.clock.advance(delay_s * US_PER_S - 1)
        assert 0 == working.run()
        post.clock.advance(delay_s * US_PER_S // 10 + 1)
        assert 1 == working.run()
    post.clock.advance(DAY_US)
    assert 0 == working.run()
    assert ([Status.FAILED], 8, 1) == (post.statuses("one"), len(sender.sent), len(set(sender.sent)))

    sender.behave = lambda *_: DELIVERED
    post.log.replay(post.deliveries("one")[0].delivery_id, post.now_us)
    assert 1 == working.run()
    assert ([Status.DELIVERED], 1) == (post.statuses("one"), len(set(sender.sent)))


def test_retry_after_is_honoured(post):
    """
    An hour is an hour.
    """
    post.endpoint("one")
    post.tell()
    slow_down = Attempted(Outcome.FAILED, 0, "unexpected-status", 429, retry_after_s=3_600)
    working = deliverer(post, ToySender(lambda *_: slow_down))
    working.run()
    post.clock.advance(3_600 * US_PER_S - 1)
    assert 0 == working.run()
    post.clock.advance(1)
    assert 1 == working.run()


def test_an_endpoint_that_only_fails_is_disabled_after_five_days_with_a_notice(post):
    """
    Told once, to the operator, whose endpoint works.
    """
    post.endpoint("bad")
    post.endpoint("operators", None, "endpoint.*")
    sender = ToySender(lambda destination, _: DELIVERED if destination.destination_id == "operators" else FAILED)
    working = deliverer(post, sender)
    for _ in range(6):
        post.tell()
        working.run()
        assert State.ENABLED is post.destinations.get("bad", "webhook").state
        post.clock.advance(DAY_US - 1)
    post.clock.advance(6)
    post.tell()
    working.run()

    found = post.destinations.get("bad", "webhook")
    assert (State.DISABLED, Reason.FAILING) == (found.state, found.reason)
    assert ["endpoint.disabled"] == [one.type for one in post.deliveries("operators")]
    before = len(sender.sent)
    post.tell()
    working.run()
    assert before == len(sender.sent)


def test_a_kind_without_a_sender_waits_for_a_release_that_has_one(post):
    """
    It fails, and is tried again.
    """
    post.endpoint("one")
    post.tell()
    working = Deliverer(post.process(), {}, post.clock, seen=lambda _: None, bug=lambda _: None)
    assert 1 == working.run()
    assert ("kind-unknown", Status.PENDING) == (post.deliveries("one")[0].error, post.deliveries("one")[0].status)


def test_a_bug_in_a_sender_is_told_and_fails_that_attempt_only(post):
    """
    The others go on.
    """
    bugs = []
    post.endpoint("one")
    post.endpoint("two")
    post.tell()

    def behave(destination, _):
        if destination.destination_id == "one":
            raise ZeroDivisionError
        return DELIVERED

    working = Deliverer(
        post.process(), {"webhook": ToySender(behave)}, post.clock, seen=lambda _: None, bug=bugs.append
    )
    assert 2 == working.run()
    assert [ZeroDivisionError] == [type(bug) for bug in bugs]
    assert ("internal", [Status.DELIVERED]) == (post.deliveries("one")[0].error, post.statuses("two"))


def test_what_is_seen_tells_how_late_first_attempts_were(post):
    """
    Of later attempts it tells nothing: they were meant to be late.
    """
    seen = []
    post.endpoint("one")
    post.tell()
    post.queue.fan_out(NOW_US)
    post.clock.advance(7)
    working = open_deliverer(post, ToySender(lambda *_: FAILED), seen=seen.append)
    working.run()
    post.clock.advance(10 * US_PER_S)
    working.run()

    assert [("webhook", Outcome.FAILED, 7), ("webhook", Outcome.FAILED, None)] == [
        (one.kind, one.outcome, one.lag_us) for one in seen
    ]


# --- who holds up whom ------------------------------------------------------------------------------------------------


class Gate:
    """A sender where some destinations never answer until they are let go; it notes how many run at once."""

    def __init__(self, *silent):
        self.silent = silent
        self.delivered = []
        self.running = {}
        self.most = {}
        self.changed = threading.Condition()
        self.open = asyncio.Event()
        self.loop = None

    async def send(self, destination, message):
        name = destination.destination_id
        self.loop = asyncio.get_running_loop()
        self.running[name] = self.running.get(name, 0) + 1
        self.most[name] = max(self.most.get(name, 0), self.running[name])
        with self.changed:
            self.changed.notify_all()
        if name in self.silent:
            await self.open.wait()
        else:
            await asyncio.sleep(0)
        self.running[name] -= 1
        with self.changed:
            self.delivered.append((name, message.message_id))
            self.changed.notify_all()
        return DELIVERED

    async def close(self):
        pass

    def wait_for(self, done):
        with self.changed:
            assert self.changed.wait_for(done, 60)

    def let_go(self):
        self.loop.call_soon_threadsafe(self.open.set)


def test_silent_receivers_hold_up_nobody_else(post):
    """
    While every silent one holds a place, all messages of the others arrive.
    """
    silent = [f"silent{number}" for number in range(20)]
    healthy = [f"healthy{number}" for number in range(10)]
    for name in (*silent, *healthy):
        post.endpoint(name)
    post.tell(count=12)
    gate = Gate(*silent)
    working = open_deliverer(post, gate, in_flight_max=40)
    working.start()
    try:
        gate.wait_for(lambda: len(gate.delivered) == 12 * len(healthy))
        gate.wait_for(lambda: all(gate.running.get(name) for name in silent))
        assert {1} == {gate.most[name] for name in silent}
        assert set(healthy) == {name for name, _ in gate.delivered}
        gate.let_go()
        gate.wait_for(lambda: len(gate.delivered) == 12 * (len(healthy) + len(silent)))
    finally:
        gate.let_go()
        working.close()
    assert len(set(gate.delivered)) == len(gate.delivered) == 12 * 30


def test_so_many_at_most_go_to_one_endpoint_at_a_time(post):
    """
    However much waits for it, and however quick it is.
    """
    post.endpoint("one")
    post.tell(count=200)
    gate = Gate()
    working = open_deliverer(post, gate, in_flight_per_destination_max=3)

    assert 200 == working.run()
    assert 3 == gate.most["one"]


def test_two_processes_deliver_each_message_once(post):
    """
    While both live, nothing goes out twice.
    """
    post.endpoint("one")
    post.endpoint("two")
    post.tell(count=150)
    gates = [Gate(), Gate()]
    gates[1].changed = gates[0].changed
    workings = [open_deliverer(post, gate) for gate in gates]
    for working in workings:
        working.start()
    try:
        gates[0].wait_for(lambda: sum(len(gate.delivered) for gate in gates) >= 200)
    finally:
        for working in workings:
            working.close()
    rest = Gate()
    open_deliverer(post, rest).run()
    sent = [one for gate in (*gates, rest) for one in gate.delivered]
    assert 300 == len(sent) == len(set(sent))


# --- the end ----------------------------------------------------------------------------------------------------------


def test_stopping_lets_attempts_end_and_gives_back_the_rest(post):
    """
    What was under way is written down, what was only claimed is another's at once.
    """
    post.endpoint("one")
    post.tell(count=30)
    gate = Gate("one")
    working = open_deliverer(post, gate)
    working.start()
    gate.wait_for(lambda: gate.running.get("one"))
    working.stop()
    gate.let_go()
    working.close()

    done = len(gate.delivered)
    assert 1 <= done < 30
    assert done == post.statuses("one").count(Status.DELIVERED)
    other = ToySender()
    assert 30 - done == deliverer(post, other).run()
    assert set(other.sent).isdisjoint(gate.delivered)


def test_what_is_cut_off_is_tried_again_when_the_claim_runs_out(post):
    """
    Under the same id.
    """
    post.endpoint("one")
    post.tell()
    queue = post.process()
    queue.fan_out(NOW_US)
    (lost,) = queue.claim(NOW_US, {}, room=1, total=1)
    sender = ToySender()
    working = deliverer(post, sender)
    assert 0 == working.run()
    post.clock.advance(CLAIM_S * US_PER_S)
    assert 1 == working.run()
    assert [("one", lost.message.message_id)] == sender.sent


class Flaky:
    """A queue whose store is away for the first calls of each kind."""

    def __init__(self, queue, times):
        self._queue = queue
        self._times = dict.fromkeys(("fan_out", "claim", "settle"), times)

    def __getattr__(self, name):
        def call(*given, **named):
            if self._times.get(name, 0):
                self._times[name] -= 1
                raise Unavailable("the ledger cannot be reached just now")
            return getattr(self._queue, name)(*given, **named)

        return call


def test_a_store_that_is_away_for_a_while_loses_nothing(post, monkeypatch):
    """
    Attempts that could not be written are written later.
    """
    monkeypatch.setattr("tallybook.flows.deliver.RESTED_S", 0.01)
    post.endpoint("one")
    post.tell(count=5)
    gate = Gate()
    working = open_deliverer(post, gate, queue=Flaky(post.process(), 2))
    working.start()
    try:
        gate.wait_for(lambda: len(gate.delivered) == 5)
    finally:
        working.close()
    assert ([Status.DELIVERED] * 5, 5) == (post.statuses("one"), len(set(gate.delivered)))
