"""Delivering: how late healthy endpoints hear of anything while others are hostile, and how much goes out a second.

One server's worth of deliveries in this process, receivers in another, both on the same cores; all over real sockets.
"""

import json
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path

import psutil

from tallybook.core.clock import SystemClock
from tallybook.core.ids import AccountId
from tallybook.flows.endpoints import NewEndpoint
from tallybook.house import House
from tallybook.ledger.outbox import put_message
from tallybook.settings import Settings
from tests.bench.ledgers import OPERATOR, Silent
from tests.bench.report import Figure, print_table, say
from tests.bench.scale import Scale, bench_dir, read_scale
from tests.bench.servers import PEER_SETTINGS
from tests.support.postgres import PostgresServer

HOSTILE = ("hang",) * 10 + ("drip",) * 5 + ("huge",) * 5 + ("redirect",) * 5 + ("reset",) * 5 + ("bad_tls",) * 5
ENDPOINTS = 100
MESSAGES_A_SECOND = 50
LAG_P99_S_MAX = 2.0
DELIVERIES_A_SECOND_MIN = 300
RSS_MIB_MORE_MAX = 32.0
WAIT_S_MAX = 300
LOOK_EVERY_S = 0.25


@dataclass(slots=True)
class Far:
    """The receivers' process."""

    process: "subprocess.Popen[str]"
    plain: int
    bad_tls: int

    def heard(self, path: str) -> tuple[int, list[float]]:
        """Return how many messages came at paths that begin so, and how late."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        told = json.loads(self.process.stdout.readline())
        return told["count"], told["lags_s"]


def run(scale: Scale, folder: Path) -> list[Figure]:
    """Measure and return the figures."""
    figures = [*_mix(scale, folder), *_rate(scale, folder, endpoints=100), *_rate(scale, folder, endpoints=1)]
    with PostgresServer(folder, PEER_SETTINGS) as postgres:
        url = postgres.url(postgres.create_database())
        return [*figures, *_rate(scale, folder, endpoints=100, ledger_url=url)]


def _mix(scale: Scale, folder: Path) -> list[Figure]:
    count = scale.webhook_mix_messages
    with _receivers() as far, _house(folder) as house:
        for number in range(ENDPOINTS):
            kind = HOSTILE[number] if number < len(HOSTILE) else "ok"
            url = f"http://127.0.0.{number + 1}:{far.plain}/{kind}/{number}"
            _endpoint(house, number, f"https://127.0.0.1:{far.bad_tls}/" if kind == "bad_tls" else url)
        process = psutil.Process()
        rss_before = process.memory_info().rss
        house.webhooks.start()
        healthy = 0
        tick = threading.Event()
        began_s = time.monotonic()
        for number in range(count):
            tick.wait(max(0.0, began_s + number / MESSAGES_A_SECOND - time.monotonic()))
            _tell(house, [number % ENDPOINTS])
            healthy += number % ENDPOINTS >= len(HOSTILE)
        _until(far, "/ok/", healthy)
        rss_mib = (process.memory_info().rss - rss_before) / 2**20
        heard, lags_s = far.heard("/ok/")
    say(f"  mix: {heard} messages for {ENDPOINTS - len(HOSTILE)} healthy endpoints, {len(HOSTILE)} hostile beside them")
    p99_s = statistics.quantiles(lags_s, n=100)[98]
    return [
        Figure("webhooks", f"healthy beside {len(HOSTILE)} hostile, lag p99", p99_s, "s", LAG_P99_S_MAX),
        Figure("webhooks", "healthy beside hostile, lag median", statistics.median(lags_s), "s"),
        Figure("webhooks", "memory on top", rss_mib, "MiB", RSS_MIB_MORE_MAX),
    ]


def _rate(scale: Scale, folder: Path, *, endpoints: int, ledger_url: str = "") -> list[Figure]:
    count = scale.webhook_rate_messages
    with _receivers() as far, _house(folder, ledger_url) as house:
        for number in range(endpoints):
            _endpoint(house, number, f"http://127.0.1.{number + 1}:{far.plain}/ok/{number}")
        for first in range(0, count, 500):
            _tell(house, [number % endpoints for number in range(first, min(count, first + 500))])
        cpu = psutil.Process().cpu_times()
        began_s = time.monotonic()
        house.webhooks.start()
        _until(far, "/ok/", count)
        took_s = time.monotonic() - began_s
        spent = psutil.Process().cpu_times()
    each_us = (spent.user + spent.system - cpu.user - cpu.system) / count * 1e6
    say(f"  rate: {count} to {endpoints} endpoints in {took_s:.1f} s, {each_us:.0f} us of CPU each")
    where = "PostgreSQL" if ledger_url else "SQLite"
    name = f"deliveries to {endpoints} endpoint{'s' if endpoints > 1 else ''}, {where}"
    return [Figure("webhooks", name, count / took_s, "/s", DELIVERIES_A_SECOND_MIN, at_least=True)]


def _endpoint(house: House, number: int, url: str) -> None:
    account = AccountId(f"acct-{number}")
    house.accounts.put(account)
    house.webhooks.endpoints.create(OPERATOR, NewEndpoint(url, account), house.clock.now_us())


def _tell(house: House, numbers: Sequence[int]) -> None:
    """Write a message for each account into the outbox; accounts are numbered from 1 in the order they were made."""
    with house.ledger.writing() as connection:
        for number in numbers:
            body = {"account": f"acct-{number}", "sent_s": time.monotonic()}
            put_message(connection, number + 1, "lease.terminated", body, house.clock.now_us())


def _until(far: Far, path: str, count: int) -> None:
    deadline_s, pause = time.monotonic() + WAIT_S_MAX, threading.Event()
    while far.heard(path)[0] < count:
        if time.monotonic() > deadline_s:
            raise RuntimeError(f"{far.heard(path)[0]} of {count} messages came within {WAIT_S_MAX} s")
        pause.wait(LOOK_EVERY_S)


@contextmanager
def _house(folder: Path, ledger_url: str = "") -> Iterator[House]:
    data = folder / "webhooks"
    shutil.rmtree(data, ignore_errors=True)
    settings = Settings(data_dir=data, ledger_url=ledger_url, egress_allow=(ip_network("127.0.0.0/8"),))
    with House.open(settings, SystemClock(), log=Silent()) as house:
        yield house
    shutil.rmtree(data)


@contextmanager
def _receivers() -> Iterator[Far]:
    command = [sys.executable, "-m", "tests.bench.webhook_receivers"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield Far(process, **json.loads(process.stdout.readline()))
        process.kill()


if __name__ == "__main__":
    print_table(run(read_scale(), bench_dir()))
