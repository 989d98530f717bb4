"""A process or a server that dies at any moment loses nothing that was acknowledged, and counts nothing twice."""

import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tallybook.core.errors import Unavailable
from tallybook.core.meter import Question
from tallybook.core.number import NANOS
from tallybook.core.window import all_time
from tallybook.ledger.migrate import migrate
from tallybook.ledger.open import Ledger
from tests.sim.sender import ACCOUNTS, BATCH_MAX, THREADS, event
from tests.support.events import EventBody
from tests.support.postgres import PostgresServer
from tests.support.works import Works, outcomes

ROOT = Path(__file__).resolve().parents[2]
CYCLES = {"sqlite": 6, "postgresql": 2}
PAUSE_S = 0.02


def killed(url: str, cycle: int, acknowledgements: int) -> dict[int, int]:
    """Run a sender, kill it a moment after so many acknowledgements; return up to where each thread got its own."""
    command = [sys.executable, "-m", "tests.sim.sender", url, str(cycle)]
    upto = dict.fromkeys(range(THREADS), 0)
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for count, line in enumerate(process.stdout, start=1):
            if line.endswith("\n"):
                thread, number = map(int, line.split())
                upto[thread] = number
            if count == acknowledgements:
                process.kill()
    assert process.returncode == -9
    return upto


def check(works: Works, ids: dict[tuple[int, int], int]) -> None:
    """Hold the ledger against the events below the given number of each (cycle, thread)."""
    numbers = [number for upto in ids.values() for number in range(upto)]
    for account in range(ACCOUNTS):
        mine = [number for number in numbers if number % ACCOUNTS == account]
        if not mine:
            continue
        asked = [Question(meter, [all_time()]) for meter in ("jobs", "job_cpu", "job_net", "job_max")]
        told = [answer.value // NANOS for answer in works.ask(f"acct-{account}", *asked)]
        assert [len(mine), sum(mine), len(mine), max(mine)] == told
        assert len(mine) * NANOS == sum(works.groups(f"acct-{account}", "jobs", "worker").values())


@pytest.mark.slow
def test_a_process_that_is_killed_loses_nothing_it_acknowledged(ledger_url: str, store_kind: str) -> None:
    """All that was acknowledged is there, the rest once or not at all, and once when it is sent again."""
    chance = random.Random(20261120)
    ids: dict[tuple[int, int], int] = {}
    for cycle in range(CYCLES[store_kind]):
        acknowledged = killed(ledger_url, cycle, chance.randint(1, 60))
        with Works(ledger_url, lanes=2) as works:
            for thread, upto in acknowledged.items():
                sure = [event(cycle, thread, number) for number in range(upto)]
                assert (0, upto, 0, 0) == outcomes(works.write(sure))
                rest = [event(cycle, thread, number) for number in range(upto, upto + BATCH_MAX)]
                receipt = works.write(rest)
                assert len(rest) == receipt.accepted + receipt.duplicate
                ids[cycle, thread] = upto + BATCH_MAX
            check(works, ids)


def insist(works: Works, events: list[EventBody], pause: threading.Event) -> int:
    """Send events until they are acknowledged; return how often that was refused."""
    refused = 0
    while True:
        try:
            receipt = works.write(events)
        except Unavailable:
            refused += 1
            pause.wait(PAUSE_S)
        else:
            assert len(events) == receipt.accepted + receipt.duplicate
            return refused


@pytest.mark.slow
@pytest.mark.postgres
def test_a_database_that_crashes_under_load_loses_nothing_and_comes_back() -> None:
    """Senders are told to come back; when the server is up again, without a restart of ours, all is exact."""
    batches, size = 40, 25
    with PostgresServer() as server:
        url = server.url(server.create_database())
        ledger = Ledger(url)
        migrate(ledger)
        ledger.close()
        pause, halfway = threading.Event(), threading.Barrier(THREADS + 1)
        with Works(url, lanes=2) as works:

            def send(thread: int) -> int:
                refused = 0
                for batch in range(batches):
                    if batch == batches // 2:
                        halfway.wait()
                    events = [event(0, thread, number) for number in range(batch * size, (batch + 1) * size)]
                    refused += insist(works, events, pause)
                return refused

            with ThreadPoolExecutor(THREADS) as pool:
                senders = pool.map(send, range(THREADS))
                halfway.wait()
                server.stop(immediately=True)
                with pytest.raises(Unavailable):
                    works.total("acct-0", "jobs")
                server.start()  # by this thread, which outlives it: the server ends with the thread that started it
                refused = list(senders)
            assert sum(refused) > 0
            check(works, {(0, thread): batches * size for thread in range(THREADS)})
