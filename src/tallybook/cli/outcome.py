"""How a command ends: its exit codes, and the one line on stderr that says what went wrong and what to do."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from enum import IntEnum

from rich.console import Console
from rich.table import Table
from rich.text import Text


class Exit(IntEnum):
    """The exit codes, the same for every command (docs/cli.md)."""

    OK = 0
    FAILED = 1
    USAGE = 2
    PARTLY = 3
    INTERRUPTED = 130


def complain(message: str) -> None:
    """Say on stderr what went wrong, in one line."""
    print(f"tallybook: {' '.join(message.split())}", file=sys.stderr)


def say(message: str = "") -> None:
    """Say something to the person at the terminal, where it does not disturb a program that reads stdout."""
    print(message, file=sys.stderr)


def print_json(value: object) -> None:
    """Print *value* as JSON for a program to read; text stays readable, numbers exact."""
    print(json.dumps(value, ensure_ascii=False, indent=2, default=_plain))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table; what is nothing stays empty, lists are joined."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_written(cell)) for cell in row))
    stdout_console().print(table)


def print_fields(fields: Mapping[str, object]) -> None:
    """Print what one thing is, a line a field."""
    width = max(map(len, fields))
    for name, value in fields.items():
        print(f"{name:<{width}}  {_written(value)}".rstrip())


def stdout_console() -> Console:
    """Return the console for tables; without a terminal it is wide enough that nothing is cut off."""
    console = Console(highlight=False, emoji=False)
    return console if console.is_terminal else Console(highlight=False, emoji=False, width=200)


def stderr_console() -> Console:
    """Return the console for progress."""
    return Console(stderr=True, highlight=False, emoji=False)


def _written(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value)
    return "" if value is None else str(value)


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, frozenset | set | tuple):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} is not JSON")
