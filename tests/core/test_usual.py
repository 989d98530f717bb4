"""Events in their usual form are read to the same end as by the longer way, and everything else is left to that."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallybook.core.errors import JsonMalformed, TallybookError, TooLarge
from tallybook.core.event import EVENTS_MAX, Admission, EventError, decode_events
from tallybook.core.intake import each_of_batch, each_of_request, read_batch
from tallybook.core.key import Caller
from tallybook.core.pending import Pending
from tallybook.core.scheme import Scheme
from tallybook.core.usual import Batch, Sent
from tests.support.batches import ACME, EXTRA, OPERATOR, SCHEMES, events, message, odd, spoiled
from tests.support.events import NOW_US, EventBody, json_of


def told(prepared: tuple[list[Pending], list[EventError]]) -> list[object]:
    """All that was read, but for how data and line are spelled."""
    return [
        (
            p.event.index,
            (p.event.account_id, p.event.event_id, p.event.type, p.event.time_us),
            p.event.data,
            p.event.body,
            (p.event.key_hi, p.event.key_lo, p.event.digest),
            p.readings,
            list(p.labels),
            p.word,
        )
        for p in prepared[0]
    ] + [prepared[1]]


def outcome(read: Callable[[], tuple[list[Pending], list[EventError]]]) -> object:
    """What was read, or how it was refused."""
    try:
        return told(read())
    except TallybookError as refusal:
        return refusal.code, refusal.message


def both_ways(body: bytes, admission: Admission, of: Scheme, *, lines: bool = False) -> tuple[object, object]:
    """Read a body at once, and the longer way."""
    quick = outcome(lambda: each_of_batch(Batch(body, lines), admission, of))
    plain = outcome(lambda: each_of_request(decode_events(body, lines=lines), admission, of, lone=False))
    return quick, plain


def usual_share(body: bytes, of: Scheme) -> float:
    """Of how many events the usual form was seen."""
    events, _ = of.usual.decode(Batch(body))
    return sum(isinstance(event, Sent) for event in events) / len(events)


@given(
    sent=st.lists(st.tuples(events, st.none() | st.sampled_from(EXTRA), odd), max_size=6),
    caller=st.sampled_from((OPERATOR, ACME)),
    of=st.sampled_from(SCHEMES),
    lines=st.booleans(),
    backfill=st.booleans(),
)
def test_both_ways_read_the_same(
    sent: list[tuple[EventBody, str | None, Any]], caller: Caller, of: Scheme, lines: bool, backfill: bool
) -> None:
    """Whatever is sent: events, identities, digests, readings, names, refusals and the bytes that are kept."""
    bodies = [spoiled({"id": f"e{n}", "subject": "acme", **e}, place, v) for n, (e, place, v) in enumerate(sent)]
    body = b"\n".join(map(json_of, bodies)) if lines else json_of(bodies)
    quick, plain = both_ways(body, Admission(caller, NOW_US, backfill), of, lines=lines)
    assert plain == quick


CALL = {
    "id": "c1",
    "source": "s",
    "type": "call",
    "subject": "acme",
    "time": "2026-11-20T11:00:00Z",
    "data": {"channel": "voice", "direction": "inbound", "duration_s": "42.5", "agent_id": "a", "agent_name": "A:1"},
}


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
        quick, plain = both_ways(body.encode(), Admission(caller, NOW_US), SCHEMES[0])
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
