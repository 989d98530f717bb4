"""Hundreds of requests that nobody would write by hand: the worst answer is a refusal, and it is always JSON."""

import random

import pytest

from tests.web.operations import OPERATIONS, PATH_VALUES, SURFACES

REQUESTS = 60
"""For each operation; together some thousands."""

PIECES = [
    "",
    "0",
    "-1",
    "1e9",
    "NaN",
    "null",
    "true",
    "[]",
    "{}",
    "a" * 2000,
    "%00",
    "%ff",
    "%F0%9F",
    "\u0663",
    "\u202e",
    "..",
    "../../etc/passwd",
    "%0d%0aX: y",
    "' OR 1=1 --",
    "<script>",
    "2026-02-30",
    "9999-12-31",
    "2026-03-01T00:00:00+14:00",
    "9" * 400,
    "%",
    "%zz",
    "&",
    "=",
    ";",
    "[",
    "]",
    "filter[a]",
    "\u00e4",
    "%F0%9F%92%A9",
    "+",
    " ",
]
BODIES = [
    b"",
    b"{}",
    b"[]",
    b"null",
    b"1",
    b'"x"',
    b"{",
    b"\xff\xfe",
    b"[" * 5000,
    b'{"a":' * 5000,
    b'{"scopes":null}',
    b'{"scopes":["admin","admin"],"account":[]}',
    b'{"name":{}}',
    b'{"plan":"' + b"x" * 5000 + b'"}',
    b'{"limits":[[]]}',
    b'{"limits":[{"kind":"period"}],"prices":{}}',
    b'{"alerts":[1e999]}',
    b'{"event":1,"aggregation":[]}',
    b'{"anchor_day":1e400}',
    b'{"timezone":"\\u0000"}',
    b'{"name":"\\ud800"}',
    b'{"now":"x","advance_s":-1}',
    b'{"advance_s":99999999999999999999}',
    b'[{"id":{},"type":[],"data":1}]',
    b'{"name":"a","name":"b"}',
]
HEADERS = [
    ("Content-Type", "application/json"),
    ("Content-Type", "text/plain"),
    ("Content-Encoding", "gzip"),
    ("Content-Encoding", "br"),
    ("Content-Length", "abc"),
    ("Content-Length", "-1"),
    ("Content-Length", "9" * 40),
    ("Transfer-Encoding", "chunked"),
    ("Host", "evil.test:1:2"),
    ("Host", ""),
    ("Host", "[::1"),
    ("X-Request-Id", "\u00ff"),
    ("ce-id", "%ff"),
    ("ce-specversion", "0"),
    ("Tallybook-Account", "\u00e9\u0000"),
    ("Tallybook-Account", ""),
    ("Authorization", "Bearer " + "\u00e9" * 16),
    ("X-API-Key", "tb_live_"),
    ("Accept", "\u0000"),
    ("Range", "bytes=0-"),
    ("Expect", "100-continue"),
]


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_junk_is_refused_and_never_breaks_anything(shared, operation):
    """
    Random paths, queries, headers and bodies, the same in every run: no answer is a 500, and each is JSON.
    """
    chance = random.Random(str(operation))
    for _ in range(REQUESTS):
        method, address, more = request(chance, operation, shared)
        answer = shared.ask(method, address, **more)

        assert answer.status_code < 500, (method, address, more, answer.text)
        if answer.status_code >= 400 and method != "HEAD":
            assert answer.json(), answer.text


def request(chance, operation, desk):
    values = {name: chance.choice([*PIECES[5:], "acme"]) for name in PATH_VALUES}
    path = operation.path(**values) if chance.random() < 0.5 else operation.path()
    names = ["from", "to", "meter", "granularity", "tz", "limit", "cursor", "days", "months", "group_by", "start_date"]
    names += ["filter[agent_id]", "filter[", chance.choice(PIECES)]
    pairs = [f"{chance.choice(names)}={chance.choice(PIECES)}" for _ in range(chance.randrange(4))]
    headers = [("Authorization", f"Bearer {desk.operator}")] if chance.random() < 0.8 else []
    headers += [(name, value.encode()) for name, value in chance.sample(HEADERS, chance.randrange(4))]
    method = (
        operation.endpoint.method if chance.random() < 0.8 else chance.choice(["HEAD", "POST", "PUT", "DELETE", "X"])
    )
    more = {"headers": headers}
    if operation.endpoint.body is not None or chance.random() < 0.2:
        more["content"] = chance.choice(BODIES)
    return method, f"{path}?{'&'.join(pairs)}", more


@pytest.mark.parametrize("operation", [one for one in OPERATIONS if "{" in one.endpoint.path], ids=str)
def test_a_nul_in_a_path_names_nothing(shared, operation):
    """
    No handler sees it, and no store is asked for it: PostgreSQL would break off the whole transaction.
    """
    for name in PATH_VALUES:
        if f"{{{name}}}" in operation.endpoint.path:
            for value in ("%00", "a%00b"):
                answer = operation.send(shared, shared.operator, **{name: value})

                assert (404, True) == (answer.status_code, "there is nothing at this path" in answer.text), answer.text


@pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.name)
def test_an_address_too_long_is_414(shared, surface):
    """
    Path and query together have a bound, on every surface.
    """
    for address in (surface.prefix + "/" + "a" * 20_000, f"{surface.prefix}/v1/usage?x=" + "a" * 20_000):
        answer = shared.get(address, shared.operator)

        assert answer.status_code in {400, 414, 422}
        assert answer.json()


@pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.name)
def test_too_many_parameters_are_told_the_bound(shared, surface):
    """
    On every surface; no single parameter is to blame, so none is named, and least of all one without a name.
    """
    endpoint = next(endpoint for endpoint in surface.endpoints if endpoint.method == "GET")
    many = shared.get(f"{surface.prefix}{endpoint.path}?" + "a=1&" * 201, shared.operator)

    assert many.status_code in {400, 422}
    assert "a query has at most 200 parameters, this one has 201" in many.text
    assert '""' not in many.text


def test_too_many_parameters_are_no_parameters_fault(shared):
    """
    The native problem says it without a parameter, the dialects with the part of the request.
    """
    query = "?" + "a=1&" * 201
    (native,) = shared.get("/v1/meters" + query, shared.operator).json()["errors"]
    foreign = shared.get("/agentphone/v1/usage" + query, shared.operator).json()

    assert {"detail"} == set(native)
    assert ["query"] == [one["field"] for one in foreign["error"]["details"]]
    assert [["request", "query"]] == [one["loc"] for one in foreign["detail"]]
