"""The client against the real server: in this process, and in processes of their own that are killed."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from tallybook.client import AsyncClient, Client, LimitReached, NotFound, Tuning, Unauthenticated
from tests.client import worker
from tests.client.times import ManualClock
from tests.client.toy import listening
from tests.support.client import Desk, open_desk

COUNT = 400
ENDLESS = 10**9


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Iterator[tuple[Desk, str]]:
    """A house that listens at a URL."""
    with open_desk(tmp_path_factory.mktemp("real")) as opened, listening(opened.house.app) as url:
        yield opened, url


@pytest.fixture
def acme(desk):
    """A client with the key of a fresh account."""
    opened, url = desk
    account = f"acme-{os.urandom(4).hex()}"
    key = opened.account(account, plan="agentphone-pro")
    with Client(url, key, clock=ManualClock()) as client:
        client.account = account
        yield client


def total(client, account):
    """Return the account's messages."""
    return client.usage(account, "messages", start="2026-01-01", end="2027-12-31").total


def test_events_are_counted_exactly(acme):
    """With an account's key, without naming the account; usage comes back as Decimals and datetimes."""
    for number in range(7):
        acme.track("message", {"direction": "inbound" if number else "outbound"}, id=str(number))
    acme.track("message", {"direction": "inbound"}, id="1")
    assert acme.flush()
    assert (7, 1, 0) == (acme.stats().accepted, acme.stats().duplicates, acme.stats().rejected)
    usage = acme.usage(
        acme.account,
        "messages",
        start=datetime(2026, 3, 14, tzinfo=UTC),
        end="2026-03-16",
        granularity="day",
        filters={"direction": "inbound"},
    )
    assert (Decimal(6), "messages") == (usage.total, usage.unit)
    assert [(datetime(2026, 3, 14, tzinfo=UTC), Decimal(0)), (datetime(2026, 3, 15, tzinfo=UTC), Decimal(6))] == [
        (row.start, row.value) for row in usage.rows
    ]
    grouped = acme.usage(acme.account, "messages", group_by=["direction"])
    assert {"inbound": Decimal(6), "outbound": Decimal(1)} == {
        row.group["direction"]: row.value for row in grouped.rows
    }


def test_what_the_server_rejects_is_told(desk):
    """With its own code and pointer."""
    opened, url = desk
    told = []
    with Client(url, opened.operator, clock=ManualClock(), on_rejected=told.append) as client:
        client.track("message", {"direction": "sideways"}, account="acme-bad", id="a")
        client.track("message", {"direction": "inbound"}, account="acme-bad", id="b")
        client.track("message", {"direction": "outbound"}, account="acme-bad", id="b")
        client.track("message", {"direction": "inbound"}, id="c")
        assert client.flush()
    assert [("a", "rejected"), ("b", "conflict"), ("c", "rejected")] == [(one.event["id"], one.outcome) for one in told]
    assert "/data/direction" in told[0].pointer
    assert "event-id-reused" == told[1].code


def test_checks_and_limits(acme):
    """Against the plan's figures."""
    decision = acme.check("messages", 10_000, account=acme.account)
    assert decision
    assert (Decimal(10_000), Decimal(10_000)) == (decision.items[0].asked, decision.items[0].remaining)
    decision = acme.check("messages", 10_001, account=acme.account)
    assert ("messages",) == decision.violated
    limits = acme.limits(acme.account)
    assert "agentphone-pro" == limits.plan
    (messages,) = [state for state in limits.limits if state.name == "messages"]
    assert (Decimal(0), Decimal(10_000)) == (messages.used, messages.quantity)
    with pytest.raises(NotFound):
        acme.check("nothing", account=acme.account)
    with pytest.raises(NotFound):
        acme.limits("somebody-else")


def test_reservations(acme):
    """Held, settled with the event in the same request, given back, refused at the limit."""
    with acme.reserve("messages", 10_000, account=acme.account) as hold:
        with pytest.raises(LimitReached) as refused:
            acme.reserve("messages", 1, account=acme.account)
        assert ("messages",) == refused.value.decision.violated
        assert Decimal(10_000) == refused.value.decision.items[0].held
        settlement = hold.commit(1, event={"type": "message", "data": {"direction": "inbound"}})
    assert (False, False, False) == (settlement.overage, settlement.assumed, settlement.duplicate)
    assert Decimal(1) == settlement.items[0].quantity
    assert Decimal(1) == total(acme, acme.account)
    with acme.reserve("messages", 5, account=acme.account):
        pass
    assert acme.check("messages", 9_999, account=acme.account)


def test_parallel_reservations_never_pass_the_limit(acme):
    """Ten threads, one slot of a thousand each: ten fit, two more do not."""
    granted, refused = [], []

    def work():
        try:
            granted.append(acme.reserve("messages", 1_000, account=acme.account))
        except LimitReached:
            refused.append(1)

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (10, 2) == (len(granted), len(refused))


def test_leases(acme):
    """Granted up to the limit, kept, with a deadline, released; a lease whose call is over is lost."""
    leases = [acme.lease("concurrent_calls", account=acme.account, call_id=f"call-{number}") for number in range(5)]
    with pytest.raises(LimitReached):
        acme.lease("concurrent_calls", account=acme.account)
    clock = acme._policy.clock
    assert datetime(2026, 3, 15, 12, 30, tzinfo=UTC) == leases[0].deadline
    leases[1].release()
    data = {"channel": "voice", "direction": "inbound", "duration_s": 60, "call_id": "call-0"}
    acme.track("call", data)
    assert acme.flush()
    clock.until_waiting(4)
    clock.advance(10)
    assert leases[0].lost.wait(20)
    assert "refused" == leases[0].lost_reason
    assert not leases[2].lost.is_set()
    for lease in leases:
        lease.release()
    assert acme.check("messages", 1, account=acme.account)


def test_tasks(desk):
    """The client for tasks, all of it once."""
    opened, url = desk
    key = opened.account("acme-async", plan="agentphone-pro")

    async def main():
        async with AsyncClient(url, key, clock=ManualClock()) as client:
            async with client.reserve("messages", 5, account="acme-async") as hold:
                await hold.commit(1, event={"type": "message", "data": {"direction": "inbound"}})
            async with client.lease("concurrent_calls", account="acme-async") as lease:
                assert not lease.lost.is_set()
            client.track("message", {"direction": "inbound"})
            assert await client.flush()
            usage = await client.usage("acme-async", "messages")
            return usage.total, await client.limits("acme-async")

    found, limits = asyncio.run(main())
    assert Decimal(2) == found
    assert "acme-async" == limits.account


def test_a_wrong_key_is_told(desk):
    """By requests at once; events are kept, for the key may be wrong on the server's side."""
    _, url = desk
    client = Client(url, "tb_live_wrong", clock=ManualClock())
    with pytest.raises(Unauthenticated):
        client.check("messages", account="acme")
    client.track("message")
    assert not client.close(timeout_s=0)


# --- processes that are killed ----------------------------------------------------------------------------------------


@contextmanager
def server(data: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    """Run a server in a process of its own until it is killed."""
    program = [sys.executable, "-m", "tallybook", "serve", "--data", str(data), "--port", str(port)]
    environment = {**os.environ, "TALLYBOOK_LOG_FORMAT": "json", "TALLYBOOK_DRAIN_NOTICE_S": "0"}
    process = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        assert any("listening" in line for line in process.stderr)
        yield process
    finally:
        process.kill()
        process.communicate()


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def first_key(process: subprocess.Popen[str]) -> str:
    """Return the key that a first start prints."""
    return next(line.strip() for line in process.stdout if line.startswith("tb_live_"))


@pytest.mark.slow
def test_a_server_that_is_killed_and_comes_back_costs_nothing(tmp_path):
    """Four threads track all the while; the server is killed twice; every event counts once."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with server(tmp_path / "data", port) as process:
        key = first_key(process)
        client = Client(url, key, tuning=Tuning(flush_every_s=0.01, batch_events_max=10, close_timeout_s=60))
        tracked, half = threading.Semaphore(0), threading.Event()

        def work(thread):
            for number in range(COUNT):
                client.track("message", {"direction": "inbound"}, account="acme", id=f"{thread}-{number}")
                tracked.release()
                if number == COUNT // 2:
                    half.wait()

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for _ in range(COUNT):
            assert tracked.acquire(timeout=60)
        process.send_signal(signal.SIGKILL)
        process.wait()
    with server(tmp_path / "data", port) as process:
        half.set()
        for _ in range(2 * COUNT):
            assert tracked.acquire(timeout=60)
        process.send_signal(signal.SIGKILL)
        process.wait()
    for thread in threads:
        thread.join()
    with server(tmp_path / "data", port):
        assert client.flush(timeout_s=120)
        assert Decimal(4 * COUNT) == client.usage("acme", "messages").total
        stats = client.stats()
        assert (4 * COUNT, 0, 0) == (stats.accepted + stats.duplicates, stats.rejected, stats.dropped)
        assert client.close()


@pytest.mark.slow
def test_a_client_that_is_killed_resumes_from_its_spool(tmp_path):
    """Killed with -9 twice, with the server up and with it away: at the end the total is exact."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    at = datetime.now(UTC).isoformat()
    with server(tmp_path / "data", port) as process:
        key = first_key(process)
        done = run_worker(url, key, tmp_path, 0, at, kill_after=COUNT)
    done = run_worker(url, key, tmp_path, done, at, kill_after=COUNT)
    assert any((tmp_path / "spool").glob("*.ndjson"))
    with server(tmp_path / "data", port), Client(url, key) as client:
        done = run_worker(url, key, tmp_path, done, at, kill_after=None)
        assert Decimal(done) == client.usage("acme", "messages").total


def run_worker(url: str, key: str, folder: Path, first: int, at: str, *, kill_after: int | None) -> int:
    """Let a worker track from *first* on, kill it after *kill_after* events, and return the first it did not tell of.

    Without a kill it tracks COUNT events and ends by itself.
    """
    last = ENDLESS if kill_after is not None else first + COUNT
    program = [sys.executable, worker.__file__, url, key, str(folder / "spool"), str(first), str(last), at]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        told = []
        for line in process.stdout:
            told.append(int(line))
            if len(told) == kill_after:
                process.send_signal(signal.SIGKILL)
    assert (0 if kill_after is None else -signal.SIGKILL) == process.returncode
    assert list(range(first, first + len(told))) == told
    return first + len(told)
