"""Lists of prices by model: what the makers of language models ask for a million tokens, since when, said where.

A list is data (TOML); the operator's file adds to the packaged one and replaces it model by model. Not for which usage
a list prices (see `price`).
"""

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

from tallybook.core.card import LISTED
from tallybook.core.currency import read_currency
from tallybook.core.errors import FieldInvalid, RangeInvalid, StartRefused
from tallybook.core.fields import Problems, errors_of, read_list, read_object
from tallybook.core.ids import ID_BYTES_MAX, check_text
from tallybook.core.instant import parse_instant
from tallybook.core.number import NANOS, parse_nanos
from tallybook.core.rate import Rate, per_unit

MODELS_MAX = 2_000
TOKENS = 1_000_000
"""Prices are for so many tokens."""

_COLUMNS = {"input_tokens": "input", "output_tokens": "output", "cached_input_tokens": "cached_input"}
_KNOWN = {"model", "from", "source", "read", *_COLUMNS.values()}
_DATED = re.compile(r"(?:-latest|[-@]20[0-9]{2}-?[01][0-9]-?[0-3][0-9])$")
assert set(_COLUMNS) == LISTED


@dataclass(frozen=True, slots=True)
class ListPrice:
    """What a model costs from *since_us* on: column -> nanos for a million tokens."""

    model: str
    since_us: int
    columns: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class PriceList:
    """The prices of one list: model -> its prices, the oldest first; the oldest counts since ever."""

    name: str
    currency: str
    models: Mapping[str, Sequence[ListPrice]]

    def cuts(self) -> list[int]:
        """Return the instants at which some price of the list changes."""
        return sorted({price.since_us for prices in self.models.values() for price in prices[1:]})

    def rate(self, meter: str, model: str, at_us: int, multiplier: int = NANOS) -> Rate | None:
        """Return what units of *meter* cost for *model* at an instant; None where the list does not say."""
        prices = self.models.get(known_as(self.models, model) or "", ())
        begun = [price for price in prices if price.since_us <= at_us] or prices[:1]
        amount = begun[-1].columns.get(_COLUMNS[meter]) if begun else None
        if amount is None:
            return None
        whole, rest = divmod(amount * multiplier, NANOS)
        return per_unit(amount * multiplier, TOKENS * NANOS * NANOS) if rest else per_unit(whole, TOKENS * NANOS)


def known_as(models: Mapping[str, object], model: str) -> str | None:
    """Return the name under which a list has *model*: in lower case; else behind its last slash; else without a date.

    So ``openai/GPT-4o-2024-08-06`` is found as ``gpt-4o``, unless the list has the dated name itself.
    """
    name = model.lower()
    for candidate in (name, name.rsplit("/", 1)[-1]):
        for known in (candidate, _DATED.sub("", candidate)):
            if known in models:
                return known
    return None


def load_price_list(name: str, builtin: str, own: str | None = None, *, own_name: str = "prices") -> PriceList:
    """Read the packaged list and, over it, the operator's: a model that it names has only its prices.

    Raises:
        StartRefused: Naming the file, the place in it and what is wrong there.
    """
    found = _load(name, builtin, f"the packaged list {name}")
    if own is None:
        return found
    theirs = _load(name, own, own_name)
    if theirs.currency != found.currency:
        raise StartRefused(f"{own_name}: currency must be {found.currency}, as that of the packaged list")
    return PriceList(name, found.currency, {**found.models, **theirs.models})


def _load(name: str, text: str, source: str) -> PriceList:
    try:
        document, problems = tomllib.loads(text), Problems()
        problems.only(document, {"currency", "models"}, "", "a price list")
        currency = problems.take(read_currency, document.get("currency"), "/currency", "")
        nothing: list[object] = []
        items = problems.take(_read_items, document.get("models"), "/models", nothing)
        read = [problems.take(_read_price, item, f"/models/{n}", None) for n, item in enumerate(items)]
        prices = sorted((p for p in read if p is not None), key=lambda price: (price.model, price.since_us))
        for before, after in pairwise(prices):
            if (before.model, before.since_us) == (after.model, after.since_us):
                problems.add("/models", f"{after.model} has two prices from the same day")
        problems.finish()
    except tomllib.TOMLDecodeError as error:
        raise StartRefused(f"{source}: {error}") from None
    except FieldInvalid as error:
        told = "; ".join(f"{place[1:]}: {message}" for place, message in errors_of(error))
        raise StartRefused(f"{source}: {told}") from None
    return PriceList(name, currency, {model: list(of) for model, of in groupby(prices, lambda price: price.model)})


def _read_items(value: object, pointer: str) -> list[object]:
    return read_list(value, pointer, length_max=MODELS_MAX)


def _read_price(value: object, pointer: str) -> ListPrice:
    body, problems = read_object(value, pointer), Problems()
    problems.only(body, _KNOWN, pointer, "a model's price")
    model = problems.take(_read_model, body.get("model"), f"{pointer}/model", "")
    since = body.get("from")
    since_us = 0 if since is None else problems.take(_read_day, since, f"{pointer}/from", 0)
    columns = {
        column: problems.take(_read_amount, body[column], f"{pointer}/{column}", 0)
        for column in _COLUMNS.values()
        if column in body
    }
    if not columns:
        problems.add(pointer, f"must say at least one of {', '.join(_COLUMNS.values())}")
    problems.finish()
    return ListPrice(model, since_us, columns)


def _read_model(value: object, pointer: str) -> str:
    return check_text(value, pointer, bytes_max=ID_BYTES_MAX).lower()


def _read_day(value: object, pointer: str) -> int:
    try:
        return parse_instant(str(value), pointer)[0]
    except RangeInvalid as error:
        raise FieldInvalid(error.message.removeprefix(f"{pointer} "), pointer=pointer) from None


def _read_amount(value: object, pointer: str) -> int:
    if not isinstance(value, str) or (nanos := parse_nanos(value, pointer)) < 0:
        raise FieldInvalid('must be a decimal string such as "2.50", not below zero', pointer=pointer)
    return nanos
