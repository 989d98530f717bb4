"""Mapping files: TOML read into a `RowMapping`, every key checked. docs/import.md explains the keys.

Not for what a mapping does to a row (see `mapping`).
"""

import tomllib
from collections.abc import Mapping
from decimal import Decimal
from importlib import resources
from pathlib import Path

from tallybook.cli.importing.cells import TYPES, instants, multiplied, text
from tallybook.cli.importing.mapping import Condition, RowMapping, Template, Value
from tallybook.cli.importing.rows import Layout
from tallybook.core.errors import Invalid, NotFound, QuantityInvalid, ZoneUnknown
from tallybook.core.number import parse_nanos
from tallybook.core.window import zone

EVENTS_PER_ROW_MAX = 20
_MAPPINGS = resources.files("tallybook.cli") / "mappings"
_KEYS = {"description", "delimiter", "columns", "source", "time", "subject", "id", "where", "skip", "event"}


class MappingInvalid(Invalid):
    """The mapping file says something that is no mapping."""

    code = "mapping-invalid"


def mapping_names() -> list[str]:
    """Return the names of the mappings that come with Tallybook."""
    return sorted(item.name.removesuffix(".toml") for item in _MAPPINGS.iterdir() if item.name.endswith(".toml"))


def load_mapping(name: str) -> RowMapping:
    """Return the mapping in the file *name*, or the one of that name that comes with Tallybook.

    Raises:
        NotFound: If there is neither.
        MappingInvalid: Saying where.
    """
    path = Path(name)
    if name in mapping_names() and not path.exists():
        return read_mapping((_MAPPINGS / f"{name}.toml").read_text("utf-8"), name)
    try:
        return read_mapping(path.read_text("utf-8"), path.name)
    except FileNotFoundError:
        known = ", ".join(mapping_names())
        raise NotFound(f"there is no mapping file {name}; Tallybook itself has {known}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise MappingInvalid(f"the mapping {name} cannot be read: {error}") from None


def read_mapping(toml: str, name: str) -> RowMapping:
    """Return the mapping written in *toml*; *name* stands in the errors.

    Raises:
        MappingInvalid: Saying where.
    """
    try:
        document = tomllib.loads(toml)
    except tomllib.TOMLDecodeError as error:
        raise MappingInvalid(f"the mapping {name} is not TOML: {error}") from None
    try:
        return _read_document(document)
    except Invalid as error:
        raise MappingInvalid(f"the mapping {name}: {error.message}") from None


def _read_document(document: dict[str, object]) -> RowMapping:
    _check_keys(document, _KEYS, "")
    templates = document.get("event")
    if not isinstance(templates, list) or not 1 <= len(templates) <= EVENTS_PER_ROW_MAX:
        raise Invalid(f"needs 1 to {EVENTS_PER_ROW_MAX} [[event]]")
    subject, identity = document.get("subject"), document.get("id")
    return RowMapping(
        description=_text_of(document, "description", default=""),
        layout=_read_layout(document),
        source=_text_of(document, "source", default="") or None,
        time=_read_time(document.get("time")),
        subject=None if subject is None else _read_value(subject, "subject"),
        identity=None if identity is None else _read_value(identity, "id"),
        where=_read_conditions(document, "where"),
        skip=_read_conditions(document, "skip"),
        templates=tuple(_read_template(template, f"event {n}") for n, template in enumerate(templates, start=1)),
    )


def _read_layout(document: dict[str, object]) -> Layout:
    delimiter = _text_of(document, "delimiter", default=",")
    columns = document.get("columns", [])
    if len(delimiter) != 1:
        raise Invalid("delimiter must be one character")
    if not isinstance(columns, list) or not all(isinstance(column, str) for column in columns):
        raise Invalid("columns must be a list of names, for a file without a header")
    return Layout(delimiter, tuple(columns))


def _read_time(time: object) -> Value:
    if not isinstance(time, dict) or not isinstance(time.get("column"), str):
        raise Invalid('needs the time of the events: time = { column = "..." }')
    _check_keys(time, {"column", "format", "zone"}, "time.")
    try:
        make = instants(_text_of(time, "format", default="iso"), zone(_text_of(time, "zone", default="UTC")))
    except ZoneUnknown as error:
        raise Invalid(f"time.zone: {error.message}") from None
    except Invalid as error:
        raise Invalid(f"time.format {error.message}") from None
    return Value(time["column"], make)


def _read_template(template: object, where: str) -> Template:
    if not isinstance(template, dict):
        raise Invalid(f"{where} must be a table")
    _check_keys(template, {"type", "where", "skip", "data"}, f"{where}: ")
    data = template.get("data", {})
    if not isinstance(data, dict):
        raise Invalid(f"{where}: data must be a table")
    values = {name: _read_value(value, f"{where}: data.{name}") for name, value in data.items()}
    return Template(
        type=_text_of(template, "type"),
        where=_read_conditions(template, "where"),
        skip=_read_conditions(template, "skip"),
        constants={name: value.constant for name, value in values.items() if value.column is None},
        data=tuple((name, value) for name, value in values.items() if value.column is not None),
    )


def _read_value(value: object, where: str) -> Value:
    if not isinstance(value, dict) or ("column" in value) == ("constant" in value):
        raise Invalid(f'{where} must be {{ column = "..." }} or {{ constant = ... }}')
    if "constant" in value:
        _check_keys(value, {"constant"}, f"{where}.")
        if isinstance(value["constant"], float):
            raise Invalid(f"{where}.constant must be a text where it is no whole number, so that it stays exact")
        return Value(None, text, constant=value["constant"])
    _check_keys(value, {"column", "type", "multiply", "default"}, f"{where}.")
    kind = _text_of(value, "type", default="decimal" if "multiply" in value else "text")
    if kind not in TYPES:
        raise Invalid(f"{where}.type must be one of {', '.join(TYPES)}")
    make = TYPES[kind]
    if "multiply" in value:
        if kind != "decimal":
            raise Invalid(f"{where}.multiply is for the type decimal")
        make = multiplied(_factor(value["multiply"], f"{where}.multiply"))
    return Value(_text_of(value, "column"), make, default=value.get("default"))


def _factor(written: object, where: str) -> Decimal:
    try:
        parse_nanos(written)
    except QuantityInvalid:
        raise Invalid(f'{where} must be a whole number or an exact decimal in quotes, such as "0.001"') from None
    return Decimal(str(written))


def _read_conditions(document: Mapping[str, object], key: str) -> tuple[Condition, ...]:
    conditions = document.get(key, {})
    if not isinstance(conditions, dict):
        raise Invalid(f'{key} must be a table such as {key} = {{ method = "GET" }}')
    found = []
    for column, values in conditions.items():
        choices = values if isinstance(values, list) else [values]
        if not all(isinstance(choice, str | int) for choice in choices):
            raise Invalid(f"{key}.{column} must be a text or a list of texts")
        found.append(Condition(column, frozenset(text(choice) for choice in choices)))
    return tuple(found)


def _text_of(table: Mapping[str, object], key: str, default: str | None = None) -> str:
    value = table.get(key, default)
    if not isinstance(value, str) or (default is None and not value):
        raise Invalid(f"{key} must be a text")
    return value


def _check_keys(table: Mapping[str, object], known: set[str], where: str) -> None:
    unknown = sorted(set(table) - known)
    if unknown:
        raise Invalid(f"{where}{unknown[0]} is no key of a mapping here; there are {', '.join(sorted(known))}")
