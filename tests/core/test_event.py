"""Events are read one by one: a broken one fails alone and says where; identity and digest tell duplicates."""

from decimal import Decimal

import pytest

from tallybook.core.errors import FieldInvalid
from tallybook.core.event import (
    DEPTH_MAX,
    EVENT_BYTES_MAX,
    FUTURE_US,
    PAST_US,
    Admission,
    Event,
    decode_events,
    decode_json,
    encode_lines,
    read_event,
)
from tallybook.core.ids import AccountId
from tallybook.core.instant import instant_text
from tallybook.core.key import Caller
from tests.support.events import at, json_of

NOW_US = at("2026-03-01T12:00:00Z")
OPERATOR = Caller("key_o", None, frozenset())
ACME = Caller("key_a", AccountId("acme"), frozenset())
SOUND = {"id": "e1", "type": "job", "subject": "acme", "time": "2026-03-01T11:00:00Z", "data": {"cpu": 5}}


def read(body: object, caller: Caller = OPERATOR, *, backfill: bool = False) -> Event:
    """Read one event at NOW_US."""
    return read_event(0, body, Admission(caller, NOW_US, backfill))


def refusal(body: object, caller: Caller = OPERATOR) -> tuple[str, str | None]:
    """Return the code and pointer with which an event is refused."""
    with pytest.raises(FieldInvalid) as refused:
        read(body, caller)
    return str(refused.value.detail.get("reason") or refused.value.code), refused.value.pointer


# --- the envelope ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "code", "pointer"),
    [
        ({"id": None}, "invalid-field", "/id"),
        ({"id": ""}, "invalid-field", "/id"),
        ({"id": 5}, "invalid-field", "/id"),
        ({"id": "é" * 129}, "invalid-field", "/id"),
        ({"id": "a\x00b"}, "invalid-field", "/id"),
        ({"type": None}, "invalid-field", "/type"),
        ({"type": "t" * 257}, "invalid-field", "/type"),
        ({"type": "a\x00"}, "invalid-field", "/type"),
        ({"source": ""}, "invalid-field", "/source"),
        ({"source": ["s"]}, "invalid-field", "/source"),
        ({"source": "s\x00"}, "invalid-field", "/source"),
        ({"subject": None}, "invalid-field", "/subject"),
        ({"subject": ""}, "invalid-field", "/subject"),
        ({"subject": 7}, "invalid-field", "/subject"),
        ({"subject": "s\x00"}, "invalid-field", "/subject"),
        ({"specversion": "0.3"}, "invalid-field", "/specversion"),
        ({"specversion": 1}, "invalid-field", "/specversion"),
        ({"data_base64": "AA=="}, "invalid-field", "/data_base64"),
        ({"data": []}, "invalid-field", "/data"),
        ({"data": "x"}, "invalid-field", "/data"),
        ({"data": 0}, "invalid-field", "/data"),
        ({"time": 5}, "invalid-field", "/time"),
        ({"time": ""}, "invalid-field", "/time"),
        ({"time": "yesterday"}, "invalid-field", "/time"),
        ({"time": "2026-03-01T11:00:00"}, "timestamp-needs-offset", "/time"),
        ({"time": "2026-03-01T12:05:00.000001Z"}, "timestamp-out-of-window", "/time"),
        ({"time": "2016-12-31T23:59:60Z"}, "timestamp-out-of-window", "/time"),
        ({"data": {"a": {"b/c~": ["x\x00"]}}}, "invalid-string", "/data/a/b~1c~0/0"),
        ({"data": {"a\x00": 1}}, "invalid-string", "/data"),
        ({"data": {"a": "x" * EVENT_BYTES_MAX}}, "event-too-large", "/data"),
        ({"ext": "x" * EVENT_BYTES_MAX}, "event-too-large", ""),
        ({"ext": ["a\x00"]}, "invalid-string", "/ext/0"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_each_flaw_of_an_envelope_has_its_code_and_pointer(change: dict[str, object], code: str, pointer: str) -> None:
    """One thing is wrong with an event that is sound otherwise, and that is what its sender reads."""
    assert (code, pointer) == refusal({**SOUND, **change})


@pytest.mark.parametrize("body", [None, 5, "x", [], [SOUND], True])
def test_an_event_is_an_object(body: object) -> None:
    """Anything else in a batch is refused in its place."""
    assert ("invalid-field", "") == refusal(body)


def nested(levels: int) -> list[object]:
    """Lists in a list, *levels* of them."""
    return [nested(levels - 1)] if levels > 1 else []


@pytest.mark.parametrize("name", ["data", "ext", "datacontenttype"])
def test_depth_is_bounded_wherever_it_hides(name: str) -> None:
    """DEPTH_MAX levels pass, one more does not: what is kept can always be read and written again."""
    inside = 2 if name == "data" else 1  # the event itself, and its data
    for levels, fits in ((DEPTH_MAX - inside, True), (DEPTH_MAX - inside + 1, False), (900, False)):
        value = {"a": nested(levels)} if name == "data" else nested(levels)
        if fits:
            assert value == read({**SOUND, name: value}).body[name]
        else:
            assert "too-deep" == refusal({**SOUND, name: value})[0]


def test_missing_attributes_get_their_defaults_and_are_kept_with_the_event() -> None:
    """Source, subject, time and data may be missing; what is kept raw says what they were taken for."""
    event = read({"id": "e1", "type": "job"}, ACME)
    assert ("acme", NOW_US, {}) == (event.account_id, event.time_us, event.data)
    assert {
        "id": "e1",
        "type": "job",
        "source": "default",
        "subject": "acme",
        "time": instant_text(NOW_US),
    } == event.body
    explicit = {"id": "e1", "type": "job", "source": None, "subject": None, "time": None, "data": None}
    assert (event.key_hi, event.key_lo, event.digest) == (
        (same := read(explicit, ACME)).key_hi,
        same.key_lo,
        same.digest,
    )


def test_other_attributes_are_kept_and_ignored() -> None:
    """Extensions of CloudEvents travel along and change no identity."""
    plain, extended = (
        read(SOUND),
        read({**SOUND, "datacontenttype": "application/json", "traceparent": "00-ab", "n": 5}),
    )
    assert (plain.key_hi, plain.key_lo, plain.digest) == (extended.key_hi, extended.key_lo, extended.digest)
    assert "00-ab" == extended.body["traceparent"]


def test_a_key_of_an_account_speaks_for_that_account_only() -> None:
    """It may leave the subject out or name itself; an operator's key must name the account."""
    assert "acme" == read({**SOUND, "subject": None}, ACME).account_id == read(SOUND, ACME).account_id
    assert ("subject-forbidden", "/subject") == refusal({**SOUND, "subject": "other"}, ACME)
    assert ("invalid-field", "/subject") == refusal({**SOUND, "subject": None}, OPERATOR)
    assert "other" == read({**SOUND, "subject": "other"}, OPERATOR).account_id


@pytest.mark.parametrize(
    ("offset_us", "accepted", "backfilled"),
    [
        (-PAST_US, True, True),
        (-PAST_US - 1, False, True),
        (FUTURE_US, True, True),
        (FUTURE_US + 1, False, False),
        (0, True, True),
        (-PAST_US * 50, False, True),
    ],
)
def test_the_acceptance_window_is_exact(offset_us: int, accepted: bool, backfilled: bool) -> None:
    """35 days back and 5 minutes ahead, to the microsecond; backfill lifts the past side only."""
    body = {**SOUND, "time": instant_text(NOW_US + offset_us)}
    for backfill, passes in ((False, accepted), (True, backfilled)):
        if passes:
            assert NOW_US + offset_us == read(body, backfill=backfill).time_us
        else:
            with pytest.raises(FieldInvalid) as refused:
                read(body, backfill=backfill)
            assert "timestamp-out-of-window" == refused.value.detail["reason"]


def test_what_is_kept_raw_reads_back_the_same() -> None:
    """The raw store's lines give the same identity and digest again, and as bodies the same again."""
    event = read(decode_json(json_of({**SOUND, "data": {"cpu": Decimal("0.1"), "x": "ü\u2028", "n": 2**70}})))
    (again,) = decode_events(encode_lines([event.body]), lines=True)
    assert event == read_event(0, again, Admission(OPERATOR, 0), any_time=True)


# --- identity and digest --------------------------------------------------------------------------------------------

PAYLOAD = (
    '{"id":"e1","type":"job","subject":"acme","time":"2026-03-01T11:00:00Z","data":{"cpu":1.5,"x":{"a":1,"b":[2,"é"]}}}'
)


def identity(text: str, caller: Caller = OPERATOR) -> tuple[int, int, int]:
    """Return the key and digest of an event given as JSON text."""
    event = read(decode_json(text.encode()), caller)
    return event.key_hi, event.key_lo, event.digest


@pytest.mark.parametrize(
    "same",
    [
        '{"data":{"x":{"b":[2,"é"],"a":1},"cpu":1.5},"time":"2026-03-01T11:00:00Z","subject":"acme","type":"job","id":"e1"}',
        PAYLOAD.replace(":", " : ").replace(" : 00 : 00", ":00:00").replace(",", ",\n\t"),
        PAYLOAD.replace("1.5", "1.50"),
        PAYLOAD.replace("1.5", "15e-1"),
        PAYLOAD.replace("00Z", "00+00:00"),
        PAYLOAD.replace("11:00:00Z", "12:00:00.000000+01:00"),
        PAYLOAD.replace("é", "\\u00e9"),
        PAYLOAD.replace('"a":1', '"a":1.0'),
        PAYLOAD.replace('"id"', '"specversion":"1.0","source":"default","id"'),
    ],
)
def test_the_same_payload_in_other_words_is_a_duplicate(same: str) -> None:
    """Order of keys, white space, escapes, spelling of numbers and offsets make no other event."""
    assert identity(PAYLOAD) == identity(same)


@pytest.mark.parametrize(
    "changed",
    [
        PAYLOAD.replace("1.5", "1.500000001"),
        PAYLOAD.replace("1.5", '"1.5"'),
        PAYLOAD.replace('"job"', '"call"'),
        PAYLOAD.replace("11:00:00Z", "11:00:00.000001Z"),
        PAYLOAD.replace('"b":[2', '"b":[3'),
        PAYLOAD.replace('"a":1', '"a":true'),
        PAYLOAD.replace('"a":1,', ""),
        PAYLOAD.replace('"time":"2026-03-01T11:00:00Z",', ""),
    ],
)
def test_another_payload_under_the_same_identity_is_a_conflict(changed: str) -> None:
    """Whatever differs in type, time or data shows in the digest, and leaves the identity alone."""
    assert identity(PAYLOAD)[:2] == identity(changed)[:2]
    assert identity(PAYLOAD)[2] != identity(changed)[2]


def test_identity_is_account_source_and_id() -> None:
    """Each of the three makes another event, and moving characters between them does too."""
    told = [
        ("acme", "s", "1"),
        ("acme", "s", "2"),
        ("acme", "t", "1"),
        ("evil", "s", "1"),
        ("acme", "s1", "1"),
        ("acmes", "1", "1"),
    ]
    bodies = [{**SOUND, "subject": subject, "source": source, "id": event_id} for subject, source, event_id in told]
    assert len(told) == len({(event.key_hi, event.key_lo) for event in map(read, bodies)})


def test_a_time_that_was_not_given_does_not_make_a_retry_a_conflict() -> None:
    """Without a time the digest is that of the rest: the same event sent a minute later is a duplicate."""
    body = {"id": "e1", "type": "job", "subject": "acme"}
    first = read_event(0, body, Admission(OPERATOR, NOW_US))
    later = read_event(0, body, Admission(OPERATOR, NOW_US + 60_000_000))
    assert (first.key_hi, first.key_lo, first.digest) == (later.key_hi, later.key_lo, later.digest)
