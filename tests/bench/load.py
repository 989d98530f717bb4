"""The load generator, a process of its own: batches over a few connections, each sent as soon as the last is answered.

Run by `drive`; prints one line of JSON. Bodies are made before the clock starts, except for two replacements each.
"""

import argparse
import json
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.bench.report import say
from tests.bench.scale import ACCOUNTS, BATCH_EVENTS, CONNECTIONS
from tests.bench.wire import Wire, post_head
from tests.bench.workload import fill, templates

TEMPLATES = 48
RETRIES_MAX = 200
BUSY = 503
OUTCOMES = ("accepted", "duplicate", "conflict", "rejected")
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Driven:
    """What one run of the generator saw."""

    events: int
    outcomes: dict[str, int]
    took_s: float
    cpu_s: float
    """Of the generator itself, while the clock ran."""
    waits_s: list[float]
    busy: int

    @property
    def per_s(self) -> float:
        """Events a second."""
        return self.events / self.took_s


class _Sender:
    """Sends every n-th batch over a connection of its own."""

    def __init__(self, port: int, key: str, bodies: list[bytes], first: str) -> None:
        self.outcomes = dict.fromkeys(OUTCOMES, 0)
        self.waits_s: list[float] = []
        self.busy = 0
        self._wire = Wire(port)
        self._headers = {"Authorization": f"Bearer {key}"}
        self._bodies = bodies
        self._first = first

    def run(self, numbers: range) -> None:
        """Send the batches with these numbers."""
        for number in numbers:
            second = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S")
            body = fill(self._bodies[number % len(self._bodies)], f"{self._first}{number:06x}", second)
            head = post_head("/v1/events", self._headers, len(body))
            began_s = time.perf_counter()
            answer = self._send(head, body)
            self.waits_s.append(time.perf_counter() - began_s)
            for outcome in OUTCOMES:
                self.outcomes[outcome] += answer.get(outcome, 0)
        self._wire.close()

    def _send(self, head: bytes, body: bytes) -> dict[str, int]:
        for _ in range(RETRIES_MAX):
            status, answer = self._wire.ask(head, body)
            if status == 200:
                decoded: dict[str, int] = json.loads(answer)
                return decoded
            if status != BUSY:
                raise RuntimeError(f"the server answered {status}: {answer[:300]!r}")
            self.busy += 1
        raise RuntimeError("the server stayed busy")


def _late_times() -> list[str]:
    """Return times of the last month, the same all day: an event that is sent again must say the same again."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    return [f"{(today - timedelta(hours=hours, seconds=hours)).isoformat()}Z" for hours in range(1, 720, 7)]


def main() -> None:
    """Make the bodies, wait for a line on standard input, send, and print what was seen."""
    parser = argparse.ArgumentParser()
    for name in ("port", "batches", "run", "accounts", "connections"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--key", required=True)
    asked = parser.parse_args()
    bodies = templates(min(TEMPLATES, asked.batches), BATCH_EVENTS, asked.accounts, _late_times())
    senders = [_Sender(asked.port, asked.key, bodies, f"{asked.run:02x}") for _ in range(asked.connections)]
    threads = [
        threading.Thread(target=sender.run, args=(range(place, asked.batches, asked.connections),))
        for place, sender in enumerate(senders)
    ]
    say("ready")
    sys.stdin.readline()
    began_s, cpu_s = time.perf_counter(), time.process_time()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took_s, cpu_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    outcomes = {name: sum(sender.outcomes[name] for sender in senders) for name in OUTCOMES}
    sent = asked.batches * BATCH_EVENTS
    waits_s = [wait for sender in senders for wait in sender.waits_s]
    busy = sum(sender.busy for sender in senders)
    say(json.dumps([sent, outcomes, took_s, cpu_s, waits_s, busy]))


class Load:
    """A generator process that has made its bodies and waits to be let go."""

    def __init__(self, port: int, key: str, events: int, run: int, *, accounts: int = ACCOUNTS) -> None:
        command = [sys.executable, "-m", "tests.bench.load", "--port", str(port), "--key", key, "--run", str(run)]
        command += ["--batches", str(events // BATCH_EVENTS), "--accounts", str(accounts)]
        command += ["--connections", str(CONNECTIONS)]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)
        self._said = ""
        self._line()

    def go(self) -> None:
        """Start the clock."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()

    def wait(self) -> None:
        """Wait until it has sent all and said what it saw."""
        if not self._said:
            self._said = self._line()

    def finish(self) -> Driven:
        """Wait for the end and return what was seen."""
        self.wait()
        driven = Driven(*json.loads(self._said))
        self._process.wait()
        if sum(driven.outcomes.values()) != driven.events or driven.outcomes["rejected"]:
            raise RuntimeError(f"not every event was taken: {driven.outcomes} of {driven.events}")
        return driven

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the load generator failed; its error is above")
        return line


def drive(port: int, key: str, events: int, run: int, *, accounts: int = ACCOUNTS) -> Driven:
    """Send *events* in batches to the server on *port* and return what was seen."""
    load = Load(port, key, events, run, accounts=accounts)
    load.go()
    return load.finish()


if __name__ == "__main__":
    main()
