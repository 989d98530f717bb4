"""What long work shows while it runs: a bar with rate and time left on a terminal, else a line every few seconds."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

LINE_EVERY_S = 5.0

Report = Callable[[int, int], None]
"""Told how far the work is, and how many events that was."""


@contextmanager
def shown(
    console: Console, title: str, total: int, monotonic_s: Callable[[], float] = time.monotonic
) -> Iterator[Report]:
    """Show progress towards *total* until the block ends; the block calls what it is given."""
    started_s = monotonic_s()
    if not console.is_terminal:
        yield _lines(console, title, total, monotonic_s)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TextColumn("{task.fields[rate]}"))
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as progress:
        task = progress.add_task(title, total=total or None, rate="")

        def report(done: int, events: int) -> None:
            rate = f"{_rate(events, monotonic_s() - started_s):,} events/s"
            progress.update(task, completed=done, rate=rate)

        yield report


def _lines(console: Console, title: str, total: int, monotonic_s: Callable[[], float]) -> Report:
    started_s = said_s = monotonic_s()

    def report(done: int, events: int) -> None:
        nonlocal said_s
        now_s = monotonic_s()
        if now_s - said_s < LINE_EVERY_S:
            return
        said_s = now_s
        elapsed_s = now_s - started_s
        left_s = elapsed_s * (total - done) / done if done else 0.0
        part = f"{100 * done // total} %" if total else "running"
        console.print(
            f"{title}: {part}, {events:,} events, {_rate(events, elapsed_s):,} events/s, {left_s:.0f} s left",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )

    return report


def _rate(events: int, elapsed_s: float) -> int:
    return round(events / elapsed_s) if elapsed_s > 0 else 0
