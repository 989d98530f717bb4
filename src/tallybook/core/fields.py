"""Reading the fields of a JSON or TOML object, and telling all that is wrong with it at once.

Not for events, which are read on the hot path (see `event` and `shape`).
"""

import re
from collections.abc import Callable, Collection, Mapping
from enum import StrEnum
from typing import TypeVar

from tallybook.core.errors import FieldInvalid, QuantityInvalid
from tallybook.core.ids import NAME_BYTES_MAX, check_text

ERRORS_MAX = 100
"""Most errors that one refusal lists."""
FILTER_MAX = 8
"""Most dimensions of one filter."""
NO_FILTER: dict[str, str] = {}
NAME_RULE = "must be a name: a letter, then up to 63 of A-Z a-z 0-9 _ . -"

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", re.ASCII)

_T = TypeVar("_T")
_Choice = TypeVar("_Choice", bound=StrEnum)


class Problems:
    """Collects what is wrong with one body; `finish` refuses it if anything was."""

    def __init__(self) -> None:
        self._found: list[tuple[str, str]] = []
        self._amounts_only = True

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, pointer: str, message: str, *, amount: bool = False) -> None:
        """Note that the field at *pointer* is wrong; *amount* where it is a quantity."""
        self._amounts_only &= amount
        if len(self._found) < ERRORS_MAX:
            self._found.append((pointer, message))

    def take(self, read: Callable[[object, str], _T], value: object, pointer: str, instead: _T) -> _T:
        """Return what *read* makes of *value*, or note why it refused and return *instead*."""
        try:
            return read(value, pointer)
        except FieldInvalid as error:
            for place, message in errors_of(error):
                self.add(place or pointer, message, amount=isinstance(error, QuantityInvalid))
            return instead

    def only(self, body: Mapping[str, object], known: Collection[str], pointer: str, what: str) -> None:
        """Note every field of *body* that is not *known*: a mistyped name must not be lost in silence."""
        for key in body:
            if key not in known:
                self.add(f"{pointer}/{escape(key)}", f"{what} has no such field")

    def finish(self) -> None:
        """Refuse if anything was noted.

        Raises:
            FieldInvalid: With the first place as its pointer, and all of them in *errors*; a QuantityInvalid if all
                of them are about quantities.
        """
        if self._found:
            pointer, message = self._found[0]
            kind = QuantityInvalid if self._amounts_only else FieldInvalid
            raise kind(message, pointer=pointer, errors=tuple(self._found))


def errors_of(error: FieldInvalid) -> tuple[tuple[str, str], ...]:
    """Return every (pointer, message) that the refusal is about."""
    found = error.detail.get("errors")
    return found if isinstance(found, tuple) else ((error.pointer or "", error.message),)


def read_object(value: object, pointer: str) -> dict[str, object]:
    """Return *value* if it is an object.

    Raises:
        FieldInvalid: With *pointer*.
    """
    if not isinstance(value, dict):
        raise FieldInvalid("must be an object", pointer=pointer)
    return value


def read_list(value: object, pointer: str, *, length_max: int) -> list[object]:
    """Return *value* if it is an array of at most *length_max*.

    Raises:
        FieldInvalid: With *pointer*.
    """
    if not isinstance(value, list):
        raise FieldInvalid("must be an array", pointer=pointer)
    if len(value) > length_max:
        raise FieldInvalid(f"must have at most {length_max} items", pointer=pointer)
    return value


def read_name(value: object, pointer: str) -> str:
    """Return *value* if it can name a limit, a meter or a plan.

    Raises:
        FieldInvalid: With *pointer*.
    """
    if value is None:
        raise FieldInvalid("is required", pointer=pointer)
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise FieldInvalid(NAME_RULE, pointer=pointer)
    return value


def read_dimension(value: object, pointer: str) -> str:
    """Return *value* if it can name a dimension: a field of events, which their sender called as they liked.

    Raises:
        FieldInvalid: With *pointer*.
    """
    return check_text(value, pointer, bytes_max=NAME_BYTES_MAX)


def read_choice(choices: type[_Choice], value: object, pointer: str) -> _Choice:
    """Return the one of *choices* that *value* names.

    Raises:
        FieldInvalid: With *pointer*, naming all of them.
    """
    for choice in choices:
        if choice.value == value:
            return choice
    raise FieldInvalid(f"must be one of {', '.join(choices)}", pointer=pointer)


def read_filter(value: object, pointer: str) -> dict[str, str]:
    """Return ``{dimension: value}``; None is no filter.

    Raises:
        FieldInvalid: With pointers below *pointer*.
    """
    if value is None:
        return {}
    problems, wanted = Problems(), {}
    body = read_object(value, pointer)
    if len(body) > FILTER_MAX:
        raise FieldInvalid(f"must name at most {FILTER_MAX} dimensions", pointer=pointer)
    for name, text in body.items():
        place = f"{pointer}/{escape(name)}"
        dimension = problems.take(read_dimension, name, place, "")
        wanted[dimension] = problems.take(_read_value, text, place, "")
    problems.finish()
    return wanted


def _read_value(value: object, pointer: str) -> str:
    return check_text(value, pointer, bytes_max=NAME_BYTES_MAX)


def escape(key: object) -> str:
    """Return *key* as a part of a JSON pointer, cut to a length that can be shown."""
    return str(key)[:64].replace("~", "~0").replace("/", "~1")
