"""What one commit writes: exact sums of any size, extremes and last values in any order, names, and the raw bytes."""

from collections.abc import Iterator
from decimal import Decimal

import pytest
import zstandard
from sqlalchemy import text

from tallybook.core.errors import TooLarge
from tallybook.core.event import EVENTS_MAX, decode_events
from tallybook.core.instant import DAY_US, HOUR_US, MINUTE_US, instant_text
from tallybook.core.meter import Question
from tallybook.core.number import NANOS, NANOS_MAX
from tallybook.core.window import Granularity, Span, tile, zone
from tests.support.events import FIELDS, NOW_US, EventBody
from tests.support.model import Book
from tests.support.works import OPERATOR, Works, job, named

HOUR = Span(NOW_US, NOW_US + HOUR_US)


@pytest.fixture
def works(ledger_url: str) -> Iterator[Works]:
    """Ingest and measure over an empty ledger."""
    with Works(ledger_url) as opened:
        yield opened


def later(event: EventBody, by_us: int) -> EventBody:
    """The event at another time."""
    return {**event, "time": instant_text(NOW_US + by_us)}


# --- sums ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("amount", [10**15, Decimal("-999999999999999.999999999")])
def test_sums_far_beyond_64_bits_are_exact(works: Works, amount: int | Decimal) -> None:
    """10,000 events of the greatest amounts in one minute, in one row of each level, from two commits."""
    data = dict.fromkeys(FIELDS, amount)
    for part in range(2):
        batch: list[EventBody] = [job(f"{part}-{n}", **data) for n in range(EVENTS_MAX // 2)]
        assert EVENTS_MAX // 2 == works.write(batch).accepted
    nanos = int(amount * NANOS) * EVENTS_MAX
    for span in (None, HOUR, Span(NOW_US, NOW_US + MINUTE_US), Span(NOW_US - DAY_US, NOW_US + 1)):
        assert nanos == works.total("acme", "job_cpu", span) == works.total("acme", "job_net", span)
        assert len(FIELDS) * nanos == works.total("acme", "job_all", span)


def test_amounts_of_both_signs_cancel_out(works: Works) -> None:
    """Limbs of negative amounts carry over exactly."""
    amounts = ["-0.000000001", "0.000000001", "-1", "1000000000", "-1000000000.000000001", "0.5", "1.500000001", "-1"]
    works.write([job(str(n), cpu=amount) for n, amount in enumerate(amounts)])
    assert 0 == works.total("acme", "job_cpu")


def test_every_field_of_a_wide_type_keeps_its_own_sum_and_count(works: Works) -> None:
    """Five fields take two parts of a rollup row; an absent field is not a zero."""
    works.write([job(name, **{name: place + 1}) for place, name in enumerate(FIELDS)] + [job("none")])
    assert (6, 1, 1, 1, 5, 15) == tuple(
        works.total("acme", meter) // NANOS
        for meter in ("jobs", "job_nets", "job_cpu", "job_min", "job_net", "job_all")
    )


def test_a_batch_larger_than_the_bound_is_refused_before_anything_counts(works: Works) -> None:
    """The bound holds for a request, and nothing of it is written."""
    with pytest.raises(TooLarge):
        works.write([job(str(n)) for n in range(EVENTS_MAX + 1)])
    with works.ledger.reading() as connection:
        assert 0 == connection.scalar(text("SELECT count(*) FROM accounts"))


# --- extremes, last values, distinct values --------------------------------------------------------------------------


def test_late_events_find_their_place_among_extremes_and_last_values(works: Works) -> None:
    """What comes later does not win by that: the latest time is last, in each window and over all."""
    told = [(50, 7), (10, -9), (70, 3), (30, 12), (65, 5)]
    span = Span(NOW_US - 2 * HOUR_US, NOW_US)
    for minute, amount in told:
        event = job(str(minute), cpu=amount, memory=amount, code=abs(amount) % 5)
        assert 1 == works.write([later(event, minute * MINUTE_US - 2 * HOUR_US)]).accepted
    hours = tile(span, Granularity.HOUR, zone("UTC"))
    expected = {"job_min": (-9, [-9, 3]), "job_max": (12, [12, 5]), "job_last": (3, [7, 3]), "job_codes": (4, [2, 2])}
    for meter, (total, by_hour) in expected.items():
        whole, parts = works.ask("acme", Question(meter, [span]), Question(meter, hours))
        assert (total * NANOS, [value * NANOS for value in by_hour]) == (whole.value, list(parts.values))


def test_equal_times_have_the_same_last_value_in_any_order(ledger_url: str) -> None:
    """The tie is decided by identity, not by arrival, whether it is read from rollups or from the raw events."""
    events = [job(str(n), memory=n, worker=f"w{n % 2}") for n in range(10)]
    with Works(ledger_url) as works:
        for event in events:
            works.write([event])
        works.write([{**event, "subject": "twin"} for event in reversed(events)])
        works.write([{**event, "subject": "twin2"} for event in events])
        windows = [Span(NOW_US, NOW_US + 1)]
        for account_id in ("acme", "twin", "twin2"):
            book = Book(account_id)
            for event in events:
                book.add(event)
            question = Question("job_last", windows, ("worker",))
            (answer,) = works.ask(account_id, question)
            assert book.answer(question) == answer.groups
            assert book.answer(Question("job_last", windows))[()] == [works.total(account_id, "job_last")]


def test_extreme_amounts_are_extremes(works: Works) -> None:
    """Marks sort right up to the bounds."""
    works.write([job("1", cpu=10**15), job("2", cpu=-(10**15)), job("3", cpu=0, memory=-(10**15))])
    assert (-NANOS_MAX, NANOS_MAX, -NANOS_MAX) == tuple(
        works.total("acme", meter) for meter in ("job_min", "job_max", "job_last")
    )


def test_a_distinct_value_counts_once_however_often_and_wherever_it_comes(works: Works) -> None:
    """Over commits, series, hours and days; per group it counts in each."""
    for n in range(6):
        works.write([later(job(f"{n}-{code}", code=code, worker=f"w{n % 2}"), -n * 12 * HOUR_US) for code in (1, 2, n)])
    assert 6 * NANOS == works.total("acme", "job_codes")
    assert {"w0": 4 * NANOS, "w1": 4 * NANOS} == works.groups("acme", "job_codes", "worker")


# --- conditions ------------------------------------------------------------------------------------------------------


def test_a_meter_with_conditions_counts_what_passes_all(works: Works) -> None:
    """Borders of a comparison included and excluded as they say; a missing field passes none."""
    codes = (399, 400, 599, 600, None)
    works.write(
        [
            job(f"{code}-{ok}", **{name: value for name, value in (("code", code), ("ok", ok)) if value is not None})
            for code in codes
            for ok in (True, False, None)
        ]
    )
    assert (2 * NANOS, 15 * NANOS) == (works.total("acme", "jobs_failed"), works.total("acme", "jobs"))


# --- names -----------------------------------------------------------------------------------------------------------


def test_the_newest_name_stays_whatever_comes_later(works: Works) -> None:
    """Within a batch and across them, by the time of the event."""
    for ages in ((5, 3, 4), (9,), (2, 8)):
        works.write([later(job(f"{age}", worker="w", worker_name=f"name-{age}"), -age * MINUTE_US) for age in ages])
    assert {"w": "name-2"} == works.measure.names(works.account("acme"), "worker")


# --- raw bytes -------------------------------------------------------------------------------------------------------


def raw(works: Works) -> list[tuple[int, int, list[object]]]:
    """The raw batches: number, count of events, events."""
    with works.ledger.reading() as connection:
        rows = connection.execute(text("SELECT batch_no, events, body FROM raw_batches ORDER BY batch_no")).all()
    unpack = zstandard.ZstdDecompressor().decompress
    return [(no, count, decode_events(unpack(body, max_output_size=2**30), lines=True)) for no, count, body in rows]


def test_accepted_events_are_kept_as_they_came_and_no_others(works: Works) -> None:
    """With what the envelope left out filled in; duplicates, conflicts and rejections leave nothing."""
    odd = {"id": "1", "type": "ünknown", "subject": "acme", "ext": "é", "data": {"x": [Decimal("0.1"), None, "\u2028"]}}
    works.write([odd, job("2", cpu="1.50"), job("2", cpu=7), job("3", cpu=True)])
    works.write([odd, job("2", cpu="1.50")])
    ((_, count, events),) = raw(works)
    assert 2 == count
    assert {**odd, "source": "default", "time": instant_text(NOW_US)} == events[0]
    assert {**job("2", cpu="1.50"), "source": "default"} == events[1]


def test_raw_batches_of_lanes_are_numbered_apart_and_in_order(ledger_url: str) -> None:
    """A number is never given twice, whichever lane or process writes; the index finds every event's hour."""
    with Works(ledger_url, lanes=3) as one, Works(ledger_url, lanes=3) as two:
        for n in range(12):
            (one, two)[n % 2].write([later(job(f"{n}", f"acct-{a}"), -n * HOUR_US) for a in range(6)])
        batches = raw(one)
        assert 72 == sum(count for _, count, _ in batches)
        assert len(batches) == len({number for number, _, _ in batches})
        for n in range(12):
            edge = Span(NOW_US - n * HOUR_US, NOW_US - n * HOUR_US + 1)
            assert [NANOS] * 6 == [one.total(f"acct-{a}", "jobs", edge) for a in range(6)]


# --- the scheme ------------------------------------------------------------------------------------------------------


def test_events_read_by_an_old_scheme_are_read_again(ledger_url: str) -> None:
    """Another process adds a meter while ours has events in hand: they count for it, once."""
    with Works(ledger_url) as ours, Works(ledger_url) as theirs:
        body = {"event": "tick", "aggregation": "sum", "field": "n", "dimensions": ["colour"]}
        prepared = ours.ingest.prepare(
            [{"id": f"{n}", "type": "tick", "subject": "acme", "data": {"n": n, "colour": "red"}} for n in (1, 2, "x")],
            OPERATOR,
        )
        theirs.metering.put("ticks", body)
        assert 3 == ours.ingest.submit(prepared).result().accepted
        ours.write(named([{"type": "tick", "data": {"n": 4}}], "acme", 9))
        for works in (ours, theirs):
            works.metering.refresh()
            assert {"red": 3 * NANOS, None: 4 * NANOS} == works.groups("acme", "ticks", "colour")
            assert {"tick": NANOS} == works.groups("acme", "events_unmetered", "type")
