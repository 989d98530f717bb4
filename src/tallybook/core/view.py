"""One question on its way to an answer: which rollups it looks at, and how their rows become its values."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import compress, repeat
from operator import mul

import msgspec

from tallybook.core.aggregate import Reading, value_of_max, value_of_min
from tallybook.core.catalogue import DIMENSIONS_MAX, UNMETERED
from tallybook.core.errors import FieldInvalid, ParameterInvalid
from tallybook.core.event import Event
from tallybook.core.meter import Aggregation, Answer, Counted, Question, Share
from tallybook.core.number import NANOS
from tallybook.core.price import Price, unit_price
from tallybook.core.scheme import Answering, Scheme
from tallybook.core.sums import SumRows, Wanted

GroupKey = tuple[str | None, ...]
Group = tuple[GroupKey, int]
"""What is told apart: a key, and a unit price."""

_ONE_GROUP: Sequence[Group | None] = (((), 0),)
_MARKS = {Aggregation.MIN, Aggregation.MAX, Aggregation.LAST}


class Sums(msgspec.Struct, frozen=True, gc=False):
    """Events, and per slot (events that carried the field, sum in nanos)."""

    events: int
    slots: Sequence[tuple[int, int]]


class View:
    """A question joined with the generation that answers it, and the values gathered so far."""

    def __init__(self, question: Question, answering: Answering) -> None:
        self.question = question
        self.meter = meter = answering.meter
        self.generation = answering.generation
        self.priced_by = meter.priced_by if question.share is Share.ALL else None
        shape = self.generation.shape
        self.filters = dict(answering.filters)
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
        self._is_count = self.is_unique or meter.aggregation is Aggregation.COUNT or question.share is Share.UNCARRIED
        self._in_units = self._is_count or (meter.aggregation is Aggregation.SUM and self.priced_by is None)
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

    @property
    def wanted(self) -> Wanted:
        """What is to be added up, where that is sums."""
        if self.meter.aggregation is not Aggregation.SUM:
            return Wanted(events=not self.slots, counts=self.slots[:1])
        if self.question.share is Share.UNCARRIED:
            return Wanted(events=True, counts=self.slots[:1])
        if self.priced_by is not None:
            return Wanted(events=True, counts=self.slots[:1], sums=self.slots)
        return Wanted(sums=self.slots)

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
        for name, values in self.filters.items():  # noqa: SIM110 - for each series of each question: three times as fast
            if dims.get(name) not in values:
                return False
        return True

    def number_groups(self, series: Mapping[int, Mapping[str, str]], prices: Sequence[Price]) -> dict[int, int]:
        """Return the group number of each series that counts; a group is a key and a unit price."""
        counting = dict(series)
        for name, values in self.filters.items():  # as `matches` does for one
            counting = {series_no: dims for series_no, dims in counting.items() if dims.get(name) in values}
        if not (self.question.group_by or self.priced_by):
            self._groups = _ONE_GROUP if counting else ()
            return dict.fromkeys(counting, 0)
        numbers: dict[Group, int] = {}
        groups = self._groups_of(list(counting.values()), prices)
        found = {no: numbers.setdefault(group, len(numbers)) for no, group in zip(counting, groups, strict=True)}
        self._groups = list(numbers)
        return found

    def _groups_of(self, series: Sequence[Mapping[str, str]], prices: Sequence[Price]) -> list[Group]:
        by, base = self.question.group_by, self.priced_by
        keys: Iterable[GroupKey] = zip(*[[dims.get(name) for dims in series] for name in by], strict=True)
        if not by:
            keys = repeat((), len(series))
        if base is None:
            return [(key, 0) for key in keys]
        return [(key, unit_price(prices, base, dims)) for key, dims in zip(keys, series, strict=True)]

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
        if not self._is_count:
            self._leave_units()
        self._row(key)[window] += self._added(sums, price)

    def add_rows(self, sums: SumRows, numbers: Sequence[int]) -> None:
        """Count rows of sums, which are of the groups of these *numbers*."""
        values = self._values_of(sums)
        lines = self._lines(numbers)
        if values is None:
            return
        there = [line for line in lines.values() if line is not None]
        rows: Iterable[tuple[int, int]] = zip(sums.windows, values, strict=True)
        if sums.groups is not None and any(line is not there[0] for line in there):
            those = map(lines.__getitem__, sums.groups)
            for window, value, line in zip(sums.windows, values, those, strict=True):
                if line is not None:
                    line[window] += value
        elif there:
            only = there[0]
            if sums.groups is not None and len(there) < len(lines):
                rows = compress(rows, [lines[group] is only for group in sums.groups])
            for window, value in rows:
                only[window] += value

    def _lines(self, numbers: Sequence[int]) -> dict[int, list[int] | None]:
        """Return where the values of each group go; one that has rows is in the answer."""
        known = [(number, self._groups[number]) for number in numbers]
        return {number: None if group is None else self._row(group[0]) for number, group in known}

    def _values_of(self, sums: SumRows) -> Sequence[int] | None:
        """Return what each row adds, as `_added` says it of one; None where they say nothing."""
        if self.meter.aggregation is not Aggregation.SUM:
            return sums.counts.get(self.slots[0]) if self.slots else sums.events
        if self.question.share is Share.UNCARRIED:
            return self._uncarried(sums)
        found = self._summed(sums)
        if self.priced_by is not None:
            found.append(self._priced(sums))
        if len(found) > 1:
            return list(map(sum, zip(*found, strict=True)))
        return found[0] if found else None

    def _summed(self, sums: SumRows) -> list[Sequence[int]]:
        """Return the sums of each field: in units as long as none that came had a fraction, in nanos from then on."""
        wholes = [sums.wholes[slot] for slot in self.slots if slot in sums.wholes]
        found = [sums.sums[slot] for slot in self.slots if slot in sums.sums]
        if found:
            self._leave_units()
        return wholes if self._in_units else [*found, *[list(map(mul, column, repeat(NANOS))) for column in wholes]]

    def _leave_units(self) -> None:
        """Have sums in nanos from now on."""
        if self._in_units:
            self._in_units = False
            for row in self._values.values():
                row[:] = map(mul, row, repeat(NANOS))

    def _uncarried(self, sums: SumRows) -> list[int]:
        """Return how many events of each row did not carry the field; which events there were may be told elsewhere."""
        none = [0] * len(sums.windows)
        events, carried = sums.events or none, sums.counts.get(self.slots[0], none)
        return [count - carrying for count, carrying in zip(events, carried, strict=True)]

    def _priced(self, sums: SumRows) -> list[int]:
        """Return what the events of each row cost that did not carry the field, at the price of their group."""
        groups = sums.groups or [0] * len(sums.windows)
        prices = {number: 0 if group is None else group[1] for number, group in enumerate(self._groups)}
        return [count * prices[group] for count, group in zip(self._uncarried(sums), groups, strict=True)]

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
        self._groups = self._groups_of([dims], prices)
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
        added = self._added(sums, price)
        return added * NANOS if self._is_count else added

    def _added(self, sums: Sums, price: int) -> int:
        """Return what one row of sums adds to the values: how many, where that is what is counted, nanos elsewhere."""
        if self.question.share is Share.UNCARRIED:
            return sums.events - sums.slots[0][0]
        if self.meter.aggregation is Aggregation.SUM:
            total = sum(nanos for _, nanos in sums.slots)
            if self.priced_by is not None:
                total += (sums.events - sums.slots[0][0]) * price
            return total
        return sums.slots[0][0] if self.slots else sums.events

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
            self._row(key)[window] = len(values)
        if not self.question.group_by:
            self._row(())
        return Answer(self.question, Counted(self._values) if self._in_units else self._values)

    def refuse_ranking(self) -> None:
        """Refuse to rank accounts by a meter whose values cannot simply be added up."""
        if self.is_mark or self.is_unique or self.meter.priced_by is not None:
            raise ParameterInvalid(f"accounts cannot be ranked by {self.meter.name}", parameter="meter")


def join_groups(views: Sequence[View], found: Sequence[Mapping[int, int]]) -> dict[int, int]:
    """Return series -> group number for several views at once, each of which has numbered its own groups (*found*).

    Series are in one group if they are in one group of every view; all views learn what the new numbers mean.
    """
    numbers: dict[tuple[int | None, ...], int] = {}
    several = sorted(set().union(*found))
    keys = zip(*[map(groups.get, several) for groups in found], strict=True)
    joined = {no: numbers.setdefault(key, len(numbers)) for no, key in zip(several, keys, strict=True)}
    for place, view in enumerate(views):
        view.renumber([own[place] for own in numbers])
    return joined


def make_view(scheme: Scheme, question: Question) -> View:
    """Join *question* with the generation that answers it.

    Raises:
        NotFound: For an unknown meter.
        ParameterInvalid: For a dimension that the meter does not have, or too many.
        Conflict: While the meter is being filled.
    """
    meter = scheme.catalogue.meter(question.meter)
    answering = scheme.answering(meter)
    dimensions = meter.dimensions if question.share is Share.ALL else answering.generation.shape.dimensions
    if len(question.group_by) > DIMENSIONS_MAX or len(set(question.group_by)) != len(question.group_by):
        raise ParameterInvalid(f"must be at most {DIMENSIONS_MAX} different dimensions", parameter="group_by")
    for parameter, names in (("group_by", question.group_by), ("filter", question.filters)):
        for name in names:
            if name not in dimensions:
                known = ", ".join(dimensions) or "none"
                raise ParameterInvalid(
                    f"{meter.name} has no dimension {name[:64]!r}; it has {known}", parameter=parameter
                )
    return View(question, answering)
