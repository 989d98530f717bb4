"""Checks, reservations, leases and limits over HTTP: shapes, refusals and their headers, repeated requests."""

import gzip

import msgspec
import pytest

BASE = "/v1/accounts/acme"
NEVER = "rsv_000000000000000000000000"


@pytest.fixture
def desk(desk):
    """A desk with an account on a plan of a hundred credits and two slots, and its key."""
    limits = [
        {"name": "credits", "kind": "period", "meter": "credits", "quantity": "100"},
        {"name": "hour", "kind": "rolling", "meter": "credits", "quantity": "50.5", "window": "PT1H"},
        {"name": "each", "kind": "period", "meter": "tokens", "per": "agent_id", "quantity": "10"},
        {"name": "slots", "kind": "concurrent", "quantity": "2"},
        {"name": "length", "kind": "duration", "seconds": 600},
    ]
    assert 200 == desk.put("/v1/plans/team", desk.operator, json={"limits": limits}).status_code
    desk.key = desk.account("acme", plan="team")
    return desk


def post(desk, path, body=None, *, key=None, once=None):
    headers = {"Idempotency-Key": once} if once is not None else {}
    more = {} if body is None else {"json": body}
    return desk.post(f"{BASE}/{path}", key or desk.key, headers=headers, **more)


def items(limit="credits", quantity="1", **dimensions):
    item = {"limit": limit, "quantity": quantity}
    return {"items": [item | ({"dimensions": dimensions} if dimensions else {})]}


def spend(amount, event_id="e1", **more):
    return {"id": event_id, "type": "credit.spend", "data": {"amount": amount}, **more}


def limits(desk):
    told = desk.get(f"{BASE}/limits", desk.key).json()["limits"]
    return {limit["name"] + (f"/{limit['value']}" if limit["value"] else ""): limit for limit in told}


def in_outbox(desk):
    with desk.house.ledger.reading() as connection:
        return [row[0] for row in connection.exec_driver_sql("SELECT type FROM outbox ORDER BY message_no")]


# --- checks -------------------------------------------------------------------------------------------------------


def test_a_check_tells_where_every_limit_of_the_usage_stands(desk):
    """
    200 either way; quantities are decimal strings; the tighter limit on the same meter is there too.
    """
    desk.send({"id": "x", "type": "credit.spend", "subject": "acme", "data": {"amount": "40"}})
    answer = post(desk, "checks", items(quantity=10.5))

    assert (200, True) == (answer.status_code, answer.json()["allowed"])
    common = {"mode": "hard", "used": "40", "held": "0", "asked": "10.5"}
    assert {
        "allowed": True,
        "items": [
            {
                "limit": "credits",
                "kind": "period",
                "quantity": "100",
                "remaining": "60",
                "frees_at": "2026-04-01T00:00:00Z",
                **common,
            },
            {
                "limit": "hour",
                "kind": "rolling",
                "quantity": "50.5",
                "remaining": "10.5",
                "frees_at": "2026-03-15T13:01:00Z",
                **common,
            },
        ],
        "violated": [],
    } == answer.json()
    refused = post(desk, "checks", items(quantity="10.6"))
    assert (200, False, ["hour"]) == (refused.status_code, refused.json()["allowed"], refused.json()["violated"])


def test_a_check_may_ask_about_a_slot_a_length_and_a_value(desk):
    """
    And about several limits at once: all or nothing.
    """
    asked = {"items": [*items("slots", 2)["items"], *items("length", 600)["items"]]}
    assert post(desk, "checks", asked).json()["allowed"]
    assert ["length"] == post(desk, "checks", items("length", 601)).json()["violated"]
    answer = post(desk, "checks", items("each", 11, agent_id="a")).json()
    assert (["each"], {"agent_id": "a"}) == (answer["violated"], answer["items"][0]["dimensions"])


@pytest.mark.parametrize("path", ["checks", "reservations", f"reservations/{NEVER}/commit"])
@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, ["/items"]),
        ({"items": []}, ["/items"]),
        ({"items": [{}] * 21}, ["/items"]),
        ({"items": [{"limit": "credits"}]}, ["/items/0/quantity"]),
        ({"items": [{"limit": "credits", "quantity": "NaN"}]}, ["/items/0/quantity"]),
        ({"items": [{"limit": "credits", "quantity": "-1"}]}, ["/items/0/quantity"]),
        ({"items": [{"limit": "credits", "quantity": "0.0000000001"}]}, ["/items/0/quantity"]),
        ({"items": [{"limit": "credits", "quantity": 10**16}]}, ["/items/0/quantity"]),
        ({"items": [{"limit": 7, "quantity": True, "x": 1}], "y": 2}, ["/y", "/items/0/x", "/items/0/limit"]),
    ],
    ids=str,
)
def test_bad_items_are_refused_with_their_pointers(desk, path, body, pointers):
    """
    422, and nothing was held.
    """
    answer = post(desk, path, body)

    assert 422 == answer.status_code, answer.text
    assert set(pointers) <= {error["pointer"] for error in answer.json()["errors"]}
    assert {"0"} == {limit["held"] for limit in limits(desk).values()}


def test_what_is_no_json_object_is_refused(desk):
    """
    Malformed 400, an array 422, twice the same key 400, no body at all 415 or 400.
    """
    headers = {"Content-Type": "application/json"}
    for path in ("checks", "reservations", "leases"):
        for content, status in ((b"{", 400), (b"[]", 422), (b'{"items":1,"items":2}', 400), (b"", 400)):
            answer = desk.post(f"{BASE}/{path}", desk.key, content=content, headers=headers)
            assert status == answer.status_code, (path, content, answer.text)


@pytest.mark.parametrize("path", ["checks", "reservations"])
def test_unknown_limits_are_404_and_wrong_dimensions_422(desk, path):
    """
    With the place of the item.
    """
    unknown = post(desk, path, {"items": [*items()["items"], *items("nope")["items"]]})
    assert (404, "/items/1/limit") == (unknown.status_code, unknown.json()["errors"][0]["pointer"])
    for body in (items("each"), items("each", model="x"), items("credits", agent_id="a")):
        answer = post(desk, path, body)
        assert (422, "/items/0/dimensions") == (answer.status_code, answer.json()["errors"][0]["pointer"])


# --- reservations -------------------------------------------------------------------------------------------------


def test_a_reservation_is_held_committed_and_counted(desk):
    """
    201 with what it holds and until when; limits and usage tell the rest.
    """
    answer = post(desk, "reservations", items(quantity="12.5") | {"ttl_s": 90})
    hold = answer.json()

    assert 201 == answer.status_code
    held = [{"limit": "credits", "quantity": "12.5"}, {"limit": "hour", "quantity": "12.5"}]
    assert (held, "2026-03-15T12:01:30Z") == (hold["items"], hold["expires_at"])
    assert ("12.5", "87.5") == tuple(limits(desk)["credits"][name] for name in ("held", "remaining"))
    settled = post(desk, f"reservations/{hold['id']}/commit", items(quantity=3.2) | {"event": spend("3.2")})
    assert {
        "id": hold["id"],
        "state": "committed",
        "items": [
            {
                "limit": name,
                "held": "12.5",
                "quantity": "3.2",
                "overage": "0",
                "used": "3.2",
                "remaining": left,
            }
            for name, left in (("credits", "96.8"), ("hour", "47.3"))
        ],
        "overage": False,
        "exceeded": [],
        "duplicate": False,
    } == settled.json()
    usage = desk.get(f"{BASE}/usage?meter=credits", desk.key).json()
    assert "3.2" == usage["total"]


def test_a_refused_reservation_says_which_limit_and_when_to_come_back(desk):
    """
    429 quota-exceeded with the limits that say no, Retry-After in whole seconds and the RateLimit headers.
    """
    post(desk, "reservations", items(quantity="50") | {"ttl_s": 90})
    desk.clock.advance(500_000)
    answer = post(desk, "reservations", items(quantity="60"))
    problem = answer.json()

    assert (429, "application/problem+json") == (answer.status_code, answer.headers["content-type"])
    assert ("/problems/quota-exceeded", "quota-exceeded", 429) == (problem["type"], problem["code"], problem["status"])
    assert ["credits", "hour"] == problem["violated"] == [item["limit"] for item in problem["items"]]
    told = {name: problem["items"][1][name] for name in ("used", "held", "quantity", "remaining", "asked", "frees_at")}
    assert {
        "used": "0",
        "held": "50",
        "quantity": "50.5",
        "remaining": "0.5",
        "asked": "60",
        "frees_at": "2026-03-15T12:01:30Z",
    } == told
    assert "90" == answer.headers["retry-after"]
    assert '"credits";q=100;w=2678400, "hour";q=50;w=3600' == answer.headers["ratelimit-policy"]
    assert '"credits";r=50;t=90, "hour";r=0;t=90' == answer.headers["ratelimit"]
    assert "50" == limits(desk)["credits"]["held"]


def test_nobody_is_told_to_come_back_when_nothing_will_free_the_limit(desk):
    """
    What counts for ever never comes free: no Retry-After.
    """
    body = {"kind": "lifetime", "meter": "messages", "quantity": "0"}
    desk.put(f"{BASE}/limits/ever", desk.operator, json=body)
    answer = post(desk, "reservations", items("ever"))

    assert 429 == answer.status_code
    assert "retry-after" not in answer.headers
    assert ('"ever";q=0', '"ever";r=0') == (answer.headers["ratelimit-policy"], answer.headers["ratelimit"])


@pytest.mark.parametrize("ttl_s", [0, -1, 86_401, "60", 1.5, True, None])
def test_the_time_of_a_reservation_and_of_a_lease_is_bounded(desk, ttl_s):
    """
    A whole number of seconds, up to a day and up to an hour.
    """
    for path, body in (("reservations", items()), ("leases", {"limit": "slots"})):
        answer = post(desk, path, body | {"ttl_s": ttl_s})
        assert (422, "/ttl_s") == (answer.status_code, answer.json()["errors"][0]["pointer"])


def test_the_longest_times_pass(desk):
    """
    The bounds themselves are allowed.
    """
    assert 201 == post(desk, "reservations", items() | {"ttl_s": 86_400}).status_code
    assert "2026-03-15T12:10:00Z" == post(desk, "leases", {"limit": "slots", "ttl_s": 3600}).json()["expires_at"]


@pytest.mark.parametrize(
    ("event", "code", "pointer"),
    [
        ("x", "invalid-field", "/event"),
        ({"type": "credit.spend"}, "invalid-field", "/event/id"),
        (spend("-1"), "invalid-amount", "/event/data/amount"),
        (spend("1", subject="zeta"), "subject-forbidden", "/event/subject"),
        (spend("1", time="2026-03-15T12:06:00Z"), "timestamp-out-of-window", "/event/time"),
        (spend("1", time="2026-03-15 12:00:00"), "timestamp-needs-offset", "/event/time"),
    ],
    ids=str,
)
def test_a_bad_event_is_refused_before_anything_is_settled(desk, event, code, pointer):
    """
    As POST /v1/events would, with the pointer into the commit; the operator's key is held to the account too.
    """
    hold = post(desk, "reservations", items(quantity="5")).json()
    for key in (desk.key, desk.operator):
        answer = post(desk, f"reservations/{hold['id']}/commit", items() | {"event": event}, key=key)
        assert (422, code, pointer) == (
            answer.status_code,
            answer.json()["code"],
            answer.json()["errors"][0]["pointer"],
        )
    assert ("5", "0") == tuple(limits(desk)["credits"][name] for name in ("held", "used"))


def test_an_event_of_another_payload_is_409_and_a_duplicate_is_fine(desk):
    """
    What was counted stays; the reservation is settled once the event fits.
    """
    desk.send(spend("7") | {"subject": "acme"})
    hold = post(desk, "reservations", items(quantity="8")).json()
    path = f"reservations/{hold['id']}/commit"
    reused = post(desk, path, items(quantity="8") | {"event": spend("8")})
    settled = post(desk, path, items(quantity="7") | {"event": spend("7")})

    assert (409, "event-id-reused") == (reused.status_code, reused.json()["code"])
    assert "/event/id" == reused.json()["errors"][0]["pointer"]
    assert (200, True) == (settled.status_code, settled.json()["duplicate"])
    assert ("0", "7") == tuple(limits(desk)["credits"][name] for name in ("held", "used"))


def test_more_than_was_held_is_told_and_never_refused(desk):
    """
    The commit says by how much; the limit shows it above; the outbox knows.
    """
    hold = post(desk, "reservations", items(quantity="50")).json()
    told = post(desk, f"reservations/{hold['id']}/commit", items(quantity="120")).json()

    assert (True, ["credits", "hour"]) == (told["overage"], told["exceeded"])
    assert ("70", "0") == (told["items"][0]["overage"], told["items"][0]["remaining"])
    limit = limits(desk)["credits"]
    assert ("120", "0", True) == (limit["used"], limit["remaining"], limit["over"])
    assert ["reservation.overage"] == [kind for kind in in_outbox(desk) if not kind.startswith("usage.")]


def test_a_reservation_is_released_with_or_without_a_body(desk):
    """
    An empty object does as well as none; anything in it is refused; twice is harmless, after a commit it is 409.
    """
    hold = post(desk, "reservations", items(quantity="5")).json()
    path = f"reservations/{hold['id']}/release"
    assert 422 == post(desk, path, {"why": "x"}).status_code
    for body in (None, {}):
        answer = post(desk, path, body)
        assert (200, {"id": hold["id"], "state": "released"}) == (answer.status_code, answer.json())
    assert 409 == post(desk, f"reservations/{hold['id']}/commit", items()).status_code
    assert 404 == post(desk, f"reservations/{NEVER}/release").status_code


def test_usage_by_events_is_never_refused(desk):
    """
    It happened: the limit shows it above its quantity, with nothing remaining.
    """
    desk.send({"id": "x", "type": "credit.spend", "subject": "acme", "data": {"amount": "250"}})
    limit = limits(desk)["credits"]

    assert ("250", "100", "0", True) == tuple(limit[name] for name in ("used", "quantity", "remaining", "over"))
    assert 429 == post(desk, "reservations", items()).status_code


# --- repeated requests --------------------------------------------------------------------------------------------


def test_a_repeated_key_gets_the_same_answer_and_does_nothing(desk):
    """
    Status and body as they were, and a header that says so, hours later and after all changed.
    """
    first = post(desk, "reservations", items(quantity="5"), once="k1")
    desk.clock.advance(3_600_000_000)
    again = post(desk, "reservations", items(quantity="5"), once="k1")

    assert (201, first.content) == (again.status_code, again.content)
    assert (None, "true") == tuple(answer.headers.get("idempotency-replayed") for answer in (first, again))
    assert "0" == limits(desk)["credits"]["held"]


def test_a_key_with_another_request_is_refused(desk):
    """
    Another body, another operation, another reservation: 422, and nothing is done.
    """
    hold = post(desk, "reservations", items(quantity="5"), once="k1").json()
    for path, body in (
        ("reservations", items(quantity="6")),
        ("leases", {"limit": "slots"}),
        (f"reservations/{hold['id']}/release", None),
    ):
        answer = post(desk, path, body, once="k1")
        assert (422, "idempotency-key-reused") == (answer.status_code, answer.json()["code"])
    assert ("5", "0") == (limits(desk)["credits"]["held"], limits(desk)["slots"]["used"])


def test_a_refusal_is_not_kept(desk):
    """
    Once there is room, the same key is answered with a yes.
    """
    post(desk, "leases", {"limit": "slots"})
    lease = post(desk, "leases", {"limit": "slots"}).json()
    assert 429 == post(desk, "leases", {"limit": "slots"}, once="k").status_code
    post(desk, f"leases/{lease['id']}/release", {"token": lease["token"]})
    assert 201 == post(desk, "leases", {"limit": "slots"}, once="k").status_code


def test_every_operation_honours_the_key(desk):
    """
    Commit, release, lease, heartbeat and release of a lease are answered again word for word.
    """
    hold, other = (post(desk, "reservations", items(quantity="5")).json()["id"] for _ in range(2))
    lease = post(desk, "leases", {"limit": "slots"}, once="lease").json()
    token = {"token": lease["token"]}
    for number, (path, body) in enumerate(
        (
            ("leases", {"limit": "slots"}),
            (f"reservations/{hold}/commit", items(quantity="5")),
            (f"reservations/{other}/release", None),
            (f"leases/{lease['id']}/heartbeat", token),
            (f"leases/{lease['id']}/release", token),
        )
    ):
        first, again = (post(desk, path, body, once=f"key-{number}") for _ in range(2))
        assert (first.status_code, first.content) == (again.status_code, again.content)
        assert "true" == again.headers["idempotency-replayed"]
    assert "5" == limits(desk)["credits"]["used"]


def test_keys_belong_to_their_account(desk):
    """
    Two accounts that choose the same key do not hear each other's answers.
    """
    first = post(desk, "reservations", items(), once="same").json()
    other = desk.account("zeta", plan="team")
    headers = {"Idempotency-Key": "same"}
    second = desk.post("/v1/accounts/zeta/reservations", other, json=items(), headers=headers)

    assert 201 == second.status_code
    assert first["id"] != second.json()["id"]


def test_keys_are_bounded(desk):
    """
    1 to 255 bytes, given once.
    """
    assert 201 == post(desk, "reservations", items(), once="x" * 255).status_code
    for bad in ("", "x" * 256, "a\tb"):
        answer = post(desk, "reservations", items(), once=bad)
        problem = answer.json()
        assert (400, "invalid-idempotency-key") == (answer.status_code, problem["code"]), bad
        assert ("Invalid Idempotency-Key", "Idempotency-Key") == (problem["title"], problem["errors"][0]["parameter"])
    twice = [("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    assert 400 == desk.post(f"{BASE}/reservations", desk.key, json=items(), headers=twice).status_code


def test_keys_are_forgotten_after_a_day(desk):
    """
    Then the same key is a new request.
    """
    first = post(desk, "reservations", items(), once="k").json()
    desk.clock.advance(24 * 3_600_000_000 + 1)
    desk.house.sweeper.run()
    assert first["id"] != post(desk, "reservations", items(), once="k").json()["id"]


# --- leases -------------------------------------------------------------------------------------------------------


def test_a_lease_is_granted_kept_and_released(desk):
    """
    201 with a token; the heartbeat prolongs it; the release says how it ended.
    """
    answer = post(desk, "leases", {"limit": "slots", "ttl_s": 30, "call_id": "c1"})
    lease = answer.json()
    token = {"token": lease["token"]}

    assert (201, {"id", "token", "expires_at", "deadline"}) == (answer.status_code, set(lease))
    assert ("2026-03-15T12:00:30Z", "2026-03-15T12:10:00Z") == (lease["expires_at"], lease["deadline"])
    desk.clock.advance(20_000_000)
    beat = post(desk, f"leases/{lease['id']}/heartbeat", token)
    assert (200, "2026-03-15T12:00:50Z") == (beat.status_code, beat.json()["expires_at"])
    (shown,) = limits(desk)["slots"]["leases"]
    assert {
        "id": lease["id"],
        "call_id": "c1",
        "granted_at": "2026-03-15T12:00:00Z",
        "expires_at": "2026-03-15T12:00:50Z",
        "deadline": "2026-03-15T12:10:00Z",
    } == shown
    for _ in range(2):
        end = post(desk, f"leases/{lease['id']}/release", token)
        ended = {"id": lease["id"], "state": "released", "ended_at": "2026-03-15T12:00:20Z"}
        assert (200, ended) == (end.status_code, end.json())
    assert [] == limits(desk)["slots"]["leases"]


def test_a_full_limit_refuses_a_lease(desk):
    """
    429 with the instant at which the first slot runs out; the token of another holder is never shown.
    """
    tokens = [post(desk, "leases", {"limit": "slots", "ttl_s": 40}).json()["token"] for _ in range(2)]
    answer = post(desk, "leases", {"limit": "slots"})

    assert (429, ["slots"], "40") == (answer.status_code, answer.json()["violated"], answer.headers["retry-after"])
    assert ("2", "0", "2026-03-15T12:00:40Z") == tuple(
        answer.json()["items"][0][name] for name in ("used", "remaining", "frees_at")
    )
    assert not any(token in answer.text + desk.get(f"{BASE}/limits", desk.key).text for token in tokens)


def test_a_lost_lease_is_409(desk):
    """
    Another token, an ended lease; what never was is 404, a body without a token 422.
    """
    lease = post(desk, "leases", {"limit": "slots", "ttl_s": 30}).json()
    path = f"leases/{lease['id']}"
    for body in ({"token": "1.0"}, {"token": lease["token"] + "0"}):
        for verb in ("heartbeat", "release"):
            answer = post(desk, f"{path}/{verb}", body)
            assert (409, "lease-lost") == (answer.status_code, answer.json()["code"])
    for body in ({}, {"token": 7}, {"token": ""}, {"token": "x" * 129}):
        assert 422 == post(desk, f"{path}/heartbeat", body).status_code
    assert 404 == post(desk, "leases/lse_0/heartbeat", {"token": "1.0"}).status_code
    desk.clock.advance(30_000_000)
    assert 409 == post(desk, f"{path}/heartbeat", {"token": lease["token"]}).status_code
    assert "expired" == post(desk, f"{path}/release", {"token": lease["token"]}).json()["state"]


def test_only_slots_can_be_leased(desk):
    """
    Another kind is 422, an unknown name 404, with its pointer.
    """
    for name, status in (("credits", 422), ("length", 422), ("nope", 404), (7, 422), ("", 422)):
        answer = post(desk, "leases", {"limit": name})
        assert (status, "/limit") == (answer.status_code, answer.json()["errors"][0]["pointer"])
    for body in (
        {"limit": "slots", "call_id": 7},
        {"limit": "slots", "call_id": "x" * 257},
        {"limit": "slots", "x": 1},
    ):
        assert 422 == post(desk, "leases", body).status_code


# --- who may ------------------------------------------------------------------------------------------------------


def test_an_account_cannot_touch_anothers_reservations_and_leases(desk):
    """
    They look as if they did not exist, whatever the id.
    """
    hold = post(desk, "reservations", items()).json()["id"]
    lease = post(desk, "leases", {"limit": "slots"}).json()
    other = desk.account("zeta", plan="team")
    for path, body in (
        (f"reservations/{hold}/commit", items()),
        (f"reservations/{hold}/release", {}),
        (f"leases/{lease['id']}/heartbeat", {"token": lease["token"]}),
        (f"leases/{lease['id']}/release", {"token": lease["token"]}),
    ):
        assert 404 == desk.post(f"/v1/accounts/zeta/{path}", other, json=body).status_code
        assert 404 == desk.post(f"{BASE}/{path}", other, json=body).status_code
    assert ("1", "1") == (limits(desk)["credits"]["held"], limits(desk)["slots"]["used"])


def test_a_suspended_account_is_refused_with_the_reason(desk):
    """
    403 on reserving and leasing, `allowed: false` with a reason on checks; events and reads go on.
    """
    hold = post(desk, "reservations", items() | {"ttl_s": 86_400}).json()
    desk.put(f"{BASE}/billing", desk.operator, json={"invoice": "failed", "at": "2026-03-08T12:00:00Z"})
    check = post(desk, "checks", items()).json()

    assert (False, [], "suspended") == (check["allowed"], check["violated"], check["reason"])
    for path, body in (("reservations", items()), ("leases", {"limit": "slots"})):
        answer = post(desk, path, body)
        assert (403, "account-suspended") == (answer.status_code, answer.json()["code"])
    assert 200 == post(desk, f"reservations/{hold['id']}/commit", items()).status_code
    assert 1 == desk.send({"id": "x", "type": "credit.spend", "subject": "acme", "data": {"amount": "1"}})["accepted"]
    assert "2" == limits(desk)["credits"]["used"]


# --- without a thread ---------------------------------------------------------------------------------------------


def test_what_is_remembered_is_answered_where_it_came_in(desk, monkeypatch):
    """
    The first check is looked up by a thread, the same one again and a reservation are not; the answers are the same.
    """
    crew, work = desk.house.app._crews.quick, []
    run = crew.run
    monkeypatch.setattr(crew, "run", lambda what: (work.append(what), run(what))[1])
    first = post(desk, "checks", items())
    assert work
    work.clear()

    assert first.content == post(desk, "checks", items()).content
    assert 201 == post(desk, "reservations", items()).status_code
    assert 422 == post(desk, "reservations", items(quantity="-1")).status_code
    assert not work
    assert "1" == post(desk, "checks", items()).json()["items"][0]["held"]
    assert work


def test_a_large_or_packed_body_is_read_by_a_thread(desk):
    """
    As every other request is; nothing of it differs.
    """
    padded = msgspec.json.encode(items()) + b" " * 20_000
    for content, headers in ((padded, {}), (gzip.compress(msgspec.json.encode(items())), {"Content-Encoding": "gzip"})):
        for _ in range(2):
            answer = desk.post(
                f"{BASE}/checks", desk.key, headers={"Content-Type": "application/json", **headers}, content=content
            )
            assert (200, True) == (answer.status_code, answer.json()["allowed"])
