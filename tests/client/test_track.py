"""Events: kept without waiting, sent in batches, tried until they are delivered, never counted twice."""

import json
import logging
import os
import threading
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from tallybook.client import BufferFull, ClientClosed, EventInvalid, Tuning
from tests.client.times import Floor
from tests.client.toy import Fault


def ids(seen):
    """Return the ids of the events that a request carried."""
    return [json.loads(line)["id"] for line in seen.body.splitlines()]


def test_an_event_has_its_id_and_time_when_it_is_tracked(make, toy, clock):
    """What is sent later still says when it happened."""
    client = make()
    event_id = client.track("message", {"direction": "inbound", "cost": Decimal("0.10"), "f": 0.1}, account="acme")
    clock.advance(5)
    assert client.flush()
    (request,) = toy.seen("/events")
    assert (
        b'{"id":"%s","type":"message","subject":"acme","time":"2026-03-15T12:00:00Z",'
        b'"data":{"direction":"inbound","cost":0.10,"f":0.1}}\n' % event_id.encode()
    ) == request.body
    assert "application/x-ndjson" == request.headers["content-type"]


def test_a_time_of_ones_own_is_sent_in_utc(make, toy):
    """Whatever its offset; text is sent as it is."""
    client = make()
    client.track("message", time=datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=2))), id="a")
    client.track("message", time="2026-03-01T12:00:00+01:00", id="b", source="gateway")
    client.flush()
    assert "2026-03-01T10:00:00Z" == toy.events["a"]["time"]
    assert ("2026-03-01T12:00:00+01:00", "gateway") == (toy.events["b"]["time"], toy.events["b"]["source"])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"data": {"a": {"b": float("nan")}}}, "/data/a/b is not a finite number"),
        ({"data": {"a": [Decimal("Infinity")]}}, "/data/a/0 is not a finite number"),
        ({"data": {"a": {1: 2}}}, "/data/a has a key"),
        ({"data": {"a": object()}}, "/data/a is a object"),
        ({"data": {"a": datetime(2026, 1, 1)}}, "/data/a is a time without offset"),  # noqa: DTZ001
        ({"data": {"a": "\ud800"}}, "not JSON"),
        ({"data": [1]}, "/data is not an object"),
        ({"data": {"a": "x" * 70_000}}, "at most 65536"),
        ({"time": datetime(2026, 1, 1)}, "time has no offset"),  # noqa: DTZ001
        ({"id": ""}, "id must be"),
        ({"account": "a\x00"}, "account must be"),
        ({"source": "s" * 300}, "source must be"),
    ],
)
def test_what_could_never_be_counted_is_refused_at_once(make, more, message):
    """The caller learns of it where the mistake is; nothing is kept."""
    client = make()
    with pytest.raises(EventInvalid, match=message):
        client.track("message", **more)
    assert 0 == client.stats().tracked


def test_nesting_has_a_bound(make):
    """A structure that contains itself is refused, not followed."""
    data = {}
    data["self"] = data
    with pytest.raises(EventInvalid, match="deeper than 32"):
        make().track("message", data)


def test_events_are_sent_when_the_oldest_is_a_second_old(make, toy, clock):
    """Not before, and all in one request."""
    client = make()
    for name in "abc":
        client.track("message", id=name)
    clock.until_waiting()
    assert [] == toy.requests
    clock.advance(1)
    toy.until(lambda: toy.sent == 3)
    assert [["a", "b", "c"]] == [ids(seen) for seen in toy.requests]


def test_a_full_batch_is_sent_at_once(make, toy):
    """No time passes here."""
    client = make(tuning=Tuning(batch_events_max=10))
    for number in range(25):
        client.track("message", id=str(number))
    toy.until(lambda: toy.sent == 20)
    assert [10, 10] == [len(ids(seen)) for seen in toy.requests]


def test_a_batch_is_bounded_in_bytes(make, toy):
    """So is the wait for it."""
    client = make(tuning=Tuning(batch_bytes_max=1_000))
    for number in range(5):
        client.track("message", {"text": "x" * 400}, id=str(number))
    client.flush()
    assert 5 == len(toy.events)
    assert all(len(seen.body) <= 1_000 for seen in toy.requests)


def test_delivery_outlives_failures_and_counts_once(make, toy):
    """A lost answer, a busy server, a proxy's page: the same bytes are sent until the answer is Tallybook's."""
    toy.fail(
        Fault(503),
        Fault(502, after=True),
        Fault(200, b"<html>hello</html>"),
        Fault(200, b'{"accepted":0,"duplicate":0,"conflict":0,"rejected":0}'),
        Fault(404, b"not here"),
        Fault(401, b'{"code":"unauthenticated","detail":"unknown key"}'),
        Fault(429, b"slow down"),
        Fault(302, headers={"Location": "/elsewhere"}),
    )
    client = make(random=Floor())
    client.track("message", id="a")
    assert client.flush()
    assert 9 == len(toy.requests)
    assert 1 == len({seen.body for seen in toy.requests})
    assert (1, 0, 1) == (client.stats().duplicates, client.stats().accepted, client.stats().tracked)
    assert {"a"} == set(toy.events)


def test_retry_after_is_honoured(make, toy, clock):
    """No request comes before the time that the server asked for."""
    toy.fail(Fault(503, headers={"Retry-After": "9"}))
    client = make()
    client.track("message", id="a")
    clock.until_waiting()
    clock.advance(1)
    toy.until(lambda: len(toy.requests) == 1)
    for _ in range(8):
        clock.until_waiting()
        clock.advance(1)
    clock.until_waiting()
    assert 1 == len(toy.requests)
    assert "503" in client.stats().last_error
    clock.advance(1)
    toy.until(lambda: toy.sent == 1)


def test_rejected_events_are_told_one_by_one(make, toy):
    """Conflicts too; the good ones around them count."""
    told = []
    client = make(on_rejected=told.append)
    client.track("message", {"n": 1}, id="a")
    client.track("bad", {"n": 2}, id="b")
    client.track("message", {"n": 3}, id="a")
    client.track("message", {"n": 4}, id="c")
    assert client.flush()
    assert [("b", "rejected", "invalid-field"), ("a", "conflict", "event-id-reused")] == [
        (one.event["id"], one.outcome, one.code) for one in told
    ]
    assert {"n": 3} == told[1].event["data"]
    stats = client.stats()
    assert (4, 2, 2, 0, 0) == (stats.tracked, stats.accepted, stats.rejected, stats.dropped, stats.pending)


def test_more_rejections_than_one_answer_tells_are_all_told(make, toy):
    """The batch is sent again in parts, where the rest counts as duplicates."""
    told = []
    client = make(on_rejected=told.append)
    for number in range(300):
        client.track("bad" if number % 2 else "message", id=str(number))
    assert client.flush()
    assert [str(number) for number in range(1, 300, 2)] == [one.event["id"] for one in told]
    assert 150 == len(toy.events)
    assert 150 == client.stats().rejected


def test_a_batch_that_is_refused_whole_is_split_until_the_culprit_stands_alone(make, toy):
    """As one event too large for a proxy would be: the others still count."""
    told = []
    client = make(on_rejected=told.append)
    too_large = Fault(413, b'{"code":"payload-too-large","detail":"too large"}')
    toy.fail(too_large, too_large)
    for name in "abcd":
        client.track("message", id=name)
    assert client.flush()
    assert [["a", "b", "c", "d"], ["a", "b"], ["a"], ["b"], ["c", "d"]] == [ids(seen) for seen in toy.requests]
    assert [] == told
    toy.fail(too_large)
    client.track("message", id="e")
    assert client.flush()
    assert [("e", "rejected", "payload-too-large")] == [(one.event["id"], one.outcome, one.code) for one in told]


def test_rejections_without_a_callback_are_logged(make, caplog):
    """Never lost silently."""
    client = make()
    client.track("bad", id="b")
    client.flush()
    assert "b" in caplog.text
    assert "invalid-field" in caplog.text


def test_a_callback_that_fails_stops_nothing(make, toy, caplog):
    """The mistake is logged with the event, and delivery goes on."""

    def fail(rejected):
        raise KeyError(rejected.code)

    client = make(on_rejected=fail)
    client.track("bad", id="b")
    client.track("message", id="c")
    assert client.flush()
    assert "on_rejected failed" in caplog.text
    assert {"c"} == set(toy.events)


# --- bounds -----------------------------------------------------------------------------------------------------------


def stuck(make, toy, **options):
    """Return a client whose server is away, with one event under way to nowhere."""
    return make("http://127.0.0.1:9", tuning=Tuning(buffer_events_max=3, flush_every_s=1e6), **options)


def test_a_full_buffer_drops_the_newest(make, toy, caplog):
    """What was kept stays kept; the drop is counted and logged."""
    client = stuck(make, toy)
    for name in "abcde":
        client.track("message", id=name)
    stats = client.stats()
    assert (5, 3, 2) == (stats.tracked, stats.pending, stats.dropped)
    assert 1 == caplog.text.count("were dropped")


def test_a_full_buffer_drops_the_oldest(make, toy):
    """If that is the choice."""
    client = stuck(make, toy, on_full="drop_oldest")
    for name in "abcde":
        client.track("message", id=name)
    stats = client.stats()
    assert (5, 3, 2) == (stats.tracked, stats.pending, stats.dropped)
    kept = client._delivery._store.take(10, 10_000)
    assert ["c", "d", "e"] == [json.loads(line)["id"] for line in kept]


def test_a_full_buffer_tells_the_caller(make, toy):
    """If that is the choice; the event was not kept."""
    client = stuck(make, toy, on_full="raise")
    for name in "abc":
        client.track("message", id=name)
    with pytest.raises(BufferFull, match="3 events"):
        client.track("message", id="d")
    assert (3, 0) == (client.stats().tracked, client.stats().dropped)


def test_the_buffer_is_bounded_in_bytes(make, toy):
    """As much as in events."""
    client = make("http://127.0.0.1:9", tuning=Tuning(buffer_bytes_max=1_000, flush_every_s=1e6))
    for number in range(5):
        client.track("message", {"text": "x" * 400}, id=str(number))
    assert 2 == client.stats().pending
    assert client.stats().pending_bytes <= 1_000


@pytest.mark.parametrize("wrong", [{"on_full": "drop"}, {"on_unreachable": "maybe"}, {"retries": -1}, {"timeout_s": 0}])
def test_a_choice_that_is_none_is_refused_when_the_client_is_made(make, wrong):
    """Not when it is too late."""
    with pytest.raises(ValueError, match=r"choose|retries"):
        make(**wrong)


@pytest.mark.parametrize("url", ["", "usage.example.com", "ftp://a", "http://u:p@a", "http://a?x=1", "http://[::"])
def test_a_base_url_that_is_none_is_refused(make, url):
    """Likewise."""
    with pytest.raises(ValueError, match="base URL"):
        make(url or " ")


# --- threads, flush, close --------------------------------------------------------------------------------------------


def test_many_threads_share_a_client(make, toy):
    """Every event arrives exactly once."""
    client = make(tuning=Tuning(batch_events_max=50))

    def work(thread):
        for number in range(500):
            client.track("message", {"n": number}, id=f"{thread}-{number}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.flush()
    assert 4_000 == len(toy.events) == toy.sent == client.stats().accepted


def test_flush_gives_up_when_its_time_is_over(make, clock):
    """And says so; the events are still there."""
    client = make("http://127.0.0.1:9")
    client.track("message", id="a")
    done = []
    flushing = threading.Thread(target=lambda: done.append(client.flush(timeout_s=3)))
    flushing.start()
    while flushing.is_alive():
        clock.until_waiting(1)
        clock.advance(1)
        flushing.join(0.01)
    assert [False] == done
    assert 1 == client.stats().pending


def test_flush_of_nothing_is_done(make):
    """Also before anything was tracked."""
    assert make().flush(timeout_s=0)


def test_flush_inside_the_callback_does_not_wait_for_itself(make):
    """The thread that delivers cannot wait for delivery."""
    answers = []
    client = make(on_rejected=lambda _: answers.append(client.flush()))
    client.track("bad", id="b")
    assert client.flush()
    assert [False] == answers


def test_closing_delivers_what_waits_and_is_final(make, toy):
    """Closing twice is harmless; tracking afterwards is a mistake that is told."""
    client = make()
    client.track("message", id="a")
    assert client.close()
    assert client.close()
    assert {"a"} == set(toy.events)
    with pytest.raises(ClientClosed):
        client.track("message")


def test_closing_says_what_it_leaves_behind(make, caplog):
    """False, and a line in the log."""
    client = make("http://127.0.0.1:9")
    client.track("message", id="a")
    assert not client.close(timeout_s=0)
    assert any(
        record.levelno == logging.ERROR and "1 events undelivered" in record.message for record in caplog.records
    )


def test_the_key_shows_in_no_text(make):
    """Neither in what prints nor in errors."""
    client = make()
    assert "tb_live" not in repr(client) + str(client)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_begins_empty_and_delivers_its_own(make, toy):
    """What waits in the parent is sent by the parent only, and the child has a thread and connections of its own."""
    client = make()
    client.track("message", id="by-parent")
    child = os.fork()
    if not child:
        client.track("message", id="by-child")
        os._exit(0 if client.flush(timeout_s=5) and client.stats().accepted == 1 else 1)
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert {"by-child"} == set(toy.events)
    assert client.flush()
    assert {"by-child", "by-parent"} == set(toy.events)
    assert 2 == toy.sent


def test_now_is_the_machines_time(make, toy):
    """Without a clock of one's own."""
    client = make(clock=None)
    before = datetime.now(UTC)
    client.track("message", id="a")
    assert client.flush()
    assert before <= datetime.fromisoformat(toy.events["a"]["time"]) <= datetime.now(UTC)
