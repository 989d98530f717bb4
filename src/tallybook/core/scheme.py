"""The catalogue in force: event types and meters joined with the numbers under which the ledger keeps them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import prod

from tallybook.core.aggregate import Reading
from tallybook.core.catalogue import UNMETERED, Catalogue
from tallybook.core.errors import Conflict
from tallybook.core.event import Event
from tallybook.core.meter import Meter
from tallybook.core.resource import Change
from tallybook.core.shape import CLOSED, Shape, TypeReader, meter_filters, readers, shape_of, type_in
from tallybook.core.usual import Usual

_RESOURCE_TYPES = frozenset(Change)
_BOOLEANS = 2
"""How many values a field has of which none are listed, where they are few."""


class State(StrEnum):
    """The life of a generation of rollups: filled from the raw events, serving questions, retired."""

    FILLING = "filling"
    SERVING = "serving"
    RETIRED = "retired"


@dataclass(frozen=True, slots=True)
class Generation:
    """The rollups of one event type in one shape, as the ledger numbers them."""

    type_no: int
    number: int
    state: State
    shape: Shape


@dataclass(frozen=True, slots=True)
class Scheme:
    """What every flow reads and writes by; replaced as a whole when a meter is added.

    Attributes:
        version: The ledger's number of this state; a commit under an older one is refused and read again.
        serving: Event type -> the generation that answers questions.
        written: Every generation that new events go to, by type number.
        readers: Event type -> how its events are read.
        usual: How events in their usual form are read at once; those of resources are not among them.
        unmetered_nos: Type numbers of the rollups that count events which no meter reads.
    """

    version: int
    catalogue: Catalogue
    serving: Mapping[str, Generation]
    written: Mapping[int, Generation]
    readers: Mapping[str, TypeReader]
    usual: Usual
    unmetered_nos: tuple[int, ...]
    _answering: dict[str, "Answering"] = field(default_factory=dict, init=False, repr=False, compare=False)
    _summaries: dict[int, int] = field(default_factory=dict, init=False, repr=False, compare=False)

    def unmetered(self, event: Event) -> tuple[Reading, ...]:
        """Return the readings that count an event which no meter reads, by its type."""
        return tuple([Reading(type_no, (event.type,), ()) for type_no in self.unmetered_nos])

    def answering(self, meter: Meter) -> "Answering":
        """Return what answers questions to *meter*.

        Raises:
            Conflict: While the meter is still being filled from earlier events.
        """
        known = self._answering.get(meter.name)
        if known is None or known.meter is not meter:
            generation = self._generation_of(meter)
            filters = {name: frozenset(values) for name, values in meter_filters(meter, generation.shape).items()}
            known = self._answering[meter.name] = Answering(meter, generation, filters)
        return known

    def _generation_of(self, meter: Meter) -> Generation:
        generation = self.serving.get(meter.event_type)
        event = type_in(self.catalogue, meter.event_type)
        if generation is None or not generation.shape.covers(shape_of(event, [meter], generation.shape.dimensions)):
            raise Conflict(f"the meter {meter.name} is being filled from earlier events; ask again shortly")
        return generation

    def summaries(self, generation: Generation) -> int:
        """Return how many summaries of a day there are if every value that the catalogue lists comes; 0 of none."""
        known = self._summaries.get(generation.type_no)
        if known is None:
            shape, event = generation.shape, type_in(self.catalogue, generation.shape.event_type)
            values = [len(event.fields[name].values) or _BOOLEANS for name in shape.closed if name in event.fields]
            known = 0 if shape.summarised is None else prod(values) * 2 ** len(shape.conditions)
            self._summaries[generation.type_no] = known
        return known

    def foldable(self, type_no: int) -> frozenset[int]:
        """Return the places of a series that hold free text and may be folded together when there are too many."""
        shape = self.written[type_no].shape
        event = self.catalogue.events.get(shape.event_type)
        return frozenset(
            place
            for place, name in enumerate(shape.dimensions)
            if event is None or name not in event.fields or event.fields[name].kind not in CLOSED
        )


@dataclass(frozen=True, slots=True)
class Answering:
    """What answers questions to a meter: a generation, and which values a series must have there to count for it."""

    meter: Meter
    generation: Generation
    filters: Mapping[str, frozenset[str]]


def make_scheme(version: int, catalogue: Catalogue, generations: Iterable[Generation]) -> Scheme:
    """Join *catalogue* with the ledger's generations."""
    live = [g for g in generations if g.state is not State.RETIRED]
    shapes: dict[str, list[tuple[int, Shape]]] = {}
    for generation in live:
        shapes.setdefault(generation.shape.event_type, []).append((generation.type_no, generation.shape))
    found = readers(catalogue, shapes)
    return Scheme(
        version=version,
        catalogue=catalogue,
        serving={g.shape.event_type: g for g in live if g.state is State.SERVING},
        written={g.type_no: g for g in live},
        readers=found,
        usual=Usual({name: reader for name, reader in found.items() if name not in _RESOURCE_TYPES}),
        unmetered_nos=tuple(type_no for type_no, _ in shapes.get(UNMETERED, ())),
    )


def shapes_needed(catalogue: Catalogue) -> dict[str, Shape]:
    """Return the shape that each metered event type needs."""
    types = {meter.event_type for meter in catalogue.meters.values()}
    return {name: shape_of(type_in(catalogue, name), catalogue.meters_of(name)) for name in sorted(types)}
