"""What has to be read for the questions of a page, and which of it is read at once: views over windows, under prices.

Not for how it is read (see the flow `measure`), nor for what one question makes of it (see `view`).
"""

from collections.abc import Sequence

from tallybook.core.cover import Cover, cover
from tallybook.core.price import Price
from tallybook.core.sums import SumRows
from tallybook.core.view import View
from tallybook.core.window import Span

COMPARED_MAX = 8
"""Most windows of a list that is compared with others; a longer one is only known to be the same."""
Epochs = Sequence[tuple[Span, Sequence[Price]]]
"""Which prices hold when: ascending, and all time together."""


class Covers:
    """What covers the windows of several questions: the same list of them, or a short one that is equal, once."""

    def __init__(self) -> None:
        self._found: dict[object, Cover] = {}

    def of(self, windows: Sequence[Span]) -> Cover:
        """Return what covers *windows*, which are not changed or dropped meanwhile."""
        key = tuple(windows) if len(windows) <= COMPARED_MAX else id(windows)
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = cover(windows)
        return found


class Task:
    """A view over some of its windows (*places*), under the prices of one *epoch*."""

    def __init__(
        self, view: View, covered: Cover, places: Sequence[int], prices: Sequence[Price] = (), epoch: int = 0
    ) -> None:
        self.view = view
        self.covered = covered
        self.places = places
        self.prices = prices
        self.epoch = epoch

    @property
    def is_partial(self) -> bool:
        """Whether there are windows that it is not over."""
        return len(self.places) < len(self.view.question.windows)


def tasks_of(view: View, epochs: Epochs, covers: Covers) -> list[Task]:
    """Say what to read for *view*."""
    windows = view.question.windows
    if view.priced_by is None:
        return [Task(view, covers.of(windows), range(len(windows)))]
    tasks = []
    for epoch, (span, prices) in enumerate(epochs):
        if windows and span.start_us <= windows[0].start_us and windows[-1].end_us <= span.end_us:
            return [Task(view, covers.of(windows), range(len(windows)), prices, epoch)]
        clipped = [(place, _clip(window, span)) for place, window in enumerate(windows)]
        inside = [(place, window) for place, window in clipped if window.start_us < window.end_us]
        if inside:
            tasks.append(Task(view, cover([w for _, w in inside]), [p for p, _ in inside], prices, epoch))
    return tasks


def _clip(window: Span, span: Span) -> Span:
    return Span(max(window.start_us, span.start_us), min(window.end_us, span.end_us))


def alike_of(tasks: Sequence[Task]) -> list[list[Task]]:
    """Put tasks over the same windows together: what is read for one serves all of them."""
    found: dict[int, list[Task]] = {}
    for task in tasks:
        found.setdefault(id(task.covered), []).append(task)
    return list(found.values())


def owners_of(blocks: Sequence[Sequence[Task]]) -> list[tuple[Sequence[Task], int]]:
    """Return, for each window of all *blocks* one after another, whose it is and its place there."""
    return [(alike, place) for alike in blocks for place in range(len(alike[0].places))]


def readings(tasks: Sequence[Task]) -> list[list[list[Task]]]:
    """Say what is read at once: selections of one type over the same windows, else one selection over any windows."""
    selections: dict[object, dict[object, list[Task]]] = {}
    for task in tasks:
        over = (task.view.reading, id(task.covered))
        selections.setdefault(over, {}).setdefault((task.view.selection, task.epoch), []).append(task)
    alone: dict[object, list[Task]] = {}
    found = []
    for by_selection in selections.values():
        if len(by_selection) > 1:
            found.append(list(by_selection.values()))
            continue
        for selection, alike in by_selection.items():
            alone.setdefault(selection, []).extend(alike)
    return found + [[alike] for alike in alone.values()]


def share_out(sums: SumRows, blocks: Sequence[Sequence[Task]]) -> None:
    """Give each block of tasks, whose windows are numbered one block after another, its rows."""
    first = 0
    for alike in blocks:
        end = first + len(alike[0].places)
        mine = sums if len(blocks) == 1 else sums.between(first, end)
        if alike[0].is_partial:
            mine = mine.at(alike[0].places)
        numbers = mine.numbers()
        for task in alike:
            task.view.add_rows(mine, numbers)
        first = end
