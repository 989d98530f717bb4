"""Where the tests' time and events come from: instants on every border that matters, spans, and random events.

The random events are of a catalogue of their own (`CATALOGUE`), which uses all that a catalogue can say. What must
come of them is told by `model`.
"""

from datetime import datetime
from decimal import Decimal

import msgspec
from hypothesis import strategies as st

from tallybook.core.instant import DAY_US, EPOCH, HOUR_US, MINUTE_US, instant_text
from tallybook.core.number import to_text
from tallybook.core.window import Span

ZONES = (
    "UTC",
    "Europe/Paris",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Africa/Cairo",
    "America/Santiago",
    "Asia/Kolkata",
    "America/New_York",
    "Asia/Kathmandu",
    "Pacific/Kiritimati",
    "America/St_Johns",
    "America/Havana",
)
"""Zones of every kind: whole, half and quarter hours, a change of half an hour, days without midnight, a lost day."""


def at(text: str) -> int:
    """Return the instant that *text* names, by the standard library's reading."""
    return round((datetime.fromisoformat(text) - EPOCH).total_seconds()) * 1_000_000


INTERESTING_US = tuple(
    map(
        at,
        (
            "2011-12-30T10:00:00Z",  # Apia loses a day
            "2024-02-29T00:00:00Z",
            "2024-03-01T00:00:00Z",
            "2025-12-31T23:59:00Z",
            "2026-01-01T00:00:00Z",
            "2026-02-28T18:30:00Z",  # midnight in Kolkata
            "2026-03-01T00:00:00Z",
            "2026-03-01T12:34:00Z",
            "2026-03-08T07:00:00Z",  # New York springs forward
            "2026-03-28T23:00:00Z",  # midnight in Paris
            "2026-03-29T01:00:00Z",  # Paris springs forward
            "2026-03-29T22:00:00Z",  # midnight in Paris
            "2026-04-04T15:00:00Z",  # Lord Howe falls back by half an hour
            "2026-04-23T22:00:00Z",  # Cairo has no midnight
            "2026-09-06T04:00:00Z",  # Santiago has no midnight
            "2026-10-25T01:00:00Z",  # Paris falls back
            "2026-11-01T05:00:00Z",  # Havana falls back to midnight
        ),
    )
)
NOW_US = at("2026-11-20T12:00:00Z")
"""The clock of tests that let random events happen: after all interesting instants."""


def instants() -> st.SearchStrategy[int]:
    """Instants at, just before and around interesting ones, and a few anywhere."""
    deltas = st.one_of(
        st.sampled_from((0, -1, 1, MINUTE_US, -MINUTE_US - 1, 30_000_000, HOUR_US, HOUR_US - 1, -DAY_US)),
        st.integers(-3 * HOUR_US, 3 * HOUR_US),
        st.integers(-2 * 24, 2 * 24).map(lambda hours: hours * HOUR_US),
    )
    near = st.tuples(st.sampled_from(INTERESTING_US), deltas).map(sum)
    return st.one_of(near, near, near, st.integers(2 * DAY_US, NOW_US))


def spans(days_max: int = 40_000) -> st.SearchStrategy[Span]:
    """Spans between two instants, in any order and not empty; now and then much shorter than a minute."""
    wide = st.tuples(instants(), instants()).filter(lambda pair: pair[0] != pair[1]).map(sorted)
    short = st.tuples(instants(), st.integers(1, 3 * MINUTE_US)).map(lambda pair: [pair[0], pair[0] + pair[1]])
    made = st.one_of(wide, wide, short).map(lambda pair: Span(*pair))
    return made.filter(lambda span: span.end_us - span.start_us <= days_max * DAY_US)


# --- events ---------------------------------------------------------------------------------------------------------

CATALOGUE = """
[events.job]
description = "A type that uses all that a type can say."
[events.job.fields]
region = { kind = "enum", values = ["eu", "us"] }
worker = { kind = "text", label = "worker_name" }
worker_name = { kind = "text" }
code = { kind = "integer", min = 0, max = 999 }
ok = { kind = "boolean" }
cpu = { kind = "quantity" }
disk = { kind = "quantity" }
gpu = { kind = "quantity" }
memory = { kind = "quantity" }
net = { kind = "quantity" }

[meters]
jobs = { event = "job", aggregation = "count", dimensions = ["region", "worker", "ok", "code"], unit = "jobs" }
job_nets = { event = "job", aggregation = "count", field = "net", dimensions = ["region"] }
job_cpu = { event = "job", aggregation = "sum", field = "cpu", dimensions = ["region", "worker"] }
job_net = { event = "job", aggregation = "sum", field = "net", dimensions = ["region", "worker"] }
job_all = { event = "job", aggregation = "sum", fields = ["cpu", "disk", "gpu", "memory", "net"], dimensions = ["ok"] }
job_min = { event = "job", aggregation = "min", field = "cpu", dimensions = ["region", "worker"] }
job_max = { event = "job", aggregation = "max", field = "cpu", dimensions = ["region", "worker"] }
job_last = { event = "job", aggregation = "last", field = "memory", dimensions = ["region", "worker"] }
job_codes = { event = "job", aggregation = "unique", field = "code", dimensions = ["region", "worker"] }

[meters.jobs_failed]
event = "job"
aggregation = "count"
dimensions = ["worker"]
where = { ok = "false", code = { gte = 400, lt = 600 } }

[meters.job_cpu_eu]
event = "job"
aggregation = "sum"
field = "cpu"
dimensions = ["worker"]
where = { region = "eu" }

[meters.jobs_of_ada]
event = "job"
aggregation = "count"
dimensions = ["region"]
where = { worker = ["ada", "eve"] }

[meters.job_gpu_usd]
event = "job"
aggregation = "sum"
field = "gpu"
dimensions = ["region", "worker"]
priced_by = "jobs"
"""
"""An operator's catalogue: five value fields (two parts of a rollup row), each aggregation, each kind of condition."""

FIELDS = ("cpu", "disk", "gpu", "memory", "net")
EventBody = dict[str, object]
_encoder = msgspec.json.Encoder(decimal_format="number")


def json_of(events: object) -> bytes:
    """Return the JSON of events; Decimals become numbers, exactly."""
    return _encoder.encode(events)


def quantities() -> st.SearchStrategy[int | Decimal]:
    """Numbers that an event may carry: small, huge, negative and down to the last place."""
    nanos = st.one_of(st.integers(-5, 5), st.integers(-(10**24), 10**24), st.sampled_from((10**24, -(10**24), 1, -1)))
    exact = nanos.map(lambda value: Decimal(to_text(value)))
    return st.one_of(st.integers(-3, 9), st.integers(-3, 9), exact.map(lambda v: int(v) if v == int(v) else v))


def job_data() -> st.SearchStrategy[EventBody]:
    """Data of a job, in which any field may be missing."""
    optional: dict[str, st.SearchStrategy[object]] = {
        "region": st.sampled_from(("eu", "us")),
        "worker": st.sampled_from(("ada", "bob", "eve", "~", "Zoë")),
        "code": st.sampled_from((0, 200, 399, 400, 404, 599, 600)),
        "ok": st.booleans(),
        **dict.fromkeys(FIELDS, quantities()),
    }
    return st.fixed_dictionaries({}, optional=optional)


def jobs(times: st.SearchStrategy[int] | None = None) -> st.SearchStrategy[EventBody]:
    """Events of the type ``job`` without an id and subject, which the test gives."""
    moments = (instants() if times is None else times).map(instant_text)
    return st.fixed_dictionaries({"type": st.just("job"), "time": moments, "data": job_data()})
