"""The README is true: what it tells a newcomer to type is typed here, in a shell, against a server of its own."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from dataclasses import dataclass

import httpx
import pytest

from tallybook.settings import load_settings
from tallybook.web.dialects import DIALECTS
from tests.docs.pages import ROOT, blocks, read

pytestmark = pytest.mark.slow
"""Because of `told`, which all should share."""

README = read("README.md")
SHELL = [block.text for block in blocks(README, "sh")]
ADDRESS = "http://127.0.0.1:8080"
MARK = "=== next block"
START_LINES_MAX = 200

CURL = '''"""What of curl the README uses: a body, headers, an address."""
import sys, urllib.request
words, headers, body, url = iter(sys.argv[1:]), {}, None, None
for word in words:
    if word == "-H":
        name, _, value = next(words).partition(": ")
        headers[name] = value
    elif word == "-d":
        body = next(words).encode()
    elif word != "-s":
        url = word
with urllib.request.urlopen(urllib.request.Request(url, body, headers)) as answer:
    print(answer.read().decode(), end="")
'''


@dataclass(frozen=True)
class Told:
    """What each block printed on stdout."""

    outs: list[str]
    messages: str
    """What acme's messages are after the Python block ran."""

    def after(self, words):
        """Return what the one block with *words* in it printed."""
        (found,) = (out for block, out in zip(SHELL, self.outs, strict=True) if words in block)
        return found


def program(path, *words):
    """Write a program that runs Python with *words* before its arguments."""
    path.parent.mkdir(parents=True, exist_ok=True)
    quoted = " ".join(f"'{word}'" for word in (sys.executable, *words))
    path.write_text(f'#!/bin/sh\nexec {quoted} "$@"\n')
    path.chmod(0o755)


def listening(process):
    """Return the address that the server says it listens on."""
    log = []
    for line in process.stderr:
        log.append(line)
        found = re.search(r'"url": "(http://[^"]+)", "event": "listening"', line)
        if found:
            return found[1]
        assert len(log) < START_LINES_MAX
    raise AssertionError("".join(log))


def messages_after_python(folder, environment, address):
    """Run the Python block as a program of its own, and return acme's total of messages."""
    made = [".venv/bin/tallybook", "keys", "create", "--data", "data"]
    key = subprocess.run(made, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout.strip()
    (block,) = blocks(README, "python")
    written = block.text.replace(ADDRESS, address).replace("tb_live_...", key)
    subprocess.run([sys.executable, "-c", written], cwd=folder, env=environment, check=True, timeout=60)
    header = {"Authorization": f"Bearer {key}"}
    return httpx.get(f"{address}/v1/accounts/acme/usage?meter=messages", headers=header).json()["total"]


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Type every `sh` block of the README, in order, in one shell, beside a running `make serve`."""
    folder = tmp_path_factory.mktemp("newcomer")
    program(folder / ".venv" / "bin" / "tallybook", "-m", "tallybook")
    if shutil.which("curl") is None:
        (folder / "curl.py").write_text(CURL)
        program(folder / ".venv" / "bin" / "curl", str(folder / "curl.py"))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TALLYBOOK_")}
    server = subprocess.Popen(
        [".venv/bin/tallybook", "serve", "--data", "data", "--port", "0"],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        address = listening(server)
        script = f"\necho '{MARK}'\n".join(["set -eu", *SHELL]).replace(ADDRESS, address)
        typed = subprocess.run(
            ["sh", "-c", script], cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert 0 == typed.returncode, typed.stdout + typed.stderr
        _, *outs = typed.stdout.split(f"{MARK}\n")
        return Told([out.strip() for out in outs], messages_after_python(folder, environment, address))
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=60)


def test_answers_that_are_shown_are_the_answers(told):
    """
    A JSON block that follows a shell block is, to the byte, what it prints.
    """
    shown = [answer.text.strip() for answer in blocks(README, "json")]
    places = [place for place, block in enumerate(blocks(README, "sh", "json")) if block.language == "json"]
    printed = [told.outs[place - before - 1] for before, place in enumerate(places)]
    assert len(shown) >= 2
    assert shown == printed


def test_the_first_event_counts_once(told):
    """
    42.5 seconds after the first sending, and one call after the second.
    """
    assert "42.5" == json.loads(told.after("meter=call_seconds"))["total"]
    assert 1 == json.loads(told.after("/agentphone/v1/usage"))["stats"]["totalCalls"]
    limits = {limit["name"]: limit for limit in json.loads(told.after("/limits"))["limits"]}
    assert "42.5" == limits["voice_seconds"]["used"]
    check = json.loads(told.after("/checks"))
    assert (True, "29957.5") == (check["allowed"], check["items"][0]["remaining"])


def test_a_key_that_was_taken_in_reads_its_dialect(told):
    """
    The client's own key, in the header that its API uses.
    """
    answer = told.after("/aurion/api/v1/usage/summary").splitlines()[-1]
    assert {"voice_minutes", "api_calls", "storage_mb", "plan"} <= json.loads(answer).keys()


def test_the_import_counts_both_rows(told):
    """
    The last line is the one that the README promises.
    """
    line = told.after("tallybook import").splitlines()[-1]
    assert "2 rows: 2 accepted, 0 duplicate, 0 conflict, 0 rejected" == line
    assert f"`{line}`" in README


def test_the_python_program_counts_its_event(told):
    """
    Nothing is lost at the end of a program that never waited.
    """
    assert "1" == told.messages


# --- what stands outside of shell blocks ------------------------------------------------------------------------------


def test_make_serve_serves_what_the_readme_says():
    """
    The same directory and the same port.
    """
    makefile = read("Makefile")
    assert "\nserve: DATA ?= data\n" in makefile
    assert f"\nPORT ?= {ADDRESS.rpartition(':')[2]}\n" in makefile
    assert "--data data" in SHELL[0]


@pytest.mark.parametrize("surface", DIALECTS, ids=lambda surface: surface.name)
def test_the_row_of_a_dialect_says_where_it_stands_and_which_scope_it_asks_for(surface):
    """
    As the dialect's own table of endpoints has it.
    """
    (row,) = re.findall(rf"^\| \[\w+\]\(docs/dialects/{surface.name}\.md\) .*$", README, re.MULTILINE)
    assert f"`{ADDRESS}{surface.prefix}" in row
    assert {f"`{endpoint.scope}`" for endpoint in surface.endpoints} == {row.split("|")[4].strip()}


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_every_make_target_that_is_named_exists(name):
    """
    In a block or between backticks.
    """
    targets = set(re.findall(r"^([a-z]+):.*##", read("Makefile"), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z]+)", read(name), re.MULTILINE))
    assert named
    assert named <= targets


def test_settings_that_are_shown_can_be_read(tmp_path):
    """
    Every TOML block is a settings file that starts a server.
    """
    shown = blocks(README, "toml")
    assert shown
    for block in shown:
        (tmp_path / "tallybook.toml").write_text(block.text)
        assert load_settings(tmp_path / "tallybook.toml", {}).dialect_hosts


def test_the_package_shows_the_readme():
    """
    Whoever finds the package reads the same words.
    """
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert "README.md" == project["readme"]
