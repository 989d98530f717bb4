"""One question on its way to an answer: which rollups it looks at, and how their rows become its values."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from tallybook.core.aggregate import Reading, value_of_max, value_of_min
from tallybook.core.catalogue import DIMENSIONS_MAX, UNMETERED
from tallybook.core.errors import FieldInvalid, ParameterInvalid
from tallybook.core.event import Event
from tallybook.core.meter import Aggregation, Answer, Meter, Question, Share
from tallybook.core.number import NANOS, from_limbs
from tallybook.core.price import Price, unit_price
from tallybook.core.scheme import Generation, Scheme
from tallybook.core.shape import meter_filters

GroupKey = tuple[str | None, ...]
Group = tuple[GroupKey, int]
"""What is told apart: a key, and a unit price."""

_EVENTS_AT, _SLOTS_AT, _SLOT_COLUMNS = 2, 3, 4
_ONE_GROUP: Sequence[Group | None] = (((), 0),)
_MARKS = {Aggregation.MIN, Aggregation.MAX, Aggregation.LAST}


class Sums(msgspec.Struct, frozen=True, gc=False):
    """Events, and per slot (events that carried the field, sum in nanos)."""

    events: int
    slots: Sequence[tuple[int, int]]


class SumRows(msgspec.Struct, frozen=True):
    """Sums by window and group, as the ledger adds them up.

    Attributes:
        slots: Which fields the rows carry.
        rows: Window, group, events, and for each slot how many events carried it and their sum in three limbs.
    """

    slots: tuple[int, ...]
    rows: list[list[int]]


class View:
    """A question joined with the generation that answers it, and the values gathered so far."""

    def __init__(self, question: Question, meter: Meter, generation: Generation) -> None:
        self.question = question
        self.meter = meter
        self.generation = generation
        self.priced_by = meter.priced_by if question.share is Share.ALL else None
        shape = generation.shape
        self.filters: dict[str, frozenset[str]] = {n: frozenset(v) for n, v in meter_filters(meter, shape).items()}
        for name, values in question.filters.items():
            known = self.filters.get(name)
            self.filters[name] = frozenset(values) if known is None else known & frozenset(values)
        self.is_mark = meter.aggregation in _MARKS
        self.is_unique = meter.aggregation is Aggregation.UNIQUE
        self.slots: tuple[int, ...] = ()
        self.place = 0
        if self.is_mark:
            self.place = shape.marks.index((meter.aggregation, meter.fields[0]))
        elif self.is_unique:
            self.place = shape.uniques.index(meter.fields[0])
        else:
            self.slots = tuple(shape.fields.index(name) for name in meter.fields)
        self._groups: Sequence[Group | None] = _ONE_GROUP
        self._values: dict[GroupKey, list[int]] = {}
        self._marks: dict[tuple[GroupKey, int], str] = {}
        self._uniques: dict[tuple[GroupKey, int], set[tuple[int, int]]] = {}

    @property
    def takes_all(self) -> bool:
        """Whether every series of the type counts, in one group at one price."""
        return not (self.filters or self.question.group_by or self.priced_by)

    @property
    def selection(self) -> object:
        """Equal for views that look at the same series in the same groups, so that one statement serves them."""
        kind = (self.meter.aggregation, self.place) if self.is_mark or self.is_unique else "sums"
        filters = frozenset(self.filters.items())
        return self.generation.type_no, kind, self.question.group_by, filters, self.priced_by

    def is_coarse(self, prices: Sequence[Price]) -> bool:
        """Whether summaries, which hold sums, say all that is asked: no free text decides what counts or its price."""
        if self.is_mark or self.is_unique:
            return False
        kept = self.generation.shape.summarised
        decisive = {*self.filters, *self.question.group_by}
        if self.priced_by is not None:
            decisive.update(name for price in prices for name in price.filter)
        return kept is not None and decisive <= kept

    @property
    def reading(self) -> object:
        """Equal for views that one reading can serve, though they look at different series."""
        return self.generation.type_no, self.selection if self.is_mark or self.is_unique else None

    # --- series and groups --------------------------------------------------------------------------------------

    def matches(self, dims: Mapping[str, str]) -> bool:
        """Whether a series with these dimension values counts."""
        return all(dims.get(name) in values for name, values in self.filters.items())

    def number_groups(self, series: Mapping[int, Mapping[str, str]], prices: Sequence[Price]) -> dict[int, int]:
        """Return the group number of each series that counts; a group is a key and a unit price."""
        numbers: dict[Group, int] = {}
        found: dict[int, int] = {}
        for series_no, dims in series.items():
            if self.matches(dims):
                found[series_no] = numbers.setdefault(self._group_of(dims, prices), len(numbers))
        self._groups = list(numbers)
        return found

    def _group_of(self, dims: Mapping[str, str], prices: Sequence[Price]) -> Group:
        key = tuple(dims.get(name) for name in self.question.group_by)
        return key, 0 if self.priced_by is None else unit_price(prices, self.priced_by, dims)

    def share_groups(self, other: "View") -> None:
        """Understand group numbers as *other* does, which looks at the same series."""
        self._groups = other._groups  # noqa: SLF001 - of the same class

    def renumber(self, numbers: Sequence[int | None]) -> None:
        """Understand other group numbers from now on; *numbers* says which of its own each is, None for none."""
        self._groups = [None if number is None else self._groups[number] for number in numbers]

    def _group(self, number: int) -> Group:
        group = self._groups[number]
        assert group is not None  # only sums are read together with other views'
        return group

    # --- gathering -------------------------------------------------------------------------------------------------

    def add_sums(self, window: int, group: int, sums: Sums) -> None:
        """Count one row of sums."""
        key, price = self._group(group)
        self._row(key)[window] += self.value(sums, price)

    def add_rows(self, sums: SumRows, first: int, places: Sequence[int]) -> None:
        """Count rows of sums; their window *first* is the first of *places* here, and so on."""
        if not sums.rows:
            return
        only = self._groups[0] if len(self._groups) == 1 else None
        if only is not None and len(places) == len(self.question.windows) and self._add_plain(sums, first, only[0]):
            return
        value = self._value_of_row(sums.slots)
        lines: dict[int, tuple[list[int], int]] = {}
        for row in sums.rows:
            told = lines.get(row[1])
            if told is None:
                group = self._groups[row[1]]
                if group is None:
                    continue
                told = lines[row[1]] = self._row(group[0]), group[1]
            told[0][places[row[0] - first]] += value(row, told[1])

    def _add_plain(self, sums: SumRows, first: int, key: GroupKey) -> bool:
        """Count rows where the meter is a count or the sum of one field, in one group and in every window; these are
        most. False for others.
        """
        at = _EVENTS_AT
        if self.slots:
            if len(self.slots) > 1 or self.slots[0] not in sums.slots:
                return False
            at = _SLOTS_AT + _SLOT_COLUMNS * sums.slots.index(self.slots[0])
        if self.meter.aggregation is Aggregation.COUNT:
            line = self._row(key)
            for row in sums.rows:
                line[row[0] - first] += row[at] * NANOS
            return True
        if self.priced_by is not None or self.question.share is Share.UNCARRIED:
            return False
        giga, unit, nano = range(at + 1, at + _SLOT_COLUMNS)
        line = self._row(key)
        for row in sums.rows:
            line[row[0] - first] += (row[giga] * NANOS + row[unit]) * NANOS + row[nano]
        return True

    def _value_of_row(self, slots: Sequence[int]) -> Callable[[list[int], int], int]:
        """Return what makes a row and a price into nanos, as `value` does; the usual meters look at one place only."""
        at = [_SLOTS_AT + _SLOT_COLUMNS * slots.index(slot) for slot in self.slots if slot in slots]
        if self.meter.aggregation is not Aggregation.SUM:
            counted = at[0] if at else _EVENTS_AT if not self.slots else None
            return lambda row, _: 0 if counted is None else row[counted] * NANOS
        if self.question.share is Share.UNCARRIED:
            carrying = at[0] if at else None
            return lambda row, _: (row[_EVENTS_AT] - (0 if carrying is None else row[carrying])) * NANOS
        if self.priced_by is not None:
            carried = at[0] if at else None
            return lambda row, price: (
                (row[_EVENTS_AT] - (0 if carried is None else row[carried])) * price + _sum(row, at)
            )
        if len(at) != 1:
            return lambda row, _: _sum(row, at)
        (giga,) = (place + 1 for place in at)
        return lambda row, _: (row[giga] * NANOS + row[giga + 1]) * NANOS + row[giga + 2]

    def add_mark(self, window: int, group: int, mark: str) -> None:
        """Count the greatest mark of a window and group."""
        key, _ = self._group(group)
        known = self._marks.get((key, window))
        if known is None or mark > known:
            self._marks[key, window] = mark

    def add_unique(self, window: int, group: int, value: tuple[int, int]) -> None:
        """Count a distinct value of a window and group."""
        key, _ = self._group(group)
        self._uniques.setdefault((key, window), set()).add(value)

    def add_event(self, window: int, event: Event, scheme: Scheme, prices: Sequence[Price]) -> None:
        """Count a single raw event, as the rollups would have."""
        reading = self._read(event, scheme)
        if reading is None:
            return
        columns = self.generation.shape.columns
        dims = {n: v for n, v in zip(columns, reading.dimensions, strict=True) if v is not None}
        if not self.matches(dims):
            return
        self._groups = [self._group_of(dims, prices)]
        if self.is_mark:
            for place, mark in reading.marks:
                if place == self.place:
                    self.add_mark(window, 0, mark)
        elif self.is_unique:
            for place, high, low in reading.uniques:
                if place == self.place:
                    self.add_unique(window, 0, (high, low))
        else:
            values = [reading.values[slot] for slot in self.slots]
            slots = [(0, 0) if value is None else (1, value) for value in values]
            self.add_sums(window, 0, Sums(1, slots))

    def _read(self, event: Event, scheme: Scheme) -> Reading | None:
        reader, event_type = scheme.readers.get(event.type), self.generation.shape.event_type
        if event_type not in {event.type, UNMETERED}:
            return None
        try:
            readings = scheme.unmetered(event) if reader is None else reader.readings(event, reader.check(event))
        except FieldInvalid:
            readings = scheme.unmetered(event)
        return next((r for r in readings if r.type_no == self.generation.type_no), None)

    def value(self, sums: Sums, price: int) -> int:
        """Return the value in nanos of one row of sums; *price* is for events that do not carry the field."""
        if self.question.share is Share.UNCARRIED:
            return (sums.events - sums.slots[0][0]) * NANOS
        if self.meter.aggregation is Aggregation.SUM:
            total = sum(nanos for _, nanos in sums.slots)
            if self.priced_by is not None:
                total += (sums.events - sums.slots[0][0]) * price
            return total
        return (sums.slots[0][0] if self.slots else sums.events) * NANOS

    # --- the answer ------------------------------------------------------------------------------------------------

    def _row(self, key: GroupKey) -> list[int]:
        row = self._values.get(key)
        if row is None:
            row = self._values[key] = [0] * len(self.question.windows)
        return row

    def answer(self) -> Answer:
        """Return what was gathered; call it once, at the end."""
        for (key, window), mark in self._marks.items():
            low = self.meter.aggregation is Aggregation.MIN
            self._row(key)[window] = value_of_min(mark) if low else value_of_max(mark)
        for (key, window), values in self._uniques.items():
            self._row(key)[window] = len(values) * NANOS
        if not self.question.group_by:
            self._row(())
        return Answer(self.question, self._values)

    def refuse_ranking(self) -> None:
        """Refuse to rank accounts by a meter whose values cannot simply be added up."""
        if self.is_mark or self.is_unique or self.meter.priced_by is not None:
            raise ParameterInvalid(f"accounts cannot be ranked by {self.meter.name}", parameter="meter")


def join_groups(views: Sequence[View], found: Sequence[Mapping[int, int]]) -> dict[int, int]:
    """Return series -> group number for several views at once, each of which has numbered its own groups (*found*).

    Series are in one group if they are in one group of every view; all views learn what the new numbers mean.
    """
    numbers: dict[tuple[int | None, ...], int] = {}
    joined = {
        series_no: numbers.setdefault(tuple([groups.get(series_no) for groups in found]), len(numbers))
        for series_no in sorted(set().union(*found))
    }
    for place, view in enumerate(views):
        view.renumber([own[place] for own in numbers])
    return joined


def _sum(row: Sequence[int], at: Sequence[int]) -> int:
    return sum(from_limbs(row[place + 1], row[place + 2], row[place + 3]) for place in at)


def make_view(scheme: Scheme, question: Question) -> View:
    """Join *question* with the generation that answers it.

    Raises:
        NotFound: For an unknown meter.
        ParameterInvalid: For a dimension that the meter does not have, or too many.
        Conflict: While the meter is being filled.
    """
    meter = scheme.catalogue.meter(question.meter)
    generation = scheme.generation_of(meter)
    dimensions = meter.dimensions if question.share is Share.ALL else generation.shape.dimensions
    if len(question.group_by) > DIMENSIONS_MAX or len(set(question.group_by)) != len(question.group_by):
        raise ParameterInvalid(f"must be at most {DIMENSIONS_MAX} different dimensions", parameter="group_by")
    for parameter, names in (("group_by", question.group_by), ("filter", question.filters)):
        for name in names:
            if name not in dimensions:
                known = ", ".join(dimensions) or "none"
                raise ParameterInvalid(
                    f"{meter.name} has no dimension {name[:64]!r}; it has {known}", parameter=parameter
                )
    return View(question, meter, generation)
