"""Events in their usual form are read to the same end as by the longer way, and everything else is left to that."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallybook.core.errors import JsonMalformed, TallybookError, TooLarge
from tallybook.core.event import EVENTS_MAX, Admission, decode_events, decode_json
from tallybook.core.form import Sent
from tallybook.core.intake import Prepared, read_batch, read_request
from tallybook.core.key import Caller
from tallybook.core.scheme import Scheme
from tallybook.core.usual import Batch
from tests.support.batches import ACME, EXTRA, OPERATOR, SCHEMES, events, message, odd, other, spoiled
from tests.support.events import NOW_US, EventBody, json_of


def told(prepared: Prepared) -> list[object]:
    """All that was read, but for how the lines are spelled."""
    return [
        {**msgspec.structs.asdict(bundle), "lane": lane, "lines": [decode_json(line) for line in bundle.split()]}
        for lane, bundle in prepared.bundles.items()
    ] + [prepared.errors]


def outcome(read: Callable[[], Prepared]) -> object:
    """What was read, or how it was refused."""
    try:
        return told(read())
    except TallybookError as refusal:
        return refusal.code, refusal.message


def both_ways(batch: Batch, admission: Admission, of: Scheme, *, lanes: int = 1) -> tuple[object, object]:
    """Read a body at once, and the longer way."""

    def plainly() -> Prepared:
        return read_request(decode_events(batch.body, lines=batch.lines), admission, of, lone=False, lanes=lanes)

    return outcome(lambda: read_batch(batch, admission, of, lanes=lanes)), outcome(plainly)


def usual_share(body: bytes, of: Scheme) -> float:
    """Of how many events the usual form was seen."""
    events, _ = of.usual.decode(Batch(body))
    return sum(isinstance(event, Sent) for event in events) / len(events)


@given(
    sent=st.lists(st.tuples(events, st.none() | st.sampled_from(EXTRA), odd), max_size=6),
    subjects=st.lists(st.sampled_from(("acme", "globex")), min_size=6, max_size=6),
    lanes=st.integers(1, 3),
    caller=st.sampled_from((OPERATOR, ACME)),
    of=st.sampled_from(SCHEMES),
    lines=st.booleans(),
    backfill=st.booleans(),
)
def test_both_ways_read_the_same(
    *,
    sent: list[tuple[EventBody, str | None, Any]],
    subjects: list[str],
    lanes: int,
    caller: Caller,
    of: Scheme,
    lines: bool,
    backfill: bool,
) -> None:
    """Whatever is sent: identities, digests, sums, marks, names, calls, refusals and the bytes that are kept."""
    bodies = [
        spoiled({"id": f"e{n}", "subject": subject, **event}, place, value)
        for n, ((event, place, value), subject) in enumerate(zip(sent, subjects, strict=False))
    ]
    batch = Batch(b"\n".join(map(json_of, bodies)) if lines else json_of(bodies), lines)
    quick, plain = both_ways(batch, Admission(caller, NOW_US, backfill), of, lanes=lanes)
    assert plain == quick


CALL = {
    "id": "c1",
    "source": "s",
    "type": "call",
    "subject": "acme",
    "time": "2026-11-20T11:00:00Z",
    "data": {"channel": "voice", "direction": "inbound", "duration_s": "42.5", "agent_id": "a", "agent_name": "A:1"},
}


CROWD = (
    CALL,
    CALL | {"data": CALL["data"] | {"call_id": "k", "duration_s": 7}},
    CALL | {"source": None, "time": None},
    other("credit.spend", {"amount": "0.1", "agent_id": "a"}),
    other("api.request", {"api_id": "x", "endpoint": "/", "status": 404, "latency_ms": 3}),
    other("api.request", {"api_id": "x", "endpoint": "/", "status": 200, "cost_usd": "0.000000001"}),
    other("llm.completion", {"model": "m", "input_tokens": 5, "output_tokens": 1}),
    other("storage.snapshot", {"megabytes": 5}),
    message({"agent_id": "a"}),
)
MINUTES = ("2026-11-20T11:00:00Z", "2026-11-20T11:00:59.999999Z", "2026-11-20T11:01:00Z", "2026-11-20T12:00:00+01:00")


@given(
    sent=st.lists(
        st.tuples(st.sampled_from(CROWD), st.sampled_from(MINUTES), st.sampled_from(("acme", "globex"))), max_size=20
    ),
    lanes=st.integers(1, 3),
    of=st.sampled_from(SCHEMES),
)
def test_a_crowd_of_usual_events_adds_up(sent: list[tuple[EventBody, str, str]], lanes: int, of: Scheme) -> None:
    """Those of the same series and minute share a row, and other minutes of a series have their own, both ways."""
    bodies = [
        {name: value for name, value in (event | given).items() if value is not None}
        for n, (event, time, subject) in enumerate(sent)
        for given in ({"id": f"e{n}", "subject": subject} | ({"time": time} if event["time"] else {}),)
    ]
    quick, plain = both_ways(Batch(json_of(bodies)), Admission(OPERATOR, NOW_US), of, lanes=lanes)
    assert plain == quick
    assert not bodies or usual_share(json_of(bodies), of) == 1.0


def text_of(event: EventBody) -> str:
    """The event as JSON text."""
    return msgspec.json.encode(event).decode()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"42.5"', "42.50"),
        ('"42.5"', "4.25e1"),
        ('"42.5"', "43.0"),
        ('"42.5"', "1e400"),
        ('"42.5"', "null"),
        ('"42.5"', '"42.5","call_id":"x\\u0000"'),
        ('"voice"', '"\\u0076oice"'),
        ('"channel"', '"ch\\u0061nnel"'),
        ('"agent_id":"a"', '"agent_id":"a","agent_id":"b"'),
        ('"id":"c1"', '"id":"c1","id":"c2"'),
        ('"id":"c1"', '"id":"c1","x\\u003ay":1'),
        ('"type":"call"', '"type":"call","type":"message"'),
        ('"type":"call",', ""),
        ('"type":"call"', '"type":"\\u0000"'),
        ('"a"', '"\\ud800"'),
        ('"time":"2026-11-20T11:00:00Z",', ""),
        ("2026-11-20T11:00:00Z", "2026-11-20T12:00:00+01:00"),
        ("2026-11-20T11:00:00Z", "2026-11-20T12:06:00Z"),
        ("2026-11-20T11:00:00Z", "2026-09-20T12:06:00Z"),
        ('"source":"s",', ""),
        ('"subject":"acme"', '"subject":"evil"'),
        ('"subject":"acme",', ""),
        ('"id":"c1"', '"id":"c1","specversion":"1.0"'),
        ('"id":"c1"', '"id":"c1","specversion":"0.3"'),
        *(('"id":"c1"', f'"id":"c1","{name}":null') for name in ("specversion", "traceparent")),
        *((f'"{name}":"', f'"{name}":null,"x":"') for name in ("id", "source", "subject", "time", "type")),
        ('"source":"s"', '"source":null'),
        ('"subject":"acme"', '"subject":null'),
        ('"2026-11-20T11:00:00Z"', "null"),
        ('"id":"c1",', '\n "id" :\t"c1" , '),
        ('"agent_name":"A:1"', f'"agent_name":"{"n" * 257}"'),
        ("}}", "}"),
        ("}}", "}}}"),
    ],
)
@pytest.mark.parametrize("caller", [OPERATOR, ACME], ids=["operator", "account"])
def test_every_turn_of_the_quick_way_ends_where_the_plain_way_does(old: str, new: str, caller: Caller) -> None:
    """Odd spellings, defaults, keys that stand twice, what is broken: alone and among sound events."""
    text = text_of(CALL)
    changed = text.replace(old, new)
    assert text != changed
    for body in (f"[{changed}]", f"[{text},{changed},{text}]"):
        quick, plain = both_ways(Batch(body.encode()), Admission(caller, NOW_US), SCHEMES[0])
        assert plain == quick


def test_events_of_known_types_are_usual_and_a_strange_one_spoils_no_other() -> None:
    """Or the quick way would be there for nothing."""
    body = json_of([CALL, message({"agent_id": "a"}) | {"id": "m"}, CALL])
    assert 1.0 == usual_share(body, SCHEMES[0])
    assert 0.5 == usual_share(json_of([CALL, {**CALL, "traceparent": "00"}]), SCHEMES[0])


@pytest.mark.parametrize("body", [b"[", b'[{"id":"\xff"}]', b"[1,]", b"[" * 100_000, b'[{"id":"1"}] x'])
def test_a_body_that_is_not_json_fails_whole(body: bytes) -> None:
    """With the same words as ever."""
    with pytest.raises(JsonMalformed):
        read_batch(Batch(body), Admission(OPERATOR, NOW_US), SCHEMES[0])


def test_a_batch_is_bounded() -> None:
    """One event more than EVENTS_MAX is too many, in either form."""
    for body, lines in ((b"[" + b"1," * EVENTS_MAX + b"1]", False), (b"1\n" * (EVENTS_MAX + 1), True)):
        with pytest.raises(TooLarge):
            read_batch(Batch(body, lines), Admission(OPERATOR, NOW_US), SCHEMES[0])
