"""What no dialect accepts, and how each says no: bad parameters, wrong keys, wrong methods, wrong paths."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from tallybook.settings import Settings
from tests.web.dialects.bad_inputs import CASES
from tests.web.dialects.desk import Desk, open_desk
from tests.web.dialects.shapes import ERROR_SHAPES, PARAMETER_STATUS
from tests.web.dialects.stories import Story, at

NOW = at("2026-03-05T12:00:00")
DIALECTS = sorted(CASES)

ENDPOINTS = [
    ("agentphone", "/v1/usage", "usage:read"),
    ("agentphone", "/v1/usage/daily", "usage:read"),
    ("agentphone", "/v1/usage/monthly", "usage:read"),
    ("aurion", "/api/v1/usage/summary", "usage:read"),
    ("aurion", "/api/v1/usage/details", "usage:read"),
    ("anyreach", "/admin/usage/summary", "billing:manage"),
    ("wontopos", "/v1/usage", "usage:read"),
    ("wontopos", "/v1/usage/api_a", "usage:read"),
    ("liberclaw", "/api/v1/usage", "usage:read"),
    ("liberclaw", "/api/v1/usage/history", "usage:read"),
    ("liberclaw", "/api/v1/usage/per-agent", "usage:read"),
]
HOSTS = {f"{dialect}.example.com": dialect for dialect in DIALECTS}


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A house whose accounts a and b have each used one API; nothing here changes it."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"), dialect_hosts=HOSTS)
    with open_desk(settings, NOW) as desk:
        for account_id in ("a", "b"):
            desk.account(account_id, now=NOW)
            story = Story(account_id)
            story.tell("api.request", NOW, {"api_id": f"api_{account_id}", "status": 200})
            desk.tell(story)
        yield desk


@pytest.fixture(scope="module")
def key(front: Desk) -> str:
    return front.key("a", ["usage:read", "billing:manage"])


def refused(dialect, answer, status):
    assert status == answer.status, answer.text
    assert "application/json" == answer.headers["content-type"].partition(";")[0]
    ERROR_SHAPES[dialect](answer.json, status)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_there_are_at_least_sixty_bad_inputs(dialect):
    """
    Each a different request.
    """
    assert len(set(CASES[dialect])) >= 60


@pytest.mark.parametrize(
    ("dialect", "path", "query"), [(dialect, *case) for dialect in DIALECTS for case in CASES[dialect]]
)
def test_a_bad_parameter_is_refused_never_clamped_never_a_500(front, key, dialect, path, query):
    """
    With the dialect's status for what cannot be meant, in the dialect's own body.
    """
    refused(dialect, front.get(f"/{dialect}{path}?{query}", key), PARAMETER_STATUS[dialect])


@pytest.mark.parametrize(("dialect", "path", "scope"), ENDPOINTS)
def test_the_key_decides(front, dialect, path, scope):
    """
    None, unknown, mistyped, two, revoked: 401 with a challenge. Without the scope: 403. With it alone: 200.
    """
    address = f"/{dialect}{path}"
    good = front.key("a", [scope])
    lesser = front.key("a", sorted({"events:write", "limits:write", "admin", "usage:read", "billing:manage"} - {scope}))
    gone = front.house.access.create_key("a", [scope], "gone")
    front.house.access.revoke_key(gone.key_id)
    mistyped = good[:-1] + ("0" if good[-1] != "0" else "1")

    for wrong in (None, "tb_live_unknown", mistyped, gone.token, "", "x" * 40, "x" * 9_000):
        answer = front.get(address, wrong)
        refused(dialect, answer, 401)
        assert answer.headers["www-authenticate"].startswith("Bearer")
    two_keys = front.get(address, good, {"X-API-Key": lesser})
    refused(dialect, two_keys, 401)
    refused(dialect, front.get(address, lesser), 403)
    assert 200 == front.get(address, good).status
    assert 200 == front.get(address, None, {"X-API-Key": good}).status


@pytest.mark.parametrize(("dialect", "path", "scope"), ENDPOINTS)
def test_an_operators_key_names_the_account(front, key, dialect, path, scope):
    """
    Without the header 400; with it the answer is the account's own; an unknown account is 404.
    """
    address, operator = f"/{dialect}{path}", front.key(None, [scope])

    refused(dialect, front.get(address, operator), 400)
    refused(dialect, front.get(address, operator, {"Tallybook-Account": "nobody"}), 404)
    named = front.get(address, operator, {"Tallybook-Account": "a"})

    assert (200, front.get(address, key).text) == (named.status, named.text)


@pytest.mark.parametrize(("dialect", "path", "scope"), ENDPOINTS)
def test_an_accounts_key_cannot_name_another_account(front, dialect, path, scope):
    """
    Another's account and one that does not exist look the same; the own account may be named.
    """
    address, own = f"/{dialect}{path}", front.key("a", [scope])

    theirs, nobodys = (
        front.get(address, own, {"Tallybook-Account": name, "X-Request-Id": "request-1"}) for name in ("b", "nobody")
    )

    refused(dialect, theirs, 404)
    assert theirs.text == nobodys.text
    assert 200 == front.get(address, own, {"Tallybook-Account": "a"}).status


@pytest.mark.parametrize(("dialect", "path", "scope"), ENDPOINTS)
def test_paths_and_methods(front, key, dialect, path, scope):
    """
    A trailing slash is tolerated; HEAD is GET without a body; other methods are 405 with Allow; other paths are 404.
    """
    address = f"/{dialect}{path}"
    plain = front.get(address, key)

    assert (200, plain.text) == (front.get(f"{address}/", key).status, front.get(f"{address}/", key).text)
    head = front.request("HEAD", address, key)
    assert (200, "") == (head.status, head.text)
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        answer = front.request(method, address, key)
        refused(dialect, answer, 405)
        assert "GET" in answer.headers["allow"]
    refused(dialect, front.get(f"/{dialect}/nowhere", key), 404)
    refused(dialect, front.get(f"{address}/x/y", key), 404)
    assert plain.headers["x-request-id"]


@pytest.mark.parametrize(("dialect", "path", "scope"), ENDPOINTS)
def test_unknown_parameters_are_ignored(front, key, dialect, path, scope):
    """
    Also repeated, empty, or looking like a key.
    """
    address = f"/{dialect}{path}"

    answer = front.get(f"{address}?foo=1&foo=2&bar=&api_key=x&Days=0&%00=%00", key)

    assert (200, front.get(address, key).text) == (answer.status, answer.text)


@pytest.mark.parametrize(("dialect", "path", "scope"), ENDPOINTS)
def test_a_host_name_of_its_own_has_the_dialect_at_its_root(front, key, dialect, path, scope):
    """
    An existing client changes its base URL and nothing else; the port does not matter.
    """
    host = {"Host": f"{dialect}.example.com:8443"}

    answer = front.get(path, key, host)

    assert (200, front.get(f"/{dialect}{path}", key).text) == (answer.status, answer.text)
    refused(dialect, front.get("/nowhere", key, host), 404)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_address_beyond_all_bounds_is_refused_in_the_dialects_own_body(front, key, dialect):
    """
    20 kB of query: 414.
    """
    path = CASES[dialect][0][0]

    refused(dialect, front.get(f"/{dialect}{path}?x={'a' * 20_000}", key), 414)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_bug_is_a_500_that_tells_nothing(front, key, dialect, monkeypatch):
    """
    The dialect's own body, a constant text, a request id.
    """

    def broken(*_):
        raise RuntimeError("SELECT secret")

    monkeypatch.setattr("tallybook.flows.measure.Measure.ask", broken)
    address = next(path for name, path, _ in ENDPOINTS if name == dialect)

    answer = front.get(f"/{dialect}{address}", key)

    refused(dialect, answer, 500)
    assert "secret" not in answer.text
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_store_that_is_away_is_a_503_with_retry_after(front, key, dialect, monkeypatch):
    """
    The dialect's own body, and when to come back.
    """
    from tallybook.core.errors import Unavailable

    def away(*_):
        raise Unavailable("the ledger cannot be reached", retry_after_s=7)

    monkeypatch.setattr("tallybook.flows.measure.Measure.ask", away)
    address = next(path for name, path, _ in ENDPOINTS if name == dialect)

    answer = front.get(f"/{dialect}{address}", key)

    refused(dialect, answer, 503)
    assert "7" == answer.headers["retry-after"]


def test_a_key_that_asks_too_often_is_told_to_wait(tmp_path):
    """
    WontoPos counts the requests of each key, refused ones too: beyond the maximum 429 with Retry-After, until the
    minute turns; other keys and other dialects are not touched.
    """
    with open_desk(Settings(data_dir=tmp_path, rate_limit_per_minute=3), NOW) as desk:
        key, other = desk.account("a"), desk.account("a")
        statuses = [desk.get(f"/wontopos/v1/usage{query}", key).status for query in ("", "?from=x", "/api_x")]
        answer = desk.get("/wontopos/v1/usage", key)

        assert [200, 400, 404] == statuses
        refused("wontopos", answer, 429)
        told = {name: answer.headers[f"x-ratelimit-{name}"] for name in ("limit", "remaining", "reset")}
        assert {"limit": "3", "remaining": "0", "reset": str(int(NOW.timestamp()) + 60)} == told
        assert "60" == answer.headers["retry-after"]
        assert 200 == desk.get("/wontopos/v1/usage", other).status
        assert 200 == desk.get("/liberclaw/api/v1/usage", key).status
        desk.now(NOW + timedelta(minutes=1))
        assert 200 == desk.get("/wontopos/v1/usage", key).status
