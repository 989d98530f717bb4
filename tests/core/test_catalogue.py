"""The catalogue is read from TOML and JSON; what is wrong in it is told with its file, line and place."""

from decimal import Decimal
from importlib.resources import files

import pytest

from tallybook.core.catalogue import (
    DIMENSIONS_MAX,
    METERS_MAX,
    Catalogue,
    Field,
    Kind,
    load_catalogue,
    read_event_type,
    read_meter,
)
from tallybook.core.errors import FieldInvalid, NotFound, StartRefused
from tallybook.core.meter import Aggregation, Condition, Operator
from tallybook.core.number import NANOS
from tests.support.events import CATALOGUE

BUILTIN = files("tallybook").joinpath("data", "catalogue.toml").read_text(encoding="utf-8")
SMALL = """\
[events.job.fields]
cpu = { kind = "quantity", min = 0.5, max = 10 }
host = { kind = "text" }

[meters.jobs]
event = "job"
aggregation = "count"
"""


def own(text: str) -> Catalogue:
    """Read SMALL and, over it, an operator's file."""
    return load_catalogue(SMALL, text, own_name="own.toml")


def test_the_builtin_catalogue_is_sound_and_complete() -> None:
    """It has the types and meters of the published contract, and each meter's type is there."""
    catalogue = load_catalogue(BUILTIN)
    published = {
        *("messages", "calls", "call_seconds", "requests", "request_errors", "request_latency_ms"),
        *("request_latency_count", "request_cost_usd", "input_tokens", "output_tokens", "tokens", "credits"),
        *("workflow_runs", "workflow_outcomes", "deliveries", "storage_mb", "events_unmetered"),
    }
    assert published <= set(catalogue.meters)
    assert {meter.event_type for meter in catalogue.meters.values()} - {"*"} <= set(catalogue.events)
    assert ["request_cost_usd", "request_errors", "request_latency_count", "request_latency_ms", "requests"] == [
        meter.name for meter in catalogue.meters_of("api.request")
    ]


def test_all_that_a_catalogue_can_say_is_read() -> None:
    """Kinds, bounds, labels, aggregations, several fields, conditions and prices."""
    catalogue = load_catalogue(BUILTIN, CATALOGUE)
    assert Field("code", Kind.INTEGER, low=0, high=999 * NANOS) == catalogue.events["job"].fields["code"]
    assert "worker_name" == catalogue.events["job"].fields["worker"].label
    failed = catalogue.meter("jobs_failed")
    assert (
        Condition("code", Operator.GTE, ("400",)),
        Condition("code", Operator.LT, ("600",)),
        Condition("ok", Operator.IN, ("false",)),
    ) == failed.conditions
    assert (Aggregation.SUM, ("cpu", "disk", "gpu", "memory", "net")) == (
        (meter := catalogue.meter("job_all")).aggregation,
        meter.fields,
    )
    assert "jobs" == catalogue.meter("job_gpu_usd").priced_by


def test_numbers_of_a_file_are_exact() -> None:
    """A bound such as 0.5 is read as it stands, not as a float, and a condition keeps one form of it."""
    text = '[meters.hot]\nevent = "job"\naggregation = "count"\nwhere = { cpu = { gte = 1e-7, lt = 2.50 } }\n'
    catalogue = own(text)
    assert (NANOS // 2, 10 * NANOS) == ((cpu := catalogue.events["job"].fields["cpu"]).low, cpu.high)
    assert [("0.0000001",), ("2.5",)] == [condition.values for condition in catalogue.meter("hot").conditions]


def test_an_operators_file_extends_and_overrides_by_name() -> None:
    """New names are added, known ones replaced as a whole, all others stay."""
    catalogue = own(
        '[meters.jobs]\nevent="job"\naggregation="sum"\nfield="cpu"\n[events.tick.fields]\nn={kind="integer"}\n'
    )
    assert ({"jobs"}, {"job", "tick"}) == (set(catalogue.meters), set(catalogue.events))
    assert Aggregation.SUM == catalogue.meter("jobs").aggregation
    assert Aggregation.COUNT == load_catalogue(SMALL).meter("jobs").aggregation


@pytest.mark.parametrize("name", ['a"b', "a\\b", "a\nb", "\x00", "^1/1 cpu", "x" * 129])
def test_a_field_is_not_named_what_no_reader_can_be_made_of(name: str) -> None:
    """Neither summed, nor a dimension, nor in a condition, nor of a type: readers of events are compiled of names."""
    bodies = [{"aggregation": "sum", "field": name}, {"aggregation": "sum", "fields": [name]}]
    bodies += [{"aggregation": "count", "dimensions": [name]}, {"aggregation": "count", "where": {name: "x"}}]
    for body in bodies:
        with pytest.raises(FieldInvalid):
            read_meter("m", {"event": "order", **body})
    with pytest.raises(FieldInvalid):
        read_event_type("order", {"fields": {name: {}}}, "")


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("[events.job]\nfields = 5", 2, "events/job/fields must be an object"),
        ("[events.job]\ncolour = 5", 2, "events/job/colour is not known"),
        ("[meter.jobs]\n", 1, "meter is not known"),
        ('\n[events.a.fields]\nx = { kind = "float" }', 3, "events/a/fields/x/kind must be one of"),
        ('[events.a.fields]\nx = { kind = "enum" }', 2, "events/a/fields/x/values must be given for an enum"),
        ('[events.a.fields]\nx = { values = ["a"] }', 2, "events/a/fields/x/values must be given for an enum"),
        ("[events.a.fields]\nx = { required = 1 }", 2, "events/a/fields/x/required must be true or false"),
        ('[events.a.fields]\nx = { kind = "quantity", min = "1_0" }', 2, "events/a/fields/x/min must be a number"),
        ('[events.a.fields]\nx = { kind = "quantity", max = nan }', 2, "events/a/fields/x/max must be at most"),
        ('[events.a.fields]\nx = { label = "y" }', 2, "events/a/fields/x/label must name another field"),
        ('[events."a.b".fields."c/d"]\nkind = "x"', 2, "events/a.b/fields/c~1d/kind must be one of"),
        ('[meters."Jobs done"]\nevent = "job"\naggregation = "count"', 1, "meters/Jobs done/name must be letters"),
        ('[meters.x]\naggregation = "count"', 1, "meters/x/event must name the event type"),
        ('[meters.x]\nevent = "job"\naggregation = "average"', 3, "meters/x/aggregation must be one of"),
        ('[meters.x]\nevent = "job"\n\naggregation = "sum"', 1, "meters/x/field must name what to aggregate by sum"),
        ('[meters.x]\nevent = "job"\naggregation = "sum"\nfield = "host"', 4, "meters/x/field 'host' is not a number"),
        ('[meters.x]\nevent = "job"\naggregation = "sum"\nfield = "gpu"', 4, "'gpu' is not a field of job"),
        ('[meters.x]\nevent = "job"\naggregation = "max"\nfields = ["cpu", "host"]', 4, "can only be summed"),
        (
            '[meters.x]\nevent = "job"\naggregation = "sum"\nfield = "cpu"\nfields = ["cpu"]',
            5,
            "either field or fields",
        ),
        ('[meters.x]\nevent = "job"\naggregation = "count"\ndimensions = ["zone"]', 4, "'zone' is not a field"),
        ('[meters.x]\nevent = "job"\naggregation = "count"\ndimensions = ["host", "host"]', 4, "different texts"),
        ('[meters.x]\nevent = "job"\naggregation = "count"\nwhere = { zone = "a" }', 4, "where/zone is not a field"),
        ('[meters.x]\nevent = "job"\naggregation = "count"\nwhere = { host = { gte = 1 } }', 4, "is not a number"),
        (
            '[meters.x]\nevent = "job"\naggregation = "count"\nwhere = { cpu = { gt = 1 } }',
            4,
            "where/cpu/gt is not known",
        ),
        ('[meters.x]\nevent = "job"\naggregation = "count"\nwhere = { cpu = 5 }', 4, "where/cpu must be an object"),
        (
            '[events.job.fields]\nhost = { kind = "text" }\n[meters.x]\nevent="job"\naggregation="sum"\nfield="cpu"',
            6,
            "cpu",
        ),
    ],
)
def test_what_is_wrong_is_told_with_file_line_and_place(text: str, line: int, told: str) -> None:
    """One sentence says where to look and what to do."""
    with pytest.raises(StartRefused) as refused:
        own(text)
    assert refused.value.message.startswith(f"own.toml, line {line}: ")
    assert told in refused.value.message


def test_what_is_no_toml_says_so_with_its_line() -> None:
    """The reader's own words, after the file's name."""
    with pytest.raises(StartRefused, match=r"^own.toml: .*line 2"):
        own("[meters]\n= 5")


def test_a_type_may_not_be_changed_from_under_a_meter() -> None:
    """An override that takes a field away from a meter of before is refused, not found out by wrong numbers."""
    base = SMALL + 'dimensions = ["host"]\n'
    assert "disk" in load_catalogue(base, '[events.job.fields]\nhost={}\ndisk={kind="quantity"}').events["job"].fields
    with pytest.raises(StartRefused, match=r"line 1: events/job leaves the meter jobs without.*'host' is not a field"):
        load_catalogue(base, '[events.job.fields]\ndisk = { kind = "quantity" }')


def test_a_meter_reads_the_same_from_json() -> None:
    """The API's body has the same form as the table of a file; its pointers are the body's."""
    body = {"event": "job", "aggregation": "sum", "field": "cpu", "where": {"cpu": {"gte": Decimal("1E-7")}}}
    meter = read_meter("hot", body)
    assert ("0.0000001",) == meter.conditions[0].values
    for broken, pointer in (
        ({**body, "aggregation": None}, "/aggregation"),
        ({**body, "dimensions": "host"}, "/dimensions"),
        ({**body, "where": {"cpu": {"gte": True}}}, "/where/cpu/gte"),
        ({**body, "where": {"a/b": 5}}, "/where/a~1b"),
        ({**body, "unit": 5}, "/unit"),
        ({**body, "unit": "x\x00"}, "/unit"),
        ([], ""),
    ):
        with pytest.raises(FieldInvalid) as refused:
            read_meter("hot", broken)
        assert pointer == refused.value.pointer


def test_meters_and_dimensions_are_bounded() -> None:
    """METERS_MAX meters fit and one more does not, replacing one is always possible; so it is with dimensions."""
    catalogue = load_catalogue("")
    for number in range(METERS_MAX):
        catalogue = catalogue.with_meter(read_meter(f"m{number}", {"event": "x", "aggregation": "count"}))
    with pytest.raises(FieldInvalid, match=str(METERS_MAX)):
        catalogue.with_meter(read_meter("more", {"event": "x", "aggregation": "count"}))
    wide = {"event": "x", "aggregation": "count", "dimensions": [f"d{n}" for n in range(DIMENSIONS_MAX + 1)]}
    with pytest.raises(FieldInvalid) as refused:
        catalogue.with_meter(read_meter("m0", wide))
    assert "/dimensions" == refused.value.pointer
    wide["dimensions"] = [f"d{n}" for n in range(DIMENSIONS_MAX)]
    assert DIMENSIONS_MAX == len(catalogue.with_meter(read_meter("m0", wide)).meter("m0").dimensions)


def test_an_unknown_meter_is_not_found() -> None:
    """The refusal names it, cut short, and the parameter."""
    with pytest.raises(NotFound, match="'nope'") as refused:
        load_catalogue(SMALL).meter("nope")
    assert "meter" == refused.value.parameter


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"rounding": {"first": 0, "next": 6}}, "/rounding/first"),
        ({"rounding": {"first": 60}}, "/rounding/next"),
        ({"rounding": {"first": 60, "next": 6, "last": 1}}, "/rounding/last"),
        ({"rounding": 60}, "/rounding"),
        ({"rounding": {"first": 60, "next": 6}, "aggregation": "max"}, "/rounding"),
    ],
)
def test_only_a_sum_of_one_field_can_be_rounded(body: dict[str, object], pointer: str) -> None:
    """By whole seconds, with a first and a next increment."""
    told = {"event": "call", "aggregation": "sum", "field": "duration_s", **body}
    with pytest.raises(FieldInvalid) as refused:
        read_meter("m", told)
    assert pointer == refused.value.pointer
