"""Names of things: which strings may be ids, and how ours are made. Not for keys (see `key`)."""

import os
import re
import secrets
from collections.abc import Iterable
from typing import NewType

from tallybook.core.errors import FieldInvalid

AccountId = NewType("AccountId", str)
AccountNo = NewType("AccountNo", int)
SeriesNo = NewType("SeriesNo", int)
TypeNo = NewType("TypeNo", int)

ID_BYTES_MAX = 256
NAME_BYTES_MAX = 1024
FIELD_RULE = "must name a field: at most 128 characters, no quotes, backslashes or control characters, no ^ first"

_FIELD = re.compile(r'[^\x00-\x1f"\\^][^\x00-\x1f"\\]{0,127}')


def check_text(value: object, pointer: str, *, bytes_max: int = ID_BYTES_MAX) -> str:
    """Return *value* if it is a non-empty string of at most *bytes_max* UTF-8 bytes without NUL.

    Raises:
        FieldInvalid: With *pointer* (a JSON pointer) and what is wrong.
    """
    if not isinstance(value, str):
        raise FieldInvalid("must be a string", pointer=pointer)
    if not value:
        raise FieldInvalid("must not be empty", pointer=pointer)
    if len(value) * 4 > bytes_max and len(value.encode()) > bytes_max:
        raise FieldInvalid(f"must be at most {bytes_max} bytes of UTF-8", pointer=pointer)
    if "\x00" in value:
        raise FieldInvalid("must not contain a NUL character", pointer=pointer)
    return value


def check_fields(names: Iterable[str], pointer: str) -> None:
    """Refuse names that no field of events can have that is to be read.

    Readers of events are compiled of these names and cannot spell every one; a ``^`` marks fields that are rounded.

    Raises:
        FieldInvalid: With *pointer*.
    """
    for name in names:
        if not _FIELD.fullmatch(name):
            raise FieldInvalid(FIELD_RULE, pointer=pointer)


_RANDOM_BYTES = 12
_DRAWN_AT_ONCE = 256
_drawn: list[str] = []
"""Random bits that no id was made of yet. Whoever asks the system for some lets go of the interpreter's lock, and may
wait for it longer than all else takes."""


def new_id(prefix: str) -> str:
    """Return a fresh id such as ``req_5f0c…``: *prefix* and 96 random bits in hex."""
    try:
        bits = _drawn.pop()
    except IndexError:
        drawn = secrets.token_hex(_RANDOM_BYTES * _DRAWN_AT_ONCE)
        bits, *rest = (drawn[at : at + 2 * _RANDOM_BYTES] for at in range(0, len(drawn), 2 * _RANDOM_BYTES))
        _drawn.extend(rest)
    return f"{prefix}_{bits}"


os.register_at_fork(after_in_child=_drawn.clear)  # or both would make the same ids
