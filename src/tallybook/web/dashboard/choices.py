"""Event types to choose from, on the forms of webhooks and channels: all, families, single ones, and what forms sent.

Not for what a filter lets pass (see `core.message`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tallybook.core.channel import DIGEST_TYPE
from tallybook.core.errors import FieldInvalid, TallybookError
from tallybook.core.fields import errors_of
from tallybook.core.message import ENDPOINT_TEST, EVERYTHING
from tallybook.core.message_types import MESSAGE_TYPES

_NEVER_CHOSEN = {ENDPOINT_TEST, DIGEST_TYPE.name}
"""Sent to one destination only, whatever its filter."""
_FAMILIES = {
    "usage": "Limits",
    "budget": "Budgets",
    "billing": "Billing",
    "lease": "Calls",
    "reservation": "Reservations",
    "endpoint": "Destinations",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """One filter that can be ticked."""

    pattern: str
    about: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class Family:
    """Types whose names begin alike, with the filter for all of them first."""

    title: str
    choices: Sequence[Choice]


def families(chosen: Sequence[str]) -> list[Family]:
    """Return every filter there is, those *chosen* ticked; filters that are none of ours are a family of their own."""
    names: dict[str, list[tuple[str, str]]] = {}
    for one in MESSAGE_TYPES:
        if one.name not in _NEVER_CHOSEN:
            names.setdefault(one.name.partition(".")[0], []).append((one.name, one.about))
    known = {EVERYTHING}
    found = [Family("Everything", [Choice(EVERYTHING, "every event there is, and will be", EVERYTHING in chosen)])]
    order = [*_FAMILIES, *names]
    for family, types in sorted(names.items(), key=lambda item: order.index(item[0])):
        pattern = f"{family}.*"
        offered = [Choice(name, about, name in chosen) for name, about in types]
        if len(types) > 1:
            offered.insert(0, Choice(pattern, "all of them", pattern in chosen))
        known |= {choice.pattern for choice in offered}
        found.append(Family(_FAMILIES.get(family, family.capitalize()), offered))
    others = [Choice(pattern, "", is_chosen=True) for pattern in chosen if pattern not in known]
    return [*found, Family("Others", others)] if others else found


def told(error: TallybookError) -> str:
    """Return in one sentence all that was wrong with a form."""
    if isinstance(error, FieldInvalid):
        parts = [f"{_field(pointer)} {message}".strip() for pointer, message in errors_of(error)]
        return _sentence("; ".join(dict.fromkeys(parts)))
    return _sentence(error.message)


_NAMES: Mapping[str, str] = {"url": "the URL", "address": "the address", "events": "events"}


def _field(pointer: str) -> str:
    name = pointer.strip("/").partition("/")[0]
    return _NAMES.get(name, name.replace("_", " "))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
