"""The log of deliveries: what is listed, what is sent again, and what is forgotten."""

from dataclasses import replace

import pytest

from tallybook.core.delivery import Outcome, Reason, Status, settle
from tallybook.core.delivery_log import LogFilter, Replay, Which
from tallybook.core.errors import Conflict
from tallybook.core.instant import DAY_US, INSTANT_MAX_US
from tallybook.core.message import ENDPOINT_TEST, Message
from tallybook.ledger import delivery_log
from tallybook.ledger.delivery_log import PruneDeliveries
from tests.support.messages import DELIVERED, FAILED, NOW_US, Post

EVER = (0, INSTANT_MAX_US)
GIVEN_UP = replace(FAILED, outcome=Outcome.REJECTED)


@pytest.fixture
def post(ledger):
    """A post office with an endpoint."""
    post = Post(ledger)
    post.account("acme")
    post.endpoint("one")
    return post


def work(post, attempted=DELIVERED):
    """Fan out, and try all that is due."""
    post.queue.fan_out(post.now_us)
    claimed = post.queue.claim(post.now_us, {}, room=1_000, total=1_000)
    post.queue.settle([settle(one, attempted, post.now_us, post.now_us, 0) for one in claimed])
    return [one.message.message_id for one in claimed]


def test_pages_go_back_in_time_and_each_delivery_is_on_one(post):
    """
    Also while new ones come.
    """
    post.tell(count=5)
    work(post)
    first, place = post.log.page("one", LogFilter(), None, 2)
    post.tell()
    work(post)
    second, place = post.log.page("one", LogFilter(), place, 2)
    third, end = post.log.page("one", LogFilter(), place, 2)

    ids = [one.delivery_id for page in (first, second, third) for one in page]
    assert (5, 5, None) == (len(ids), len(set(ids)), end)
    assert ids == [one.delivery_id for one in post.deliveries("one")][1:]


def test_filters_let_deliveries_pass(post):
    """
    By state, type and time, the span half-open.
    """
    post.tell()
    work(post)
    post.clock.advance(10)
    post.tell(message_type="usage.warning")
    work(post, GIVEN_UP)

    def types(**wanted):
        return [one.type for one in post.deliveries("one", **wanted)]

    assert ["lease.terminated"] == types(status=Status.DELIVERED) == types(to_us=NOW_US + 10)
    assert ["usage.warning"] == types(status=Status.FAILED) == types(from_us=NOW_US + 10) == types(type="usage.warning")
    assert [] == types(status=Status.PENDING) == types(from_us=NOW_US + 11)


def test_one_is_replayed_under_its_own_id_from_the_beginning(post):
    """
    All attempts stay in the log.
    """
    post.tell()
    (message_id,) = work(post, GIVEN_UP)
    (one,) = post.deliveries("one")
    post.clock.advance(DAY_US)
    post.log.replay(one.delivery_id, post.now_us)

    assert (Status.PENDING, post.now_us) == (post.deliveries("one")[0].status, post.deliveries("one")[0].due_us)
    assert [message_id] == work(post)
    found = post.log.get(one.delivery_id)
    assert (Status.DELIVERED, 2, 2) == (found.status, found.attempts, len(found.logged))
    assert message_id == found.message.message_id


def test_what_is_being_tried_is_not_replayed(post):
    """
    Nor what goes to a disabled endpoint.
    """
    post.tell()
    post.queue.fan_out(NOW_US)
    post.queue.claim(NOW_US, {}, room=1, total=1)
    (one,) = post.deliveries("one")
    with pytest.raises(Conflict, match="being tried just now"):
        post.log.replay(one.delivery_id, NOW_US)
    post.destinations.disable("one", Reason.ASKED, NOW_US)
    with pytest.raises(Conflict, match="enable it first"):
        post.log.replay(one.delivery_id, NOW_US)


@pytest.mark.parametrize(
    ("which", "queued"), [(Which.FAILED, {"bad"}), (Which.MISSING, {"late"}), (Which.ALL, {"bad", "good", "late"})]
)
def test_a_span_is_replayed(post, which, queued):
    """
    What failed, what was missed while the endpoint was disabled, or all; nothing of outside the span, nothing twice.
    """
    for name in ("before", "bad", "good", "late", "after"):
        post.clock.advance(100)
        post.tell(message_type=f"usage.{name}")
        if name == "late":
            post.destinations.disable("one", Reason.ASKED, post.now_us)
        work(post, GIVEN_UP if name in {"bad", "before", "after"} else DELIVERED)
        post.destinations.enable("one")
    asked = Replay(which, NOW_US + 200, NOW_US + 500)

    assert (len(queued), False) == post.log.replay_many("one", asked, post.now_us)
    assert {f"usage.{name}" for name in queued} == {one.type for one in post.deliveries("one", status=Status.PENDING)}
    assert len(queued) == len(set(work(post)))


def test_what_was_missed_is_what_the_endpoint_may_hear_and_wants(post):
    """
    Its account's, of its filter; no test messages; an underscore in a filter is an underscore.
    """
    acme, zeta = post.account("acme"), post.account("zeta")
    for account, name in (
        (acme, "usage.warning"),
        (acme, "usage.limit_reached"),
        (acme, "usage.limitXreached"),
        (acme, "usages.none"),
        (acme, "lease.terminated"),
        (acme, ENDPOINT_TEST),
        (zeta, "usage.warning"),
    ):
        post.tell(account, name)
    work(post)
    post.endpoint("new", "acme", "usage.*", "lease.terminated")
    post.endpoint("exact", "acme", "usage.limit_reached")
    missing = Replay(Which.MISSING, *EVER)

    assert ((4, False), (0, False)) == (
        post.log.replay_many("new", missing, NOW_US),
        post.log.replay_many("new", missing, NOW_US),
    )
    assert {"usage.warning", "usage.limit_reached", "usage.limitXreached", "lease.terminated"} == {
        one.type for one in post.deliveries("new")
    }
    assert (1, False) == post.log.replay_many("exact", missing, NOW_US)
    assert ["usage.limit_reached"] == [one.type for one in post.deliveries("exact")]


def test_a_replay_has_a_bound_and_says_so(post, monkeypatch):
    """
    Asking again goes on.
    """
    monkeypatch.setattr(delivery_log, "REPLAY_MAX", 3)
    post.tell(count=5)
    work(post, GIVEN_UP)
    asked = Replay(Which.FAILED, *EVER)

    assert [(3, True), (2, False)] == [post.log.replay_many("one", asked, NOW_US) for _ in range(2)]
    assert [Status.PENDING] * 5 == post.statuses("one")


def test_a_test_message_goes_to_one_endpoint_whatever_its_filter(post):
    """
    Nobody else hears of it.
    """
    post.endpoint("two", None, "lease.*")
    message = Message("msg_test", ENDPOINT_TEST, None, b"{}", NOW_US)
    delivery_id = post.log.send("two", message, NOW_US)

    assert (["msg_test"], []) == (work(post), post.deliveries("one"))
    assert (Status.DELIVERED, message) == (post.log.get(delivery_id).status, post.log.get(delivery_id).message)
    post.destinations.disable("two", Reason.ASKED, NOW_US)
    with pytest.raises(Conflict):
        post.log.send("two", replace(message, message_id="msg_other"), NOW_US)


def test_what_is_old_is_forgotten_and_what_is_due_is_not(post):
    """
    Attempts, deliveries and messages by their own age; a message lives as long as a delivery of it.
    """
    prune = PruneDeliveries(post.ledger, post.clock, kept_days=30)
    post.tell(count=3)
    work(post)
    old = post.deliveries("one")
    post.clock.set(NOW_US + 30 * DAY_US)  # days: how long the log is kept
    assert 0 == prune.step()
    post.log.replay(old[0].delivery_id, post.now_us)
    post.clock.advance(1)

    assert 3 + 2 + 2 == prune.step()
    assert 0 == prune.step()
    (left,) = post.deliveries("one")
    assert (old[0].delivery_id, Status.PENDING) == (left.delivery_id, left.status)
    assert [old[0].message_id] == work(post)
    assert 1 == len(post.log.get(left.delivery_id).logged)
