"""Events count exactly once, whoever sends them how often; what is answered is durable, readable and true."""

from collections.abc import Iterator

import pytest

from tallybook.core.clock import FrozenClock
from tallybook.core.errors import Forbidden
from tallybook.core.event import ERRORS_SHOWN_MAX, Outcome, decode_events
from tallybook.core.ids import AccountId
from tallybook.core.instant import DAY_US, instant_text
from tallybook.core.key import ADMIN, EVENTS_WRITE, Caller
from tallybook.core.number import NANOS
from tests.support.events import NOW_US, json_of
from tests.support.works import OPERATOR, Works, job, outcomes

ACME = Caller("key_acme", AccountId("acme"), frozenset({EVENTS_WRITE}))


@pytest.fixture
def works(ledger_url: str) -> Iterator[Works]:
    """Ingest and measure over an empty ledger."""
    with Works(ledger_url) as opened:
        yield opened


# --- outcomes --------------------------------------------------------------------------------------------------------


def test_a_batch_with_an_event_that_was_sent_before_grows_totals_by_the_others(works: Works) -> None:
    """A duplicate is a success that counts nothing."""
    assert (1, 0, 0, 0) == outcomes(works.write([job("1", cpu=5)]))
    receipt = works.write([job("1", cpu=5), job("2", cpu=1), job("3", cpu=1)])
    assert ((2, 1, 0, 0), ()) == (outcomes(receipt), receipt.errors)
    assert (3 * NANOS, 7 * NANOS) == (works.total("acme", "jobs"), works.total("acme", "job_cpu"))


def test_the_same_identity_with_another_payload_is_a_conflict_and_leaves_the_first(works: Works) -> None:
    """It names the event by place and id, and whatever came first stays."""
    works.write([job("1", cpu=5)])
    receipt = works.write([job("2", cpu=1), job("1", cpu=7)])
    assert (1, 0, 1, 0) == outcomes(receipt)
    (error,) = receipt.errors
    assert (1, "1", Outcome.CONFLICT, "event-id-reused", "/1/id") == (
        error.index,
        error.id,
        error.outcome,
        error.code,
        error.pointer,
    )
    assert 6 * NANOS == works.total("acme", "job_cpu")


def test_within_one_batch_the_first_wins(works: Works) -> None:
    """Twice the same is a duplicate, another payload a conflict, and both only in their own account and source."""
    batch = [
        job("1", cpu=5),
        job("1", cpu=5),
        job("1", cpu=7),
        job("1", "evil", cpu=9),
        {**job("1", cpu=11), "source": "other"},
        {**job("1", cpu=11), "source": "other"},
    ]
    receipt = works.write(batch)
    assert (3, 2, 1, 0) == outcomes(receipt)
    assert (16 * NANOS, 9 * NANOS) == (works.total("acme", "job_cpu"), works.total("evil", "job_cpu"))


def test_one_bad_event_never_fails_its_batch(works: Works) -> None:
    """Each event gets its own outcome; errors come in the order of the request, with pointers into it."""
    receipt = works.write(
        [
            job("1", cpu="NaN"),
            job("2"),
            5,
            job("", cpu=1),
            job("2", cpu=1),
            job("3", region="mars"),
            {**job("4"), "time": 1},
        ]
    )
    assert (1, 0, 1, 5) == outcomes(receipt)
    assert [
        (0, "invalid-amount", "/0/data/cpu"),
        (2, "invalid-field", "/2"),
        (3, "invalid-field", "/3/id"),
        (4, "event-id-reused", "/4/id"),
        (5, "invalid-field", "/5/data/region"),
        (6, "invalid-field", "/6/time"),
    ] == [(error.index, error.code, error.pointer) for error in receipt.errors]
    assert NANOS == works.total("acme", "jobs")


def test_a_lone_event_points_into_itself(works: Works) -> None:
    """Not into an array that nobody sent."""
    works.write([job("1")])
    for event, pointer in ((job("2", cpu=True), "/data/cpu"), (job("1", cpu=1), "/id")):
        prepared = works.ingest.prepare(decode_events(json_of(event)), OPERATOR, lone=True)
        assert [pointer] == [error.pointer for error in works.ingest.submit(prepared).result().errors]


def test_errors_are_shown_up_to_their_bound_and_counted_beyond(works: Works) -> None:
    """The first ERRORS_SHOWN_MAX, by place."""
    receipt = works.write([job(str(n), cpu=True) for n in range(ERRORS_SHOWN_MAX + 50)] + [job("good")])
    assert (1, 0, 0, ERRORS_SHOWN_MAX + 50) == outcomes(receipt)
    assert list(range(ERRORS_SHOWN_MAX)) == [error.index for error in receipt.errors]


def test_nothing_is_a_request_too(works: Works) -> None:
    """An empty batch, and one of rejections only, are answered without a commit."""
    assert (0, 0, 0, 0) == outcomes(works.write([]))
    assert (0, 0, 0, 1) == outcomes(works.write([5]))


def test_the_same_event_is_known_after_a_restart_and_months_later(ledger_url: str) -> None:
    """Identity is kept in the ledger, not in a process, and does not run out while late events are taken."""
    clock = FrozenClock(NOW_US)
    with Works(ledger_url, clock) as works:
        works.write([job("1", cpu=5)])
    clock.advance(40 * DAY_US)
    with Works(ledger_url, clock) as works:
        assert (0, 1, 1, 0) == outcomes(works.write([job("1", cpu=5), job("1", cpu=6)]))
        assert 5 * NANOS == works.total("acme", "job_cpu")


def test_a_retry_without_a_time_is_a_duplicate(works: Works) -> None:
    """The time of receipt is not the sender's payload."""
    assert isinstance(works.clock, FrozenClock)
    event = {"id": "1", "type": "job", "subject": "acme", "data": {"cpu": 1}}
    assert (1, 0, 0, 0) == outcomes(works.write(event))
    works.clock.advance(DAY_US)
    assert (0, 1, 0, 0) == outcomes(works.write(event))


def test_unknown_types_are_kept_and_counted_by_type(works: Works) -> None:
    """Usage is never thrown away; also those with odd names, and they deduplicate like others."""
    events = [{**job(str(n)), "type": name} for n, name in enumerate(("a", "a", 'b"\\', "Zoë\n", "a"))]
    assert (5, 0, 0, 0) == outcomes(works.write(events))
    assert (0, 5, 0, 0) == outcomes(works.write(events))
    assert {"a": 3 * NANOS, 'b"\\': NANOS, "Zoë\n": NANOS} == works.groups("acme", "events_unmetered", "type")


# --- keys ------------------------------------------------------------------------------------------------------------


def test_a_key_of_an_account_writes_for_that_account_only(works: Works) -> None:
    """Without a subject, with its own, and never with another's."""
    lone = {name: value for name, value in job("1").items() if name != "subject"}
    receipt = works.write([lone, job("2"), job("3", "evil")], ACME, backfill=False)
    assert (2, 0, 0, 1) == outcomes(receipt)
    assert ("subject-forbidden", "/2/subject") == (receipt.errors[0].code, receipt.errors[0].pointer)
    assert 2 * NANOS == works.total("acme", "jobs")


@pytest.mark.parametrize(
    "caller", [ACME, Caller("k", AccountId("acme"), frozenset({ADMIN})), Caller("k", None, frozenset({EVENTS_WRITE}))]
)
def test_backfill_is_for_the_operators_admin(works: Works, caller: Caller) -> None:
    """An account's key, or an operator's without the scope, may not reach further back."""
    with pytest.raises(Forbidden, match="backfill"):
        works.write([job("1")], caller, backfill=True)


def test_the_past_is_closed_unless_backfilled(works: Works) -> None:
    """36 days back is refused with a code of its own, and taken by the operator's import."""
    old = {**job("1"), "time": instant_text(NOW_US - 36 * DAY_US)}
    assert "timestamp-out-of-window" == works.write([old], backfill=False).errors[0].code
    assert (1, 0, 0, 0) == outcomes(works.write([old], backfill=True))


def test_unknown_accounts_are_rejected_where_they_are_not_created(ledger_url: str) -> None:
    """The others of the batch count; once the account exists, the same event is accepted."""
    with Works(ledger_url) as works:
        works.write([job("1", "known")])
    with Works(ledger_url, accounts_auto_create=False) as works:
        receipt = works.write([job("1", "stranger"), job("2", "known")])
        assert (1, 0, 0, 1) == outcomes(receipt)
        assert ("account-unknown", "/0/subject") == (receipt.errors[0].code, receipt.errors[0].pointer)
        assert 2 * NANOS == works.total("known", "jobs")
    with Works(ledger_url) as works:
        assert (1, 0, 0, 0) == outcomes(works.write([job("1", "stranger")]))
