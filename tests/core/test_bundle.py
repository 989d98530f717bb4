"""A bundle is what its events add up to, with any of them left out."""

from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from unittest import mock

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tallybook.core.aggregate import Placed, Tally
from tallybook.core.bundle import Bundle, fold
from tallybook.core.errors import FieldInvalid
from tallybook.core.event import Admission, decode_events, read_event
from tallybook.core.instant import HOUR_US
from tallybook.core.intake import read_batch
from tallybook.core.pending import Pending, read_pending
from tallybook.core.scheme import Scheme
from tallybook.core.usual import Batch
from tests.support.batches import OPERATOR, SCHEMES, events
from tests.support.events import NOW_US, EventBody, json_of

ADMISSION = Admission(OPERATOR, NOW_US, backfill=True)
sent = st.lists(st.tuples(events, st.sampled_from(("acme", "globex"))), max_size=8)
schemes = st.sampled_from(SCHEMES)


def pending_of(bodies: list[tuple[EventBody, str]], of: Scheme) -> list[Pending]:
    """Those of the events that can count, one by one."""
    body = json_of([{"id": f"e{n}", "subject": subject, **event} for n, (event, subject) in enumerate(bodies)])
    pending = []
    for index, event in enumerate(decode_events(body)):
        with suppress(FieldInvalid):
            pending.append(read_pending(read_event(index, event, ADMISSION), of))
    return pending


def tally_of(pending: Iterable[Pending]) -> Tally:
    """What they add up to, one after the other."""
    tally = Tally()
    for item in pending:
        for reading in item.readings:
            tally.add(item.event.account_id, item.event.time_us, reading)
    return tally


class Numbers(dict[Any, int]):
    """Numbers whatever it is asked for."""

    def get(self, key: Any, _default: object = None) -> int:  # type: ignore[override]
        """Return a number of its own for each key, from 1 on."""
        return self.setdefault(key, len(self) + 1)

    def __call__(self, number: int) -> Any:
        """Return what has that number."""
        return list(self)[number - 1]


def placed_by(bundle: Bundle) -> tuple[Placed, Numbers, Numbers]:
    """What a bundle adds by number, and the numbers of accounts and of series."""
    accounts, series, placed = Numbers(), Numbers(), Placed()
    assert bundle.unnumbered([(1, 1, None) for _ in bundle.series]) == {
        bundle.series_keys()[place] for place, *_ in bundle.rows
    }
    heads = bundle.heads(accounts, series)
    assert not bundle.unnumbered(heads)
    bundle.add_to(placed, heads)
    return placed, accounts, series


def named(bundle: Bundle) -> tuple[object, ...]:
    """What a bundle adds, by name."""
    placed, accounts, series = placed_by(bundle)
    rows = [*placed.rows, *placed.wide]
    for account_no, type_no, series_no, *_ in rows:
        assert (accounts(account_no), type_no) == series(series_no)[:2]
    assert len(rows) == len({(*row[:3], row[4]) for row in rows})
    assert all(0 <= number < 1 << 63 for row in placed.rows for number in row)
    return (
        {(series(row[2]), row[4]): list(row[5:]) for row in rows},
        {(series(where[3]), where[2], place): mark for (where, place), mark in placed.marks.items()},
        {(series(where[3]), where[2], *rest) for where, *rest in placed.uniques},
    )


def hours(bundle: Bundle) -> set[tuple[str, int]]:
    """The accounts and hours of its events."""
    assert set(bundle.bare_hours) <= set(bundle.hours)
    assert len(bundle.hours) == len(set(bundle.hours))
    return {(bundle.accounts[place], hour) for place, hour in bundle.hours}


def told(bundle: Bundle) -> list[object]:
    """All that a commit takes of a bundle, but for the order of its parts."""
    return [
        named(bundle),
        [(bundle.accounts[place], *identity) for place, *identity in bundle.keys],
        (len(bundle), bundle.indexes, bundle.lines),
        sorted((bundle.accounts[x.account], x.dimension, x.value, *best[:2]) for x in bundle.labels for best in x.said),
        [(bundle.accounts[x.account], x.kind, x.resource_id, x.said) for x in bundle.words],
        bundle.called(),
        hours(bundle),
    ]


@given(sent=sent, of=schemes)
def test_a_bundle_is_the_sum_of_its_events(sent: list[tuple[EventBody, str]], of: Scheme) -> None:
    """Rows, marks, distinct values, identities, bytes, names, words, calls and hours."""
    pending = pending_of(sent, of)
    bundle = fold(pending)
    rows, *rest = told(bundle)
    counted = tally_of(pending)
    assert (counted.rows, counted.marks, counted.uniques) == rows
    assert [
        [(p.event.account_id, p.event.key_hi, p.event.key_lo, p.event.digest) for p in pending],
        (len(pending), [p.event.index for p in pending], b"\n".join(p.event.line for p in pending)),
        sorted((p.event.account_id, d, v, p.event.time_us, name) for p in pending for d, v, name in p.labels),
        [(p.event.account_id, *p.word) for p in pending if p.word is not None],
        {
            (p.event.account_id, p.event.data["call_id"])
            for p in pending
            if p.event.type == "call" and "call_id" in p.event.data
        },
        {(p.event.account_id, p.event.time_us // HOUR_US) for p in pending},
    ] == rest


@given(sent=sent, of=schemes, data=st.data())
def test_what_is_left_out_was_never_there(sent: list[tuple[EventBody, str]], of: Scheme, data: st.DataObject) -> None:
    """A bundle less some events says what a bundle of the others does; accounts without events may stay on its list."""
    pending = pending_of(sent, of)
    refused = data.draw(st.sets(st.sampled_from(range(len(pending))))) if pending else set()
    others = fold([item for seq, item in enumerate(pending) if seq not in refused])
    with mock.patch("tallybook.core.bundle.FEW", data.draw(st.sampled_from((0, 16)))):
        assert told(others) == told(fold(pending).without(refused, of))


@given(sent=sent, of=schemes)
def test_events_come_out_as_they_went_in(sent: list[tuple[EventBody, str]], of: Scheme) -> None:
    """Read again they say the same, though what was left out of them has been filled in meanwhile."""
    pending = pending_of(sent, of)
    again = fold(pending).pending(range(len(pending)), of)
    assert [item.event.data for item in pending] == [item.event.data for item in again]
    assert told(fold(pending)) == told(fold(again))


@given(sent=sent, of=schemes, lanes=st.integers(1, 3))
def test_lanes_share_a_request_out(sent: list[tuple[EventBody, str]], of: Scheme, lanes: int) -> None:
    """Each event is in one bundle, and all of an account's in the same."""
    body = json_of([{"id": f"e{n}", "subject": subject, **event} for n, (event, subject) in enumerate(sent)])
    prepared = read_batch(Batch(body), ADMISSION, of, lanes=lanes)
    indexes = [index for bundle in prepared.bundles.values() for index in bundle.indexes]
    assert sorted([item.event.index for item in pending_of(sent, of)]) == sorted(indexes)
    owners = [account for bundle in prepared.bundles.values() for account in bundle.accounts]
    assert len(set(owners)) == len(owners)


@given(sent=sent, of=schemes)
def test_a_bundle_goes_over_the_wire(sent: list[tuple[EventBody, str]], of: Scheme) -> None:
    """As long as its sums fit 64 bits; other ones are refused, not changed."""
    bundle = fold(pending_of(sent, of))
    try:
        written = msgspec.msgpack.encode(bundle)
    except OverflowError:
        assert any(abs(value) >= 1 << 63 for row in bundle.rows for value in row)
    else:
        assert bundle == msgspec.msgpack.decode(written, type=Bundle)
