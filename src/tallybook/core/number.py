"""Exact quantities: integers of 10^-9 ("nanos"), never floats. See docs/decisions/0001-exact-numbers.md.

A quantity is at most 10^15 in size with at most 9 decimal places. In the ledger a sum is three integers to base
10^9 (giga, unit, nano), each added on its own, so that no 64-bit sum overflows before 9.2 x 10^9 events.
"""

import re
from collections.abc import Iterable
from decimal import ROUND_HALF_EVEN, Context, Decimal, localcontext
from functools import cache

from tallybook.core.errors import QuantityInvalid

NANOS = 10**9
PLACES_MAX = 9
QUANTITY_MAX = 10**15
NANOS_MAX = QUANTITY_MAX * NANOS

_PLAIN = re.compile(r"-?[0-9]{1,16}(?:\.[0-9]{1,9}0*)?", re.ASCII)
_WIDE = Context(prec=600, rounding=ROUND_HALF_EVEN)
_ADJUSTED_MAX = len(str(QUANTITY_MAX))


def parse_nanos(value: object, pointer: str = "") -> int:
    """Return *value* in nanos, exactly.

    Args:
        value: An int, a Decimal (as our JSON reader makes of ``12.5``) or a plain decimal string.
        pointer: JSON pointer named in the error.

    Raises:
        QuantityInvalid: For anything else (bool, NaN, exponents beyond the bound, "1_000", digits of other
            scripts), for more than 9 decimal places and for more than 10^15.
    """
    if type(value) is int:
        nanos = value * NANOS
    elif isinstance(value, Decimal):
        nanos = _from_decimal(value, pointer)
    elif isinstance(value, str) and _PLAIN.fullmatch(value):
        units, _, rest = value.partition(".")
        nanos = int(units + rest[:PLACES_MAX].ljust(PLACES_MAX, "0"))
    else:
        raise QuantityInvalid("must be a number or a plain decimal string", pointer=pointer)
    if not -NANOS_MAX <= nanos <= NANOS_MAX:
        raise QuantityInvalid(f"must be at most {QUANTITY_MAX} in size", pointer=pointer)
    return nanos


def _from_decimal(value: Decimal, pointer: str) -> int:
    if not value.is_finite() or value.adjusted() > _ADJUSTED_MAX:
        raise QuantityInvalid(f"must be at most {QUANTITY_MAX} in size", pointer=pointer)
    nanos = int(value.scaleb(PLACES_MAX, _WIDE))
    # Compared with the value itself: scaling silently rounds what has too many digits or a vast exponent.
    if Decimal(nanos).scaleb(-PLACES_MAX, _WIDE) != value:
        raise QuantityInvalid(f"must have at most {PLACES_MAX} decimal places", pointer=pointer)
    return nanos


def to_limbs(nanos: int) -> tuple[int, int, int]:
    """Split *nanos* into (giga, unit, nano) to base 10^9; only giga carries a sign."""
    whole, nano = divmod(nanos, NANOS)
    giga, unit = divmod(whole, NANOS)
    return giga, unit, nano


def from_limbs(giga: int, unit: int, nano: int) -> int:
    """Join limbs, which may each be a sum and so be larger than 10^9, into nanos."""
    return (giga * NANOS + unit) * NANOS + nano


def whole(nanos: int) -> int:
    """Return the integer part, rounded down: the way counts leave the house."""
    return nanos // NANOS


def to_decimal(nanos: int) -> Decimal:
    """Return *nanos* as a Decimal in units, exactly, without trailing zeros beyond the point."""
    return Decimal(to_text(nanos))


def to_text(nanos: int) -> str:
    """Return *nanos* as the decimal string of the wire: ``12.5``, ``0``, ``-3``; never an exponent."""
    sign = "-" if nanos < 0 else ""
    units, rest = divmod(abs(nanos), NANOS)
    if not rest:
        return f"{sign}{units}"
    return f"{sign}{units}.{rest:09d}".rstrip("0")


def divided(numerator: int, denominator: int) -> int:
    """Return numerator / denominator rounded half-even to a whole number, from exact integers; 0 for denominator 0."""
    if denominator == 0:
        return 0
    units, rest = divmod(abs(numerator), abs(denominator))
    twice = 2 * rest
    if twice > abs(denominator) or (twice == abs(denominator) and units % 2):
        units += 1
    return -units if (numerator < 0) != (denominator < 0) else units


def ratio(numerator: int, denominator: int, places: int) -> Decimal:
    """Return numerator / denominator rounded half-even to *places*, from exact integers; 0 for denominator 0."""
    if denominator == 0 or numerator == 0:
        return _zero(places)
    return Decimal(divided(numerator * 10**places, denominator)).scaleb(-places, _WIDE)


def shortest(scaled: int, places: int) -> int | Decimal:
    """Return scaled / 10^places as the shortest JSON number: an int where it is whole, else without trailing zeros."""
    while scaled % 10 == 0 and places:
        scaled //= 10
        places -= 1
    return Decimal(scaled).scaleb(-places, _WIDE) if places else scaled


def shortest_each(scaled: Iterable[int], places: int) -> list[int | Decimal]:
    """Return a row of numbers, each as `shortest` has it."""
    unit, last_place = 10**places, Decimal(1).scaleb(-places, _WIDE)
    with localcontext(_WIDE):  # operators that find their precision there take less time than methods of it
        return [
            one * last_place if one % 10 else (one * last_place).normalize() if one % unit else one // unit
            for one in scaled
        ]


@cache
def _zero(places: int) -> Decimal:
    return Decimal(0).scaleb(-places, _WIDE)


def rounded(nanos: int, places: int) -> Decimal:
    """Return *nanos* in units, rounded half-even to *places* (a line is rounded once, when it is shown)."""
    return ratio(nanos, NANOS, places)


def json_number(value: Decimal) -> int | Decimal:
    """Return *value* as the shortest JSON number: an int where it is whole, else without trailing zeros."""
    if value == value.to_integral_value():
        return int(value)
    return value.normalize(_WIDE)
