"""What Tallybook must answer, told by plain loops over a plain list of events: slow, short and obviously right.

It knows the meters of `events.CATALOGUE` by heart and shares no code with what it judges, but for `Span` and `Price`.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction

from tallybook.core.instant import EPOCH
from tallybook.core.meter import Question
from tallybook.core.price import Price
from tallybook.core.window import Span
from tests.support.events import FIELDS, EventBody

Data = Mapping[str, object]
Group = tuple[str | None, ...]
Epochs = Sequence[tuple[Span, Sequence[Price]]]


def nanos(value: object) -> int:
    """Return a quantity as 10^-9 units."""
    scaled = Fraction(str(value)) * 10**9
    assert scaled.denominator == 1
    return scaled.numerator


def instant_us(text: str) -> int:
    """Return the instant that a text of ours names."""
    since = datetime.fromisoformat(text) - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def text(value: object) -> str | None:
    """Return a dimension's value as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return None if value is None else str(value)


@dataclass(frozen=True, slots=True)
class Rule:
    """What a meter is: how it makes a number of which field of which events."""

    kind: str
    fields: tuple[str, ...] = ()
    counts: Callable[[Data], bool] = lambda _: True


def _failed(data: Data) -> bool:
    code = data.get("code")
    return data.get("ok") is False and isinstance(code, int) and 400 <= code < 600


RULES = {
    "jobs": Rule("count"),
    "job_nets": Rule("count", ("net",)),
    "job_cpu": Rule("sum", ("cpu",)),
    "job_net": Rule("sum", ("net",)),
    "job_all": Rule("sum", FIELDS),
    "job_min": Rule("min", ("cpu",)),
    "job_max": Rule("max", ("cpu",)),
    "job_last": Rule("last", ("memory",)),
    "job_codes": Rule("unique", ("code",)),
    "jobs_failed": Rule("count", (), _failed),
    "job_cpu_eu": Rule("sum", ("cpu",), lambda data: data.get("region") == "eu"),
    "jobs_of_ada": Rule("count", (), lambda data: data.get("worker") in {"ada", "eve"}),
    "job_gpu_usd": Rule("priced", ("gpu",)),
}


@dataclass(frozen=True, slots=True)
class Fact:
    """An event that counts; *tie* decides between equal times."""

    time_us: int
    tie: int
    data: Data


@dataclass(slots=True)
class Book:
    """The events of one account, by identity; the first payload under an identity stays."""

    account_id: str
    known: dict[tuple[str, str], EventBody] = field(default_factory=dict)
    facts: list[Fact] = field(default_factory=list)

    def add(self, event: EventBody) -> str:
        """Count an event whose time is given and return what becomes of it."""
        source, event_id = str(event.get("source", "default")), str(event["id"])
        payload: EventBody = {name: event.get(name) for name in ("type", "time", "data")}
        first = self.known.setdefault((source, event_id), payload)
        if first is not payload:
            return "duplicate" if first == payload else "conflict"
        if event["type"] == "job":
            identity = hashlib.blake2b(f"{self.account_id}\0{source}\0{event_id}".encode(), digest_size=16).digest()
            data = event.get("data")
            told = {name: value for name, value in data.items() if value != ""} if isinstance(data, dict) else {}
            self.facts.append(Fact(instant_us(str(event["time"])), int.from_bytes(identity[:8]), told))
        return "accepted"

    def answer(self, question: Question, epochs: Epochs = ()) -> dict[Group, list[int]]:
        """Return what the ledger must say: per group one value for each window."""
        rule = RULES[question.meter]
        found: dict[Group, dict[int, list[Fact]]] = {}
        for fact in self.facts:
            if not rule.counts(fact.data) or not _passes(fact, question.filters):
                continue
            if rule.kind in {"min", "max", "last", "unique"} and fact.data.get(rule.fields[0]) is None:
                continue
            key = tuple(text(fact.data.get(name)) for name in question.group_by)
            for number, window in enumerate(question.windows):
                if window.start_us <= fact.time_us < window.end_us:
                    found.setdefault(key, {}).setdefault(number, []).append(fact)
        if not question.group_by:
            found.setdefault((), {})
        numbers = range(len(question.windows))
        return {key: [_value(rule, by.get(number, []), epochs) for number in numbers] for key, by in found.items()}


def _passes(fact: Fact, filters: Mapping[str, tuple[str, ...]]) -> bool:
    return all(text(fact.data.get(name)) in values for name, values in filters.items())


def _value(rule: Rule, facts: Sequence[Fact], epochs: Epochs) -> int:
    carried = [(fact, fact.data[name]) for fact in facts for name in rule.fields if fact.data.get(name) is not None]
    if not facts:
        return 0
    if rule.kind == "count":
        return 10**9 * (len(carried) if rule.fields else len(facts))
    if rule.kind == "sum":
        return sum(nanos(value) for _, value in carried)
    if rule.kind == "priced":
        return sum(_cost(fact, rule.fields[0], epochs) for fact in facts)
    if rule.kind == "unique":
        return 10**9 * len({value for _, value in carried})
    if rule.kind == "last":
        return nanos(max(carried, key=lambda told: (told[0].time_us, told[0].tie))[1])
    return (min if rule.kind == "min" else max)(nanos(value) for _, value in carried)


def _cost(fact: Fact, name: str, epochs: Epochs) -> int:
    if fact.data.get(name) is not None:
        return nanos(fact.data[name])
    for span, prices in epochs:
        if span.start_us <= fact.time_us < span.end_us:
            matching = [
                price
                for price in prices
                if price.meter == "jobs" and all(text(fact.data.get(n)) == v for n, v in price.filter.items())
            ]
            return max(matching, key=lambda price: len(price.filter)).unit_price if matching else 0
    return 0
