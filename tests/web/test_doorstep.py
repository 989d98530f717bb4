"""What clients hear who never reach the application, and those who are refused while they still send."""

import asyncio
import itertools
import json
import re
import socket
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager

import pytest
import uvicorn
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from uvicorn.server import ServerState

from tallybook.web import protocol
from tallybook.web.server import listen
from tests.support.listening import listening as served

HOST = b"Host: x\r\n"


@contextmanager
def listening(app, connections_max=None):
    """Serve *app* from a thread of this process; yield its port."""
    listener = listen("127.0.0.1", 0)
    with served(app, listener, http=protocol.BoundedProtocol, limit_concurrency=connections_max):
        yield listener.getsockname()[1]


@pytest.fixture
def port(desk):
    with listening(desk.house.app) as number:
        yield number


def answer_to(port, request):
    """Send all of *request* before reading anything; return the status, the headers and the body."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        whole = b""
        while part := connection.recv(65536):
            whole += part
    head, _, body = whole.partition(b"\r\n\r\n")
    first, *lines = head.decode().lower().split("\r\n")
    return int(first.split()[1]), dict(line.split(": ", 1) for line in lines), body


def send_on(connection):
    """Send until nobody takes it."""
    while True:
        connection.sendall(b"x" * 1000)


@pytest.mark.parametrize(
    "request_",
    [
        b"GARBAGE\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /v1/meters?a b HTTP/1.1\r\n" + HOST + b"\r\n",
        b"GET /v1/meters HTTP/1.1\r\n" + HOST + b"X-API-Key: a\r\n b\r\n\r\n",
        b"POST /v1/events HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    ],
)
def test_what_is_no_http_is_a_problem_with_a_request_id(port, request_):
    """
    Like every other refusal; no surface can be meant, so it is the native one's.
    """
    status, headers, body = answer_to(port, request_)

    problem = json.loads(body)
    assert (400, 400, "malformed-http") == (status, problem["status"], problem["code"])
    assert headers["x-request-id"].startswith("req_")
    assert ("application/problem+json", "close") == (headers["content-type"], headers["connection"])


def test_bytes_beyond_ascii_in_an_address_are_read_as_if_they_were_encoded(desk, port):
    """
    Some clients send what was typed: the dialect says no its own way, or finds what was meant.
    """
    key = f"X-API-Key: {desk.account('acme')}\r\nConnection: close\r\n\r\n".encode()

    status, _, body = answer_to(port, b"GET /liberclaw/api/v1/usage/history?days=\xd9\xa7 HTTP/1.1\r\n" + HOST + key)
    found, _, _ = answer_to(port, b"GET /v1/accounts/acme/usage?meter=messages&x=\xff HTTP/1.1\r\n" + HOST + key)

    assert (422, "VALIDATION_ERROR") == (status, json.loads(body)["error"]["code"])
    assert 200 == found


@pytest.mark.parametrize("method", [b"BREW", b"get", b"PROPFIND", b"CONNECT", b"M-SEARCH", b"a" * 64])
def test_a_method_that_nobody_has_is_refused_by_the_surface_of_the_path(port, method):
    """
    In its own form, with the methods that there are: HTTP does not know all of them, and the path does.
    """
    rest = b" HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"

    native, headers, problem = answer_to(port, method + b" /v1/meters" + rest)
    foreign, allowed, error = answer_to(port, method + b" /agentphone/v1/usage" + rest)
    nowhere, _, missing = answer_to(port, method + b" /aurion/nothing" + rest)

    assert (405, "method-not-allowed", "get, head, options") == (native, json.loads(problem)["code"], headers["allow"])
    assert (405, "METHOD_NOT_ALLOWED") == (foreign, json.loads(error)["error"]["code"])
    assert "get, head, options" == allowed["allow"]
    assert (404, "not_found") == (nowhere, json.loads(missing)["error"])


def test_a_method_is_unknown_for_one_request_only(desk, port):
    """
    The next one on the same connection is read as it was sent.
    """
    get = b"GET /healthz HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(b"BREW /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
        refused = connection.recv(65536)
        connection.sendall(get)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
    assert refused.startswith(b"HTTP/1.1 405")


class Wire:
    """A transport that keeps what is written, for a protocol that is given its packets one by one."""

    def __init__(self):
        self.written, self.closed = b"", asyncio.Event()

    def write(self, data):
        self.written += data

    def close(self):
        self.closed.set()

    def is_closing(self):
        return self.closed.is_set()

    def get_extra_info(self, _name):
        return None

    def pause_reading(self):
        pass

    resume_reading = write_eof = pause_reading


async def answers_to(app, packets):
    """Give one connection its *packets*, of which the last asks to close it; return status and body of each answer."""
    config = uvicorn.Config(app, lifespan="off", log_config=None)
    config.load()
    wire, connection = Wire(), protocol.BoundedProtocol(config, ServerState(), {})
    connection.connection_made(wire)
    for packet in packets:
        connection.data_received(packet)
    await asyncio.wait_for(wire.closed.wait(), 20)
    connection.connection_lost(None)
    heads = wire.written.split(b"HTTP/1.1 ")[1:]
    return [(int(head[:3]), head.partition(b"\r\n\r\n")[2]) for head in heads]


CONVERSATION = (
    (b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n", (200, "status")),
    (b"FOO /agentphone/v1/usage HTTP/1.1\r\n" + HOST + b"\r\n", (405, "METHOD_NOT_ALLOWED")),
    (b"POST /v1/events HTTP/1.1\r\n" + HOST + b"Content-Length: 9\r\n\r\n[]\r\n\r\nFOO", (401, "unauthenticated")),
    (b"\r\nBREW /v1/meters HTTP/1.1\r\n" + HOST + b"\r\n", (405, "method-not-allowed")),
    (
        b"POST /healthz HTTP/1.1\r\n" + HOST + b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nFOO",
        (405, "method-not-allowed"),
    ),
    (
        b"PUT /liberclaw/api/v1/usage/history HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
        b"6\r\n\r\n\r\nFO\r\n0\r\n\r\n",
        (405, "METHOD_NOT_ALLOWED"),
    ),
    (b"M-SEARCH /anyreach/usage HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\n\r\nFOO", (404, "detail")),
    (b"GET /wontopos/\xd9\xa7 HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n", (404, "not_found")),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.sets(st.integers(1, sum(len(request) for request, _ in CONVERSATION) - 1), max_size=12))
@example(cuts=set())
@example(cuts=set(range(1, sum(len(request) for request, _ in CONVERSATION))))
def test_requests_are_read_alike_however_they_are_cut_into_packets(shared, cuts):
    """
    Many in one packet or one in many: each is answered by the surface of its path, also where its method is unknown.
    """
    sent = b"".join(request for request, _ in CONVERSATION)
    bounds = [0, *sorted(cuts), len(sent)]

    answers = asyncio.run(answers_to(shared.house.app, [sent[a:b] for a, b in itertools.pairwise(bounds)]))

    assert [status for _, (status, _) in CONVERSATION] == [status for status, _ in answers]
    for (_, (_, code)), (_, body) in zip(CONVERSATION, answers, strict=True):
        assert f'"{code}"'.encode() in body


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"identity, chunked", b"x\r\nTransfer-Encoding: chunked"])
def test_a_body_in_a_transfer_coding_of_its_own_is_refused_by_the_surface(desk, port, coding):
    """
    Nobody would take it off again: what is packed is taken for what was said.
    """
    key = f"X-API-Key: {desk.operator}\r\n".encode()
    sent = (
        HOST + key + b"Content-Type: application/json\r\nTransfer-Encoding: " + coding + b"\r\n\r\n2\r\n[]\r\n0\r\n\r\n"
    )

    native, headers, problem = answer_to(port, b"POST /v1/events HTTP/1.1\r\n" + sent)
    foreign, _, error = answer_to(port, b"GET /wontopos/v1/usage HTTP/1.1\r\n" + sent)

    assert (400, "close") == (native, headers["connection"])
    assert "malformed-http" == json.loads(problem)["code"]
    assert (400, 400) == (foreign, json.loads(error)["error"]["status"])


def test_a_head_that_is_too_long_is_answered_also_to_those_who_send_on(port):
    """
    They read 431, not a broken connection.
    """
    status, headers, body = answer_to(port, b"GET / HTTP/1.1\r\nx-filler: " + b"y" * 1_000_000 + b"\r\n\r\n")

    assert (431, "head-too-large") == (status, json.loads(body)["code"])
    assert "x-request-id" in headers


def test_a_body_that_is_too_long_is_answered_also_to_those_who_send_all_of_it_first(desk, port):
    """
    Python's own client is one of them; the connection is closed after it.
    """
    body, url = b"[" + b" " * (6 << 20) + b"]", f"http://127.0.0.1:{port}/v1/events"
    headers = {"X-API-Key": desk.operator, "Content-Type": "application/json"}

    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=20)

    with refused.value as answer:
        assert (413, "payload-too-large") == (answer.code, json.load(answer)["code"])


def test_nobody_is_listened_to_for_ever(monkeypatch, port):
    """
    Who sends on after a refusal is cut off when the time, or the measure, is full.
    """
    monkeypatch.setattr(protocol, "LINGER_S", 0.05)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(b"GARBAGE\r\n\r\n")
        assert connection.recv(65536).startswith(b"HTTP/1.1 400")
        while connection.recv(65536):
            pass
        with pytest.raises(OSError, match=r"reset|pipe"):
            send_on(connection)
    monkeypatch.setattr(protocol, "LINGER_S", 600)
    monkeypatch.setattr(protocol, "LINGER_BYTES_MAX", 100_000)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(b"GARBAGE\r\n\r\n")
        with pytest.raises(OSError, match=r"reset|pipe"):
            send_on(connection)


def test_a_connection_too_many_is_told_when_to_come_back(desk):
    """
    503 as a problem, with Retry-After; those who were there before are served.
    """
    request = b"GET /healthz HTTP/1.1\r\n" + HOST
    with listening(desk.house.app, connections_max=2) as port, ExitStack() as held:
        others = [held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20)) for _ in range(2)]
        for other in others:
            other.sendall(request + b"\r\n")
            assert other.recv(65536).startswith(b"HTTP/1.1 200")

        status, headers, body = answer_to(port, request + b"\r\n")

        assert (503, "temporarily-unavailable") == (status, json.loads(body)["code"])
        assert ("1", "close") == (headers["retry-after"], headers["connection"])
        others[0].sendall(request + b"\r\n")
        assert others[0].recv(65536).startswith(b"HTTP/1.1 200")


def test_empty_lines_in_a_body_in_chunks_end_nothing(desk, port):
    """Also not many of them in one packet; what follows the body is the next request, of whatever method."""
    answers = []
    for filler in (b"\r\n\r\n", b"    "):
        chunk = filler * 10_000 + b"[]"
        first = b"POST /v1/events HTTP/1.1\r\n" + HOST + b"Authorization: Bearer " + desk.operator.encode()
        first += b"\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(chunk), chunk)
        following = b"FOO /agentphone/v1/usage HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(first + body + following)
            whole = b""
            while part := connection.recv(65536):
                whole += part
        answers.append(re.findall(rb"HTTP/1\.1 (\d+)", whole))
    assert [[b"200", b"405"]] * 2 == answers
