"""Meters are added while the house runs: complete at once or filled first, in every process, over restarts."""

from collections.abc import Iterator
from decimal import Decimal

import pytest

from tallybook.core.clock import FrozenClock
from tallybook.core.errors import Conflict, FieldInvalid, NotFound, StartRefused
from tallybook.core.event import decode_json
from tallybook.core.instant import DAY_US, HOUR_US, MINUTE_US, instant_text
from tallybook.core.number import NANOS
from tallybook.core.window import Span
from tallybook.flows import metering
from tests.support.events import NOW_US, EventBody
from tests.support.works import Works, in_parallel, job

TICKS: dict[str, object] = {"event": "tick", "aggregation": "sum", "field": "n", "dimensions": ["colour"]}


@pytest.fixture
def works(ledger_url: str) -> Iterator[Works]:
    """Ingest and measure over an empty ledger."""
    with Works(ledger_url) as opened:
        yield opened


def tick(number: int, account_id: str = "acme", age_us: int = 0, **data: object) -> EventBody:
    """An event of a type that the catalogue does not know."""
    return {
        "id": f"tick-{number}",
        "type": "tick",
        "subject": account_id,
        "time": instant_text(NOW_US - age_us),
        "data": {"n": number, **data},
    }


# --- adding ----------------------------------------------------------------------------------------------------------


def test_a_meter_over_a_type_that_nobody_sent_counts_from_the_first_event(works: Works) -> None:
    """It serves the moment it is added."""
    works.metering.put("ticks", TICKS)
    works.write([tick(n, colour="red") for n in range(5)])
    assert {"red": 10 * NANOS} == works.groups("acme", "ticks", "colour")
    assert {} == works.groups("acme", "events_unmetered", "type")


def test_a_meter_that_fits_what_is_kept_is_complete_at_once(works: Works) -> None:
    """Earlier events count for it, conditions on closed dimensions included, without being read again."""
    works.write([job(str(n), region=("eu", "us")[n % 2], ok=n < 6, cpu=n) for n in range(10)])
    works.metering.put(
        "cpu_us_ok", {"event": "job", "aggregation": "sum", "field": "cpu", "where": {"region": "us", "ok": "true"}}
    )
    assert (1 + 3 + 5) * NANOS == works.total("acme", "cpu_us_ok")


def test_a_meter_over_earlier_events_is_filled_and_then_tells_all_of_them(works: Works) -> None:
    """Once each: those before, those that came while it was filled, and those after; edges and months included."""
    ages = (0, 1, MINUTE_US, HOUR_US, 40 * DAY_US)
    works.write([tick(n, age_us=age, colour="red") for n, age in enumerate(ages, 1)] + [tick(0, "other")])
    works.write([tick(99, n="junk")])
    works.metering.put("ticks", TICKS)
    with pytest.raises(Conflict, match="ticks is being filled"):
        works.total("acme", "ticks")
    works.write([tick(10, colour="blue"), tick(1, age_us=0, colour="red")])
    works.fill.run()
    works.write([tick(20, colour="blue")])
    assert {"red": 15 * NANOS, "blue": 30 * NANOS} == works.groups("acme", "ticks", "colour")
    assert 0 == works.total("other", "ticks")
    assert (1 + 10 + 20) * NANOS == works.total("acme", "ticks", Span(NOW_US, NOW_US + MINUTE_US))
    assert (2 + 1 + 10 + 20) * NANOS == works.total("acme", "ticks", Span(NOW_US - 1, NOW_US + 1))
    assert 5 * NANOS == works.total("acme", "ticks", Span(NOW_US - 50 * DAY_US, NOW_US - DAY_US))


def test_a_declared_type_without_a_meter_is_filled_too(works: Works) -> None:
    """Inventory events came before anyone asked how many: the meter over them tells all."""
    data = {"kind": "agent", "resource_id": "a1"}
    works.write([{**job(f"r{n}"), "type": "resource.created", "data": data} for n in range(3)])
    works.metering.put("births", {"event": "resource.created", "aggregation": "count", "dimensions": ["kind"]})
    works.fill.run()
    assert {"agent": 3 * NANOS} == works.groups("acme", "births", "kind")


def test_everything_a_meter_can_be_is_filled(works: Works) -> None:
    """Extremes, last and distinct values, sums of further fields: as if the meter had been there from the start."""
    events = [tick(n, age_us=n * HOUR_US, colour=f"c{n % 3}", size=n % 4) for n in range(1, 30)]
    works.write(events[:10])
    works.write(events[10:])
    kinds = ("min", "max", "last", "unique", "sum")
    for kind in kinds:
        works.metering.put(f"size_{kind}", {"event": "tick", "aggregation": kind, "field": "size"})
    works.fill.run()
    sizes = [n % 4 for n in range(1, 30)]
    assert [min(sizes), max(sizes), 1, 4, sum(sizes)] == [
        works.total("acme", f"size_{kind}") // NANOS for kind in kinds
    ]


def test_many_steps_and_restarts_fill_once(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batch by batch, over three processes that die in between: each event once, and old rows are cleared away."""
    monkeypatch.setattr("tallybook.ledger.fills.EVENTS_A_STEP_MAX", 2)
    with Works(ledger_url) as works:
        for n in range(1, 13):
            works.write([tick(n, f"acct-{n % 3}")])
        works.metering.put("ticks", TICKS)
    for _ in range(3):
        with Works(ledger_url) as works:
            assert works.fill._store.step(works.metering.refresh()) is not None
    with Works(ledger_url) as works, Works(ledger_url) as other:
        in_parallel(2, lambda number: (works, other)[number].fill.run())
        other.metering.refresh()
        assert [30, 22, 26] == [other.total(f"acct-{n}", "ticks") // NANOS for n in range(3)]
        works.metering.rebuild("ticks")
        works.fill.run()
        assert [30, 22, 26] == [works.total(f"acct-{n}", "ticks") // NANOS for n in range(3)]


@pytest.mark.parametrize("meter", ["jobs", "job_max", "events_unmetered", "messages"])
def test_rebuilding_any_meter_tells_the_same_again(works: Works, meter: str) -> None:
    """From the raw events, beside the rollups that serve meanwhile."""
    works.write([job(str(n), cpu=n) for n in range(7)] + [tick(n) for n in range(3)])
    before = works.total("acme", meter)
    works.metering.rebuild(meter)
    assert before == works.total("acme", meter)
    works.write([job("late", cpu=9), tick(50)])
    during = works.total("acme", meter)
    works.fill.run()
    assert during == works.total("acme", meter)


# --- keeping ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bound", ["1e-7", "2.50", "1e2", '"0.5"', "3"])
def test_added_meters_are_there_after_a_restart(ledger_url: str, bound: str) -> None:
    """With the exact numbers of their conditions, however those were spelled."""
    body = decode_json(b'{"event":"tick","aggregation":"count","where":{"n":{"gte":%s}}}' % bound.encode())
    assert isinstance(body, dict)
    limit = Decimal(bound.strip('"'))
    with Works(ledger_url) as works:
        meter = works.metering.put("big", body)
    with Works(ledger_url) as works:
        assert meter == works.metering.catalogue.meter("big")
        works.write(
            [{**tick(n), "data": {"n": value}} for n, value in enumerate((limit, limit - Decimal("1e-9"), 10**9))]
        )
        assert 2 * NANOS == works.total("acme", "big")


def test_a_meter_may_be_replaced_and_one_of_the_files_may_not(works: Works) -> None:
    """The answer changes with the meter; names of the catalogue's files are taken."""
    works.metering.put("ticks", TICKS)
    works.write([tick(5), tick(6)])
    assert 11 * NANOS == works.total("acme", "ticks")
    works.metering.put("ticks", {"event": "tick", "aggregation": "count", "dimensions": ["size"]})
    works.fill.run()
    assert {None: 2 * NANOS} == works.groups("acme", "ticks", "size")
    for name in ("messages", "jobs"):
        with pytest.raises(FieldInvalid) as refused:
            works.metering.put(name, TICKS)
        assert "/name" == refused.value.pointer


def test_a_meter_that_is_not_sound_changes_nothing(works: Works) -> None:
    """Refused with its pointer; the scheme stays the same."""
    version = works.metering.scheme.version
    for name, body, pointer in (
        ("x", {"event": "job", "aggregation": "sum", "field": "nope"}, "/field"),
        ("9x", TICKS, "/name"),
        ("x", {**TICKS, "aggregation": "mean"}, "/aggregation"),
        ("x", {**TICKS, "where": {"n": {"gte": Decimal("1E+99")}}}, "/where/n/gte"),
    ):
        with pytest.raises(FieldInvalid) as refused:
            works.metering.put(name, body)
        assert pointer == refused.value.pointer
    assert version == works.metering.refresh().version
    with pytest.raises(NotFound):
        works.metering.rebuild("nope")


def test_another_process_learns_of_a_meter_by_itself(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks now and then; what it takes in meanwhile counts for the new meter as well."""
    with Works(ledger_url) as ours, Works(ledger_url) as theirs:
        theirs.metering.put("ticks", TICKS)
        assert 1 == ours.write([tick(5)]).accepted
        monkeypatch.setattr(metering, "SCHEME_AGE_MAX_S", -1.0)
        assert 5 * NANOS == ours.total("acme", "ticks") == theirs.total("acme", "ticks")


def test_meters_added_by_two_processes_at_once_are_all_there(ledger_url: str) -> None:
    """Neither loses the other's."""
    with Works(ledger_url) as one, Works(ledger_url) as two:
        in_parallel(8, lambda n: (one, two)[n % 2].metering.put(f"m{n}", {**TICKS, "dimensions": [f"d{n}"]}))
        for works in (one, two):
            assert {f"m{n}" for n in range(8)} <= works.metering.refresh().catalogue.meters.keys()
        one.fill.run()
        one.write([{**tick(3), "data": {"n": 3, **{f"d{n}": "x" for n in range(8)}}}])
        two.metering.refresh()
        assert [{"x": 3 * NANOS}] * 8 == [two.groups("acme", f"m{n}", f"d{n}") for n in range(8)]


def test_a_file_that_leaves_an_added_meter_without_its_fields_stops_the_start(ledger_url: str) -> None:
    """In one line that names the meter, instead of wrong numbers."""
    with Works(ledger_url, FrozenClock(NOW_US)) as works:
        works.metering.put("sizes", {"event": "job", "aggregation": "sum", "field": "disk"})
    with pytest.raises(StartRefused, match=r"the meter sizes, added earlier, does not fit .*'disk' is not a field"):
        Works(ledger_url, own='[events.job.fields]\ncpu = { kind = "quantity" }\n')
