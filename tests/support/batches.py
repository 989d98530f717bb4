"""Events of all built-in types and of the tests' own, as they come and as they should not, and schemes for them."""

from importlib.resources import files

from hypothesis import strategies as st

from tallybook.core.catalogue import load_catalogue
from tallybook.core.ids import AccountId
from tallybook.core.key import Caller
from tallybook.core.scheme import Generation, Scheme, State, make_scheme, shapes_needed
from tests.support.events import CATALOGUE, EventBody, jobs

OPERATOR = Caller("key_o", None, frozenset())
ACME = Caller("key_a", AccountId("acme"), frozenset())
BUILTIN = files("tallybook").joinpath("data", "catalogue.toml").read_text(encoding="utf-8")


RARE = """
[events.rare.fields]
name = { kind = "quantity", label = "size" }
size = { kind = "quantity", label = "name" }
done = { kind = "boolean" }
parts = { kind = "integer" }
place = { kind = "text" }
[meters.rare_parts]
event = "rare"
aggregation = "sum"
field = "parts"
dimensions = ["place"]
where = { size = { gte = 2 }, parts = { lt = 7 }, place = ["x", "y"], done = "true" }
"""
"""A type that only sums, with everything that is rare in such types."""


def scheme(generations: int = 1) -> Scheme:
    """The built-in catalogue and the tests' own, each type in so many generations."""
    catalogue = load_catalogue(BUILTIN, CATALOGUE + RARE, own_name="own.toml")
    shapes = list(shapes_needed(catalogue).values())
    states = (State.SERVING, State.FILLING)
    live = [
        Generation(1 + number * generations + n, n + 1, states[n], shape)
        for number, shape in enumerate(shapes)
        for n in range(generations)
    ]
    return make_scheme(1, catalogue, live)


SCHEMES = (scheme(), scheme(2))


ODD: tuple[object, ...] = (None, "", "x", "~", 0, 5, -1, 2**70, "1.50", "1e3", True, [], {"a": 1}, "y" * 65, "é" * 90)
odd = st.sampled_from(ODD)
EXTRA = ("id", "source", "subject", "time", "specversion", "type", "data", "data_base64", "traceparent")


def spoiled(event: EventBody, place: str | None, value: object) -> EventBody:
    """The event with something else in one place of its envelope."""
    return event if place is None else {**event, place: value}


def message(data: dict[str, object]) -> EventBody:
    """An event of the built-in catalogue."""
    return {"type": "message", "time": "2026-11-20T11:00:00.5Z", "data": {"direction": "inbound", **data}}


def other(kind: str, data: dict[str, object]) -> EventBody:
    """An event of any type."""
    return {"type": kind, "time": "2026-11-20T11:00:00Z", "data": data}


KINDS = ("call", "api.request", "llm.completion", "credit.spend", "resource.created", "storage.snapshot", "nobody")
FIELDS: tuple[str, ...] = ("channel", "direction", "duration_s", "call_id", "agent_id", "agent_name", "api_id")
FIELDS += ("status", "latency_ms", "input_tokens", "output_tokens", "amount", "megabytes", "kind", "resource_id")
FIELDS += ("name", "cost_usd", "other")
THINGS = ("agent", "seat")
RARE_FIELDS = ("name", "size", "done", "parts", "place")
LIKELY = st.sampled_from(("voice", "inbound", "agent", "a-1", 7, 404, "42.5", 3))
events = st.one_of(
    jobs(),
    st.dictionaries(st.sampled_from(("agent_id", "agent_name", "direction", "x")), odd, max_size=2).map(message),
    st.builds(other, st.sampled_from(KINDS), st.dictionaries(st.sampled_from(FIELDS), LIKELY | odd, max_size=6)),
    st.sampled_from(THINGS).map(
        lambda kind: other("resource.created", {"kind": kind, "resource_id": "r", "name": "R"})
    ),
    st.builds(other, st.just("rare"), st.dictionaries(st.sampled_from(RARE_FIELDS), LIKELY | odd, max_size=5)),
)
