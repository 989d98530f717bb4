"""Events on disk: they outlive the process, however it ends; damage costs no more than what was damaged."""

import json
import os
import threading

import pytest

from tallybook.client import BufferFull, SpoolLocked, SpoolUnusable, Tuning
from tallybook.client.event import line_of
from tallybook.client.spool import Spool
from tests.client.toy import Fault

AWAY = "http://127.0.0.1:9"


def lines(*names, size=0):
    """Return lines of events with these ids."""
    return [line_of({"id": name, "type": "message", "data": {"text": "x" * size}}) for name in names]


def fill(folder, *names, bytes_max=2**20, size=0):
    """Open a spool, append to it, and close it."""
    spool = Spool(folder, bytes_max)
    for line in lines(*names, size=size):
        assert spool.append(line, oldest_may_go=False)
    spool.close()


def names(spool, events_max=100):
    """Return the ids of the oldest events in the spool."""
    return [json.loads(line)["id"] for line in spool.take(events_max, 2**20)]


def test_what_one_process_left_the_next_one_sends(make, toy, tmp_path):
    """Without anything being tracked, and before anything new."""
    client = make(AWAY, spool=tmp_path / "spool")
    client.track("message", id="a")
    client.track("message", id="b")
    assert not client.close(timeout_s=0)
    client = make(spool=tmp_path / "spool")
    toy.until(lambda: toy.sent == 2)
    client.track("message", id="c")
    assert client.flush()
    assert ["a", "b", "c"] == list(toy.events)
    stats = client.stats()
    assert (3, 3, 0) == (stats.tracked, stats.accepted, stats.pending)


def test_an_event_is_in_the_file_when_track_returns(make, tmp_path):
    """So a process that is killed the next moment loses nothing."""
    client = make(AWAY, spool=tmp_path)
    client.track("message", id="a")
    (segment,) = tmp_path.glob("*.ndjson")
    assert "a" == json.loads(segment.read_bytes())["id"]
    assert 0o600 == segment.stat().st_mode & 0o777


def test_what_was_sent_is_not_sent_again(make, toy, tmp_path):
    """The mark says how far the spool is sent, within a segment too."""
    client = make(spool=tmp_path)
    client.track("message", id="a")
    client.track("message", id="b")
    assert client.flush()
    toy.fail(*[Fault(503)] * 10)
    client.track("message", id="c")
    client.close(timeout_s=0)
    toy.faults.clear()
    assert make(spool=tmp_path).flush()
    assert 3 == len(toy.events) == toy.sent


def test_a_lost_mark_costs_duplicates_only(make, toy, tmp_path):
    """What is sent again counts once."""
    fill(tmp_path, "a", "b")
    for mark in (b"", b"{", b'{"segment":"x","offset":0}', None):
        (tmp_path / "acknowledged.json").unlink(missing_ok=True)
        if mark is not None:
            (tmp_path / "acknowledged.json").write_bytes(mark)
        spool = Spool(tmp_path, 2**20)
        assert ["a", "b"] == names(spool)
        spool.close()


def test_a_mark_beyond_the_end_is_taken_as_the_end(tmp_path):
    """As after a power cut that took the end of a segment, but not the mark."""
    fill(tmp_path, "a")
    (tmp_path / "acknowledged.json").write_bytes(b'{"segment":1,"offset":100000}')
    spool = Spool(tmp_path, 2**20)
    assert (0, 0) == (spool.count, spool.size)
    spool.append(lines("b")[0], oldest_may_go=False)
    assert ["b"] == names(spool)
    spool.close()


def test_numbers_of_segments_are_never_used_again(tmp_path):
    """Or the mark of a segment that is gone would speak of a new one, and swallow it."""
    for round_ in range(3):
        spool = Spool(tmp_path, 2**20)
        spool.append(lines(f"r{round_}")[0], oldest_may_go=False)
        assert [f"r{round_}"] == names(spool)
        spool.settle(1)
        spool.close()
    spool = Spool(tmp_path, 2**20)
    assert 0 == spool.count
    spool.append(lines("last")[0], oldest_may_go=False)
    spool.close()
    spool = Spool(tmp_path, 2**20)
    assert ["last"] == names(spool)
    spool.close()


@pytest.mark.parametrize("torn", [b'{"id":"b","ty', b"\x00" * 5000, b'{"id":"b"}'])
def test_half_a_line_at_the_end_is_ignored(tmp_path, torn, caplog):
    """Its track never returned; what is appended later does not stick to it."""
    fill(tmp_path, "a")
    (segment,) = tmp_path.glob("*.ndjson")
    segment.write_bytes(segment.read_bytes() + torn)
    spool = Spool(tmp_path, 2**20)
    spool.append(lines("c")[0], oldest_may_go=False)
    assert ["a", "c"] == names(spool)
    assert f"{len(torn)} bytes" in caplog.text
    spool.close()


def test_a_damaged_line_is_told_and_the_others_count(make, toy, tmp_path):
    """Found by sending ever smaller parts; given to on_rejected as the text it is."""
    fill(tmp_path, "a", "b", "c")
    (segment,) = tmp_path.glob("*.ndjson")
    segment.write_bytes(segment.read_bytes().replace(b'{"id":"b"', b'\x00\xff\x01"b"'))
    told = []
    client = make(spool=tmp_path, on_rejected=told.append)
    assert client.flush()
    assert {"a", "c"} == set(toy.events)
    assert ["malformed-json"] == [one.code for one in told]
    assert isinstance(told[0].event, str)
    assert '"b"' in told[0].event


def test_one_process_at_a_time(make, tmp_path):
    """The second is told; after the first has closed, it may."""
    client = make(AWAY, spool=tmp_path)
    with pytest.raises(SpoolLocked, match="in use"):
        make(spool=tmp_path)
    client.close(timeout_s=0)
    make(spool=tmp_path)


def test_a_folder_that_cannot_be_used_is_told_when_the_client_is_made(make, tmp_path):
    """With the reason."""
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolUnusable, match=r"file: (File exists|Not a directory)"):
        make(spool=tmp_path / "file")


def test_a_full_spool_refuses_or_drops_its_oldest_segment(tmp_path):
    """Never more bytes than the bound; whole segments go, and the count of what went is exact."""
    spool = Spool(tmp_path / "a", 200_000)
    kept = [spool.append(line, oldest_may_go=False) for line in lines(*map(str, range(30)), size=10_000)]
    assert [True] * 19 + [False] * 11 == kept
    spool.close()
    spool = Spool(tmp_path / "b", 200_000)
    for line in lines(*map(str, range(100)), size=10_000):
        assert spool.append(line, oldest_may_go=True)
        assert spool.size <= 200_000
    assert 100 == spool.count + spool.dropped
    assert [str(number) for number in range(spool.dropped, 100)] == names(spool)
    assert sum(path.stat().st_size for path in (tmp_path / "b").glob("*.ndjson")) == spool.size
    spool.close()


def test_what_is_under_way_is_not_dropped(tmp_path):
    """The server may have it already: it is settled or put back, never both gone and counted."""
    spool = Spool(tmp_path, 200_000)
    for line in lines(*map(str, range(19)), size=10_000):
        spool.append(line, oldest_may_go=True)
    assert ["0", "1"] == names(spool, 2)
    for line in lines(*map(str, range(19, 30)), size=10_000):
        spool.append(line, oldest_may_go=True)
    assert spool.dropped
    spool.settle(1)
    spool.put_back()
    assert "1" == names(spool, 1)[0]
    spool.close()


def test_a_full_spool_tells_the_caller(make, tmp_path):
    """As a full buffer in memory does."""
    client = make(AWAY, spool=tmp_path, on_full="raise", tuning=Tuning(spool_bytes_max=1_000))
    for _ in range(4):
        client.track("message", {"text": "x" * 100})
    with pytest.raises(BufferFull):
        client.track("message", {"text": "x" * 400})
    assert 0 < client.stats().pending_bytes <= 1_000


def test_a_disk_that_fails_is_a_full_spool(make, tmp_path, monkeypatch, caplog):
    """The program goes on; what could not be kept is counted and logged."""
    client = make(AWAY, spool=tmp_path)

    def fail(fd, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", fail)
    client.track("message", id="a")
    monkeypatch.undo()
    client.track("message", id="b")
    assert (1, 1) == (client.stats().dropped, client.stats().pending)
    assert "No space left" in caplog.text


def test_half_a_write_leaves_no_half_line(tmp_path, monkeypatch):
    """The disk took a part before it was full: the part is cut off again."""
    spool = Spool(tmp_path, 2**20)
    whole = os.write
    spool.append(lines("a")[0], oldest_may_go=False)
    monkeypatch.setattr(os, "write", lambda fd, data: whole(fd, data[:5]))
    assert not spool.append(lines("b")[0], oldest_may_go=False)
    monkeypatch.undo()
    spool.append(lines("c")[0], oldest_may_go=False)
    assert ["a", "c"] == names(spool)
    spool.close()


def test_segments_that_are_sent_are_removed(tmp_path):
    """A spool in use does not grow."""
    spool = Spool(tmp_path, 200_000)
    for start in range(0, 200, 10):
        for line in lines(*map(str, range(start, start + 10)), size=10_000):
            assert spool.append(line, oldest_may_go=False)
        assert [str(number) for number in range(start, start + 10)] == names(spool)
        spool.settle(10)
    assert (0, 0) == (spool.count, spool.size)
    assert 1 == len(list(tmp_path.glob("*.ndjson")))
    spool.close()


def test_the_spool_is_synced_while_the_server_is_away(make, tmp_path, clock, monkeypatch):
    """Every flush_every_s, also while the next attempt is far off; with sync_each, by every track."""
    synced = threading.Semaphore(0)
    sync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (sync(fd), synced.release()))
    client = make(AWAY, spool=tmp_path / "a")
    client.track("message", id="a")
    clock.until_waiting()
    clock.advance(1)
    assert synced.acquire(timeout=10)
    client.close(timeout_s=0)
    while synced.acquire(blocking=False):
        pass
    client = make(AWAY, spool=tmp_path / "b", tuning=Tuning(sync_each=True))
    client.track("message", id="b")
    assert synced.acquire(blocking=False)


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_cannot_use_its_parents_spool(make, toy, tmp_path):
    """It is told, and the parent's events are safe."""
    client = make(spool=tmp_path)
    client.track("message", id="a")
    child = os.fork()
    if not child:
        try:
            client.track("message", id="b")
        except SpoolUnusable:
            os._exit(0)
        os._exit(1)
    assert 0 == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    client.track("message", id="c")
    assert client.flush()
    assert {"a", "c"} == set(toy.events)
    with pytest.raises(SpoolLocked):
        make(spool=tmp_path)
