"""Mappings: which cells of a row become which fields of which events.

Without a mapping, rows are events already (`rows_are_events`). Not for how a mapping is written (see `mapping_file`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from tallybook.cli.importing.cells import CellInvalid, any_json, text
from tallybook.cli.importing.rows import Layout
from tallybook.core.errors import Invalid

Cells = Mapping[str, object]
Event = dict[str, object]


class RowInvalid(Invalid):
    """A row cannot be mapped; the message says which column and why."""

    code = "row-invalid"


@dataclass(frozen=True, slots=True)
class Value:
    """Where a field comes from: the constant, or a cell through its maker; *default* where the cell is empty."""

    column: str | None
    make: Callable[[object], object]
    constant: object = None
    default: object = None

    def of(self, cells: Cells) -> object:
        """Return the field's value, None for an empty cell.

        Raises:
            RowInvalid: Naming the column.
        """
        if self.column is None:
            return self.constant
        cell = cells.get(self.column)
        if cell is None and "." in self.column:
            cell = read_cell(cells, self.column)
        if cell is None or cell == "":
            return self.default
        try:
            return self.make(cell)
        except CellInvalid as error:
            raise RowInvalid(f"column {self.column} {error.message}", column=self.column) from None


@dataclass(frozen=True, slots=True)
class Condition:
    """A row passes if the column holds one of *values*, compared as text."""

    column: str
    values: frozenset[str]

    def holds(self, cells: Cells) -> bool:
        """Say whether the row's cell is one of the values; an empty cell is the empty text."""
        cell = read_cell(cells, self.column)
        return ("" if cell is None else text(cell)) in self.values


@dataclass(frozen=True, slots=True)
class Template:
    """One event that a row may become: *constants* are in its data as they stand, *data* is read from cells."""

    type: str
    where: tuple[Condition, ...]
    skip: tuple[Condition, ...]
    constants: Mapping[str, object]
    data: tuple[tuple[str, Value], ...]


@dataclass(frozen=True, slots=True)
class RowMapping:
    """What becomes of every row of a file."""

    description: str
    layout: Layout
    source: str | None
    time: Value
    subject: Value | None
    identity: Value | None
    where: tuple[Condition, ...]
    skip: tuple[Condition, ...]
    templates: tuple[Template, ...]

    def columns(self) -> set[str]:
        """Return every column that the mapping reads."""
        values = [self.time, self.subject, self.identity, *(v for t in self.templates for _, v in t.data)]
        conditions = [*self.where, *self.skip, *(c for t in self.templates for c in (*t.where, *t.skip))]
        return {v.column for v in values if v is not None and v.column} | {c.column for c in conditions}

    def events(self, cells: Cells, row_id: str, account: str | None = None) -> list[Event]:
        """Return the events of one row, none if its conditions leave it out.

        Args:
            cells: The row.
            row_id: Identity of the row where no column gives one.
            account: The subject of every event, whatever the mapping says.

        Raises:
            RowInvalid: Naming the column.
        """
        if not _passes(cells, self.where, self.skip):
            return []
        head = self._head(cells, row_id, account)
        events = []
        for place, template in enumerate(self.templates):
            if not _passes(cells, template.where, template.skip):
                continue
            data = dict(template.constants)
            for name, value in template.data:
                made = value.of(cells)
                if made is not None:
                    data[name] = made
            # The first event has the row's own id, so that a further one may be added to a mapping later.
            identity = f"{head['id']}.{place}" if place else head["id"]
            events.append({**head, "id": identity, "type": template.type, "data": data})
        return events

    def _head(self, cells: Cells, row_id: str, account: str | None) -> Event:
        subject = account or (self.subject.of(cells) if self.subject is not None else None)
        if subject is None:
            raise RowInvalid("has no account: its subject is empty and there is no --account")
        time = self.time.of(cells)
        if time is None:
            raise RowInvalid(f"column {self.time.column} is empty, and an event needs its time")
        identity = self.identity.of(cells) if self.identity is not None else row_id
        if identity is None:
            raise RowInvalid("has no id: the id's column is empty")
        head: Event = {"id": identity, "type": "", "subject": subject, "time": time}
        if self.source is not None:
            head["source"] = self.source
        return head


def read_cell(cells: Cells, column: str) -> object:
    """Return the cell of *column*; in nested JSON ``usage.tokens`` is the field tokens of the object usage."""
    if column in cells or "." not in column:
        return cells.get(column)
    found: object = cells
    for name in column.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(name)
    return found


def _passes(cells: Cells, where: Sequence[Condition], skip: Sequence[Condition]) -> bool:
    if not where and not skip:
        return True
    return all(condition.holds(cells) for condition in where) and not any(c.holds(cells) for c in skip)


# --- rows that are events ---------------------------------------------------------------------------------------------


def rows_are_events(cells: Cells, _row_id: str, account: str | None = None) -> list[Event]:
    """Return the event that the row is; a row of a rejects file is the event it holds.

    Raises:
        RowInvalid: If its `data`, in a CSV file, is not JSON.
    """
    event = cells.get("event")
    if isinstance(event, dict) and "reason" in cells and "type" not in cells:
        cells = event
    body = {name: cell for name, cell in cells.items() if cell != ""}
    if isinstance(body.get("data"), str):
        try:
            body["data"] = any_json(body["data"])
        except CellInvalid as error:
            raise RowInvalid(f"column data {error.message}", column="data") from None
    if account is not None:
        body["subject"] = account
    return [body]
