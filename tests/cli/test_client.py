"""A server that is busy or breaks the connection is asked again, so often and no oftener; waits are told, not slept."""

import gzip
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import zstandard

from tallybook.cli.client import BACKOFF_MAX_S, TRIES_MAX, Server, ServerAway, ServerRefused
from tallybook.cli.importing.destination import BODY_BYTES_MAX, ServerDestination
from tallybook.core.event import decode_events


class Scripted(ThreadingHTTPServer):
    """Answers each request with the next line of its script; the last one stays."""

    def __init__(self, script):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script = list(script)
        self.bodies = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.bodies.append((self.path, self.headers, body))
        script = self.server.script
        step = script.pop(0) if len(script) > 1 else script[0]
        if step == "hang up":
            self.connection.close()
            return
        status, headers, answer = step
        answer = answer(body) if callable(answer) else answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def scripted():
    """Start servers that end with the test."""
    started = []

    def _scripted(*script):
        started.append(Scripted(script))
        return started[-1]

    yield _scripted
    for server in started:
        server.shutdown()
        server.server_close()


@pytest.fixture
def client():
    """Make clients whose waits are noted in `pauses` and not waited."""
    made = []

    def _client(url, key="secret"):
        pauses = []
        made.append(Server(url, key, pause=pauses.append))
        return made[-1], pauses

    yield _client
    for server in made:
        server.close()


OK = (200, {}, b'{"fine": true}')
BUSY = (503, {}, b'{"detail": "the queue is full"}')


def test_a_busy_server_is_asked_again_after_the_wait_it_names(scripted, client):
    """
    503 and 429 are waited out, with the server's Retry-After where it is longer than our own wait.
    """
    server = scripted(BUSY, (429, {"Retry-After": "7"}, b"{}"), OK)
    asked, pauses = client(server.url)
    assert {"fine": True} == asked.send("/v1/events", b"x", {})
    assert [0.5, 7.0] == pauses
    assert ["Bearer secret"] * 3 == [headers["Authorization"] for _, headers, _ in server.bodies]


def test_a_broken_connection_is_tried_again(scripted, client):
    """
    Sending events twice is safe, so a lost answer is no reason to stop.
    """
    asked, pauses = client(scripted("hang up", OK).url)
    assert {"fine": True} == asked.send("/v1/events", b"x", {})
    assert [0.5] == pauses


def test_tries_are_bounded(scripted, client):
    """
    A server that stays busy ends the import, with its reason; waits double up to the bound.
    """
    server = scripted(BUSY)
    asked, pauses = client(server.url)
    with pytest.raises(ServerRefused, match="queue is full"):
        asked.send("/v1/events", b"x", {})
    assert TRIES_MAX == len(server.bodies)
    assert [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, BACKOFF_MAX_S] == pauses


def test_a_server_that_is_away_is_bounded_too(client):
    """
    Nobody listens on this port.
    """
    asked, pauses = client("http://127.0.0.1:9")
    with pytest.raises(ServerAway, match="cannot be reached"):
        asked.send("/v1/events", b"x", {})
    assert TRIES_MAX - 1 == len(pauses)


@pytest.mark.parametrize("answer", [b"<html>", b"[]", b'"x"', b""])
def test_a_refusal_is_not_tried_again_whatever_its_body(scripted, client, answer):
    """
    403 will be 403 the next time; a proxy's page instead of a problem is told as such.
    """
    asked, pauses = client(scripted((403, {}, answer)).url)
    with pytest.raises(ServerRefused, match="403"):
        asked.send("/v1/events", b"x", {})
    assert [] == pauses


def test_an_answer_that_is_not_json_is_told(scripted, client):
    """
    A web page with status 200 is no receipt.
    """
    asked, _ = client(scripted((200, {}, b"<html>")).url)
    with pytest.raises(ServerRefused, match="Tallybook server"):
        asked.send("/v1/events", b"x", {})


def test_a_key_that_no_header_can_hold_is_told(client):
    """
    Before anything is sent.
    """
    with pytest.raises(ServerAway, match="key"):
        client("http://127.0.0.1:9", "schlüssel\u2026")


def _unpacked(headers, body):
    packing = headers.get("Content-Encoding")
    if packing == "zstd":
        return zstandard.ZstdDecompressor().decompressobj().decompress(body)
    return gzip.decompress(body) if packing == "gzip" else body


def _receipt(body):
    events = decode_events(zstandard.ZstdDecompressor().decompressobj().decompress(body), lines=True)
    last = len(events) - 1
    error = {"index": last, "id": events[last]["id"], "outcome": "rejected", "code": "c", "pointer": f"/{last}/x"}
    counts = {"accepted": last, "duplicate": 0, "conflict": 0, "rejected": 1}
    return json.dumps({**counts, "errors": [{**error, "detail": "d"}]}).encode()


def test_large_batches_are_cut_to_what_a_server_takes(scripted, client):
    """
    Each request stays below the bound, nothing is lost, and errors name the event's place in the whole batch.
    """
    server = scripted((200, {}, _receipt))
    asked, _ = client(server.url)
    destination = ServerDestination(asked)
    events = [{"id": f"e{n}", "data": {"text": "x" * 10_000}} for n in range(1_000)]
    receipt = destination.submit(events).result()
    destination.close()
    bodies = [_unpacked(headers, body) for _, headers, body in server.bodies]
    assert all(len(body) <= BODY_BYTES_MAX for body in bodies)
    sent = [event["id"] for body in bodies for event in decode_events(body, lines=True)]
    assert [event["id"] for event in events] == sent
    assert 1_000 - len(bodies) == receipt.accepted
    assert len(bodies) == receipt.rejected
    assert [(error.index, error.id) for error in receipt.errors] == [
        (error.index, events[error.index]["id"]) for error in receipt.errors
    ]
    assert 999 == receipt.errors[-1].index
    assert all("backfill=true" in path for path, _, _ in server.bodies)
