"""Several meters of an account spread over one dimension and time: a row for each value, a column for each meter.

Asked in one snapshot, added up exactly. Not for which meters a page shows, nor for how (see its templates).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tallybook.core.meter import Question
from tallybook.core.number import to_text
from tallybook.core.plan import Account
from tallybook.core.window import Span
from tallybook.web.rooms import Rooms

TOP = 7
"""Values that a chart shows by themselves; what comes after is one series."""
REST = "Others"


@dataclass(frozen=True, slots=True)
class Spread:
    """Values by the dimension's value (None where it was not said) and meter, one for each window."""

    windows: Sequence[Span]
    values: Mapping[str, Mapping[str | None, Sequence[int]]]
    """Meter -> dimension value -> nanos by window."""

    @property
    def keys(self) -> set[str | None]:
        """The dimension values that anything was used with."""
        return {key for groups in self.values.values() for key, values in groups.items() if any(values)}

    def total(self, meter: str, key: str | None) -> int:
        """Return what one value of the dimension used of a meter over all windows."""
        return sum(self.values[meter].get(key, ()))

    def whole(self, meter: str) -> int:
        """Return what was used of a meter in all."""
        return sum(sum(values) for values in self.values[meter].values())

    def column(self, meter: str) -> list[int]:
        """Return what was used of a meter in each window."""
        return [sum(column) for column in zip(*self.values[meter].values(), strict=True)] or [0] * len(self.windows)

    def series(self, meter: str, ranked: Sequence[tuple[str | None, str]]) -> list[dict[str, object]]:
        """Return the lines of a chart: the first of *ranked* (key, name), then all others as one."""
        groups, none = self.values[meter], [0] * len(self.windows)
        used = [(key, name) for key, name in ranked if any(groups.get(key, ()))]
        shown, rest = used[:TOP], used[TOP:]
        found: list[dict[str, object]] = [
            {"name": name, "values": texts(groups[key]), "color": index} for index, (key, name) in enumerate(shown)
        ]
        if len(rest) == 1:
            ((key, name),) = rest
            found.append({"name": name, "values": texts(groups[key]), "color": TOP})
        elif rest:
            columns = [sum(column) for column in zip(*(groups.get(key, none) for key, _ in rest), strict=True)]
            found.append({"name": f"{REST} ({len(rest)})", "values": texts(columns), "rest": True})
        return found


def ask_spread(
    rooms: Rooms,
    account: Account,
    meters: Sequence[str],
    dimension: str,
    windows: Sequence[Span],
    *,
    filters: Mapping[str, tuple[str, ...]] | None = None,
) -> Spread:
    """Ask for all *meters* at once."""
    questions = [Question(meter, windows, (dimension,), filters or {}) for meter in meters]
    answers = rooms.measure.ask(account, questions)
    values = {
        meter: {key[0]: groups for key, groups in answer.groups.items() if key}
        for meter, answer in zip(meters, answers, strict=True)
    }
    return Spread(windows, values)


def texts(values: Sequence[int]) -> list[str]:
    """Return values as decimal strings."""
    return [to_text(value) for value in values]
