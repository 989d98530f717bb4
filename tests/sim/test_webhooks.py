"""Webhooks among hostile receivers, and when the process that sends them is killed at any moment."""

import base64
import random
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
from sqlalchemy import text

from tallybook.core.delivery import State, Status
from tallybook.ledger.open import Ledger
from tests.sim.scale import scaled
from tests.sim.webhook_server import endpoint, webhooks
from tests.support.canary import canary
from tests.support.messages import Post
from tests.support.receivers import Receivers
from tests.support.tls import server_context

ROOT = Path(__file__).resolve().parents[2]
HOSTILE = ("hang",) * 10 + ("drip",) * 5 + ("huge",) * 5 + ("redirect",) * 5 + ("reset",) * 5 + ("bad_tls",) * 5
ENDPOINTS = 100
MESSAGES = 4
CYCLES = scaled(3, 30)


@pytest.fixture
def key_file(tmp_path):
    """A master key."""
    file = tmp_path / "secrets.key"
    file.write_bytes(base64.b64encode(b"k" * 32))
    file.chmod(0o600)
    return str(file)


def test_hostile_receivers_delay_nobody(ledger, key_file):
    """
    Of 100 endpoints 35 hang, drip, flood, redirect, reset or have no good certificate: the other 65 have everything,
    each message once, while those that never end an answer have taken nothing, and nobody was led elsewhere.
    """
    post = Post(ledger)
    opened = webhooks(ledger, key_file)
    with Receivers() as plain, Receivers(tls=server_context(trustme.CA(), "127.0.0.1")) as bad_tls, canary() as watched:
        made = []
        for number in range(ENDPOINTS):
            kind = HOSTILE[number] if number < len(HOSTILE) else "ok"
            place = f"{kind}/{number}"
            url = bad_tls.url(place) if kind == "bad_tls" else plain.url(place, f"127.0.0.{number + 1}")
            made.append(endpoint(opened, url).destination_id)
        post.tell(count=MESSAGES)
        opened.start()
        healthy = (ENDPOINTS - len(HOSTILE)) * MESSAGES
        try:
            got = plain.wait_for(lambda got: sum(one.path.startswith("/ok/") for one in got) >= healthy)
            pairs = [(one.path, one.message_id) for one in got if one.path.startswith("/ok/")]
            assert healthy == len(pairs) == len(set(pairs))
            assert not any(Status.DELIVERED in post.statuses(name) for name in made[:15])
            assert not any("redirected" in one.path for one in got)
            assert ([], 0) == (bad_tls.received, watched.connects())
        finally:
            plain.release()
            bad_tls.release()
            opened.close()


def killed(url, key_file, lines):
    """Run a server, kill it after so many messages were written; return their ids."""
    command = [sys.executable, "-m", "tests.sim.webhook_server", url, key_file]
    written = []
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.endswith("\n"):
                written.append(line.strip())
            if len(written) == lines:
                process.kill()
    assert -9 == process.returncode
    return written


def release_claims(ledger):
    """Let what dead processes had claimed be due, as it is when a minute has passed."""
    with ledger.writing() as connection:
        connection.execute(text("UPDATE deliveries SET due_us = 1, claim = NULL WHERE claim IS NOT NULL"))


@pytest.mark.slow
def test_a_process_that_is_killed_while_webhooks_go_out_loses_none(ledger, ledger_url, key_file):
    """
    Every message that was written arrives at every endpoint at least once, and never under another id.
    """
    chance, written = random.Random(20261121), set()
    with Receivers() as receivers:
        opened = webhooks(ledger, key_file)
        made = [endpoint(opened, receivers.url(f"ok/{name}")) for name in "abc"]
        for _ in range(CYCLES):
            written |= set(killed(ledger_url, key_file, chance.randint(5, 120)))
            release_claims(ledger)
        release_claims(ledger)
        opened.deliverer.run()
        got = {name: [one.message_id for one in receivers.received if one.path == f"/ok/{name}"] for name in "abc"}
        bodies = {(one.message_id, one.body) for one in receivers.received}
        opened.close()

    for name in "abc":
        assert written <= set(got[name]), f"{len(written - set(got[name]))} of {len(written)} are lost"
    ids = {message_id for message_id, _ in bodies}
    assert len(ids) == len(bodies)  # a message says the same however often it comes
    assert len(ids - written) <= CYCLES  # written, and killed before it was said
    assert all(opened.destinations.get(one.destination_id, "webhook").state is State.ENABLED for one in made)
    check_log(ledger, len(ids) * 3)


def check_log(ledger: Ledger, deliveries: int) -> None:
    """Everything is delivered, and nothing waits."""
    with ledger.reading() as connection:
        states = dict(connection.execute(text("SELECT status, count(*) FROM deliveries GROUP BY status")).all())
        left = connection.scalar(text("SELECT count(*) FROM outbox"))
    assert ({"delivered": deliveries}, 0) == (states, left)
