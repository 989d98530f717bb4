"""The servers that are measured, each a process of its own: started, watched from outside, stopped."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from tests.bench.load import ROOT
from tests.bench.peer_app import URL_VARIABLE, create_table
from tests.bench.scale import bench_dir
from tests.bench.wire import Wire, get_request
from tests.support.postgres import SETTINGS, PostgresServer

START_TIMEOUT_S = 120
STOP_TIMEOUT_S = 60
MIB = 1024 * 1024

PEER_SETTINGS = {
    **SETTINGS,
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "shared_buffers": "1GB",
    "max_wal_size": "8GB",
    "checkpoint_timeout": "15min",
    "autovacuum": "off",
}
"""Durable, as ours is, with more memory than it comes with, and never tidied up: its checkpoints and vacuums would fall
into what is measured, of itself and of us."""


@dataclass(slots=True)
class Server:
    """A running server."""

    port: int
    key: str
    process: psutil.Process
    ready_s: float
    """From its start to its first answer that it is ready."""
    backend: psutil.Process | None = None
    """The database server behind it, where there is one."""

    @property
    def cpu_s(self) -> float:
        """What it and its readers, and its database with all backends, used so far."""
        used = _cpu_s(self.process, ended=True) + sum(map(_cpu_s, self.process.children(recursive=True)))
        if self.backend is not None:
            used += _cpu_s(self.backend, ended=True) + sum(map(_cpu_s, self.backend.children(recursive=True)))
        return used

    @property
    def rss_mib(self) -> float:
        """What it and its readers hold in memory now."""
        processes = [self.process, *self.process.children(recursive=True)]
        return sum(float(process.memory_info().rss) for process in processes) / MIB


def _cpu_s(process: psutil.Process, *, ended: bool = False) -> float:
    """Return what a process used, and (*ended*) those of its children that are no more."""
    times = process.cpu_times()
    used = float(times.user + times.system)
    return used + float(times.children_user + times.children_system) if ended else used


@contextmanager
def tallybook(data: Path, key: str) -> Iterator[Server]:
    """Run Tallybook on the ledger in *data*."""
    port = _free_port()
    command = [sys.executable, "-m", "tallybook", "serve", "--data", str(data), "--port", str(port)]
    with _running(command, port, {}) as (process, ready_s):
        yield Server(port, key, process, ready_s)


@contextmanager
def peer(folder: Path) -> Iterator[Server]:
    """Run the plain table on a PostgreSQL that waits for the disk, behind uvicorn."""
    with PostgresServer(folder, PEER_SETTINGS) as postgres:
        url = postgres.url(postgres.create_database()).replace("+psycopg", "")
        create_table(url)
        port = _free_port()
        command = [sys.executable, "-m", "uvicorn", "tests.bench.peer_app:app", "--port", str(port)]
        command += ["--http", "httptools", "--log-level", "warning", "--no-access-log"]
        with _running(command, port, {URL_VARIABLE: url}) as (process, ready_s):
            yield Server(port, "none", process, ready_s, psutil.Process(postgres.pid))


@contextmanager
def _running(command: list[str], port: int, environment: dict[str, str]) -> Iterator[tuple[psutil.Process, float]]:
    began_s = time.perf_counter()
    log = bench_dir() / "server.log"
    with log.open("ab") as out:
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}, stdout=out, stderr=out)
    try:
        while not _is_ready(port):
            if process.poll() is not None or time.perf_counter() - began_s > START_TIMEOUT_S:
                raise RuntimeError(f"{' '.join(command)} did not become ready; see {log}")
            time.sleep(0.01)
        yield psutil.Process(process.pid), time.perf_counter() - began_s
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _is_ready(port: int) -> bool:
    try:
        wire = Wire(port, 10)
    except OSError:
        return False
    try:
        return wire.ask(get_request("/readyz", {}))[0] == 200
    except OSError:
        return False
    finally:
        wire.close()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
