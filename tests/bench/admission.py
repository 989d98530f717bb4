"""Deciding: checks and reservations over HTTP and 32 connections, against one UPDATE behind the same HTTP server.

A reservation is durable when it is answered. Both are asked the same, turn by turn; then checks are timed while events
pour in: by connections that never pause, which is a look at queues, and on schedule, which is what a platform sees.
"""

import shutil
import statistics
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tallybook.core.ids import AccountId
from tests.bench.admission_load import Asked, ask, pouring
from tests.bench.admission_peer import URL_VARIABLE, create_counters
from tests.bench.ledgers import fresh, opened
from tests.bench.report import Figure, print_table, say
from tests.bench.scale import Scale, bench_dir, read_scale
from tests.bench.servers import PEER_SETTINGS, Server, _free_port, _running, tallybook
from tests.bench.workload import account_ids
from tests.support.postgres import PostgresServer

ACCOUNTS = 100
QUANTITY = 1_000_000_000
ROUNDS = 1
CHECKS, RESERVATIONS = 3_000, 2_000
CHECKS_A_SECOND_MIN, RESERVATIONS_A_SECOND_MIN = 5_000, 2_500
EVENTS_A_SECOND = 10_000
P99_MS_MAX = 15
PACES, PACED_S = (1_000, 2_000), 8
"""How many checks are asked for a second on schedule, and for how long."""
PLAN = {
    "limits": [
        {"name": "credits", "kind": "period", "meter": "credits", "quantity": str(QUANTITY)},
        {"name": "messages", "kind": "rolling", "meter": "messages", "quantity": str(QUANTITY), "window": "P30D"},
    ]
}


def run(_scale: Scale, folder: Path) -> list[Figure]:
    """Measure and return the figures."""
    data = folder / "admission"
    key = fresh(data)
    with opened(data) as house:
        house.accounts.put_plan("bench", PLAN)
        for name in account_ids(ACCOUNTS):
            house.accounts.put(AccountId(name), plan="bench")
    seen: dict[tuple[str, str], list[float]] = {}
    with tallybook(data, key) as server, _peer(folder) as table:
        for _ in range(ROUNDS):
            for kind, count in (("checks", CHECKS), ("reservations", RESERVATIONS)):
                for name, asked in (("tallybook", server), ("postgresql", table)):
                    seen.setdefault((name, kind), []).append(_round(name, asked, kind, count).per_s)
        with pouring(server.port, server.key, EVENTS_A_SECOND, ACCOUNTS) as reached:
            busy = _round("tallybook busy", server, "checks", CHECKS)
            paced = {
                per_s: _round(f"at {per_s:,}/s", server, "checks", per_s * PACED_S, per_s=per_s) for per_s in PACES
            }
    shutil.rmtree(data)
    figures = []
    for kind, bar in (("checks", CHECKS_A_SECOND_MIN), ("reservations", RESERVATIONS_A_SECOND_MIN)):
        ours, theirs = (statistics.median(seen[name, kind]) for name in ("tallybook", "postgresql"))
        figures.append(Figure("admission", f"{kind}, median", ours, "/s", bar, at_least=True))
        figures.append(Figure("admission", f"{kind}, one statement in PostgreSQL, median", theirs, "/s"))
        figures.append(Figure("admission", f"{kind}, ratio", ours / theirs, "x"))
    for per_s, seen_at in paced.items():
        name = f"checks at {per_s:,} a second on schedule while events pour in"
        figures.append(Figure("admission", f"{name}, p99", seen_at.p99_ms, "ms", P99_MS_MAX))
        figures.append(Figure("admission", f"{name}, reached", seen_at.per_s, "/s", per_s * 0.97, at_least=True))
    name = "checks of connections that never pause while events pour in"
    figures.append(Figure("admission", f"{name}, p99", busy.p99_ms, "ms", P99_MS_MAX))
    figures.append(Figure("admission", name, busy.per_s, "/s"))
    figures.append(
        Figure("admission", "events that poured in", reached[0], "/s", EVENTS_A_SECOND * 0.97, at_least=True)
    )
    return figures


def _round(name: str, server: Server, kind: str, count: int, *, per_s: int = 0) -> Asked:
    cpu_s = server.cpu_s
    asked = ask(server.port, server.key, kind, count, accounts=ACCOUNTS, per_s=per_s)
    each_us = (server.cpu_s - cpu_s) / count * 1e6
    say(
        f"  {name:15} {kind:13} {asked.per_s:7,.0f}/s   p50 {asked.p50_ms:5.1f} ms, p99 {asked.p99_ms:5.1f} ms"
        f"   server {each_us:5.0f} us of CPU each, generator {asked.cpu_s / asked.requests * 1e6:3.0f} us"
    )
    wanted = {"checks": {"200"}, "reservations": {"201"}}[kind]
    if set(asked.statuses) != wanted:
        raise RuntimeError(f"not every {kind} was a yes: {asked.statuses}")
    return asked


@contextmanager
def _peer(folder: Path) -> Iterator[Server]:
    with PostgresServer(folder, PEER_SETTINGS) as postgres:
        url = postgres.url(postgres.create_database()).replace("+psycopg", "")
        create_counters(url, account_ids(ACCOUNTS), QUANTITY)
        port = _free_port()
        command = [sys.executable, "-m", "uvicorn", "tests.bench.admission_peer:app", "--port", str(port)]
        command += ["--http", "httptools", "--log-level", "warning", "--no-access-log"]
        with _running(command, port, {URL_VARIABLE: url}) as (process, ready_s):
            yield Server(port, "none", process, ready_s, psutil.Process(postgres.pid))


if __name__ == "__main__":
    print_table(run(read_scale(), bench_dir()))
