"""Commands as tests run them: in this process, with what they printed; and a real server beside them."""

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tallybook.cli import main

DATA = Path(__file__).parent.parent / "data"
START_LINES_MAX = 200


@dataclass(frozen=True)
class Ended:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)

    @property
    def error(self):
        """The one line on stderr of a command that failed."""
        lines = [line for line in self.err.splitlines() if line]
        assert 1 == len(lines), self.err
        assert lines[0].startswith("tallybook: "), self.err
        return lines[0]


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch, tmp_path):
    """No setting of the machine reaches a test, and nothing is written beside the repository."""
    for name in list(os.environ):
        if name.startswith("TALLYBOOK_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def run(capfd):
    """Run one command in this process."""

    def _run(*arguments):
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Ended(code, out, err)

    return _run


class Serving:
    """A server in a process of its own."""

    def __init__(self, *arguments, command="serve", environment=None):
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tallybook", command, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(environment or {})},
        )
        self.log = []
        try:
            self.url = self._wait()
        except BaseException:
            self.process.kill()
            self.process.communicate()
            raise

    def _wait(self):
        for line in self.process.stderr:
            self.log.append(line)
            found = re.search(r'"url": "(http://[^"]+)", "event": "listening"', line)
            if found:
                return found[1]
            assert len(self.log) < START_LINES_MAX
        raise AssertionError("".join(self.log))

    def stop(self, number=signal.SIGTERM):
        """Stop it and return its exit code and what it printed."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=60)
        self.log.append(err)
        return Ended(self.process.returncode, out, "".join(self.log))


@pytest.fixture
def serving():
    """Start servers that end with the test."""
    started = []

    def _serving(*arguments, **options):
        server = Serving(*arguments, **options)
        started.append(server)
        return server

    yield _serving
    for server in started:
        if server.process.poll() is None:
            server.process.kill()
            server.process.communicate()


@pytest.fixture
def operator_key(run, tmp_path):
    """Make an operator's key in `data` of the test's directory."""
    made = run("keys", "create", "--data", tmp_path / "data")
    assert 0 == made.code, made.err
    return made.out.strip()
