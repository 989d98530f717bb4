"""Logs and metrics say what happened, and never a secret."""

import pytest

from tallybook.core.errors import Unavailable
from tests.support.client import message, open_desk
from tests.web.operations import OPERATIONS

CANARY = "sk_canary_5d1f0c9b7a3e"


def test_every_request_is_one_line_with_its_id_and_route(desk):
    """
    The id of the answer is the id of the line; the key is named by its id.
    """
    answer = desk.get("/v1/accounts/nobody/usage?meter=messages", desk.operator)
    (line,) = desk.lines()

    assert answer.headers["x-request-id"] == line["request_id"]
    assert ("native", "GET /v1/accounts/{account_id}/usage", 404) == (line["surface"], line["route"], line["status"])
    assert "/v1/accounts/nobody/usage" == line["path"]
    assert line["key_id"].startswith("key_")


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_no_secret_is_logged_or_answered(tmp_path, operation):
    """
    A key in any header, in the query, in a body: not in a log line, an answer or a metric.
    """
    with open_desk(tmp_path) as desk:
        desk.account("acme")
        for headers in (
            {"Authorization": f"Bearer {CANARY}"},
            {"X-API-Key": CANARY},
            {"Cookie": f"session={CANARY}"},
            {"Authorization": f"Basic {CANARY}"},
        ):
            for query in ("", f"?key={CANARY}", f"?limit={CANARY}&password={CANARY}", f"?cursor={CANARY}"):
                answer = desk.ask(
                    operation.endpoint.method, operation.path() + query, headers=headers, json={"scopes": CANARY}
                )
                assert CANARY not in answer.text
        metrics = desk.get("/metrics", desk.operator).text

        assert CANARY not in desk.log.getvalue() + metrics
        assert desk.operator not in desk.log.getvalue() + metrics


def test_line_breaks_make_no_second_line(desk):
    """
    A path with CR and LF is one record.
    """
    desk.get("/v1/%0d%0aforged%20line", desk.operator)
    desk.get("/v1/accounts/%0a%7B%22status%22%3A200%7D", desk.operator)

    assert 2 == len(desk.lines())


def test_a_bug_is_logged_once_with_its_traceback_and_shown_as_a_constant(desk, monkeypatch):
    """
    500 with the constant text, in the surface's own shape; nothing of the cause comes out.
    """

    def broken(*_):
        raise RuntimeError(f"secret {CANARY} in /home/someone")

    key = desk.account("acme")
    monkeypatch.setattr(type(desk.house.measure), "ask", broken)
    native = desk.get("/v1/accounts/acme/usage?meter=messages", key)
    dialect = desk.get("/agentphone/v1/usage", key)
    bugs = [line for line in desk.lines() if line["event"] == "bug"]

    assert (500, 500) == (native.status_code, dialect.status_code)
    assert "internal" == native.json()["code"]
    assert CANARY not in native.text + dialect.text
    assert [native.headers["x-request-id"], dialect.headers["x-request-id"]] == [line["request_id"] for line in bugs]
    assert all("Traceback" in line["exception"] for line in bugs)


def test_a_store_that_is_away_is_503_and_says_when_to_return(desk, monkeypatch):
    """
    Retry-After in seconds; readiness says so too, liveness does not.
    """

    def away(*_, **__):
        raise Unavailable("the ledger cannot be reached just now", retry_after_s=3, cause="disk I/O error")

    key = desk.account("acme")
    monkeypatch.setattr(type(desk.house.ledger), "reading", away)
    answer = desk.get("/v1/accounts/acme/usage?meter=messages", key)
    dialect = desk.get("/agentphone/v1/usage", key)

    for refused in (answer, dialect):
        assert (503, "3") == (refused.status_code, refused.headers["retry-after"])
        assert "I/O" not in refused.text
    assert (503, 200) == (desk.get("/readyz").status_code, desk.get("/healthz").status_code)


def test_metrics_count_requests_events_and_commits(desk):
    """
    By surface, route and status; by outcome; and how large commits are.
    """
    desk.account("acme")
    desk.send(message("e1", "acme"), message("e1", "acme"), message("e2", "acme", direction="x"))
    desk.get("/agentphone/v1/usage")
    desk.get("/nowhere")

    text = desk.get("/metrics", desk.operator).text

    for line in (
        'tallybook_http_requests_total{route="POST /v1/events",status="200",surface="native"} 1.0',
        'tallybook_http_requests_total{route="GET /v1/usage",status="401",surface="agentphone"} 1.0',
        'tallybook_http_requests_total{route="unknown",status="404",surface="native"} 1.0',
        'tallybook_events_total{outcome="accepted"} 1.0',
        'tallybook_events_total{outcome="duplicate"} 1.0',
        'tallybook_events_total{outcome="rejected"} 1.0',
        "tallybook_commit_events_count 1.0",
        "tallybook_ingest_queue_events 0.0",
    ):
        assert line in text.splitlines()
    assert "tallybook_ledger_bytes" in text


def test_the_number_of_label_sets_does_not_grow_with_what_clients_send(desk):
    """
    Paths, methods and hosts that nobody knows share one.
    """
    for number in range(50):
        desk.ask(f"M{number}", f"/path/{number}")
        desk.get(f"/v1/accounts/a{number}", desk.operator)
        desk.ask(f"N{number}", "/v1/meters")

    lines = [line for line in desk.get("/metrics", desk.operator).text.splitlines() if "requests_total{" in line]

    assert 4 > len(lines)


@pytest.mark.parametrize("public", [False, True])
def test_metrics_ask_for_the_operators_admin_key_unless_public(tmp_path, public):
    """
    By the setting metrics_public.
    """
    with open_desk(tmp_path, metrics_public=public) as desk:
        account = desk.account("acme")
        statuses = [desk.get("/metrics", key).status_code for key in (None, account, desk.operator)]

        assert ([200] * 3 if public else [401, 403, 200]) == statuses


def test_health_tells_strangers_nothing_but_health(desk):
    """
    No version, no host, no path.
    """
    assert b'{"status":"ok"}' == desk.get("/healthz").content
    assert b'{"ready":true,"reasons":[]}' == desk.get("/readyz").content
    assert not {"server", "x-powered-by"} & set(desk.get("/healthz").headers)
