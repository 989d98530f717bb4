"""Rate cards on the wire: one price read from JSON or TOML, and written so that it is read back the same.

Every amount is a decimal string, because a JSON number cannot be trusted to be exact.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from tallybook.core.errors import FieldInvalid, QuantityInvalid
from tallybook.core.fields import NO_FILTER, Problems, read_dimension, read_filter, read_list, read_name, read_object
from tallybook.core.ids import NAME_BYTES_MAX, check_text
from tallybook.core.meter import INCREMENT_S_MAX, Increments
from tallybook.core.number import NANOS, parse_nanos, to_text
from tallybook.core.price import Price
from tallybook.core.rate import Model, Rate, Tier

TIERS_MAX = 100
LISTED = frozenset({"input_tokens", "output_tokens", "cached_input_tokens"})
"""The meters that a list of models has prices for."""

LISTS = {"llm": "USD"}
"""The lists of prices that a card may name, and their currencies."""

_SUBJECTS = ("resource", "meter", "fee")
_MODELS = ("package", "graduated", "volume")
_USAGE = {"unit_price", "units", "included", *_MODELS}
_KNOWN: Mapping[str, set[str]] = {
    "meter": {"meter", "filter", "per", "minimum", "rounding", "list", "multiplier", *_USAGE},
    "resource": {"resource", "filter", *_USAGE},
    "fee": {"fee"},
    "minimum": {"minimum"},
}
_T = TypeVar("_T")


def read_price(value: object, pointer: str) -> Price:
    """Read one price; docs/costs.md tells its fields.

    Raises:
        FieldInvalid: Telling all that is wrong, with pointers below *pointer*.
    """
    body, problems = read_object(value, pointer), Problems()
    given = [name for name in _SUBJECTS if name in body]
    kind = given[0] if given else "minimum" if set(body) <= {"minimum", "name"} and "minimum" in body else "meter"
    for other in given[1:]:
        problems.add(f"{pointer}/{other}", f"cannot stand beside a {kind}")
    problems.only(body, {"name", *_KNOWN[kind], *_SUBJECTS}, pointer, f"a price of a {kind}")
    name = _optional(_read_label, body, "name", pointer, problems)
    if kind in {"fee", "minimum"}:
        amount = problems.take(_read_amount, body.get(kind), f"{pointer}/{kind}", 0)
        problems.finish()
        return Price(None, 0, fee=amount, name=name) if kind == "fee" else Price(None, 0, minimum=amount, name=name)
    subject = problems.take(read_name, body.get(kind), f"{pointer}/{kind}", "")
    price_list = _read_list_name(body, subject, pointer, problems)
    rate = _read_rate(body, pointer, problems, needed=price_list is None)
    price = Price(
        subject if kind == "meter" else None,
        rate.tiers[0].unit_price if rate else 0,
        problems.take(read_filter, body.get("filter"), f"{pointer}/filter", NO_FILTER),
        subject if kind == "resource" else None,
        rate=None if rate is None or _is_plain(rate) else rate,
        included=_optional(_read_amount, body, "included", pointer, problems) or 0,
        per=_optional(read_dimension, body, "per", pointer, problems),
        minimum=_optional(_read_amount, body, "minimum", pointer, problems) or 0,
        rounding=_optional(_read_rounding, body, "rounding", pointer, problems),
        price_list=price_list,
        name=name,
        multiplier=NANOS
        if body.get("multiplier") is None
        else problems.take(_read_size, body["multiplier"], f"{pointer}/multiplier", NANOS),
    )
    problems.finish()
    return price


def _is_plain(rate: Rate) -> bool:
    return rate.model is Model.UNIT and rate.size == NANOS


def _read_list_name(body: Mapping[str, object], meter: str, pointer: str, problems: Problems) -> str | None:
    found = _optional(read_name, body, "list", pointer, problems)
    if found is None:
        if "multiplier" in body:
            problems.add(f"{pointer}/multiplier", "stands only beside a list")
        return None
    if found and found not in LISTS:
        problems.add(f"{pointer}/list", f"must be one of {', '.join(LISTS)}")
    elif meter not in LISTED:
        problems.add(f"{pointer}/list", f"has prices for {', '.join(sorted(LISTED))}, not for this meter")
    for other in ("included", "per", *_MODELS):
        if other in body:
            problems.add(f"{pointer}/{other}", "cannot stand beside a list")
    return found


def _read_rate(body: Mapping[str, object], pointer: str, problems: Problems, *, needed: bool) -> Rate | None:
    given = [name for name in ("unit_price", *_MODELS) if name in body]
    for other in given[1:]:
        problems.add(f"{pointer}/{other}", f"cannot stand beside {given[0]}")
    if not given:
        if needed:
            problems.take(_read_amount, None, f"{pointer}/unit_price", 0)
        return None
    kind, place = given[0], f"{pointer}/{given[0]}"
    if kind == "package":
        if "units" in body:
            problems.add(f"{pointer}/units", "cannot stand beside a package, which has its size")
        return problems.take(_read_package, body[kind], place, None)
    size = NANOS
    if body.get("units") is not None:
        size = problems.take(_read_size, body["units"], f"{pointer}/units", NANOS)
    if kind == "unit_price":
        return Rate(Model.UNIT, (Tier(None, problems.take(_read_amount, body[kind], place, 0)),), size)
    instead: tuple[Tier, ...] = (Tier(None, 0),)
    tiers = problems.take(_read_tiers, body[kind], place, instead)
    return Rate(Model(kind), tiers, size)


def _read_package(value: object, pointer: str) -> Rate:
    body, problems = read_object(value, pointer), Problems()
    problems.only(body, {"size", "price"}, pointer, "a package")
    size = problems.take(_read_size, body.get("size"), f"{pointer}/size", NANOS)
    price = problems.take(_read_amount, body.get("price"), f"{pointer}/price", 0)
    problems.finish()
    return Rate(Model.PACKAGE, (Tier(None, price),), size)


def _read_tiers(value: object, pointer: str) -> tuple[Tier, ...]:
    items, problems = read_list(value, pointer, length_max=TIERS_MAX), Problems()
    if not items:
        raise FieldInvalid("must have at least one tier", pointer=pointer)
    tiers = [problems.take(_read_tier, item, f"{pointer}/{n}", None) for n, item in enumerate(items)]
    reached = 0
    for number, tier in enumerate(tiers):
        if tier is None:
            continue
        last = number == len(tiers) - 1
        if last != (tier.upto is None):
            wrong = "must be left out of the last tier, which is open" if last else "is missing: only the last is open"
            problems.add(f"{pointer}/{number}/upto", wrong)
        elif tier.upto is not None:
            if tier.upto <= reached:
                problems.add(f"{pointer}/{number}/upto", "must be more than that of the tier before")
            reached = tier.upto
    problems.finish()
    return tuple(tier for tier in tiers if tier is not None)


def _read_tier(value: object, pointer: str) -> Tier:
    body, problems = read_object(value, pointer), Problems()
    problems.only(body, {"upto", "unit_price", "flat"}, pointer, "a tier")
    upto = _optional(_read_size, body, "upto", pointer, problems)
    price = problems.take(_read_amount, body.get("unit_price"), f"{pointer}/unit_price", 0)
    flat = _optional(_read_amount, body, "flat", pointer, problems) or 0
    problems.finish()
    return Tier(upto, price, flat)


def _read_rounding(value: object, pointer: str) -> Increments:
    body, problems = read_object(value, pointer), Problems()
    problems.only(body, {"first", "next"}, pointer, "a rounding")
    first, following = (problems.take(_read_increment, body.get(n), f"{pointer}/{n}", 1) for n in ("first", "next"))
    problems.finish()
    return Increments(first, following)


def _read_increment(value: object, pointer: str) -> int:
    if type(value) is not int or not 1 <= value <= INCREMENT_S_MAX:
        raise FieldInvalid(f"must be a whole number of seconds from 1 to {INCREMENT_S_MAX}", pointer=pointer)
    return value


def _read_amount(value: object, pointer: str) -> int:
    if not isinstance(value, str):
        raise QuantityInvalid('must be a decimal string such as "0.0025", so that it is exact', pointer=pointer)
    nanos = parse_nanos(value, pointer)
    if nanos < 0:
        raise QuantityInvalid("must not be negative", pointer=pointer)
    return nanos


def _read_size(value: object, pointer: str) -> int:
    nanos = _read_amount(value, pointer)
    if not nanos:
        raise QuantityInvalid("must be more than 0", pointer=pointer)
    return nanos


def _read_label(value: object, pointer: str) -> str:
    return check_text(value, pointer, bytes_max=NAME_BYTES_MAX)


def _optional(
    read: Callable[[object, str], _T], body: Mapping[str, object], name: str, pointer: str, problems: Problems
) -> _T | None:
    """Return what *read* makes of the field, None where it is not there."""
    if body.get(name) is None:
        return None
    return problems.take(read, body[name], f"{pointer}/{name}", None)


def write_price(price: Price) -> dict[str, object]:
    """Return the price as JSON that `read_price` reads back."""
    named = (("meter", price.meter), ("resource", price.resource), ("name", price.name))
    body: dict[str, object] = {key: value for key, value in named if value is not None}
    if price.fee is not None:
        return {**body, "fee": to_text(price.fee)}
    if price.minimum:
        body["minimum"] = to_text(price.minimum)
    if price.meter is None and price.resource is None:
        return {**body, "minimum": to_text(price.minimum)}
    body |= _written_rate(price)
    if price.filter:
        body["filter"] = dict(price.filter)
    if price.included:
        body["included"] = to_text(price.included)
    if price.per is not None:
        body["per"] = price.per
    if price.rounding is not None:
        body["rounding"] = {"first": price.rounding.first, "next": price.rounding.next}
    if price.price_list is not None:
        body["list"] = price.price_list
        if price.multiplier != NANOS:
            body["multiplier"] = to_text(price.multiplier)
    return body


def _written_rate(price: Price) -> dict[str, object]:
    rate = price.rate
    if rate is None:
        listed_only = price.price_list is not None and not price.unit_price
        return {} if listed_only else {"unit_price": to_text(price.unit_price)}
    if rate.model is Model.PACKAGE:
        return {"package": {"size": to_text(rate.size), "price": to_text(rate.tiers[0].unit_price)}}
    units: dict[str, object] = {} if rate.size == NANOS else {"units": to_text(rate.size)}
    if rate.model is Model.UNIT:
        return {"unit_price": to_text(rate.tiers[0].unit_price), **units}
    return {rate.model.value: write_tiers(rate.tiers), **units}


def write_tiers(tiers: Sequence[Tier]) -> list[dict[str, object]]:
    """Return tiers as JSON has them."""
    return [
        {
            **({} if tier.upto is None else {"upto": to_text(tier.upto)}),
            "unit_price": to_text(tier.unit_price),
            **({"flat": to_text(tier.flat)} if tier.flat else {}),
        }
        for tier in tiers
    ]
