"""A whole server, or only its reader, is killed while batches pour in over HTTP: what was acknowledged counts, once."""

import json
import os
import random
import signal
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tallybook.flows.ingest.take import UNQUEUED_BYTES_MAX
from tallybook.house import House
from tallybook.settings import Settings
from tests.sim.admission.servers import Client, Server, serving

SENDERS = 4
BATCH = 300
"""So many that a batch is more than what the server reads by itself."""
ACCOUNTS = 7
KEY = "key-of-the-operator-0123456789"
CYCLES = 3
BATCHES_A_CYCLE = 8
LOOK_EVERY_S = 0.02


@dataclass
class Sender:
    """Sends numbered batches, one after the other, each until it is acknowledged."""

    name: int
    acknowledged: int = 0
    numbers: list[int] = field(default_factory=list)

    def batch(self, number: int) -> list[dict[str, object]]:
        """The events of a batch; every tenth says again what the one before said first."""
        first = number * BATCH
        again = [first - BATCH] if number and number % 10 == 0 else []
        return [self._event(n) for n in (*range(first, first + BATCH), *again)]

    def _event(self, number: int) -> dict[str, object]:
        data = {"direction": "inbound", "agent_id": f"agent-{number % 3}"}
        return {"id": f"{self.name}-{number}", "type": "message", "subject": f"acct-{number % ACCOUNTS}", "data": data}

    def run(self, server: Server, upto: int) -> None:
        """Send until *upto* batches are acknowledged, or the server is gone."""
        with suppress(OSError, EOFError, ValueError), closing(Client(server, KEY)) as client:
            while self.acknowledged < upto:
                status, answer = client.post("/v1/events", self.batch(self.acknowledged))
                if status == 503:
                    continue
                assert (200, 0, 0) == (status, answer["conflict"], answer["rejected"]), answer
                self.acknowledged += 1


def with_key(url: str, folder: Path) -> None:
    """Make the ledger and the operator's key."""
    with House.open(Settings(data_dir=folder, ledger_url=url), exclusive=False) as house:
        house.access.create_key(None, ("events:write", "usage:read", "admin"), "test", token=KEY)


def reader_of(server: Server) -> psutil.Process | None:
    """The process that reads for a server."""
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(server.process.pid).children():
            if "tallybook.readers.child" in child.cmdline():
                return child
    return None


def total(server: Server) -> int:
    """All messages of all accounts."""
    with closing(Client(server, KEY)) as client:
        found = [client.get(f"/v1/accounts/acct-{n}/usage?meter=messages") for n in range(ACCOUNTS)]
    return sum(int(str(one["total"])) for one in found)


@pytest.mark.slow
def test_a_killed_server_has_all_that_it_acknowledged(ledger_url: str, tmp_path: Path) -> None:
    """Each batch counts whole or not at all, and once when it is sent again."""
    folder, url = tmp_path / "server-0", "" if ledger_url.startswith("sqlite") else ledger_url
    with_key(url, folder)
    chance, senders = random.Random(20_261_129), [Sender(name) for name in range(SENDERS)]
    for cycle in range(1, CYCLES + 1):
        with serving(url, tmp_path, 1) as (server,), ThreadPoolExecutor(SENDERS) as pool:
            running = [pool.submit(sender.run, server, cycle * BATCHES_A_CYCLE) for sender in senders]
            enough = chance.randint(1, cycle * BATCHES_A_CYCLE * SENDERS - 5)
            while sum(one.acknowledged for one in senders) < enough and wait(running, LOOK_EVERY_S).not_done:
                pass
            reader = reader_of(server)
            server.kill()
            for one in running:
                one.result()
            if reader is not None:
                reader.wait(30)  # it ends by itself
    with serving(url, tmp_path, 1) as (server,), ThreadPoolExecutor(SENDERS) as pool:
        sure = sum(sender.acknowledged for sender in senders) * BATCH
        assert sure <= total(server) <= sure + SENDERS * BATCH
        upto = CYCLES * BATCHES_A_CYCLE
        for one in [pool.submit(sender.run, server, upto) for sender in senders]:
            one.result()
        assert [upto] * SENDERS == [sender.acknowledged for sender in senders]
        assert upto * SENDERS * BATCH == total(server)


@pytest.mark.slow
def test_a_server_does_not_mind_that_its_reader_is_killed(tmp_path: Path) -> None:
    """It reads by itself until there is another; no request fails."""
    with_key("", tmp_path / "server-0")
    senders, upto = [Sender(name) for name in range(SENDERS)], 30
    with serving("", tmp_path, 1) as (server,), ThreadPoolExecutor(SENDERS) as pool:
        running = [pool.submit(sender.run, server, upto) for sender in senders]
        killed = 0
        while wait(running, LOOK_EVERY_S).not_done:
            reader = reader_of(server)
            if reader is not None and sum(sender.acknowledged for sender in senders) > 20 * killed:
                with suppress(ProcessLookupError):
                    os.kill(reader.pid, signal.SIGKILL)
                    killed += 1
        for one in running:
            one.result()
        assert killed
        assert [upto] * SENDERS == [sender.acknowledged for sender in senders]
        assert upto * SENDERS * BATCH == total(server)
        assert len(json.dumps(Sender(0).batch(0))) > UNQUEUED_BYTES_MAX
