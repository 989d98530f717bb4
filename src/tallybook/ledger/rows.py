"""Bulk rows into SQL and out of it: a list of tuples becomes one JSON parameter that both stores unfold into columns,
and the rows of an answer become one JSON text.

One statement per set, whatever its size, keeps Python out of the loop and costs one round trip on PostgreSQL. SQLite
releases the interpreter's lock while it runs: once a statement, and once a row that is fetched, so that a thread which
fetches many waits for the lock as often while others work. The rest of each statement is the same text on both stores.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(list[list[Any]])
_integers = msgspec.json.Decoder(list[int])


def unfold(parameter: str, columns: Sequence[tuple[str, str]], *, sqlite: bool) -> str:
    """Return a SELECT that yields one row per JSON array in ``:parameter``.

    Args:
        parameter: Name of the bind parameter that carries the JSON array of arrays.
        columns: (name, kind) with kind ``bigint`` or ``text``, in the order of the arrays.
        sqlite: Whether the statement is for SQLite rather than PostgreSQL.
    """
    if sqlite:
        picks = ", ".join(f"value ->> {index} AS {name}" for index, (name, _) in enumerate(columns))
        return f"SELECT {picks} FROM jsonb_each(:{parameter})"
    picks = ", ".join(f"(value ->> {index})::{kind} AS {name}" for index, (name, kind) in enumerate(columns))
    return f"SELECT {picks} FROM jsonb_array_elements(CAST(:{parameter} AS jsonb))"


def once(parameter: str, columns: Sequence[tuple[str, str]], *, sqlite: bool) -> str:
    """Return rows unfolded once, before the join.

    SQLite would otherwise read the JSON again for every row that is joined; a limit keeps it from doing so, and
    integers can be indexed.
    """
    rows = unfold(parameter, columns, sqlite=sqlite)
    if not sqlite:
        return rows
    return f"SELECT {', '.join(f'CAST({n} AS INTEGER) AS {n}' for n, _ in columns)} FROM ({rows}) LIMIT -1"


def to_json(rows: Sequence[Sequence[object]]) -> str:
    """Return *rows* as the JSON text that `unfold` reads."""
    return _encoder.encode(rows).decode()


def fold(columns: Sequence[str], source: str, *, sqlite: bool) -> str:
    """Return a SELECT of *columns* from *source* (FROM and what follows) whose rows come as one JSON text."""
    listed = ", ".join(columns)
    if sqlite:
        return f"SELECT json_group_array(json_array({listed})) {source}"
    return f"SELECT coalesce(json_agg(json_build_array({listed})), '[]')::text {source}"


def from_json(folded: str) -> list[list[Any]]:
    """Return the rows of a statement that `fold` made."""
    return _decoder.decode(folded)


def fold_columns(columns: Sequence[str], source: str, *, sqlite: bool) -> str:
    """Return a SELECT of *columns* from *source* that yields one row: the integers of each column as a JSON text.

    Where there are many rows this takes half as long as `fold`, to write and to read.
    """
    folded = "json_group_array({})" if sqlite else "coalesce(json_agg({}), '[]')::text"
    return f"SELECT {', '.join(folded.format(column) for column in columns)} {source}"


def from_column(folded: str) -> list[int]:
    """Return one column of a statement that `fold_columns` made."""
    return _integers.decode(folded)
