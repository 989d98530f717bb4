"""How events are read by the catalogue, and which of their parts rollups keep."""

from decimal import Decimal

import pytest

from tallybook.core.catalogue import Catalogue, Kind, load_catalogue, read_meter
from tallybook.core.errors import Conflict, FieldInvalid
from tallybook.core.event import Admission, Event, read_event
from tallybook.core.key import Caller
from tallybook.core.meter import Aggregation, Increments, Meter, plain_field
from tallybook.core.number import NANOS, parse_nanos
from tallybook.core.scheme import Generation, Scheme, State, make_scheme, shapes_needed
from tallybook.core.shape import FLAG, Shape, TypeReader, meter_filters, readers, shape_of, type_in
from tests.support.events import CATALOGUE, NOW_US, EventBody

JOBS = load_catalogue(CATALOGUE)


def event(data: EventBody, event_type: str = "job") -> Event:
    """An event whose envelope is sound."""
    body = {"id": "1", "type": event_type, "subject": "acme", "data": data}
    return read_event(0, body, Admission(Caller("k", None, frozenset()), NOW_US))


def reader(catalogue: Catalogue, event_type: str = "job", type_no: int = 7) -> TypeReader:
    """Read events of a type by the shape that its meters need."""
    return readers(catalogue, {event_type: [(type_no, shapes_needed(catalogue)[event_type])]})[event_type]


def meter(event_type: str = "job", **body: object) -> Meter:
    """A counting meter, unless *body* says otherwise."""
    return read_meter("m", {"event": event_type, "aggregation": "count", **body})


def scheme(catalogue: Catalogue, *shapes: Shape) -> Scheme:
    """A scheme in which each of *shapes* serves."""
    return make_scheme(1, catalogue, [Generation(n, 1, State.SERVING, shape) for n, shape in enumerate(shapes, 1)])


# --- reading --------------------------------------------------------------------------------------------------------


def test_a_reading_holds_dimensions_flags_sums_marks_and_distinct_values() -> None:
    """All meters of a type read one event as one row, in the order of the shape."""
    shape = shapes_needed(JOBS)["job"]
    read = reader(JOBS)
    one = event({"region": "eu", "worker": "ada", "ok": False, "code": 404, "cpu": Decimal("1.5"), "net": "2"})
    (reading,) = read.readings(one, read.check(one))
    assert 7 == reading.type_no
    told = dict(zip(shape.columns, reading.dimensions, strict=True))
    assert {"region": "eu", "worker": "ada", "ok": "false", "code": "404"} == {
        name: value for name, value in told.items() if not name.startswith("?")
    }
    assert {'?code gte ["400"]', '?code lt ["600"]', '?worker in ["ada", "eve"]'} == {
        name for name, value in told.items() if value == FLAG
    }
    assert {"cpu": 1_500_000_000, "disk": None, "gpu": None, "memory": None, "net": 2 * NANOS} == dict(
        zip(shape.fields, reading.values, strict=True)
    )
    assert [(Aggregation.LAST, "memory"), (Aggregation.MAX, "cpu"), (Aggregation.MIN, "cpu")] == list(shape.marks)
    assert [1, 2] == [place for place, _ in reading.marks]
    assert [0] == [place for place, _, _ in reading.uniques]


@pytest.mark.parametrize(
    ("data", "code", "pointer"),
    [
        ({"region": "mars"}, "invalid-field", "/data/region"),
        ({"region": 5}, "invalid-field", "/data/region"),
        ({"region": ["eu"]}, "invalid-field", "/data/region"),
        ({"worker": 5}, "invalid-field", "/data/worker"),
        ({"worker": "é" * 129}, "invalid-field", "/data/worker"),
        ({"ok": "true"}, "invalid-field", "/data/ok"),
        ({"ok": 1}, "invalid-field", "/data/ok"),
        ({"code": 200.5}, "invalid-amount", "/data/code"),
        ({"code": Decimal("200.5")}, "invalid-field", "/data/code"),
        ({"code": "200"}, "invalid-field", "/data/code"),
        ({"code": True}, "invalid-amount", "/data/code"),
        ({"code": -1}, "invalid-amount", "/data/code"),
        ({"code": 1000}, "invalid-amount", "/data/code"),
        ({"cpu": "NaN"}, "invalid-amount", "/data/cpu"),
        ({"cpu": "1_000"}, "invalid-amount", "/data/cpu"),
        ({"cpu": Decimal("1E+999")}, "invalid-amount", "/data/cpu"),
        ({"cpu": Decimal("0.0000000001")}, "invalid-amount", "/data/cpu"),
        ({"cpu": 10**15 + 1}, "invalid-amount", "/data/cpu"),
        ({"cpu": {}}, "invalid-amount", "/data/cpu"),
    ],
    ids=repr,
)
def test_data_that_does_not_fit_its_type_is_refused_in_its_place(data: EventBody, code: str, pointer: str) -> None:
    """One wrong field, its code and its pointer."""
    with pytest.raises(FieldInvalid) as refused:
        reader(JOBS).check(event(data))
    assert (code, pointer) == (refused.value.detail.get("reason") or refused.value.code, refused.value.pointer)


@pytest.mark.parametrize("missing", [{}, {"n": None}, {"n": ""}])
def test_a_required_field_must_be_there(missing: EventBody) -> None:
    """Null and the empty text are not there; an optional field may be any of the three."""
    catalogue = load_catalogue('[events.a.fields]\nn = { kind = "quantity", required = true }\no = {}\n')
    read = readers(catalogue, {})["a"]
    with pytest.raises(FieldInvalid, match="required for events of type a") as refused:
        read.check(event(missing, "a"))
    assert "/data/n" == refused.value.pointer
    assert {"n": NANOS} == read.check(event({"n": 1, "o": ""}, "a"))


def test_unknown_fields_are_ignored() -> None:
    """Whatever they hold."""
    read = reader(JOBS)
    assert {"worker": "ada"} == read.check(event({"worker": "ada", "x": {"deep": [1, None]}, "cpu ": "NaN"}))


def test_labels_pair_a_value_with_its_name() -> None:
    """Where an event names a dimension's value; a name may be longer than an id."""
    read = reader(JOBS)
    known = read.check(event({"worker": "w1", "worker_name": "é" * 512}))
    assert [("worker", "w1", "é" * 512)] == read.labels(known)
    assert (
        [] == read.labels(read.check(event({"worker": "w1"}))) == read.labels(read.check(event({"worker_name": "x"})))
    )


def test_every_shape_in_use_gets_its_reading() -> None:
    """While a new generation is filled, events go to both."""
    shape = shapes_needed(JOBS)["job"]
    read = readers(JOBS, {"job": [(1, Shape("job")), (2, shape)]})["job"]
    one = event({"region": "eu"})
    assert [1, 2] == [reading.type_no for reading in read.readings(one, read.check(one))]


def test_an_event_of_an_unknown_type_counts_by_its_type() -> None:
    """In each generation of the rollups that count such events; its reading names the type and nothing else."""
    made = scheme(load_catalogue(""), Shape("*", dimensions=("type",)), Shape("job"), Shape("*", dimensions=("type",)))
    readings = made.unmetered(event({"cpu": "NaN"}, "strange"))
    assert [(1, ("strange",), ()), (3, ("strange",), ())] == [(r.type_no, r.dimensions, r.values) for r in readings]


# --- types that are only known from their meters ---------------------------------------------------------------------


def test_what_is_calculated_with_must_be_a_number_whichever_meter_came_last() -> None:
    """Adding up, comparing and counting distinct values of one field go together, in any order of names."""
    catalogue = load_catalogue(
        '[meters.b_sum]\nevent="ping"\naggregation="sum"\nfield="size"\n'
        '[meters.a_kinds]\nevent="ping"\naggregation="unique"\nfield="size"\n'
        '[meters.z_kinds]\nevent="ping"\naggregation="unique"\nfield="size"\ndimensions=["size", "host"]\n'
        '[meters.big]\nevent="ping"\naggregation="count"\nwhere={ weight = { gte = 5 }, colour = "red" }\n'
    )
    kinds = {name: spec.kind for name, spec in type_in(catalogue, "ping").fields.items()}
    assert {"size": Kind.QUANTITY, "weight": Kind.QUANTITY, "host": Kind.SCALAR, "colour": Kind.SCALAR} == kinds
    read = reader(catalogue, "ping")
    one = event({"size": 5, "weight": 5, "colour": "red", "host": True}, "ping")
    (reading,) = read.readings(one, read.check(one))
    assert ((5 * NANOS,), ("true", "5", FLAG, FLAG)) == (reading.values, reading.dimensions)
    with pytest.raises(FieldInvalid) as refused:
        read.check(event({"weight": "heavy"}, "ping"))
    assert "/data/weight" == refused.value.pointer


def test_scalars_are_read_as_text() -> None:
    """Numbers in one form, booleans by their JSON names; lists are none."""
    catalogue = load_catalogue('[meters.a]\nevent="ping"\naggregation="count"\ndimensions=["x"]\n')
    read = reader(catalogue, "ping")
    for value, text in ((Decimal("1.50"), "1.5"), (5, "5"), (True, "true"), ("a", "a")):
        assert {"x": text} == read.check(event({"x": value}, "ping"))
    with pytest.raises(FieldInvalid):
        read.check(event({"x": [1]}, "ping"))


# --- shapes ----------------------------------------------------------------------------------------------------------


def test_a_condition_on_a_closed_dimension_needs_no_flag() -> None:
    """Its values are few and never folded, so the series themselves tell; any other condition is remembered."""
    job = JOBS.events["job"]
    grouped = meter(dimensions=["ok", "worker", "code"])
    conditional = meter(where={"ok": "false", "worker": "ada", "code": {"gte": 400}})
    shape = shape_of(job, [grouped, conditional])
    assert {"worker", "code"} == {condition.field for condition in shape.conditions}
    assert {"ok": ("false",), '?worker in ["ada"]': (FLAG,), '?code gte ["400"]': (FLAG,)} == meter_filters(
        conditional, shape
    )
    alone = shape_of(job, [conditional])
    assert {"ok", "worker", "code"} == {condition.field for condition in alone.conditions}
    assert all(values == (FLAG,) for values in meter_filters(conditional, alone).values())


def test_conditions_whose_values_hold_commas_are_kept_apart() -> None:
    """One text with a comma is not two texts."""
    shape = shape_of(JOBS.events["job"], [meter(where={"worker": ["a,b"]}), meter(where={"worker": ["a", "b"]})])
    assert 2 == len(shape.conditions) == len({condition.flag for condition in shape.conditions})


def test_a_meter_is_served_by_any_shape_that_keeps_what_it_needs() -> None:
    """Also where a dimension of another meter does for a condition; else it is being filled, and says so."""
    ok, shape = meter(where={"ok": "false"}), shape_of(JOBS.events["job"], [meter(dimensions=["ok", "worker"])])
    assert shape == scheme(JOBS, shape).answering(ok).generation.shape
    for other in (meter(where={"worker": "ada"}), meter(dimensions=["region"]), meter(aggregation="sum", field="cpu")):
        with pytest.raises(Conflict, match="being filled"):
            scheme(JOBS, shape).answering(other)
    with pytest.raises(Conflict, match="being filled"):
        scheme(JOBS).answering(ok)


def test_every_meter_of_the_catalogue_is_served_by_the_shapes_it_asks_for() -> None:
    """What `shapes_needed` asks for is enough for each single meter."""
    made = scheme(JOBS, *shapes_needed(JOBS).values())
    for one in JOBS.meters.values():
        assert one.event_type == made.answering(one).generation.shape.event_type


def test_only_free_text_may_be_folded() -> None:
    """Closed lists, booleans and flags stay apart, so that limits on them stay exact."""
    shape = shapes_needed(JOBS)["job"]
    made = scheme(JOBS, shape, Shape("ping", dimensions=("a", "b")))
    assert {"worker", "code"} == {shape.columns[place] for place in made.foldable(1)}
    assert {0, 1} == made.foldable(2)


@pytest.mark.parametrize(
    ("more", "covers"),
    [
        ({}, True),
        ({"dimensions": ("region",)}, True),
        ({"dimensions": ("zone",)}, False),
        ({"fields": ("cpu",)}, True),
        ({"fields": ("x",)}, False),
        ({"marks": ((Aggregation.MAX, "cpu"),)}, True),
        ({"marks": ((Aggregation.MAX, "net"),)}, False),
        ({"uniques": ("code",)}, True),
        ({"uniques": ("worker",)}, False),
        ({"conditions": meter(where={"worker": "x"}).conditions}, False),
    ],
)
def test_a_shape_covers_what_it_keeps(more: dict[str, tuple[str, ...]], covers: bool) -> None:
    """Part by part."""
    assert covers is shapes_needed(JOBS)["job"].covers(Shape("job", **more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "by_minutes", "by_six"),
    [
        ("0", 0, 0),
        ("0.000000001", 60, 6),
        ("6", 60, 6),
        ("6.1", 60, 12),
        ("60", 60, 60),
        ("60.5", 120, 66),
        ("121", 180, 126),
    ],
)
def test_a_duration_is_rounded_up_by_its_increments(seconds: str, by_minutes: int, by_six: int) -> None:
    """The first one whole, then step by step; nothing stays nothing."""
    nanos = parse_nanos(seconds)
    assert by_minutes * NANOS == Increments(60, 60).rounded(nanos)
    assert by_six * NANOS == Increments(6, 6).rounded(nanos)
    assert ("duration_s", Increments(60, 6)) == plain_field(Increments(60, 6).field("duration_s"))
    assert ("duration_s", None) == plain_field("duration_s")
