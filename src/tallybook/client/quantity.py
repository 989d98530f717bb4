"""Quantities on their way to the server: exact decimals, from whatever the caller has.

Not for adding them up: that is the server's work.
"""

import math
import re
from decimal import Decimal

from tallybook.client.errors import QuantityInvalid

PLACES_MAX = 9
QUANTITY_MAX = 10**15
_PLAIN = re.compile(r"-?[0-9]{1,16}(?:\.[0-9]+)?", re.ASCII)
_ADJUSTED_MAX = 15
_ADJUSTED_MIN = -9

Quantity = Decimal | int | str | float
"""What the client takes for a quantity. A float counts as the shortest decimal that it prints as: 0.1 is 0.1."""


def quantity_text(quantity: Quantity) -> str:
    """Return *quantity* as the wire has it: a plain decimal, exactly as given.

    Raises:
        QuantityInvalid: If it is no number, not finite, has over 9 decimal places or passes 10^15.

    Example:
        >>> from decimal import Decimal
        >>> from tallybook.client import quantity_text
        >>> quantity_text(3.2), quantity_text(Decimal("1E+3")), quantity_text("7.50")
        ('3.2', '1000', '7.5')
        >>> quantity_text(0.1 + 0.2)  # a float that is not what it looks like is refused, never rounded
        Traceback (most recent call last):
        ...
        tallybook.client.errors.QuantityInvalid: invalid-amount: 0.30000000000000004 has over 9 decimal places
    """
    value = _decimal(quantity)
    if value and (value.adjusted() > _ADJUSTED_MAX or abs(value) > QUANTITY_MAX):
        raise _invalid(f"{quantity!r} is over 10^15 in size")
    plain = f"{value:f}" if not value or value.adjusted() >= _ADJUSTED_MIN else ""
    whole, _, places = plain.partition(".")
    places = places.rstrip("0")
    if not plain or len(places) > PLACES_MAX:
        raise _invalid(f"{quantity!r} has over 9 decimal places")
    text = f"{whole}.{places}" if places else whole
    return "0" if text == "-0" else text


def _decimal(quantity: Quantity) -> Decimal:
    if isinstance(quantity, bool) or not isinstance(quantity, Decimal | int | str | float):
        raise _invalid(f"{quantity!r} is not a number")
    if isinstance(quantity, float):
        if not math.isfinite(quantity):
            raise _invalid(f"{quantity!r} is not finite")
        return Decimal(repr(quantity))
    if isinstance(quantity, str):
        if not _PLAIN.fullmatch(quantity):
            raise _invalid(f"{quantity[:40]!r} is not a plain decimal number")
        return Decimal(quantity)
    if isinstance(quantity, int):
        if abs(quantity) > QUANTITY_MAX:
            raise _invalid("a quantity is at most 10^15 in size")
        return Decimal(quantity)
    if not quantity.is_finite():
        raise _invalid(f"{quantity!r} is not finite")
    return quantity


def _invalid(detail: str) -> QuantityInvalid:
    return QuantityInvalid(detail, status=422, code="invalid-amount")
