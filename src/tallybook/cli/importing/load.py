"""The import itself: rows to events to batches to a destination, and an account of what became of every row.

A few batches are under way at a time, so memory is bounded whatever the file's size. Not for where they go (see
`destination`) nor for what is shown meanwhile (see `progress`).
"""

import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol

from tallybook.cli.importing.mapping import Cells, Event, RowInvalid
from tallybook.cli.importing.rejects import Reject, Rejects
from tallybook.cli.importing.rows import Row
from tallybook.core.errors import TallybookError
from tallybook.core.event import ERRORS_SHOWN_MAX, Outcome
from tallybook.core.intake import Receipt

BATCH_EVENTS = 2_000
BATCHES_UNDER_WAY_MAX = 4

_REFUSALS = {Outcome.CONFLICT, Outcome.REJECTED}

RowMapper = Callable[[Cells, str, str | None], list[Event]]


class Destination(Protocol):
    """Where batches go."""

    def submit(self, events: list[Event]) -> Future[Receipt]:
        """Send *events*; the future holds what became of them, or the error that stops the import."""
        ...


@dataclass(slots=True)
class Summary:
    """What became of a file: *rows* read, rows *skipped* by the mapping, events by outcome, rows never mapped."""

    rows: int = 0
    skipped: int = 0
    accepted: int = 0
    duplicate: int = 0
    conflict: int = 0
    rejected: int = 0

    @property
    def refused(self) -> int:
        """How many events and rows did not count."""
        return self.conflict + self.rejected


@dataclass(frozen=True, slots=True)
class Reading:
    """How the rows of one file are read: *row_id* starts the id of a row, *account* overrides its subject."""

    mapper: RowMapper
    row_id: str
    account: str | None = None

    def events(self, row: Row) -> list[Event]:
        """Return the events of *row*.

        Raises:
            RowInvalid: If it cannot be mapped.
        """
        if row.fault is not None:
            raise RowInvalid(row.fault)
        return self.mapper(row.cells, f"{self.row_id}-{row.number}", self.account)


@dataclass(slots=True)
class Load:
    """One run of an import; *progress* is told the summary after every batch."""

    destination: Destination
    rejects: Rejects
    progress: Callable[[Summary], None]
    summary: Summary = field(default_factory=Summary)
    _under_way: deque[tuple[list[tuple[int, Event]], Future[Receipt]]] = field(default_factory=deque)

    def run(self, rows: Iterable[Row], reading: Reading) -> Summary:
        """Send every row and return what became of them.

        Raises:
            TallybookError: If the destination or the file gives up; what was sent before stays counted.
        """
        try:
            for batch in self._batches(rows, reading):
                self._send(batch)
            self._settle(leave=0)
        except TallybookError:
            self._count_the_rest()
            raise
        return self.summary

    def _batches(self, rows: Iterable[Row], reading: Reading) -> Iterator[list[tuple[int, Event]]]:
        batch: list[tuple[int, Event]] = []
        for row in rows:
            self.summary.rows += 1
            try:
                events = reading.events(row)
            except RowInvalid as error:
                self.summary.rejected += 1
                self.rejects.write(
                    Reject(row.number, "row-invalid", error.message, cells=row.cells, surplus=row.surplus)
                )
                continue
            self.summary.skipped += not events
            batch += [(row.number, event) for event in events]
            if len(batch) >= BATCH_EVENTS:
                yield batch
                batch = []
        if batch:
            yield batch

    def _send(self, batch: list[tuple[int, Event]]) -> None:
        self._under_way.append((batch, self.destination.submit([event for _, event in batch])))
        self._settle(leave=BATCHES_UNDER_WAY_MAX - 1)

    def _settle(self, *, leave: int) -> None:
        while len(self._under_way) > leave:
            batch, future = self._under_way.popleft()
            receipt = future.result()
            self.summary.accepted += receipt.accepted
            self.summary.duplicate += receipt.duplicate
            self.summary.conflict += receipt.conflict
            self.summary.rejected += receipt.rejected
            if receipt.conflict or receipt.rejected:
                self._write_rejects(batch, receipt)
            self.progress(self.summary)

    def _count_the_rest(self) -> None:
        """After a failure, count the batches that were under way and came through."""
        while self._under_way:
            with contextlib.suppress(TallybookError):
                self._settle(leave=len(self._under_way) - 1)

    def _write_rejects(self, batch: list[tuple[int, Event]], receipt: Receipt) -> None:
        refusals = [error for error in receipt.errors if error.outcome in _REFUSALS]
        if len(refusals) < receipt.conflict + receipt.rejected:
            # An answer names its first errors only. Asked again in small slices, it names them all; what was
            # accepted the first time is a duplicate now.
            for start in range(0, len(batch), ERRORS_SHOWN_MAX):
                piece = batch[start : start + ERRORS_SHOWN_MAX]
                self._write_rejects(piece, self.destination.submit([event for _, event in piece]).result())
            return
        for error in refusals:
            row, event = batch[error.index]
            pointer = error.pointer.removeprefix(f"/{error.index}")
            self.rejects.write(Reject(row, error.code, error.detail, pointer=pointer, event=event))
