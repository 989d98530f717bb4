"""The outbox becomes deliveries, each claimed by one process at a time, and attempts have their consequences."""

from dataclasses import replace

import pytest
from sqlalchemy import func, select

from tallybook.core.clock import US_PER_S
from tallybook.core.delivery import Outcome, Reason, State, Status, settle
from tallybook.core.instant import DAY_US
from tallybook.ledger.deliveries import CLAIM_S
from tallybook.ledger.limit_tables import outbox
from tests.support.messages import DELIVERED, FAILED, NOW_US, Post
from tests.support.works import in_parallel

MANY = 1_000


@pytest.fixture
def post(ledger):
    """A post office without anybody."""
    return Post(ledger)


def claim(post, queue=None, *, room=MANY, total=MANY, rooms=None):
    return (queue or post.queue).claim(post.now_us, rooms or {}, room=room, total=total)


def outcome(post, claimed, attempted=DELIVERED, queue=None):
    (queue or post.queue).settle([settle(one, attempted, post.now_us, post.now_us, 0) for one in claimed])


def waiting(post):
    with post.ledger.reading() as connection:
        return connection.scalar(select(func.count()).select_from(outbox))


# --- fan-out ----------------------------------------------------------------------------------------------------------


def test_a_message_goes_to_whoever_may_hear_and_wants_it(post):
    """
    The account's own endpoints and the operator's; not another account's, not by another filter, not disabled ones.
    """
    acme, zeta = post.account("acme"), post.account("zeta")
    for name, account, pattern in (
        ("mine", "acme", "*"),
        ("mine_leases", "acme", "lease.*"),
        ("mine_usage", "acme", "usage.*"),
        ("theirs", "zeta", "*"),
        ("operators", None, "lease.terminated"),
        ("off", "acme", "*"),
    ):
        post.endpoint(name, account, pattern)
    post.destinations.disable("off", Reason.ASKED, NOW_US)
    post.tell(acme)
    post.tell(zeta)
    post.tell(message_type="endpoint.disabled")

    assert (3, 0, 0) == (post.queue.fan_out(NOW_US), post.queue.fan_out(NOW_US), waiting(post))
    counts = {name: len(post.deliveries(name)) for name in ("mine", "mine_leases", "mine_usage", "theirs", "off")}
    assert {"mine": 1, "mine_leases": 1, "mine_usage": 0, "theirs": 1, "off": 0} == counts
    assert ["lease.terminated", "lease.terminated"] == [one.type for one in post.deliveries("operators")]


def test_processes_that_fan_out_together_make_each_delivery_once(post):
    """
    Whoever takes a message, nobody else does.
    """
    post.endpoint("one")
    post.tell(count=700)
    queues = [post.process() for _ in range(4)]

    def work(number):
        done = 0
        while waiting(post):
            done += queues[number].fan_out(NOW_US)
        return done

    assert 700 == sum(in_parallel(4, work))
    assert 700 == len({one.message_id for one in post.deliveries("one")})


# --- claims -----------------------------------------------------------------------------------------------------------


def test_a_claim_brings_all_that_a_sender_needs(post):
    """
    The message as it was told, the endpoint with its secrets opened.
    """
    acme = post.account("acme")
    post.endpoint("one", "acme")
    post.tell(acme)
    post.queue.fan_out(NOW_US)
    (claimed,) = claim(post)

    assert ("acme", b'{"n":0}', "lease.terminated") == (
        claimed.message.account_id,
        claimed.message.body,
        claimed.message.type,
    )
    assert [b"secret of one"] == [secret.value for secret in claimed.destination.secrets]
    assert (0, NOW_US, NOW_US + CLAIM_S * US_PER_S) == (claimed.tries, claimed.queued_us, claimed.until_us)


def test_what_one_process_claimed_no_other_gets(post):
    """
    Eight that claim at once share all there is.
    """
    for name in "abcde":
        post.endpoint(name)
    post.tell(count=40)
    post.queue.fan_out(NOW_US)
    queues = [post.process() for _ in range(8)]
    found = in_parallel(8, lambda number: [one.number for one in claim(post, queues[number], room=25)])
    rest = [one.number for one in claim(post)]

    numbers = [number for some in found for number in some] + rest
    assert 200 == len(numbers) == len(set(numbers))


def test_a_claim_of_a_dead_process_runs_out(post):
    """
    Not a moment before; then it is another's, and what the dead one still says counts for nothing.
    """
    post.endpoint("one")
    post.tell()
    post.queue.fan_out(NOW_US)
    dead, living = post.process(), post.process()
    (lost,) = claim(post, dead)
    post.clock.advance(CLAIM_S * US_PER_S - 1)
    assert [] == list(claim(post, living))
    post.clock.advance(1)
    (found,) = claim(post, living)
    assert lost.message == found.message

    outcome(post, [lost], FAILED, dead)
    assert Status.PENDING is post.deliveries("one")[0].status
    assert 0 == post.deliveries("one")[0].attempts
    outcome(post, [found], DELIVERED, living)
    assert Status.DELIVERED is post.deliveries("one")[0].status


def test_what_is_given_back_is_there_for_others_at_once(post):
    """
    As if it had not been claimed.
    """
    post.endpoint("one")
    post.tell()
    post.queue.fan_out(NOW_US)
    claimed = claim(post)
    post.queue.give_back(claimed, post.now_us)

    assert [claimed[0].number] == [one.number for one in claim(post, post.process())]


def test_rooms_bound_what_is_claimed(post):
    """
    By destination where it is known, else by the room for others, and by the total; the oldest first.
    """
    for name in ("known", "full", "other"):
        post.endpoint(name)
    post.tell(count=9)
    post.queue.fan_out(NOW_US)
    claimed = claim(post, rooms={"known": 5, "full": 0}, room=2)

    names = [one.destination.destination_id for one in claimed]
    assert {"known": 5, "other": 2} == {name: names.count(name) for name in names}
    bodies = [one.message.body for one in claimed if one.destination.destination_id == "known"]
    assert [b'{"n":%d}' % number for number in range(5)] == bodies
    assert 3 == len(claim(post, total=3))


def test_a_failing_destination_has_one_attempt_at_a_time_over_all_processes(post):
    """
    And all failing ones together get half of the room; those that work come first.
    """
    names = [f"bad{number}" for number in range(6)]
    for name in (*names, "good"):
        post.endpoint(name)
    post.tell()
    post.queue.fan_out(NOW_US)
    outcome(post, [one for one in claim(post) if one.destination.destination_id != "good"], FAILED)
    post.tell(count=5)
    post.queue.fan_out(NOW_US)

    first = [one.destination.destination_id for one in claim(post, total=10)]
    second = [one.destination.destination_id for one in claim(post, post.process(), total=10)]
    assert (5, 5) == (first.count("good"), len(set(first) - {"good"}))
    assert (0, 1) == (second.count("good"), len(second))
    assert set(names) == set(first + second) - {"good"}


# --- what follows -----------------------------------------------------------------------------------------------------


def test_an_attempt_is_logged_with_what_went_and_came(post):
    """
    Bytes as they were, also those that are no text.
    """
    post.endpoint("one")
    post.tell()
    post.queue.fan_out(NOW_US)
    attempted = replace(
        DELIVERED,
        latency_us=1_234,
        request_headers={"webhook-id": "x"},
        response_headers={"server": "\xfcber\x00"},
        response_body=b"\xff\x00ok",
    )
    outcome(post, claim(post), attempted)
    found = post.log.get(post.deliveries("one")[0].delivery_id)

    assert found is not None
    (logged,) = found.logged
    assert (1_234, Outcome.DELIVERED, 200, {"webhook-id": "x"}, {"server": "\xfcber\x00"}, b"\xff\x00ok") == (
        logged.latency_us,
        logged.outcome,
        logged.status,
        logged.request_headers,
        logged.response_headers,
        logged.response_body,
    )
    assert (Status.DELIVERED, 1, 200, None, NOW_US) == (
        found.status,
        found.attempts,
        found.answer_status,
        found.due_us,
        found.finished_us,
    )


def test_a_failure_is_due_again_when_the_schedule_says(post):
    """
    Not before.
    """
    post.endpoint("one")
    post.tell()
    post.queue.fan_out(NOW_US)
    outcome(post, claim(post), FAILED)
    post.clock.advance(5 * US_PER_S - 1)
    assert [] == list(claim(post))
    post.clock.advance(1)
    (again,) = claim(post)

    assert (1, NOW_US) == (again.tries, again.destination.failing_since_us)
    outcome(post, [again])
    assert None is post.destinations.get("one", "webhook").failing_since_us


def test_gone_disables_tells_the_operator_and_gives_up_what_waits(post):
    """
    Once; the notice goes to the operator's endpoints, with nothing secret in it.
    """
    acme = post.account("acme")
    post.endpoint("gone", "acme")
    post.endpoint("operators", None, "endpoint.*")
    post.tell(acme, count=3)
    post.queue.fan_out(NOW_US)
    outcome(post, claim(post, rooms={"gone": 2}), replace(FAILED, outcome=Outcome.GONE, error="gone"))
    disabled = post.destinations.get("gone", "webhook")
    assert (State.DISABLED, Reason.GONE, NOW_US) == (disabled.state, disabled.reason, disabled.disabled_us)
    assert [Status.FAILED] * 3 == post.statuses("gone")
    assert {"gone", "endpoint-disabled"} == {one.error for one in post.deliveries("gone")}

    assert 1 == post.queue.fan_out(NOW_US)
    (notice,) = claim(post)
    assert (None, "operators", "endpoint.disabled") == (
        notice.message.account_id,
        notice.destination.destination_id,
        notice.message.type,
    )
    assert (
        b'{"endpoint":"gone","account":"acme","kind":"webhook","address":"https://gone.example/",'
        b'"reason":"gone","at":"2026-03-15T12:00:00Z"}'
    ) == notice.message.body
    assert 1 == post.queue.disabled()


def test_five_days_of_failures_disable_also_when_nothing_is_tried_any_more(post):
    """
    The schedule of a lone message ends after 28 hours; the destination is looked at all the same.
    """
    for name in ("bad", "mended", "good"):
        post.endpoint(name)
    post.tell()
    post.queue.fan_out(NOW_US)
    claimed = claim(post)
    outcome(post, [one for one in claimed if one.destination.destination_id != "good"], FAILED)
    post.clock.set(NOW_US + 5 * DAY_US - 1)
    assert 0 == post.queue.disable_failing(post.now_us)
    outcome(post, [one for one in claim(post) if one.destination.destination_id == "mended"])
    post.clock.advance(1)

    assert (1, 0) == (post.queue.disable_failing(post.now_us), post.queue.disable_failing(post.now_us))
    states = {name: post.destinations.get(name, "webhook").state.value for name in ("bad", "mended", "good")}
    assert {"bad": "disabled", "mended": "enabled", "good": "enabled"} == states
    assert Reason.FAILING is post.destinations.get("bad", "webhook").reason


def test_a_success_meanwhile_keeps_a_destination_enabled(post):
    """
    The last failure was decided on by what was known when it was claimed.
    """
    post.endpoint("one")
    post.tell(count=2)
    post.queue.fan_out(NOW_US)
    outcome(post, claim(post), FAILED)
    post.clock.set(NOW_US + 5 * DAY_US)
    queues = post.process(), post.process()
    (late,) = claim(post, queues[0])
    post.clock.advance(CLAIM_S * US_PER_S)
    (found, *_) = claim(post, queues[1])
    outcome(post, [found], DELIVERED, queues[1])
    outcome(post, [late], FAILED, queues[0])

    assert State.ENABLED is post.destinations.get("one", "webhook").state


def test_what_was_handed_over_while_a_destination_was_deleted_is_given_up(post):
    """
    Nobody tries it, and nobody looks at it again and again.
    """
    post.endpoint("one")
    post.tell()
    post.queue.fan_out(NOW_US)
    (claimed,) = claim(post)
    post.destinations.delete("one", NOW_US)
    outcome(post, [claimed], FAILED)
    post.clock.advance(DAY_US)

    assert [] == list(claim(post))


def test_the_age_of_the_oldest_message_is_told(post):
    """
    0 where nothing waits.
    """
    assert 0 == post.queue.outbox_age_us(NOW_US)
    post.tell()
    post.clock.advance(7 * US_PER_S)
    post.tell()

    assert 7 * US_PER_S == post.queue.outbox_age_us(post.now_us)
