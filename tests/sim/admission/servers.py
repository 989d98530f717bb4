"""Several server processes on one PostgreSQL, spoken to over HTTP, of which one may be killed."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.wire import Wire, get_request, post_head

LISTENING = re.compile(rb"http://127\.0\.0\.1:([0-9]+)")
STOP_TIMEOUT_S = 60


@dataclass(slots=True)
class Server:
    """A running server process."""

    port: int
    process: "subprocess.Popen[bytes]"

    def kill(self) -> None:
        """End it as the kernel would, with no chance to say a word."""
        self.process.kill()
        self.process.wait()


class Client:
    """One connection to a server, with the operator's key."""

    def __init__(self, server: Server, key: str) -> None:
        self._wire = Wire(server.port)
        self._headers = {"Authorization": f"Bearer {key}"}

    def post(self, path: str, body: object) -> tuple[int, dict[str, object]]:
        """Send a body as JSON; return the status and what was answered."""
        sent = json.dumps(body).encode()
        status, answer = self._wire.ask(post_head(path, self._headers, len(sent)), sent)
        return status, json.loads(answer)

    def get(self, path: str) -> dict[str, object]:
        """Ask; the answer must be a good one."""
        status, answer = self._wire.ask(get_request(path, self._headers))
        assert 200 == status, answer
        decoded: dict[str, object] = json.loads(answer)
        return decoded

    def close(self) -> None:
        """Hang up."""
        self._wire.close()


@contextmanager
def serving(url: str, folder: Path, count: int) -> Iterator[list[Server]]:
    """Run *count* servers on one ledger, which start side by side."""
    with ExitStack() as stopping:
        starting = [stopping.enter_context(_process(url, folder / f"server-{number}")) for number in range(count)]
        yield [stopping.enter_context(_listening(process)) for process in starting]


@contextmanager
def _process(url: str, data: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a server."""
    command = [str(Path(sys.executable).with_name("tallybook")), "serve", "--data", str(data), "--port", "0"]
    environment = {**os.environ, "TALLYBOOK_LEDGER_URL": url, "TALLYBOOK_LOG_FORMAT": "json"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait(STOP_TIMEOUT_S)
        assert process.stderr is not None
        process.stderr.close()


@contextmanager
def _listening(process: "subprocess.Popen[bytes]") -> Iterator[Server]:
    """Wait until a server listens; afterwards it is gone."""
    stderr = process.stderr
    assert stderr is not None
    # Somebody has to read what it logs, or it would wait for the pipe one day.
    rest = threading.Thread(target=stderr.read)
    try:
        said = (LISTENING.search(line) for line in stderr)
        port = next(int(found[1]) for found in said if found)
        rest.start()
        yield Server(port, process)
    finally:
        process.kill()
        process.wait(STOP_TIMEOUT_S)
        if rest.ident is not None:
            rest.join()
