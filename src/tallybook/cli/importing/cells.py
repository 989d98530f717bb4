"""Cells of a row made into the values of an event: texts, whole numbers, exact decimals, booleans, instants.

Each maker is a function of one cell; what it refuses is a `CellInvalid`. Not for which cell goes where (see
`mapping`).
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

from tallybook.core.errors import Invalid, JsonMalformed
from tallybook.core.event import decode_json
from tallybook.core.instant import EPOCH, INSTANT_MAX_US, instant_text

Maker = Callable[[object], object]

DIGITS_SURE_MAX = 18
"""Up to here a run of digits is a number without a closer look."""

_INTEGER = re.compile(r"[+-]?[0-9]{1,30}(?:\.0+)?", re.ASCII)
_DECIMAL = re.compile(r"[+-]?(?:[0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})", re.ASCII)
_ISO = re.compile(
    r"(?P<day>\d{4}-\d\d-\d\d)(?:[Tt ](?P<minute>\d\d:\d\d)(?P<second>:\d\d)?(?P<fraction>[.,]\d{1,12})?"
    r" ?(?P<offset>[Zz]|UTC|[+-]\d\d:?\d\d|[+-]\d\d)?)?",
    re.ASCII,
)
_TRUE = {"true", "t", "yes", "y", "1"}
_FALSE = {"false", "f", "no", "n", "0"}
_PER_SECOND = {"epoch_s": 1, "epoch_ms": 1_000, "epoch_us": 1_000_000, "epoch_ns": 1_000_000_000}


class CellInvalid(Invalid):
    """A cell does not hold what the mapping says it holds."""

    code = "cell-invalid"


# --- data fields ------------------------------------------------------------------------------------------------------


def text(cell: object) -> str:
    """Return the cell as text; numbers as they are written, booleans as JSON has them."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, int | Decimal):
        return str(cell)
    raise CellInvalid("is an object or a list, not text")


def integer(cell: object) -> int:
    """Return the cell as a whole number; ``12`` and ``12.0`` are, ``12.5`` is not."""
    if type(cell) is int:
        return cell
    if type(cell) is str and len(cell) <= DIGITS_SURE_MAX and cell.isascii() and cell.isdigit():
        return int(cell)
    written = str(cell).strip() if isinstance(cell, str | Decimal) else ""
    if not _INTEGER.fullmatch(written):
        raise CellInvalid(f"is not a whole number: {_shown(cell)}")
    return int(written.partition(".")[0])


def decimal(cell: object) -> int | Decimal:
    """Return the cell as an exact number."""
    if type(cell) is int:
        return cell
    if isinstance(cell, Decimal):
        return cell
    written = cell.strip() if isinstance(cell, str) else ""
    if not _DECIMAL.fullmatch(written):
        raise CellInvalid(f"is not a plain decimal number: {_shown(cell)}")
    return _shortest(Decimal(written))


def boolean(cell: object) -> bool:
    """Return the cell as a boolean: true, yes, y, t, 1 and their opposites, in any case."""
    written = text(cell).strip().lower()
    if written in _TRUE:
        return True
    if written in _FALSE:
        return False
    raise CellInvalid(f"is neither true nor false: {_shown(cell)}")


def any_json(cell: object) -> object:
    """Return the cell as it is, or what its text says in JSON."""
    if not isinstance(cell, str):
        return cell
    try:
        return decode_json(cell.encode())
    except (JsonMalformed, UnicodeEncodeError):
        raise CellInvalid(f"is not JSON: {_shown(cell)}") from None


def multiplied(factor: Decimal) -> Maker:
    """Return a maker of exact products, for ``duration_ms`` that should be seconds."""

    def product(cell: object) -> int | Decimal:
        return _shortest(Decimal(decimal(cell)) * factor)

    return product


TYPES: dict[str, Maker] = {
    "text": text,
    "integer": integer,
    "decimal": decimal,
    "boolean": boolean,
    "json": any_json,
}


def _shortest(value: Decimal) -> int | Decimal:
    return int(value) if value == value.to_integral_value() else value


def _shown(cell: object) -> str:
    shown = repr(cell)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


# --- instants ---------------------------------------------------------------------------------------------------------


def instants(form: str, zone: ZoneInfo) -> Callable[[object], str]:
    """Return the maker of event times for cells written in *form*.

    Args:
        form: ``iso`` (a date or date-time, any number of fraction digits, with or without offset), ``epoch_s``,
            ``epoch_ms``, ``epoch_us``, ``epoch_ns``, or a pattern of strptime, which has a ``%``.
        zone: Where cells without an offset were written. In the hour that a clock change repeats, the first is meant.

    Raises:
        Invalid: If *form* is none of these.
    """
    if form == "iso":
        return _iso_maker(zone)
    if form in _PER_SECOND:
        return _epoch_maker(_PER_SECOND[form])
    if "%" in form:
        return _pattern_maker(form, zone)
    raise Invalid(f"must be iso, {', '.join(_PER_SECOND)} or a strptime pattern such as %d/%b/%Y:%H:%M:%S %z")


def _iso_maker(zone: ZoneInfo) -> Callable[[object], str]:
    naive_is_utc = zone.key == "UTC"

    def iso(cell: object) -> str:
        written = cell.strip() if isinstance(cell, str) else ""
        match = _ISO.fullmatch(written)
        if match is None:
            raise CellInvalid(f"is not an ISO 8601 time: {_shown(cell)}")
        day, minute, second, fraction, offset = match.groups()
        clock = f"{minute or '00:00'}{second or ':00'}{'.' + fraction[1:] if fraction else ''}"
        if offset is None and not naive_is_utc:
            return _localised(f"{day}T{clock[:15]}", zone)
        return f"{day}T{clock}{_offset(offset)}"

    return iso


def _offset(written: str | None) -> str:
    if written is None or written in {"Z", "z", "UTC"}:
        return "Z"
    digits = written.replace(":", "")[1:].ljust(4, "0")
    return f"{written[0]}{digits[:2]}:{digits[2:]}"


def _localised(written: str, zone: ZoneInfo) -> str:
    head, point, fraction = written.partition(".")
    try:
        moment = datetime.fromisoformat(f"{head}{point}{fraction.ljust(6, '0')}" if point else head)
    except ValueError:
        raise CellInvalid(f"is no time of the calendar: {_shown(written)}") from None
    return _written(moment.replace(tzinfo=zone))


def _epoch_maker(per_second: int) -> Callable[[object], str]:
    def epoch(cell: object) -> str:
        try:
            instant_us = int(Decimal(decimal(cell)) * 1_000_000 / per_second)
        except InvalidOperation:
            instant_us = -1
        if not 0 <= instant_us < INSTANT_MAX_US:
            raise CellInvalid(f"is not between 1970 and 2200, counted from 1970: {_shown(cell)}")
        return instant_text(instant_us)

    return epoch


def _pattern_maker(pattern: str, zone: ZoneInfo) -> Callable[[object], str]:
    def by_pattern(cell: object) -> str:
        try:
            moment = datetime.strptime(text(cell).strip(), pattern)  # noqa: DTZ007 - the zone is given below
        except ValueError:
            raise CellInvalid(f"is not a time like {pattern}: {_shown(cell)}") from None
        return _written(moment if moment.tzinfo is not None else moment.replace(tzinfo=zone))

    return by_pattern


def _written(moment: datetime) -> str:
    try:
        elapsed = moment.astimezone(UTC) - EPOCH
    except OverflowError:
        raise CellInvalid("is outside the calendar") from None
    instant_us = (elapsed.days * 86_400 + elapsed.seconds) * 1_000_000 + elapsed.microseconds
    if not 0 <= instant_us < INSTANT_MAX_US:
        raise CellInvalid("is not between 1970 and 2200")
    return instant_text(instant_us)
