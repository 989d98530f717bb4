"""The load generator of admission, a process of its own: many connections in one thread, which ask in one of two ways.

Each again as soon as it is answered: how much is done, and how long the queues become that this makes. Or (*per_s*)
together so often a second, on schedule, whoever is free: how long somebody waits who does not wait for others.
Run by `ask`; prints one line of JSON. With ``--events-a-second`` it sends batches of events at that pace instead, until
it is told to stop.
"""

import argparse
import json
import selectors
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tests.bench.load import ROOT
from tests.bench.wire import Wire, post_head
from tests.bench.workload import account_ids, fill, templates

if TYPE_CHECKING:
    from collections.abc import Iterator

CONNECTIONS = 32
BATCH_EVENTS = 500
POURING_CONNECTIONS = 4
TEMPLATES = 16
WARM_SHARE = 0.1
"""Of the requests, those that come first and are not counted."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What one run saw."""

    requests: int
    took_s: float
    cpu_s: float
    """Of the generator itself."""
    p50_ms: float
    p99_ms: float
    statuses: dict[str, int]

    @property
    def per_s(self) -> float:
        """Requests a second."""
        return self.requests / self.took_s


def requests_of(port: int, key: str, kind: str, accounts: int) -> list[bytes]:
    """Return one ready request for each account; the server on *port* is not asked for anything."""
    body = b'{"items":[{"limit":"credits","quantity":"1"}]}'
    headers = {"Authorization": f"Bearer {key}", "X-Port": str(port)}
    return [post_head(f"/v1/accounts/{name}/{kind}", headers, len(body)) + body for name in account_ids(accounts)]


class _Connection:
    """One connection: what it has sent, and when."""

    def __init__(self, port: int, place: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.place = place
        self.sent_s = 0.0
        self.received = b""

    def send(self, request: bytes) -> None:
        """Send one request, which is small."""
        self.sent_s = time.perf_counter()
        self.socket.sendall(request)

    def answer(self) -> bytes | None:
        """Read what came; return the status of an answer that is complete."""
        self.received += self.socket.recv(65_536)
        head, _, body = self.received.partition(b"\r\n\r\n")
        if not body:
            return None
        lowered = head.lower()
        at = lowered.index(b"content-length:") + 15
        if len(body) < int(lowered[at:].split(b"\r\n", 1)[0]):
            return None
        self.received = b""
        return head[9:12]


class _Seen:
    """What is seen of a run; the first answers are not counted."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.done = 0
        self._warm = int(count * WARM_SHARE)
        self._statuses: dict[str, int] = {}
        self._waits_s: list[float] = []
        self._began_s, self._began_cpu_s = time.perf_counter(), time.process_time()

    def take(self, status: bytes, since_s: float) -> None:
        """Count an answer."""
        self.done += 1
        if self.done == self._warm:
            self._began_s, self._began_cpu_s = time.perf_counter(), time.process_time()
        elif self.done > self._warm:
            self._waits_s.append(time.perf_counter() - since_s)
            self._statuses[status.decode()] = self._statuses.get(status.decode(), 0) + 1

    def asked(self) -> Asked:
        """Return it."""
        took_s, cpu_s = time.perf_counter() - self._began_s, time.process_time() - self._began_cpu_s
        waits_s = sorted(self._waits_s)
        p50_s, p99_s = (waits_s[int(len(waits_s) * share)] for share in (0.5, 0.99))
        return Asked(len(waits_s), took_s, cpu_s, p50_s * 1e3, p99_s * 1e3, self._statuses)


def _drive(port: int, requests: list[bytes], seen: _Seen, connections: int) -> None:
    """Have each connection ask again as soon as it is answered."""
    chosen = selectors.DefaultSelector()
    for place in range(connections):
        connection = _Connection(port, place * 7)
        chosen.register(connection.socket, selectors.EVENT_READ, connection)
        connection.send(requests[connection.place % len(requests)])
    while seen.done < seen.count:
        for ready, _ in chosen.select():
            status = ready.data.answer()
            if status is None:
                continue
            seen.take(status, ready.data.sent_s)
            ready.data.place += 1
            ready.data.send(requests[ready.data.place % len(requests)])


def _pace(port: int, requests: list[bytes], seen: _Seen, connections: int, per_s: int) -> None:
    """Ask on schedule; who has to wait for a free connection waits since the instant at which it was due."""
    chosen = selectors.SelectSelector()  # others wait for whole milliseconds
    free: deque[_Connection] = deque()
    for place in range(connections):
        free.append(_Connection(port, place))
        chosen.register(free[-1].socket, selectors.EVENT_READ, free[-1])
    began_s, sent = time.perf_counter(), 0
    while seen.done < seen.count:
        left_s = None if sent == seen.count or not free else max(0.0, began_s + sent / per_s - time.perf_counter())
        if left_s == 0:
            free[0].send(requests[sent % len(requests)])
            free.popleft().sent_s = began_s + sent / per_s
            sent += 1
        for ready, _ in chosen.select(left_s):
            status = ready.data.answer()
            if status is not None:
                seen.take(status, ready.data.sent_s)
                free.append(ready.data)


def _pour(port: int, key: str, per_s: int, accounts: int) -> None:
    """Send events at a steady pace, over a few connections in turn, until standard input ends."""
    stop = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), stop.set()), daemon=True).start()
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    bodies = templates(TEMPLATES, BATCH_EVENTS, accounts, [f"{now}Z"])
    run = f"{int(time.time()) % 0xFFF:03x}"
    sent = [0] * POURING_CONNECTIONS

    def send(place: int) -> None:
        wire, headers, number = Wire(port), {"Authorization": f"Bearer {key}"}, place
        while not stop.wait(max(0.0, began_s + number * BATCH_EVENTS / per_s - time.perf_counter())):
            second = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
            body = fill(bodies[number % TEMPLATES], f"{run}{number:05x}", second)
            status, answer = wire.ask(post_head("/v1/events", headers, len(body)), body)
            if status != 200:
                raise RuntimeError(answer)
            number += POURING_CONNECTIONS
            sent[place] += BATCH_EVENTS
        wire.close()

    senders = [threading.Thread(target=send, args=(place,)) for place in range(POURING_CONNECTIONS)]
    print("ready", flush=True)  # noqa: T201 - this is a program
    began_s = time.perf_counter()
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    print(json.dumps([sum(sent), time.perf_counter() - began_s]), flush=True)  # noqa: T201


def main() -> None:
    """Ask or pour, as the arguments say."""
    parser = argparse.ArgumentParser()
    for name in ("port", "accounts"):
        parser.add_argument(f"--{name}", type=int, required=True)
    for name in ("count", "per-s", "events-a-second"):
        parser.add_argument(f"--{name}", type=int, default=0)
    parser.add_argument("--key", required=True)
    parser.add_argument("--kind", default="")
    given = parser.parse_args()
    if given.events_a_second:
        _pour(given.port, given.key, given.events_a_second, given.accounts)
        return
    requests, seen = requests_of(given.port, given.key, given.kind, given.accounts), _Seen(given.count)
    if given.per_s:
        _pace(given.port, requests, seen, CONNECTIONS, given.per_s)
    else:
        _drive(given.port, requests, seen, CONNECTIONS)
    asked = seen.asked()
    shown = [asked.requests, asked.took_s, asked.cpu_s, asked.p50_ms, asked.p99_ms, asked.statuses]
    print(json.dumps(shown), flush=True)  # noqa: T201 - this is a program


def _command(port: int, key: str, accounts: int) -> list[str]:
    command = [sys.executable, "-m", "tests.bench.admission_load", "--port", str(port), "--key", key]
    return [*command, "--accounts", str(accounts)]


def ask(port: int, key: str, kind: str, count: int, *, accounts: int, per_s: int = 0) -> Asked:
    """Send *count* requests over 32 connections, so many a second if told, and return what was seen."""
    command = [*_command(port, key, accounts), "--kind", kind, "--count", str(count), "--per-s", str(per_s)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, text=True)
    return Asked(*json.loads(done.stdout))


@contextmanager
def pouring(port: int, key: str, per_s: int, accounts: int) -> "Iterator[list[float]]":
    """Have *per_s* events a second sent meanwhile; what was reached is in the list afterwards."""
    command = [*_command(port, key, accounts), "--events-a-second", str(per_s)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        reached: list[float] = []
        yield reached
        process.stdin.close()
        events, took_s = json.loads(process.stdout.readline())
        reached.append(events / took_s)


if __name__ == "__main__":
    main()
