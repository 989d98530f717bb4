"""A real server over real sockets: it starts, refuses what it cannot do, and stops without losing what it answered."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import httpx
import pytest
import uvicorn

from tallybook.core.key import SCOPES
from tallybook.core.window import Span
from tallybook.house import House
from tallybook.settings import Settings
from tallybook.web import protocol
from tests.support.client import message

RUN = (
    "import sys; from pathlib import Path; from tallybook.house import House; from tallybook.settings import Settings;"
)
SERVE = f"{RUN} House.open(Settings(data_dir=Path(sys.argv[1]), port=int(sys.argv[2]), log_format='json')).serve()"
SERVE_CLOSED = (
    f"{RUN}\nwith House.open(Settings(data_dir=Path(sys.argv[1]), port=int(sys.argv[2]), log_format='json')) as house:"
    "\n    house.serve()"
)


@contextmanager
def server(data_dir, port=0):
    """Run a server in a process of its own; yield it and its URL."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE_CLOSED, str(data_dir), str(port)], stderr=subprocess.PIPE, text=True
    )
    # Somebody has to read what it logs, or it would wait for the pipe one day.
    rest = threading.Thread(target=process.stderr.read)
    try:
        said = (re.search(r"http://[0-9.]+:\d+", line) for line in process.stderr)
        url = next(found[0] for found in said if found)
        rest.start()
        yield process, url
    finally:
        process.kill()
        process.wait()
        if rest.ident is not None:
            rest.join()
        process.stderr.close()


@pytest.fixture
def operator(tmp_path):
    with House.open(Settings(data_dir=tmp_path)) as house:
        return house.access.create_key(None, SCOPES).token


def test_it_answers_over_a_socket_and_exits_with_0(tmp_path, operator):
    """
    SIGTERM: /readyz says no at once while requests are still answered, then the process ends well within 15 s.
    """
    with server(tmp_path) as (process, url), httpx.Client(base_url=url, headers={"X-API-Key": operator}) as http:
        assert 200 == http.post("/v1/events", json=message("e1", "acme")).status_code
        assert "server" not in http.get("/healthz").headers
        began_s = time.monotonic()
        process.send_signal(signal.SIGTERM)
        ready = next(answer for answer in iter(lambda: http.get("/readyz"), None) if answer.status_code == 503)
        late = http.post("/v1/events", json=message("e2", "acme"))

        assert ["the server is shutting down"] == ready.json()["reasons"]
        assert 1 == late.json()["accepted"]
        assert 0 == process.wait(timeout=15)
        assert 15 > time.monotonic() - began_s
    with House.open(Settings(data_dir=tmp_path)) as house:
        assert 2 == sum(nanos for _, nanos in house.measure.ranking("messages", this_year(), 10)) // 10**9


def this_year():
    minute_us = 60_000_000
    now_us = time.time_ns() // 1000 // minute_us * minute_us
    return Span(now_us - 24 * 60 * minute_us, now_us + 60 * minute_us)


def test_under_load_every_answered_event_survives_sigterm(tmp_path, operator):
    """
    Eight clients send until the door closes: what was acknowledged is in the ledger, exactly once.
    """
    acknowledged, failures = set(), []

    def send(url, worker):
        with httpx.Client(base_url=url, headers={"X-API-Key": operator}, timeout=30) as http:
            for number in range(100_000):
                ids = [f"{worker}-{number}-{part}" for part in range(20)]
                try:
                    answer = http.post("/v1/events", json=[message(event_id, "acme") for event_id in ids])
                except httpx.TransportError:
                    return
                if answer.status_code == 200 and answer.json()["accepted"] == len(ids):
                    acknowledged.update(ids)
                elif answer.status_code != 503:
                    failures.append(answer.text)

    with server(tmp_path) as (process, url):
        workers = [threading.Thread(target=send, args=(url, worker)) for worker in range(8)]
        for worker in workers:
            worker.start()
        deadline_s = time.monotonic() + 60
        while len(acknowledged) < 1000 and not failures and time.monotonic() < deadline_s:
            time.sleep(0)
        process.send_signal(signal.SIGTERM)
        assert 0 == process.wait(timeout=15)
        for worker in workers:
            worker.join(timeout=30)

    assert [] == failures
    assert len(acknowledged) >= 1000
    with House.open(Settings(data_dir=tmp_path)) as house:
        caller = house.access.authenticate(operator)
        again = house.ingest.write([message(event_id, "acme") for event_id in sorted(acknowledged)], caller)
        assert (0, len(acknowledged)) == (again.accepted, again.duplicate)


def test_a_second_signal_does_not_wait(tmp_path, operator):
    """
    Two SIGTERMs: the process still ends with its ledger in order.
    """
    with server(tmp_path) as (process, url):
        assert (
            200
            == httpx.post(f"{url}/v1/events", json=message("e1", "acme"), headers={"X-API-Key": operator}).status_code
        )
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        assert 0 == process.wait(timeout=15)
    with House.open(Settings(data_dir=tmp_path)) as house:
        assert "acme" == house.accounts.get("acme").id


def test_a_port_in_use_is_one_line(tmp_path):
    """
    Not a traceback, and the directory is free afterwards.
    """
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ran = subprocess.run(
            [sys.executable, "-c", SERVE, str(tmp_path), port], capture_output=True, text=True, timeout=60, check=False
        )
    assert 0 != ran.returncode
    last = ran.stderr.strip().splitlines()[-1]
    assert re.search(rf"StartRefused: cannot listen on 127.0.0.1 port {port}: .*choose another", last)


def test_killed_without_warning_it_keeps_what_it_answered(tmp_path, operator):
    """
    kill -9 after an answer: the event is there when the next server opens the directory.
    """
    for number in range(3):
        with server(tmp_path) as (process, url):
            answer = httpx.post(f"{url}/v1/events", json=message(f"k{number}", "acme"), headers={"X-API-Key": operator})
            assert 1 == answer.json()["accepted"]
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
    with House.open(Settings(data_dir=tmp_path)) as house:
        caller = house.access.authenticate(operator)
        assert 3 == house.ingest.write([message(f"k{number}", "acme") for number in range(3)], caller).duplicate


def raw(url, request, *, hang_up):
    """Send bytes as they are, hang up if asked to, and return all that comes back."""
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request)
        if hang_up:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


def test_an_endless_head_is_cut_off(tmp_path):
    """
    Headers without end get 431 after 64 KiB and some; the server goes on.
    """
    with server(tmp_path) as (_, url):
        host, _, port = url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=20) as connection:
            sent = 0
            with contextlib.suppress(OSError):
                connection.sendall(b"GET /healthz HTTP/1.1\r\n")
                while sent < 64 * 1024 * 1024:
                    connection.sendall(b"x-filler: " + b"y" * 60_000 + b"\r\n")
                    sent += 60_000

        assert sent < 32 * 1024 * 1024
        assert 200 == httpx.get(f"{url}/healthz", headers={"x-filler": "y" * 30_000}).status_code


def test_a_head_that_never_ends_is_given_up(monkeypatch):
    """
    A connection that says nothing, or half a head, is closed when its time is up.
    """
    monkeypatch.setattr(protocol, "HEAD_TIMEOUT_S", 0.05)

    async def talk(first):
        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"ok"})

        config = uvicorn.Config(app, http=protocol.BoundedProtocol, lifespan="off", log_config=None)
        config.load()
        state = uvicorn.server.ServerState()
        loop = asyncio.get_running_loop()
        made = lambda: protocol.BoundedProtocol(config=config, server_state=state, app_state={})  # noqa: E731
        listening = await loop.create_server(made, "127.0.0.1", 0)
        host, port = listening.sockets[0].getsockname()
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(first)
        answer = await asyncio.wait_for(reader.read(), timeout=20)
        writer.close()
        await writer.wait_closed()
        listening.close()
        await listening.wait_closed()
        return answer

    whole = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"
    assert b"" == asyncio.run(talk(b""))
    assert b"" == asyncio.run(talk(whole[:-2]))
    answer = asyncio.run(talk(whole + whole[:-2]))
    assert (True, 1) == (answer.startswith(b"HTTP/1.1 200"), answer.count(b"HTTP/1.1"))


def test_broken_http_is_refused_and_the_server_goes_on(tmp_path, operator):
    """
    Lying lengths, two lengths, smuggled chunks, no HTTP at all: 4xx or a closed connection, never a crash.
    """
    key = f"X-API-Key: {operator}\r\nHost: x\r\nContent-Type: application/json\r\n".encode()
    attempts = [
        b"GARBAGE\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\n" + key + b"Content-Length: 100\r\n\r\n{}",
        b"POST /v1/events HTTP/1.1\r\n" + key + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
        b"POST /v1/events HTTP/1.1\r\n" + key + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
        b"POST /v1/events HTTP/1.1\r\n" + key + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        b"GET /v1/meters HTTP/1.1\r\nHost: x\r\nX-API-Key: a\r\n b\r\n\r\n",
        b"GET /\x00\xff HTTP/1.1\r\nHost: x\r\n\r\n",
    ]
    with server(tmp_path) as (_, url):
        for attempt in attempts:
            answer = raw(url, attempt, hang_up=True)
            assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), (attempt, answer[:200])
        chunked = b"POST /v1/events HTTP/1.1\r\nConnection: close\r\n" + key + b"Transfer-Encoding: chunked\r\n\r\n"
        body = json.dumps(message("c1", "acme")).encode()
        chunks = b"".join(b"1\r\n" + body[at : at + 1] + b"\r\n" for at in range(len(body)))
        good = raw(url, chunked + chunks + b"0\r\n\r\n", hang_up=False)
        large = raw(url, b"POST /v1/events HTTP/1.1\r\n" + key + b"Content-Length: 99999999999\r\n\r\n", hang_up=False)

        assert b'"accepted":1' in good
        assert large.startswith(b"HTTP/1.1 413")
        assert b"connection: close" in large.lower()
        assert 200 == httpx.get(f"{url}/healthz").status_code


def test_an_answer_without_a_body_is_sent_whole(tmp_path, operator):
    """HEAD, 204 and the answers around them on one connection: no head waits for a body that does not come."""
    with server(tmp_path) as (_, url), httpx.Client(base_url=url, headers={"X-API-Key": operator}, timeout=30) as http:
        for _ in range(2):
            head, get = http.head("/v1/meters"), http.get("/v1/meters")
            assert (200, b"", str(len(get.content))) == (head.status_code, head.content, head.headers["content-length"])
            options = http.options("/v1/meters")
            assert (204, b"") == (options.status_code, options.content)
            closed = http.get("/v1/nothing", headers={"Connection": "close"})
            assert (404, "not-found") == (closed.status_code, closed.json()["code"])
