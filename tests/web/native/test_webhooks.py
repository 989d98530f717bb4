"""Webhook endpoints over HTTP: made, changed, delivered to, replayed; nobody sees another's, and no secret leaks."""

import json
from datetime import UTC, datetime
from ipaddress import ip_network

import pytest
from standardwebhooks import Webhook

from tallybook.core.egress import NOT_ALLOWED
from tallybook.core.key import SCOPES
from tests.support.client import open_desk
from tests.support.receivers import Receivers

MINE, OTHER = "acme", "zeta"
HOOK = "https://example.com/hook"


@pytest.fixture(scope="module")
def receivers():
    """Receivers on this machine."""
    with Receivers() as opened:
        yield opened


@pytest.fixture
def desk(tmp_path):
    """A house that may call this machine, with two accounts."""
    with open_desk(tmp_path, egress_allow=(ip_network("127.0.0.0/8"),)) as opened:
        opened.keys = {name: opened.account(name, plan="agentphone-pro") for name in (MINE, OTHER)}
        yield opened


def make(desk, key, url=HOOK, **more):
    """Make an endpoint and return the answer."""
    answer = desk.post("/v1/webhook-endpoints", key, json={"url": url, **more})
    assert 201 == answer.status_code, answer.text
    return answer.json()


def tell(desk, account=MINE):
    """Make a message about an account."""
    status = {"failed": "paid", "paid": "failed"}[getattr(desk, "invoice", "paid")]
    desk.invoice = status
    answer = desk.put(f"/v1/accounts/{account}/billing", desk.operator, json={"invoice": status})
    assert 200 == answer.status_code, answer.text


def deliver(desk):
    """Deliver all that is due and return how many attempts that took."""
    return desk.house.webhooks.deliverer.run()


def only(desk, endpoint, key):
    """Return the only delivery of an endpoint, with its attempts."""
    (listed,) = desk.get(f"/v1/webhook-endpoints/{endpoint['id']}/deliveries", key).json()["deliveries"]
    return desk.get(f"/v1/deliveries/{listed['id']}", key).json()


# --- from an endpoint to its receiver ---------------------------------------------------------------------------------


@pytest.mark.parametrize("owner", [MINE, None], ids=["account", "operator"])
def test_what_happens_to_an_account_arrives_signed(desk, receivers, owner):
    """
    At its own endpoint and at the operator's; the reference library accepts it with the secret that was shown.
    """
    key = desk.operator if owner is None else desk.keys[MINE]
    endpoint = make(desk, key, receivers.url(f"ok/{owner}/{id(desk)}"), events=["billing.*"])
    tell(desk)
    assert 1 == deliver(desk)
    (one,) = [got for got in receivers.received if got.path == f"/ok/{owner}/{id(desk)}"]
    headers = {**one.headers}
    signed_at = int(headers["webhook-timestamp"])
    told = json.loads(one.body)

    assert desk.clock.now_us() // 1_000_000 == signed_at
    assert ("billing.status_changed", MINE, one.message_id) == (told["type"], told["data"]["account"], told["id"])
    signature = Webhook(endpoint["secret"]).sign(one.message_id, desk_time(signed_at), one.body.decode())
    assert signature == headers["webhook-signature"]
    shown = only(desk, endpoint, key)
    assert (told, "delivered", 1, 200, "ok") == (
        shown["request_body"],
        shown["status"],
        shown["attempts"],
        shown["response_status"],
        shown["log"][0]["response_body"],
    )


def desk_time(instant_s):
    """Return an instant as the reference library takes it."""
    return datetime.fromtimestamp(instant_s, UTC)


def test_a_failure_is_told_and_replayed(desk, receivers):
    """
    With its error; the message keeps its id.
    """
    key = desk.keys[MINE]
    endpoint = make(desk, key, receivers.url("500/x"))
    tell(desk)
    deliver(desk)
    shown = only(desk, endpoint, key)
    assert ("pending", "unexpected-status", 500, "oops") == (
        shown["status"],
        shown["error"],
        shown["response_status"],
        shown["log"][0]["response_body"],
    )
    assert shown["next_attempt_at"].startswith("2026-03-15T12:00:05")
    assert "2026-03-15T12:00:00Z" == desk.get(f"/v1/webhook-endpoints/{endpoint['id']}", key).json()["failing_since"]

    desk.ask("PATCH", f"/v1/webhook-endpoints/{endpoint['id']}", key, json={"url": receivers.url("ok/mended")})
    assert 202 == desk.post(f"/v1/deliveries/{shown['id']}/replay", key).status_code
    deliver(desk)
    after = only(desk, endpoint, key)
    assert ("delivered", None, 2, shown["message_id"]) == (
        after["status"],
        after["error"],
        len(after["log"]),
        after["message_id"],
    )
    assert [shown["message_id"]] == [one.message_id for one in receivers.received if one.path == "/ok/mended"]


def test_all_that_failed_is_replayed_and_what_was_missed_made_up_for(desk, receivers):
    """
    While an endpoint is disabled nothing goes there; enabling and two replays bring all.
    """
    key = desk.keys[MINE]
    endpoint = make(desk, key, receivers.url(f"ok/again/{id(desk)}"))
    path = f"/v1/webhook-endpoints/{endpoint['id']}"
    tell(desk)
    desk.house.webhooks._queue.fan_out(desk.clock.now_us())
    assert "disabled" == desk.post(f"{path}/disable", key).json()["state"]
    tell(desk)
    assert 0 == deliver(desk)
    refused = desk.post(f"{path}/replay", key)
    assert (409, "the endpoint is disabled; enable it first") == (refused.status_code, refused.json()["detail"])

    assert "enabled" == desk.post(f"{path}/enable", key).json()["state"]
    assert {"queued": 1, "more": False} == desk.post(f"{path}/replay", key).json()
    assert {"queued": 1, "more": False} == desk.post(f"{path}/replay", key, json={"which": "missing"}).json()
    assert 2 == deliver(desk)
    assert 2 == len({one.message_id for one in receivers.received if one.path == f"/ok/again/{id(desk)}"})


def test_410_disables_and_the_operator_hears_of_it(desk, receivers):
    """
    With the reason.
    """
    endpoint = make(desk, desk.keys[MINE], receivers.url("410/x"))
    make(desk, desk.operator, receivers.url(f"ok/notice/{id(desk)}"), events=["endpoint.disabled"])
    tell(desk)
    deliver(desk)
    shown = desk.get(f"/v1/webhook-endpoints/{endpoint['id']}", desk.keys[MINE]).json()
    assert ("disabled", "gone") == (shown["state"], shown["disabled_reason"])
    (notice,) = [one for one in receivers.received if one.path == f"/ok/notice/{id(desk)}"]
    assert (endpoint["id"], MINE, "gone") == tuple(
        json.loads(notice.body)["data"][name] for name in ("endpoint", "account", "reason")
    )


def test_a_test_message_arrives_whatever_the_filter(desk, receivers):
    """
    At that endpoint only.
    """
    key = desk.keys[MINE]
    endpoint = make(desk, key, receivers.url(f"ok/test/{id(desk)}"), events=["lease.*"])
    answer = desk.post(f"/v1/webhook-endpoints/{endpoint['id']}/test", key)
    assert (202, "endpoint.test", "pending") == (
        answer.status_code,
        answer.json()["type"],
        answer.json()["status"],
    )
    assert 1 == deliver(desk)
    (one,) = [got for got in receivers.received if got.path == f"/ok/test/{id(desk)}"]
    assert {"endpoint": endpoint["id"], "account": MINE} == json.loads(one.body)["data"]


# --- secrets ----------------------------------------------------------------------------------------------------------


def test_a_secret_is_shown_once_and_replaced_with_both_valid(desk, receivers):
    """
    Nothing but making and rotating shows it; for the overlap there are two signatures.
    """
    key = desk.keys[MINE]
    endpoint = make(desk, key, receivers.url(f"ok/rotate/{id(desk)}"))
    path = f"/v1/webhook-endpoints/{endpoint['id']}"
    rotated = desk.post(f"{path}/rotate-secret", key, json={"overlap_s": 60}).json()
    assert endpoint["secret"] != rotated["secret"]
    assert [None, "2026-03-15T12:01:00Z"] == [one["expires_at"] for one in rotated["keys"]]
    for shown in (
        desk.get(path, key),
        desk.get("/v1/webhook-endpoints", key),
        desk.ask("PATCH", path, key, json={"description": "x"}),
    ):
        assert "whsec_" not in shown.text
        assert "secret" not in shown.text
    tell(desk)
    deliver(desk)
    desk.set_now("2026-03-15T12:01:00Z")
    tell(desk)
    deliver(desk)
    counts = [
        len(one.headers["webhook-signature"].split())
        for one in receivers.received
        if one.path == f"/ok/rotate/{id(desk)}"
    ]
    assert [2, 1] == counts
    assert 1 == len(desk.get(path, key).json()["keys"])
    assert 201 > desk.post(f"{path}/rotate-secret", key).status_code


def test_an_ed25519_endpoint_shows_its_public_key_always(desk):
    """
    It is no secret.
    """
    endpoint = make(desk, desk.keys[MINE], signature="ed25519")
    shown = desk.get(f"/v1/webhook-endpoints/{endpoint['id']}", desk.keys[MINE]).json()

    assert endpoint["secret"].startswith("whpk_")
    assert [endpoint["secret"]] == [one["public_key"] for one in shown["keys"]]


def test_no_secret_stands_in_the_ledger_the_log_or_the_metrics(desk, receivers, tmp_path):
    """
    Only in the answer that showed it; the file of the master key is its owner's.
    """
    endpoint = make(desk, desk.operator, receivers.url("500/leak"))
    rotated = desk.post(f"/v1/webhook-endpoints/{endpoint['id']}/rotate-secret", desk.operator).json()
    tell(desk)
    deliver(desk)
    bare = [one["secret"].removeprefix("whsec_") for one in (endpoint, rotated)]
    metrics = desk.get("/metrics", desk.operator).text
    files = b"".join(file.read_bytes() for file in tmp_path.glob("ledger.db*"))
    for secret in bare:
        assert secret not in desk.log.getvalue() + metrics
        assert secret.encode() not in files
    assert 0o600 == (tmp_path / "secrets.key").stat().st_mode & 0o777
    assert 'tallybook_delivery_attempts_total{kind="webhook",outcome="failed"} 1.0' in metrics
    assert "tallybook_destinations_disabled 0.0" in metrics
    assert "tallybook_outbox_oldest_seconds 0.0" in metrics


# --- who may ----------------------------------------------------------------------------------------------------------


def paths(endpoint_id, delivery_id):
    """Return every request about an endpoint or a delivery."""
    one, many = f"/v1/webhook-endpoints/{endpoint_id}", f"/v1/deliveries/{delivery_id}"
    return [
        ("GET", one, None),
        ("PATCH", one, {"description": "x"}),
        ("POST", f"{one}/enable", None),
        ("POST", f"{one}/disable", None),
        ("POST", f"{one}/rotate-secret", {}),
        ("POST", f"{one}/test", None),
        ("GET", f"{one}/deliveries", None),
        ("POST", f"{one}/replay", {}),
        ("GET", many, None),
        ("POST", f"{many}/replay", None),
        ("DELETE", one, None),
    ]


@pytest.mark.parametrize("owner", [OTHER, None], ids=["another account", "operator"])
def test_what_is_not_yours_looks_like_what_does_not_exist(desk, receivers, owner):
    """
    Byte by byte, for every request; nothing of it changes.
    """
    key = desk.operator if owner is None else desk.keys[owner]
    endpoint = make(desk, key, receivers.url("ok/secret-canary"))
    desk.post(f"/v1/webhook-endpoints/{endpoint['id']}/test", key)
    deliver(desk)
    delivery = only(desk, endpoint, key)
    before = desk.get(f"/v1/webhook-endpoints/{endpoint['id']}", key).json()
    ids = endpoint["id"], delivery["id"]
    absent = f"hook_{'0' * 24}", f"dlv_{'0' * 24}"
    for real, made_up in zip(paths(*ids), paths(*absent), strict=True):
        foreign, nothing = (
            desk.ask(method, path, desk.keys[MINE], **({} if body is None else {"json": body}))
            for method, path, body in (real, made_up)
        )
        assert 404 == foreign.status_code == nothing.status_code, foreign.text
        shown = nothing.content.replace(absent[0].encode(), b"*").replace(absent[1].encode(), b"*")
        assert shown == foreign.content.replace(ids[0].encode(), b"*").replace(ids[1].encode(), b"*")
    assert before == desk.get(f"/v1/webhook-endpoints/{endpoint['id']}", key).json()
    assert [] == desk.get("/v1/webhook-endpoints", desk.keys[MINE]).json()["endpoints"]


def test_an_account_makes_endpoints_of_its_own_only(desk):
    """
    Another's account is 404, like one that is not there; without a name it is its own.
    """
    key = desk.keys[MINE]
    foreign, absent = (
        desk.post("/v1/webhook-endpoints", key, json={"url": HOOK, "account": name}) for name in (OTHER, "nobody")
    )
    assert (404, absent.content) == (foreign.status_code, foreign.content)
    assert MINE == make(desk, key)["account"]
    assert 404 == desk.get(f"/v1/webhook-endpoints?account={OTHER}", key).status_code
    assert 404 == desk.post("/v1/webhook-endpoints", desk.operator, json={"url": HOOK, "account": "none"}).status_code


def test_the_operators_own_need_admin_too(desk):
    """
    An operator's key with billing:manage alone works for accounts.
    """
    half = desk.house.access.create_key(None, ["billing:manage"]).token
    own = make(desk, desk.operator)
    refused = [
        desk.post("/v1/webhook-endpoints", half, json={"url": HOOK}),
        desk.get("/v1/webhook-endpoints", half),
        desk.get(f"/v1/webhook-endpoints/{own['id']}", half),
        desk.ask("DELETE", f"/v1/webhook-endpoints/{own['id']}", half),
    ]
    assert [(403, "insufficient-scope")] * 4 == [(one.status_code, one.json()["code"]) for one in refused]
    assert MINE == make(desk, half, account=MINE)["account"]
    assert 1 == len(desk.get(f"/v1/webhook-endpoints?account={MINE}", half).json()["endpoints"])


@pytest.mark.parametrize("scope", [one for one in SCOPES if one != "billing:manage"])
def test_no_other_scope_reaches_webhooks(desk, scope):
    """
    Not even admin, of an account.
    """
    key = desk.house.access.create_key(MINE, [scope]).token
    assert 403 == desk.post("/v1/webhook-endpoints", key, json={"url": HOOK}).status_code
    assert 403 == desk.get("/v1/webhook-endpoints", key).status_code


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    ["http://[::ffff:169.254.169.254]/", "http://2130706433/", "https://u:p@host.example/", "https://10.0.0.1/", ""],
)
def test_every_refused_url_reads_the_same(desk, url):
    """
    At making and at changing; nothing is kept.
    """
    endpoint = make(desk, desk.operator)
    answers = [
        desk.post("/v1/webhook-endpoints", desk.operator, json={"url": url}),
        desk.ask("PATCH", f"/v1/webhook-endpoints/{endpoint['id']}", desk.operator, json={"url": url}),
    ]
    for answer in answers:
        assert (422, "webhook-url-not-allowed", f"/url {NOT_ALLOWED}") == (
            answer.status_code,
            answer.json()["code"],
            answer.json()["detail"],
        )
    assert [HOOK] == [one["url"] for one in desk.get("/v1/webhook-endpoints", desk.operator).json()["endpoints"]]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/url"),
        ({"url": 7}, "/url"),
        ({"url": HOOK, "events": []}, "/events"),
        ({"url": HOOK, "events": ["nothing.*"]}, "/events/0"),
        ({"url": HOOK, "events": ["lease.*", "x y"]}, "/events/1"),
        ({"url": HOOK, "events": "lease.*"}, "/events"),
        ({"url": HOOK, "signature": "md5"}, "/signature"),
        ({"url": HOOK, "description": "x" * 2_000}, "/description"),
        ({"url": HOOK, "description": "a\x00b"}, "/description"),
        ({"url": HOOK, "account": ""}, "/account"),
        ({"url": HOOK, "secret": "whsec_mine"}, "/secret"),
    ],
)
def test_a_wrong_body_is_refused_where_it_is_wrong(desk, body, pointer):
    """
    422, with a pointer.
    """
    answer = desk.post("/v1/webhook-endpoints", desk.operator, json=body)
    assert (422, pointer) == (answer.status_code, answer.json()["errors"][0]["pointer"]), answer.text


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("status=pending", 200),
        ("status=lost", 400),
        ("from=2026-03-15T12:00:00Z&to=2026-03-15T13:00:00Z", 200),
        ("from=2026-03-15T12:00:00Z&to=2026-03-14T12:00:00Z", 400),
        ("from=yesterday", 400),
        ("cursor=abc", 400),
        ("limit=0", 400),
    ],
)
def test_filters_of_the_log_are_read_strictly(desk, query, status):
    """
    Never a 500.
    """
    endpoint = make(desk, desk.operator)
    answer = desk.get(f"/v1/webhook-endpoints/{endpoint['id']}/deliveries?{query}", desk.operator)
    assert status == answer.status_code, answer.text


@pytest.mark.parametrize("body", [{"which": "some"}, {"from": "x"}, {"to": 7}, {"until": "2026-03-15T12:00:00Z"}, [1]])
def test_a_wrong_replay_is_refused(desk, body):
    """
    Nothing is queued.
    """
    endpoint = make(desk, desk.operator)
    answer = desk.post(f"/v1/webhook-endpoints/{endpoint['id']}/replay", desk.operator, json=body)
    assert 422 == answer.status_code, answer.text


def test_pages_of_endpoints_and_deliveries(desk):
    """
    A cursor leads on, and is bound to its list.
    """
    made = {make(desk, desk.operator)["id"] for _ in range(3)}
    first = desk.get("/v1/webhook-endpoints?limit=2", desk.operator).json()
    second = desk.get(f"/v1/webhook-endpoints?limit=2&cursor={first['next_cursor']}", desk.operator).json()
    assert made == {one["id"] for page in (first, second) for one in page["endpoints"]}
    endpoint = made.pop()
    for _ in range(3):
        desk.post(f"/v1/webhook-endpoints/{endpoint}/test", desk.operator)
    path = f"/v1/webhook-endpoints/{endpoint}/deliveries"
    log = desk.get(f"{path}?limit=2", desk.operator).json()
    rest = desk.get(f"{path}?limit=2&cursor={log['next_cursor']}", desk.operator).json()
    assert (2, 1, None) == (len(log["deliveries"]), len(rest["deliveries"]), rest["next_cursor"])
    other = desk.get(f"{path}?limit=2&status=failed&cursor={log['next_cursor']}", desk.operator)
    assert (400, "invalid-cursor") == (other.status_code, other.json()["code"])


def test_a_deleted_endpoint_is_gone_with_its_log(desk, receivers):
    """
    What waited for it is not sent.
    """
    endpoint = make(desk, desk.operator, receivers.url(f"ok/deleted/{id(desk)}"))
    delivery = desk.post(f"/v1/webhook-endpoints/{endpoint['id']}/test", desk.operator).json()
    assert 204 == desk.ask("DELETE", f"/v1/webhook-endpoints/{endpoint['id']}", desk.operator).status_code
    assert 404 == desk.get(f"/v1/webhook-endpoints/{endpoint['id']}", desk.operator).status_code
    assert 404 == desk.get(f"/v1/deliveries/{delivery['id']}", desk.operator).status_code
    assert 0 == deliver(desk)
    assert not any(one.path == f"/ok/deleted/{id(desk)}" for one in receivers.received)
