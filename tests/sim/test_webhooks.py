"""Webhooks among hostile receivers, and when the process that sends them is killed at any moment."""

import asyncio
import base64
import random
import subprocess
import sys
from pathlib import Path

import pytest
import trustme
from sqlalchemy import text

from tallybook.core.clock import US_PER_S
from tallybook.core.delivery import RETRY_DELAYS_S, State, Status
from tallybook.flows.endpoints import NewEndpoint
from tallybook.ledger.open import Ledger
from tests.sim.scale import scaled
from tests.sim.webhook_server import endpoint, webhooks
from tests.support.canary import canary
from tests.support.messages import Post
from tests.support.names import AskingResolver, Rebinding
from tests.support.receivers import Receivers
from tests.support.rooms import OPERATOR
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


def test_a_name_that_leads_inside_after_it_was_kept_is_never_called(ledger, key_file):
    """
    It is kept, for it looks well; then it changes its mind: every attempt of the schedule fails, the retries as well,
    nobody inside hears of it, and after five days the endpoint is disabled.
    """
    post = Post(ledger)
    with canary() as watched, Rebinding(["127.0.0.2"], ["127.0.0.1"]) as names, Receivers() as receivers:
        opened = webhooks(ledger, key_file, clock=post.clock, resolver=AskingResolver(names.port), allow="127.0.0.2/32")
        new = (f"http://rebind.example:{watched.port}/", receivers.url("redirect/x", "rebind.example"))
        kept = [opened.endpoints.create(OPERATOR, NewEndpoint(url, None), post.now_us).destination for url in new]
        asyncio.run(AskingResolver(names.port).resolve("rebind.example"))  # the one answer that was good is spent
        for _ in range(6):
            post.tell()
            for delay_s in RETRY_DELAYS_S:
                opened.deliverer.run()
                post.clock.advance(delay_s * US_PER_S * 11 // 10)
        opened.deliverer.run()
        attempts = sum(one.attempts for each in kept for one in post.deliveries(each.destination_id))

        assert {"blocked-address", "endpoint-disabled"} >= {
            one.error for each in kept for one in post.deliveries(each.destination_id)
        }
        assert (0, [], True) == (watched.connects(), receivers.received, attempts >= 2 * len(RETRY_DELAYS_S))
        assert [State.DISABLED] * 2 == [post.destinations.get(one.destination_id, "webhook").state for one in kept]
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
