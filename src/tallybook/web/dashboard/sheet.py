"""What Explore shows: one meter over windows, by group, beside the time before; totals, shares and changes, exact.

Not for reading what is asked (see `explore`) nor for how it is written (see its templates and `csvfile`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tallybook.core.meter import Aggregation, Answer, Meter, Question
from tallybook.core.number import ratio, to_text
from tallybook.core.plan import Account
from tallybook.core.window import Granularity, Span, Windows, tile, zone
from tallybook.web.rooms import Rooms

OTHER = "Other"
UNSAID = "not said"
PERCENT_PLACES = 1
_ADDED_UP = frozenset({Aggregation.COUNT, Aggregation.SUM})


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants to see."""

    meter: Meter
    span: Span
    granularity: Granularity
    tz: str
    group_by: str | None
    filters: Mapping[str, tuple[str, ...]]
    compare: bool
    top: int

    @property
    def groups(self) -> tuple[str, ...]:
        """The dimension to group by, as a question has it."""
        return () if self.group_by is None else (self.group_by,)

    @property
    def before(self) -> Span:
        """The span of the same length that ends where this one begins."""
        return Span(max(0, 2 * self.span.start_us - self.span.end_us), self.span.start_us)

    def windows(self, span: Span) -> Windows:
        """Cut *span* as it was asked for."""
        return tile(span, self.granularity, zone(self.tz))


@dataclass(frozen=True, slots=True)
class Line:
    """One group, or everything: its values by window, its total, and both of the time before."""

    key: str
    name: str
    values: Sequence[int]
    total: int
    before: Sequence[int] = ()
    before_total: int | None = None
    is_rest: bool = False

    @property
    def change(self) -> str | None:
        """The total against the one before, in percent with its sign; None where there was nothing before."""
        return change_text(self.total, self.before_total)


@dataclass(frozen=True, slots=True)
class Sheet:
    """All of it; *lines* are those that are seen, most first."""

    asked: Asked
    windows: Sequence[Span]
    lines: Sequence[Line]
    total: int
    before_total: int | None
    groups_count: int

    @property
    def change(self) -> str | None:
        """The total against the one before."""
        return change_text(self.total, self.before_total)

    def share(self, line: Line) -> str:
        """Return a line's part of the total in percent."""
        return str(ratio(100 * line.total, self.total, PERCENT_PLACES))

    @property
    def is_added_up(self) -> bool:
        """Whether values of the meter can be added up."""
        return self.asked.meter.aggregation in _ADDED_UP


def change_text(now: int, before: int | None) -> str | None:
    """Return the change in percent with one place and its sign."""
    if not before:
        return None
    percent = ratio(100 * (now - before), before, PERCENT_PLACES)
    return f"{percent:+}"


def make_sheet(rooms: Rooms, account: Account, asked: Asked) -> Sheet:
    """Ask everything at once, from one snapshot."""
    windows = asked.windows(asked.span)
    earlier = asked.windows(asked.before) if asked.compare else []
    answers = iter(rooms.measure.ask(account, _questions(asked, windows, earlier)))
    now, totals, whole = next(answers), _totals(next(answers)), next(answers).value
    before: Answer | None = None
    before_totals: Mapping[str | None, int] = {}
    before_whole: int | None = None
    if asked.compare:
        before, before_totals, before_whole = next(answers), _totals(next(answers)), next(answers).value
    names = dict(rooms.measure.names(account, asked.group_by)) if asked.group_by is not None else {}
    values, earlier_values = _by_group(now), {} if before is None else _by_group(before)
    ranked = sorted(values, key=lambda key: (-totals.get(key, 0), key is None, key or ""))
    none = [0] * len(earlier)
    lines = [
        Line(
            key=key or "",
            name=_name(asked, key, names),
            values=values[key],
            total=totals.get(key, 0),
            before=earlier_values.get(key, none),
            before_total=before_totals.get(key, 0) if asked.compare else None,
        )
        for key in ranked
    ]
    shown = lines[: asked.top]
    rest = lines[asked.top :]
    if rest and asked.meter.aggregation in _ADDED_UP:
        shown.append(_rest(rest, asked))
    return Sheet(asked, windows, shown, whole, before_whole, len(lines))


def _questions(asked: Asked, windows: Sequence[Span], earlier: Sequence[Span]) -> list[Question]:
    name, groups, filters = asked.meter.name, asked.groups, asked.filters
    questions = [
        Question(name, windows, groups, filters),
        Question(name, (asked.span,), groups, filters),
        Question(name, (asked.span,), (), filters),
    ]
    if asked.compare:
        questions += [
            Question(name, earlier, groups, filters),
            Question(name, (asked.before,), groups, filters),
            Question(name, (asked.before,), (), filters),
        ]
    return questions


def _by_group(answer: Answer) -> dict[str | None, Sequence[int]]:
    return {key[0] if key else "": values for key, values in answer.groups.items()}


def _totals(answer: Answer) -> dict[str | None, int]:
    return {key: values[0] for key, values in _by_group(answer).items()}


def _name(asked: Asked, key: str | None, names: Mapping[str, str]) -> str:
    if asked.group_by is None:
        return asked.meter.name.replace("_", " ")
    return UNSAID if key is None else names.get(key, key)


def _rest(lines: Sequence[Line], asked: Asked) -> Line:
    columns = [sum(values) for values in zip(*(line.values for line in lines), strict=True)]
    earlier = [sum(values) for values in zip(*(line.before for line in lines), strict=True)]
    return Line(
        key="\x00rest",
        name=f"{OTHER} ({len(lines)})",
        values=columns,
        total=sum(line.total for line in lines),
        before=earlier,
        before_total=sum(line.before_total or 0 for line in lines) if asked.compare else None,
        is_rest=True,
    )


def texts(values: Sequence[int]) -> list[str]:
    """Return values as decimal strings."""
    return [to_text(value) for value in values]
