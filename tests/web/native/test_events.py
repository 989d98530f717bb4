"""``POST /v1/events``, sentence by sentence, and every nasty input that a sender may come up with."""

import gzip
import json

import pytest
import zstandard

from tests.support.client import message

EVENTS = "/v1/events"
BATCH = "application/cloudevents-batch+json"
STRUCTURED = "application/cloudevents+json"


@pytest.fixture
def desk(desk):
    """The desk with an account that has its own key."""
    desk.key = desk.account("acme")
    return desk


def total(desk, meter="messages", account="acme"):
    return desk.get(f"/v1/accounts/{account}/usage?meter={meter}", desk.operator).json()["total"]


def post(desk, body, media="application/json", key=None, **headers):
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return desk.post(EVENTS, key or desk.operator, content=content, headers={"Content-Type": media, **headers})


def test_a_batch_says_of_each_event_what_became_of_it(desk):
    """
    Accepted, duplicate, conflict and rejected stand side by side; the total grows by the accepted ones only.
    """
    desk.send(message("e1", "acme"))
    answer = desk.send(
        message("e1", "acme"),
        message("e2", "acme"),
        message("e3", "acme"),
        message("e1", "acme", direction="outbound"),
        message("e4", "acme", direction="sideways"),
    )

    assert [2, 1, 1, 1] == [answer[name] for name in ("accepted", "duplicate", "conflict", "rejected")]
    assert [
        (3, "e1", "conflict", "event-id-reused", "/3/id"),
        (4, "e4", "rejected", "invalid-field", "/4/data/direction"),
    ] == [(e["index"], e["id"], e["outcome"], e["code"], e["pointer"]) for e in answer["errors"]]
    assert "3" == total(desk)


def test_a_batch_sent_twice_with_two_new_events_grows_by_two(desk):
    """
    Three events of which the first was sent before with an equal payload: duplicate, accepted, accepted.
    """
    desk.send(message("e1", "acme"))
    answer = desk.send(message("e1", "acme"), message("e2", "acme"), message("e3", "acme"))

    assert (2, 1, []) == (answer["accepted"], answer["duplicate"], answer["errors"])
    assert "3" == total(desk)


def test_a_lone_event_is_answered_by_status(desk):
    """
    200 when it counts or counted before, 409 for a reused id, 422 when it cannot count; what stood stays.
    """
    event = {"id": "c1", "type": "credit.spend", "subject": "acme", "data": {"amount": 5}}
    reused = {**event, "data": {"amount": 7}}
    bad = {**event, "id": "c2", "data": {}}

    assert [200, 200, 409, 422] == [post(desk, body).status_code for body in (event, event, reused, bad)]
    problem = post(desk, reused).json()
    assert ("/problems/event-id-reused", "/id") == (problem["type"], problem["errors"][0]["pointer"])
    problem = post(desk, bad).json()
    assert ("/problems/invalid-field", "/data/amount") == (problem["type"], problem["errors"][0]["pointer"])
    assert "5" == total(desk, "credits")


AMOUNTS = ["NaN", "1E+999999", "-1", "1_000", "\u0663", "1e3", " 1", "", "Infinity", "0x10", "1,5", "1." + "1" * 10]


@pytest.mark.parametrize("amount", [*AMOUNTS, -1, True, None, [], {}, 10**16, "1" + "0" * 5000])
def test_an_amount_that_is_none_is_rejected(desk, amount):
    """
    Each with its pointer; nothing is rounded, guessed or clamped.
    """
    answer = post(desk, {"id": "c", "type": "credit.spend", "subject": "acme", "data": {"amount": amount}})

    assert 422 == answer.status_code
    assert "/data/amount" == answer.json()["errors"][0]["pointer"]
    assert "0" == total(desk, "credits")


@pytest.mark.parametrize(
    "number", ["1e999", "1E+999999", "1" * 5000, "0." + "0" * 5000 + "1", "1e-400", "18446744073709551616"]
)
def test_a_number_beyond_all_bounds_is_rejected(desk, number):
    """
    As a JSON number too, without burning time on it.
    """
    body = f'{{"id":"c","type":"credit.spend","subject":"acme","data":{{"amount":{number}}}}}'.encode()

    answer = post(desk, body)

    assert answer.status_code in {400, 422}
    assert "0" == total(desk, "credits")


@pytest.mark.parametrize("text", ["12.5", "0.000000001", "1000000000000000"])
@pytest.mark.parametrize("form", ["number", "string"])
def test_amounts_are_exact_as_number_and_as_string(desk, text, form):
    """
    Nine places and 10^15 come back as they were sent.
    """
    amount = text if form == "number" else f'"{text}"'
    body = f'{{"id":"c","type":"credit.spend","subject":"acme","data":{{"amount":{amount}}}}}'.encode()

    assert 200 == post(desk, body).status_code
    assert text == total(desk, "credits")


@pytest.mark.parametrize(
    ("time", "code"),
    [
        ("2026-03-15T12:05:00Z", None),
        ("2026-03-15T12:05:01Z", "timestamp-out-of-window"),
        ("2026-02-08T12:00:00Z", None),
        ("2026-02-08T11:59:59Z", "timestamp-out-of-window"),
        ("2016-12-31T23:59:60Z", "timestamp-out-of-window"),
        ("2026-03-14T23:59:60Z", None),
        ("2026-03-15T12:00:00", "timestamp-needs-offset"),
        ("2026-03-15T14:00:00+02:00", None),
        ("2026-03-15", "invalid-field"),
        ("2026-02-30T00:00:00Z", "invalid-field"),
        ("0001-01-01T00:00:00+14:00", "invalid-field"),
        ("9999-12-31T23:59:59-12:00", "invalid-field"),
        (1772366400, "invalid-field"),
    ],
)
def test_the_time_of_an_event_is_checked(desk, time, code):
    """
    35 days back, 5 minutes ahead, RFC 3339 with an offset; a leap second belongs to its minute.
    """
    answer = post(desk, message("t", "acme", time=time))

    assert (200 if code is None else 422) == answer.status_code, answer.text
    if code is not None:
        assert (code, "/time") == (answer.json()["code"], answer.json()["errors"][0]["pointer"])


def test_backfill_is_for_the_operators_admin_key(desk):
    """
    It lifts the bound on the past, not the one on the future.
    """
    old = message("old", "acme", time="2020-02-29T10:00:00Z")
    far = message("far", "acme", time="2026-03-15T13:00:00Z")
    writer = desk.house.access.create_key(None, ["events:write"]).token

    assert 200 == desk.post(f"{EVENTS}?backfill=true", desk.operator, json=old).status_code
    assert 422 == desk.post(f"{EVENTS}?backfill=true", desk.operator, json=far).status_code
    for key in (desk.key, writer):
        answer = desk.post(f"{EVENTS}?backfill=true", key, json=old)
        assert (403, "admin" in answer.text) == (answer.status_code, True)
    assert 400 == desk.post(f"{EVENTS}?backfill=yes", desk.operator, json=old).status_code
    found = desk.get("/v1/accounts/acme/usage?meter=messages&from=2020-02-29&to=2020-03-01", desk.operator).json()
    assert "1" == found["total"]


def test_with_an_accounts_key_the_subject_may_be_left_out(desk):
    """
    The operator's key must name it.
    """
    event = {"id": "s", "type": "message", "data": {"direction": "inbound"}}

    assert 200 == post(desk, event, key=desk.key).status_code
    answer = post(desk, event)
    assert (422, "/subject") == (answer.status_code, answer.json()["errors"][0]["pointer"])
    assert "1" == total(desk)


def test_an_unknown_account_is_created_and_an_unknown_type_is_kept(desk):
    """
    Usage is never thrown away.
    """
    answer = desk.send(
        message("n1", "newcomer"), {"id": "n2", "type": "fax", "subject": "newcomer", "data": {"pages": 2}}
    )

    assert 2 == answer["accepted"]
    assert "default" == desk.get("/v1/accounts/newcomer", desk.operator).json()["plan"]
    assert "1" == total(desk, "events_unmetered", "newcomer")


FORMS = [
    (STRUCTURED, lambda event: json.dumps(event).encode()),
    (f"{STRUCTURED}; charset=UTF-8", lambda event: json.dumps(event).encode()),
    (BATCH, lambda event: json.dumps([event]).encode()),
    ("application/json", lambda event: json.dumps(event).encode()),
    ("application/json", lambda event: json.dumps([event], indent=2).encode()),
    ("application/x-ndjson", lambda event: json.dumps(event).encode() + b"\n"),
    ("Application/X-NDJSON", lambda event: b"\n" + json.dumps(event).encode()),
]
ENCODINGS = {
    "identity": lambda body: body,
    "gzip": gzip.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(("media", "write"), FORMS)
def test_every_form_in_every_encoding_counts_the_same_event(desk, media, write, encoding):
    """
    Sent in two forms it is a duplicate: identity and payload do not depend on the form.
    """
    event = {"specversion": "1.0", "source": "gate", **message("f1", "acme", time="2026-03-15T11:00:00Z")}
    assert 1 == desk.send(event)["accepted"]

    answer = post(desk, ENCODINGS[encoding](write(event)), media, **{"Content-Encoding": encoding})

    assert (200, 1) == (answer.status_code, answer.json()["duplicate"])


def test_binary_mode_reads_the_attributes_from_headers(desk):
    """
    Percent-encoded as the binding says; the body is the data.
    """
    headers = {
        "ce-specversion": "1.0",
        "ce-id": "b%2F1%20%E2%82%AC",
        "ce-source": "/gate",
        "ce-type": "message",
        "ce-subject": "acme",
        "ce-time": "2026-03-15T11:00:00Z",
    }
    first = post(desk, {"direction": "inbound"}, **headers)
    event = {
        "id": "b/1 \u20ac",
        "source": "/gate",
        "type": "message",
        "subject": "acme",
        "time": "2026-03-15T11:00:00Z",
    }
    second = post(desk, {**event, "data": {"direction": "inbound"}})
    wrong = post(desk, b"direction=inbound", "application/x-www-form-urlencoded", **headers)

    assert (1, 1) == (first.json()["accepted"], second.json()["duplicate"])
    assert 415 == wrong.status_code


MALFORMED = [
    b"",
    b" ",
    b"{",
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b"\xff",
    b'{"id":"\xff"}',
    b"\xef\xbb\xbf{}",
    b'{"id":"a","id":"b"}',
    b'{"id":"a","type":"message","subject":"acme","data":{"direction":"inbound","direction":"outbound"}}',
    b'{"id":"a","data":{"amount":NaN}}',
    b'{"id":"a","data":{"amount":Infinity}}',
    b'{"id":"\\ud800"}',
    b"{}{}",
    b"[{},]",
    b"'a'",
    b"nul",
]


@pytest.mark.parametrize("body", MALFORMED, ids=lambda body: repr(body[:24]))
def test_what_is_not_json_is_400_and_counts_nothing(desk, body):
    """
    Whole, whatever else stands in it.
    """
    for media in ("application/json", STRUCTURED, "application/x-ndjson"):
        good = json.dumps(message("g", "acme")).encode()
        content = good + b"\n" + body if media.endswith("ndjson") else body
        if media.endswith("ndjson") and body in (b"", b" ", b"{}{}"):
            continue  # an empty line, and two objects that follow each other, are lines enough
        answer = post(desk, content, media)

        assert (400, "malformed-json") == (answer.status_code, answer.json()["code"]), answer.text
    assert "0" == total(desk)


@pytest.mark.parametrize("body", [1, "text", None, True, 12.5])
def test_json_that_is_no_event_is_refused(desk, body):
    """
    A lone value that is no object is rejected, in an array it has its own outcome.
    """
    lone, batch = post(desk, body), post(desk, [body, message("ok", "acme")])

    assert lone.status_code in {400, 422}
    assert (200, 1, 1) == (batch.status_code, batch.json()["accepted"], batch.json()["rejected"])


def test_form_and_content_must_agree(desk):
    """
    An array is no structured event, an object no batch.
    """
    assert 400 == post(desk, [message("x", "acme")], STRUCTURED).status_code
    assert 400 == post(desk, message("x", "acme"), BATCH).status_code


def test_names_are_kept_as_sent_but_never_with_a_nul(desk):
    """
    Markup is data; a NUL cannot be kept by every store and is rejected with its place.
    """
    markup = "<img src=x onerror=alert(1)>"
    kept = desk.send(message("m", "acme", agent_id=markup))
    nul = post(desk, message("n", "acme", agent_id="a\u0000b"))
    rows = desk.get("/v1/accounts/acme/usage?meter=messages&group_by=agent_id", desk.operator).json()["rows"]

    assert 1 == kept["accepted"]
    assert [markup] == [row["group"]["agent_id"] for row in rows]
    assert (422, "/data/agent_id") == (nul.status_code, nul.json()["errors"][0]["pointer"])


def test_too_much_is_413(desk):
    """
    A body above the cap, sent plain or packed, and a batch of too many events.
    """
    large = b" " * (4 * 1024 * 1024 + 1)
    many = json.dumps([{}] * 10_001).encode()
    for answer in (
        post(desk, large),
        post(desk, gzip.compress(large), **{"Content-Encoding": "gzip"}),
        post(desk, many),
    ):
        assert (413, "payload-too-large") == (answer.status_code, answer.json()["code"])


def test_a_lying_length_and_a_wrong_encoding_are_refused(desk):
    """
    400 for a body that is not as long as announced, 415 for an encoding that is none of ours.
    """
    body = json.dumps(message("l", "acme")).encode()
    lying = desk.post(
        EVENTS, desk.operator, content=body, headers={"Content-Type": "application/json", "Content-Length": "5"}
    )
    stacked = post(desk, gzip.compress(gzip.compress(body)), **{"Content-Encoding": "gzip, gzip"})

    assert (400, "malformed-body") == (lying.status_code, lying.json()["code"])
    assert (415, "unsupported-encoding") == (stacked.status_code, stacked.json()["code"])
    assert "0" == total(desk)


def test_an_event_that_is_too_deep_or_too_long_is_rejected_alone(desk):
    """
    Each with its own code; the rest of the batch counts.
    """
    deep: object = "x"
    for _ in range(40):
        deep = [deep]
    answer = desk.send(
        message("ok", "acme"),
        {**message("deep", "acme"), "data": {"direction": "inbound", "deep": deep}},
        {**message("long", "acme"), "data": {"direction": "inbound", "text": "x" * 70_000}},
        message("i" * 257, "acme"),
    )

    assert (1, 3) == (answer["accepted"], answer["rejected"])
    assert {"too-deep", "event-too-large", "invalid-field"} == {error["code"] for error in answer["errors"]}


def test_only_the_first_hundred_errors_are_listed(desk):
    """
    The counts are of all.
    """
    answer = desk.send(*({} for _ in range(300)))

    assert (300, 100) == (answer["rejected"], len(answer["errors"]))


def test_an_empty_batch_counts_nothing(desk):
    """
    It is a success.
    """
    answer = post(desk, [])

    assert (200, {"accepted": 0, "duplicate": 0, "conflict": 0, "rejected": 0, "errors": []}) == (
        answer.status_code,
        answer.json(),
    )


def test_what_was_acknowledged_is_in_the_next_answer(desk):
    """
    Many at once, and each sees its own.
    """
    answers = desk.together(("POST", EVENTS, desk.operator, message(f"c{n}", "acme")) for n in range(50))

    assert {200} == {answer.status_code for answer in answers}
    assert "50" == total(desk)
