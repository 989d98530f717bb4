"""Amounts of money as elements of a page: exact inside, shown to the smallest coin, in the reader's own way.

Not for what anything costs: that is asked of the flows.
"""

from markupsafe import Markup

from tallybook.core.currency import places_of
from tallybook.core.number import parse_nanos, rounded, to_text


def money(nanos: int | None, currency: str) -> Markup:
    """Return an amount, rounded half-even to the currency's coins where it is shown; a dash for none."""
    if nanos is None:
        return Markup('<span class="soft">-</span>')
    shown = rounded(nanos, places_of(currency))
    return _data(to_text(nanos), f"{shown:f}", currency, f"{shown:,f}")


def price(text: str, currency: str) -> Markup:
    """Return an amount that came as a decimal string with all its places: a price may be a fraction of a coin."""
    exact = to_text(parse_nanos(text))
    whole, _, rest = exact.partition(".")
    shown = f"{whole}.{rest:0<{places_of(currency)}}".rstrip(".")
    return _data(exact, shown, currency, shown)


def amount(text: str, currency: str) -> Markup:
    """Return an amount that came as a decimal string, rounded already."""
    return money(parse_nanos(text), currency)


def _data(exact: str, shown: str, currency: str, plain: str) -> Markup:
    return Markup(
        '<data class="money" value="{}" data-shown="{}" data-currency="{}" title="{} {}">{} {}</data>'
    ).format(exact, shown, currency, exact, currency, plain, currency)
