"""Many senders at once, full queues, restarts and failing stores: each event counts once, or the sender is told."""

import random
import threading
from collections.abc import Iterator
from concurrent.futures import Future

import pytest
from sqlalchemy import text

from tallybook.core.errors import TooLarge, Unavailable
from tallybook.core.event import decode_events
from tallybook.core.intake import Receipt
from tallybook.core.meter import Question
from tallybook.core.number import NANOS
from tallybook.core.window import all_time
from tallybook.flows.ingest import CommitSeen, lane, take
from tests.support.events import EventBody, json_of
from tests.support.works import OPERATOR, Works, in_parallel, job, outcomes

SENDERS = 32


@pytest.fixture
def works(ledger_url: str) -> Iterator[Works]:
    """Ingest and measure over an empty ledger."""
    with Works(ledger_url) as opened:
        yield opened


# --- many at once ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lanes", [1, 4])
def test_many_senders_of_the_same_events_count_each_once(ledger_url: str, lanes: int) -> None:
    """32 senders, each with all events in an order of its own: as many accepted as there are, in every account."""
    events = [job(str(n), f"acct-{n % 7}", cpu=n, worker=f"w{n % 3}") for n in range(140)]

    def send(number: int) -> Receipt:
        mine = random.Random(number).sample(events, len(events))
        parts = [works.write(mine[start : start + 50]) for start in range(0, len(mine), 50)]
        return Receipt(*(sum(column) for column in zip(*map(outcomes, parts), strict=True)), ())

    with Works(ledger_url, lanes=lanes) as works:
        receipts = in_parallel(SENDERS, send)
        assert len(events) == sum(receipt.accepted for receipt in receipts)
        assert len(events) * (SENDERS - 1) == sum(receipt.duplicate for receipt in receipts)
        for account in range(7):
            mine = range(account, 140, 7)
            assert len(mine) * NANOS == works.total(f"acct-{account}", "jobs")
            assert sum(mine) * NANOS == works.total(f"acct-{account}", "job_cpu")


def test_two_processes_on_one_ledger_count_each_event_once(ledger_url: str) -> None:
    """Two houses share accounts, series and lanes: totals are exact and all senders are answered."""
    events = [job(str(n), f"acct-{n % 5}", cpu=1, worker=f"w{n % 11}") for n in range(200)]
    with Works(ledger_url, lanes=2) as one, Works(ledger_url, lanes=2) as two:

        def send(number: int) -> Receipt:
            mine = random.Random(number).sample(events, len(events))
            parts = [(one, two)[(number + start) % 2].write(mine[start : start + 20]) for start in range(0, 200, 20)]
            return Receipt(*(sum(column) for column in zip(*map(outcomes, parts), strict=True)), ())

        receipts = in_parallel(8, send)
        assert [len(events)] * 8 == [receipt.accepted + receipt.duplicate for receipt in receipts]
        assert len(events) == sum(receipt.accepted for receipt in receipts)
        for works in (one, two):
            for account in range(5):
                groups = works.groups(f"acct-{account}", "jobs", "worker")
                assert (40 * NANOS, 11) == (sum(groups.values()), len(groups))
                assert 40 * NANOS == works.total(f"acct-{account}", "job_cpu")


def test_what_is_answered_is_read_at_once(works: Works) -> None:
    """Each writer sees its own events in the next question, while others write."""

    def send(number: int) -> Receipt:
        for n in range(1, 9):
            receipt = works.write([job(f"{number}-{n}", f"mine-{number}", cpu=2), job(f"{number}-{n}", "shared")])
            assert (n * NANOS, 2 * n * NANOS) == (
                works.total(f"mine-{number}", "jobs"),
                works.total(f"mine-{number}", "job_cpu"),
            )
        return receipt

    in_parallel(6, send)
    assert 48 * NANOS == works.total("shared", "jobs")


def test_questions_of_one_request_see_one_moment(works: Works) -> None:
    """While events stream in, two meters of the same events never disagree within an answer."""
    works.write([job("0", cpu=1, net=1)])
    done = threading.Event()

    def stream() -> None:
        for n in range(1, 60):
            works.write([job(str(n), cpu=1, net=1)])
        done.set()

    writer = threading.Thread(target=stream)
    writer.start()
    while not done.is_set():
        answers = works.ask("acme", *(Question(meter, (all_time(),)) for meter in ("jobs", "job_cpu", "job_net")))
        assert 1 == len({answer.value for answer in answers})
    writer.join()
    assert 60 * NANOS == works.total("acme", "jobs")


# --- the queue -------------------------------------------------------------------------------------------------------


class Gate:
    """Lets commits through only when opened."""

    def __init__(self, works: Works) -> None:
        (committer,) = works.committers
        self._commit = committer.commit
        self.reached = threading.Event()
        self.opened = threading.Event()
        committer.commit = self._wait  # type: ignore[method-assign]

    def _wait(self, *args: object) -> object:
        self.reached.set()
        self.opened.wait()
        return self._commit(*args)  # type: ignore[arg-type]


def submit(works: Works, *events: EventBody) -> Future[Receipt]:
    """Queue events without waiting."""
    return works.ingest.submit(works.ingest.prepare(decode_events(json_of(list(events))), OPERATOR))


def test_a_full_queue_refuses_and_counts_nothing(ledger_url: str) -> None:
    """The caller is told when to come back; what queued before is safe, and the refused events count when resent."""
    with Works(ledger_url, queue_events_max=10) as works:
        gate = Gate(works)
        running = submit(works, job("1"))
        gate.reached.wait()
        queued = submit(works, *(job(f"q{n}") for n in range(10)))
        assert 10 == works.ingest.queued
        refused = [job("2"), job("3")]
        with pytest.raises(Unavailable, match="full") as error:
            submit(works, *refused)
        assert error.value.retry_after_s >= 1
        gate.opened.set()
        assert (1, 10) == (running.result().accepted, queued.result().accepted)
        assert 11 * NANOS == works.total("acme", "jobs")
        assert (2, 0, 0, 0) == outcomes(works.write(refused))
        assert 0 == works.ingest.queued


def test_a_queue_is_full_of_bytes_too(ledger_url: str) -> None:
    """A few large events fill it as many small ones do; with room again, what was refused counts."""
    large = [{**job(f"l{n}"), "note": "x" * 50_000} for n in range(3)]
    with Works(ledger_url, queue_bytes_max=120_000) as works:
        gate = Gate(works)
        running = submit(works, job("1"))
        gate.reached.wait()
        queued = submit(works, *large[:2])
        with pytest.raises(Unavailable, match="full"):
            submit(works, large[2])
        small = submit(works, job("2"))
        gate.opened.set()
        assert (1, 2, 1) == (running.result().accepted, queued.result().accepted, small.result().accepted)
        assert (1, 0, 0, 0) == outcomes(works.write(large[2:]))
        assert 5 * NANOS == works.total("acme", "jobs")


def test_a_commit_holds_a_bounded_number_of_bytes(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests share one up to the bound; a request beyond it has one of its own."""
    monkeypatch.setattr(lane, "GROUP_BYTES_MAX", 120_000)
    seen: list[int] = []
    with Works(ledger_url, seen=lambda commit: seen.append(commit.events)) as works:
        gate = Gate(works)
        waiting = [submit(works, job("1"))]
        gate.reached.wait()
        for first, count in ((0, 1), (1, 1), (2, 1), (3, 4), (7, 1)):
            waiting.append(submit(works, *({**job(f"l{first + n}"), "note": "x" * 50_000} for n in range(count))))
        gate.opened.set()
        assert 9 == sum(future.result().accepted for future in waiting)
        assert [1, 2, 1, 4, 1] == seen


def test_a_request_beyond_all_bounds_is_refused(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written as one raw batch can always be read again."""
    monkeypatch.setattr(take, "REQUEST_BYTES_MAX", 1_000)
    with Works(ledger_url) as works:
        with pytest.raises(TooLarge, match="1000 bytes"):
            works.write([{**job("1"), "note": "x" * 1_000}])
        assert (1, 0, 0, 0) == outcomes(works.write([job("1")]))


def test_a_commit_that_cannot_be_told_counts_all_the_same(ledger_url: str) -> None:
    """The figures about commits may be lost; the events are not, and their senders hear so."""

    def fail(_commit: CommitSeen) -> None:
        raise ConnectionError

    with Works(ledger_url, seen=fail) as works:
        assert (1, 0, 0, 0) == outcomes(works.write([job("1")]))
        assert (1, 1, 0, 0) == outcomes(works.write([job("1"), job("2")]))


def test_a_request_larger_than_the_queue_passes_when_it_is_empty(ledger_url: str) -> None:
    """Else it could never pass."""
    with Works(ledger_url, queue_events_max=10) as works:
        assert 25 == works.write([job(str(n)) for n in range(25)]).accepted


def test_requests_that_wait_share_a_commit(ledger_url: str) -> None:
    """What has queued up while a commit ran is one commit, in the order of arrival: the first of two wins."""
    seen: list[int] = []
    with Works(ledger_url, seen=lambda commit: seen.append(commit.events)) as works:
        gate = Gate(works)
        first = submit(works, job("1"))
        gate.reached.wait()
        waiting = [submit(works, job("x", cpu=n), job(f"y{n}")) for n in range(5)]
        gate.opened.set()
        assert (1, 0, 0, 0) == outcomes(first.result())
        assert [(2, 0, 0, 0)] + [(1, 0, 1, 0)] * 4 == [outcomes(future.result()) for future in waiting]
        assert [1, 10] == seen
        assert 0 == works.total("acme", "job_cpu")


def test_closing_commits_what_is_queued_and_refuses_the_rest(ledger_url: str) -> None:
    """Every request that was taken is answered and counted; none is taken after that."""
    with Works(ledger_url) as works:
        gate = Gate(works)
        futures = [submit(works, job(str(n))) for n in range(20)]
        gate.reached.wait()
        closing = threading.Thread(target=works.ingest.close)
        closing.start()
        gate.opened.set()
        closing.join()
        assert [1] * 20 == [future.result().accepted for future in futures]
        with pytest.raises(Unavailable, match="shutting down"):
            works.write([job("late")])
        assert 20 * NANOS == works.total("acme", "jobs")


def test_a_sender_who_goes_away_changes_nothing(works: Works) -> None:
    """Its events count, and the lane goes on for all others."""
    gate = Gate(works)
    futures = [submit(works, job(str(n))) for n in range(3)]
    errand = works.ingest.act("acme", lambda _: None)
    gate.reached.wait()
    for future in (*futures, errand):
        future.cancel()
    gate.opened.set()
    assert (0, 3, 0, 0) == outcomes(works.write([job(str(n)) for n in range(3)]))
    assert 3 * NANOS == works.total("acme", "jobs")


# --- a store that fails ----------------------------------------------------------------------------------------------

REFUSALS = {
    "identities": "the first write",
    "recent": "in the middle",
    "raw_index": "the last write",
}


def table_of(works: Works, name: str) -> str:
    """Where a commit writes the identities it takes, and which events it keeps: on SQLite lists that move later."""
    if name == "identities":
        return "key_log" if works.ledger.is_sqlite else "event_keys"
    return "raw_recent" if name == "raw_index" and works.ledger.is_sqlite else name


def refuse_writes(works: Works, table: str) -> None:
    """Make the store refuse every row of a table."""
    with works.ledger.writing() as connection:
        if works.ledger.is_sqlite:
            connection.execute(
                text(f"CREATE TRIGGER refuse BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END")
            )
        else:
            connection.execute(
                text("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no space''; END'")
            )
            connection.execute(text(f"CREATE TRIGGER refuse BEFORE INSERT ON {table} EXECUTE FUNCTION refuse()"))


def allow_writes(works: Works, table: str) -> None:
    """Undo `refuse_writes`."""
    with works.ledger.writing() as connection:
        connection.execute(text("DROP TRIGGER refuse" + ("" if works.ledger.is_sqlite else f" ON {table}")))


@pytest.mark.parametrize("table", REFUSALS, ids=REFUSALS.values())
def test_a_failed_commit_counts_nothing_and_its_retry_counts_once(works: Works, table: str) -> None:
    """Wherever in the transaction it fails, no part of it is there; the answer says try again, and that works."""
    works.write([job("0", cpu=1, worker="ada")])
    table = table_of(works, table)
    refuse_writes(works, table)
    batch = [job("1", cpu=2, worker="new"), job("2", "fresh", cpu=3)]
    with pytest.raises(Unavailable) as error:
        works.write(batch)
    assert error.value.retry_after_s >= 1
    assert "no space" not in error.value.message
    assert (NANOS, NANOS) == (works.total("acme", "jobs"), works.total("acme", "job_cpu"))
    with works.ledger.reading() as connection:
        counts = [
            connection.scalar(text(f"SELECT count(*) FROM {name}"))
            for name in ("accounts", table_of(works, "identities"), "raw_batches")
        ]
    assert [1, 1, 1] == counts
    allow_writes(works, table)
    works.write([job("2", "intruder", cpu=100, worker="new")])  # takes the numbers that the failed commit gave out
    assert (2, 0, 0, 0) == outcomes(works.write(batch))
    assert {"ada": NANOS, "new": 2 * NANOS} == works.groups("acme", "job_cpu", "worker")
    assert (3 * NANOS, 100 * NANOS) == (works.total("fresh", "job_cpu"), works.total("intruder", "job_cpu"))


def test_a_sender_of_two_lanes_may_retry_when_one_of_them_failed(ledger_url: str) -> None:
    """Part of the request may be durable; sent again, all of it counts once."""
    with Works(ledger_url, lanes=2) as works:
        names = [f"acct-{n}" for n in range(20)]
        works.committers[1].commit = _fail  # type: ignore[method-assign, assignment]
        with pytest.raises(Unavailable):
            works.write([job("1", name) for name in names])
        del works.committers[1].commit
        receipt = works.write([job("1", name) for name in names])
        assert 20 == receipt.accepted + receipt.duplicate
        assert 0 < receipt.duplicate < 20
        assert [NANOS] * 20 == [works.total(name, "jobs") for name in names]


def _fail(*_: object) -> None:
    raise RuntimeError("a bug in a commit")
