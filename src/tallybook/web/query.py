"""Strict reading of query strings by a struct: each declared parameter at most once, not empty, inside its bounds.

Unknown parameters are ignored, wrong ones are refused and never clamped. What a parameter means is the handler's.
"""

import enum
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar
from urllib.parse import unquote_to_bytes

import msgspec
from msgspec import inspect

from tallybook.web.endpoint import Fault
from tallybook.web.errors import ParametersInvalid

PARAMETERS_MAX = 200
"""Most ``name=value`` pairs of one query string."""

VALUE_BYTES_MAX = 1024
VALUES_MAX = 100
"""Most values of one repeatable parameter, unless it says less itself."""

INTEGER_CHARS_MAX = 18

_INTEGER = re.compile(r"-?[0-9]+", re.ASCII)
_BRACKET = re.compile(r"([^\[\]]+)\[([^\[\]]*)\]")

Pairs = list[tuple[str, str]]
_S = TypeVar("_S", bound=msgspec.Struct)


class _Wrong(Exception):
    """Why one value was refused: kind, what it must be, and the bound."""

    def __init__(self, kind: str, must: str, bound: object = None) -> None:
        self.kind, self.must, self.bound = kind, must, bound


class _Many(enum.Enum):
    """How often a parameter may stand."""

    ONCE = enum.auto()
    REPEATED = enum.auto()
    BRACKETED = enum.auto()


@dataclass(frozen=True, slots=True)
class _Parameter:
    field: str
    name: str
    required: bool
    many: _Many
    values_max: int
    read: Callable[[str], object]


def split_query(raw: bytes) -> Pairs:
    """Return the pairs of a raw query string, percent-decoded; bytes that are not UTF-8 become lone surrogates.

    Raises:
        ParametersInvalid: Above PARAMETERS_MAX pairs.
    """
    parts = [part for part in raw.split(b"&") if part]
    if len(parts) > PARAMETERS_MAX:
        message = f"a query has at most {PARAMETERS_MAX} parameters, this one has {len(parts)}"
        raise ParametersInvalid([Fault("request", "query", message, "too_many", PARAMETERS_MAX)])
    pairs = []
    for part in parts:
        name, _, value = part.partition(b"=")
        pairs.append((_text(name), _text(value)))
    return pairs


def _text(raw: bytes) -> str:
    return unquote_to_bytes(raw.replace(b"+", b" ")).decode("utf-8", "surrogateescape")


def read_query(struct: type[_S], pairs: Pairs) -> _S:
    """Read *pairs* as *struct*.

    Raises:
        ParametersInvalid: With every fault there is.
    """
    given: dict[str, list[str]] = {}
    bracketed: dict[str, dict[str, list[str]]] = {}
    for name, value in pairs:
        given.setdefault(name, []).append(value)
        match = _BRACKET.fullmatch(name)
        if match:
            bracketed.setdefault(match[1], {}).setdefault(match[2], []).append(value)
    values: dict[str, object] = {}
    faults: list[Fault] = []
    for parameter in _parameters(struct):
        name = parameter.name
        try:
            if parameter.many is _Many.BRACKETED and name in bracketed:
                values[parameter.field] = _read_bracketed(parameter, bracketed[name])
            elif parameter.many is not _Many.BRACKETED and name in given:
                values[parameter.field] = _read_given(parameter, given[name])
            elif parameter.required:
                raise _Wrong("missing", "must be given")
        except _Wrong as wrong:
            faults.append(Fault("query", name, f"{name} {wrong.must}", wrong.kind, wrong.bound))
    if faults:
        raise ParametersInvalid(faults)
    return struct(**values)


def _read_given(parameter: _Parameter, texts: list[str]) -> object:
    if parameter.many is _Many.ONCE:
        if len(texts) > 1:
            raise _Wrong("repeated", "must be given once")
        return parameter.read(_checked(texts[0]))
    if len(texts) > parameter.values_max:
        raise _Wrong("too_many", f"can be given at most {parameter.values_max} times", parameter.values_max)
    return tuple(parameter.read(_checked(text)) for text in texts)


def _read_bracketed(parameter: _Parameter, groups: Mapping[str, list[str]]) -> dict[str, tuple[object, ...]]:
    if len(groups) > parameter.values_max:
        raise _Wrong("too_many", f"can name at most {parameter.values_max} keys", parameter.values_max)
    read = {}
    for key, texts in groups.items():
        if len(texts) > VALUES_MAX:
            raise _Wrong("too_many", f"can have at most {VALUES_MAX} values of one key", VALUES_MAX)
        read[_checked(key)] = tuple(parameter.read(_checked(text)) for text in texts)
    return read


def _checked(text: str) -> str:
    if not text:
        raise _Wrong("empty", "must not be empty")
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise _Wrong("not_text", "must be UTF-8") from None
    if size > VALUE_BYTES_MAX:
        raise _Wrong("too_long", f"must be at most {VALUE_BYTES_MAX} bytes", VALUE_BYTES_MAX)
    if "\x00" in text:
        raise _Wrong("not_text", "must not contain a NUL character")
    return text


# --- from a struct to its parameters ------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def _parameters(struct: type[msgspec.Struct]) -> tuple[_Parameter, ...]:
    described = inspect.type_info(struct)
    assert isinstance(described, inspect.StructType)
    return tuple(_parameter(field) for field in described.fields)


def _parameter(field: inspect.Field) -> _Parameter:
    kind = _plain(field.type)
    many, values_max = _Many.ONCE, 1
    if isinstance(kind, inspect.VarTupleType):
        many, values_max = _Many.REPEATED, kind.max_length or VALUES_MAX
        kind = _plain(kind.item_type)
    elif isinstance(kind, inspect.DictType):
        many, values_max = _Many.BRACKETED, kind.max_length or VALUES_MAX
        inner = _plain(kind.value_type)
        assert isinstance(inner, inspect.VarTupleType)  # dict[str, tuple[str, ...]] is what a filter is
        kind = _plain(inner.item_type)
    return _Parameter(field.name, field.encode_name, field.required, many, values_max, _reader(kind))


def _plain(kind: inspect.Type) -> inspect.Type:
    """Return what is inside Annotated and Optional."""
    if isinstance(kind, inspect.Metadata):
        return _plain(kind.type)
    if isinstance(kind, inspect.UnionType):
        (only,) = (member for member in kind.types if not isinstance(member, inspect.NoneType))
        return _plain(only)
    return kind


def _reader(kind: inspect.Type) -> Callable[[str], object]:
    if isinstance(kind, inspect.IntType):
        return _integers(kind.ge, kind.le)
    if isinstance(kind, inspect.EnumType):
        return _choices({str(member.value): member for member in kind.cls})
    if isinstance(kind, inspect.LiteralType):
        return _choices({str(value): value for value in kind.values})
    if isinstance(kind, inspect.BoolType):
        return _choices({"true": True, "false": False})
    assert isinstance(kind, inspect.StrType), f"no query parameter can be {kind}"
    return _texts(kind.pattern, kind.max_length)


def _integers(low: int | None, high: int | None) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not _INTEGER.fullmatch(text):
            raise _Wrong("not_an_integer", "must be an integer")
        if len(text) > INTEGER_CHARS_MAX:
            raise _Wrong("not_an_integer", f"must be an integer of at most {INTEGER_CHARS_MAX} characters")
        value = int(text)
        if low is not None and value < low:
            raise _Wrong("too_small", f"must be at least {low}", low)
        if high is not None and value > high:
            raise _Wrong("too_large", f"must be at most {high}", high)
        return value

    return read


def _choices(values: Mapping[str, object]) -> Callable[[str], object]:
    def read(text: str) -> object:
        if text not in values:
            raise _Wrong("not_one_of", f"must be one of {', '.join(values)}", tuple(values))
        return values[text]

    return read


def _texts(pattern: str | None, length_max: int | None) -> Callable[[str], str]:
    compiled = re.compile(pattern) if pattern else None

    def read(text: str) -> str:
        if length_max is not None and len(text) > length_max:
            raise _Wrong("too_long", f"must be at most {length_max} characters", length_max)
        if compiled is not None and not compiled.search(text):
            raise _Wrong("malformed", f"must match {pattern}", pattern)
        return text

    return read
