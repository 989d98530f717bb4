"""Bulk rows into SQL: a list of tuples becomes one JSON parameter that both stores unfold into columns.

One statement per set, whatever its size, keeps Python out of the loop (SQLite releases the interpreter's lock while
it runs) and costs one round trip on PostgreSQL. The rest of each statement is the same text on both stores.
"""

from collections.abc import Sequence

import msgspec

_encoder = msgspec.json.Encoder()


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


def to_json(rows: Sequence[Sequence[object]]) -> str:
    """Return *rows* as the JSON text that `unfold` reads."""
    return _encoder.encode(rows).decode()
