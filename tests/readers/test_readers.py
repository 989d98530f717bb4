"""Readers: processes that read batches as the server would, and may be killed."""

import os
import signal
from collections.abc import Iterator

import psutil
import pytest

from tallybook.core.event import Admission
from tallybook.core.intake import read_batch
from tallybook.core.usual import Batch
from tallybook.readers import crew
from tallybook.readers.crew import Readers
from tallybook.readers.letters import AHEAD_MAX
from tests.support.batches import ACME, OPERATOR, SCHEMES, message, scheme
from tests.support.events import NOW_US, json_of

ADMISSION = Admission(OPERATOR, NOW_US)
WAIT_S = 30
BODIES = [{"id": f"m{n}", "subject": "acme", **message({"agent_id": f"a{n % 3}"})} for n in range(20)]
BATCH = Batch(json_of(BODIES))


@pytest.fixture
def readers() -> Iterator[Readers]:
    """One process."""
    made = Readers(1)
    made.start()
    yield made
    made.close()


def child() -> psutil.Process:
    """The process of the only reader."""
    (found,) = [one for one in psutil.Process().children() if "tallybook.readers.child" in one.cmdline()]
    return found


@pytest.mark.parametrize("caller", [OPERATOR, ACME])
@pytest.mark.parametrize("lines", [False, True])
def test_a_reader_reads_what_the_server_would(readers: Readers, caller: object, lines: bool) -> None:
    """Events and refusals, of JSON and of lines, for the operator's key and an account's."""
    bodies = [
        *BODIES,
        {"id": "bad", "subject": "acme", "type": "message"},
        {"id": "other", **BODIES[0], "subject": "x"},
    ]
    batch = Batch(b"\n".join(map(json_of, bodies)) if lines else json_of(bodies), lines)
    admission = Admission(caller, NOW_US)  # type: ignore[arg-type]
    for of in SCHEMES:
        read = readers.read(batch, admission, of, lanes=2).result(WAIT_S)
        ours = read_batch(batch, admission, of, lanes=2)
        assert read is not None
        assert (ours.bundles, ours.errors) == (read.bundles, read.errors)
        assert ours.errors


@pytest.mark.parametrize("body", [b"[", b'[{"id":"a","id":"b"}]', b"[" + b"{}," * 10_000 + b"{}]", b"\xff"])
def test_what_is_refused_as_a_whole_is_left_to_the_server(readers: Readers, body: bytes) -> None:
    """It finds the words."""
    assert readers.read(Batch(body), ADMISSION, SCHEMES[0], lanes=1).result(WAIT_S) is None


def test_sums_beyond_64_bits_are_left_to_the_server(readers: Readers) -> None:
    """Nothing is cut down to fit, and the process goes on."""
    spend = {"subject": "acme", "type": "credit.spend", "data": {"amount": "900000000000000"}}
    batch = Batch(json_of([{"id": f"s{n}", **spend} for n in range(20)]))
    assert readers.read(batch, ADMISSION, SCHEMES[0], lanes=1).result(WAIT_S) is None
    assert readers.read(BATCH, ADMISSION, SCHEMES[0], lanes=1).result(WAIT_S) is not None


def test_a_new_scheme_is_read_by_at_once(readers: Readers) -> None:
    """A batch is read by the scheme that it came with."""
    for generations in (1, 2, 1):
        of = scheme(generations)
        read = readers.read(BATCH, ADMISSION, of, lanes=1).result(WAIT_S)
        assert read is not None
        assert read_batch(BATCH, ADMISSION, of).bundles == read.bundles


def test_a_killed_process_is_replaced(readers: Readers, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asks meanwhile is told to read by himself; nobody waits for ever."""
    assert readers.read(BATCH, ADMISSION, SCHEMES[0], lanes=1).result(WAIT_S) is not None
    first = child()
    os.kill(first.pid, signal.SIGKILL)
    first.wait(WAIT_S)
    assert readers.read(BATCH, ADMISSION, SCHEMES[0], lanes=1).result(WAIT_S) is None
    monkeypatch.setattr(crew, "RESTART_AFTER_S", 0.0)
    assert readers.read(BATCH, ADMISSION, SCHEMES[0], lanes=1).result(WAIT_S) is not None
    assert child().pid != first.pid
    assert 1 == readers.alive


def test_a_process_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waits for its answer, or for it to take a large batch, is told to read by himself."""
    monkeypatch.setattr(crew, "ANSWER_TIMEOUT_S", 1.0)
    monkeypatch.setattr(crew, "RESTART_AFTER_S", 0.0)
    readers = Readers(1)
    readers.start()
    for batch in (BATCH, batch_of(0, 4_000)):
        assert readers.read(BATCH, ADMISSION, SCHEMES[0], lanes=1).result(WAIT_S) is not None
        os.kill(child().pid, signal.SIGSTOP)
        assert readers.read(batch, ADMISSION, SCHEMES[0], lanes=1).result(WAIT_S) is None
    assert readers.read(BATCH, ADMISSION, SCHEMES[0], lanes=1).result(WAIT_S) is not None
    readers.close()


def batch_of(number: int, events: int) -> Batch:
    """Return a batch unlike those of other numbers."""
    named = ({"id": f"b{number}-{n}", "subject": f"acme-{number}"} for n in range(events))
    return Batch(json_of([{**name, **message({"agent_id": "a" * 200})} for name in named]))


@pytest.mark.parametrize("ahead_max", [0, 4 * 1024 * 1024])
@pytest.mark.parametrize("events", [1, 4_000])
def test_each_gets_what_was_read_of_its_own_batch(
    readers: Readers, monkeypatch: pytest.MonkeyPatch, ahead_max: int, events: int
) -> None:
    """Sent ahead or one by one, however far a batch is beyond what a socket holds."""
    monkeypatch.setattr(crew, "AHEAD_BYTES_MAX", ahead_max)
    batches = [batch_of(number, events) for number in range(8)]
    asked = [readers.read(batch, ADMISSION, SCHEMES[0], lanes=1) for batch in batches]
    for batch, promise in zip(batches, asked, strict=True):
        read = promise.result(WAIT_S)
        assert read is not None
        assert read_batch(batch, ADMISSION, SCHEMES[0]).bundles == read.bundles


def test_batches_ahead_may_each_bring_other_rules(readers: Readers) -> None:
    """However large they and their answers are, neither end waits for the other for ever."""
    batches = [batch_of(number, 4_000) for number in range(6)]
    of = [scheme(1 + number % 2) for number in range(6)]
    asked = [readers.read(batch, ADMISSION, one, lanes=1) for batch, one in zip(batches, of, strict=True)]
    for batch, one, promise in zip(batches, of, asked, strict=True):
        read = promise.result(WAIT_S)
        assert read is not None
        assert read_batch(batch, ADMISSION, one).bundles == read.bundles


def test_a_process_killed_with_work_ahead_leaves_nobody_waiting(
    readers: Readers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it had is left to the server, and what comes after to the next process."""
    monkeypatch.setattr(crew, "RESTART_AFTER_S", 0.0)
    batches = [batch_of(number, 2_000) for number in range(12)]
    asked = [readers.read(batch, ADMISSION, SCHEMES[0], lanes=1) for batch in batches]
    assert asked[0].result(WAIT_S) is not None
    os.kill(child().pid, signal.SIGKILL)
    read = [promise.result(WAIT_S) for promise in asked]
    lost = [place for place, prepared in enumerate(read) if prepared is None]
    assert 1 <= len(lost) <= 1 + AHEAD_MAX
    for batch, prepared in zip(batches, read, strict=True):
        assert prepared is None or read_batch(batch, ADMISSION, SCHEMES[0]).bundles == prepared.bundles


def test_a_process_that_cannot_live_is_not_tried_all_the_time(readers: Readers) -> None:
    """Its server reads by itself until some time has passed."""
    assert readers.read(BATCH, ADMISSION, SCHEMES[0], lanes=1).result(WAIT_S) is not None
    os.kill(child().pid, signal.SIGKILL)
    for _ in range(3):
        assert readers.read(BATCH, ADMISSION, SCHEMES[0], lanes=1).result(WAIT_S) is None
    assert 0 == readers.alive


def test_whatever_goes_wrong_nobody_waits_for_ever(readers: Readers, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be said to a reader is read by the server, and the next batch by a new reader."""
    monkeypatch.setattr(crew, "RESTART_AFTER_S", 0.0)

    def refuse(*_: object) -> None:
        raise TypeError("cannot be written")

    with monkeypatch.context() as broken:
        broken.setattr(crew, "send", refuse)
        assert readers.read(BATCH, ADMISSION, SCHEMES[0], lanes=1).result(WAIT_S) is None
    assert readers.read(BATCH, ADMISSION, SCHEMES[0], lanes=1).result(WAIT_S) is not None


def test_signals_to_the_whole_group_end_no_reader_early(readers: Readers) -> None:
    """A terminal and a service manager signal every process; readers end when their server has done its work."""
    assert readers.read(BATCH, ADMISSION, SCHEMES[0], lanes=1).result(WAIT_S) is not None
    for number in (signal.SIGINT, signal.SIGTERM):
        os.kill(child().pid, number)
    assert readers.read(BATCH, ADMISSION, SCHEMES[0], lanes=1).result(WAIT_S) is not None


def test_closing_reads_what_was_asked_for_and_leaves_no_process() -> None:
    """Later batches are left to whoever asks."""
    readers = Readers(2)
    readers.start()
    asked = [readers.read(BATCH, ADMISSION, SCHEMES[0], lanes=1) for _ in range(20)]
    readers.close()
    assert None not in [one.result(WAIT_S) for one in asked]
    assert [] == [one for one in psutil.Process().children() if "tallybook.readers.child" in one.cmdline()]
    assert readers.read(BATCH, ADMISSION, SCHEMES[0], lanes=1).result(WAIT_S) is None


def test_without_processes_everything_is_left_to_the_server() -> None:
    """As the setting 0 has it, and before the start."""
    readers = Readers(0)
    readers.start()
    assert readers.read(BATCH, ADMISSION, SCHEMES[0], lanes=1).result(WAIT_S) is None
    readers.close()
    assert Readers(1).read(BATCH, ADMISSION, SCHEMES[0], lanes=1).result(WAIT_S) is None
