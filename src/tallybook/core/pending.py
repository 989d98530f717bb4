"""One event on its way into the ledger, with all that it changes there, as a scheme reads it."""

from collections.abc import Sequence

import msgspec

from tallybook.core.aggregate import Reading
from tallybook.core.errors import FieldInvalid
from tallybook.core.event import Event
from tallybook.core.resource import Change, ResourceWord, read_word
from tallybook.core.scheme import Scheme

_RESOURCE_TYPES = frozenset(Change)
_NAMED = {"agent": "agent_id", "api_subscription": "api_id", "phone_number": "number_id"}
"""Kinds of things -> the dimension whose values are their ids: a thing's name is a display name there as well."""


class Pending(msgspec.Struct, gc=False):
    """One event on its way into the ledger, with all that it changes there.

    Attributes:
        labels: (dimension, value, display name).
        word: For a resource event: kind, id and what it says.
    """

    event: Event
    readings: tuple[Reading, ...]
    labels: Sequence[tuple[str, str, str]] = ()
    word: tuple[str, str, ResourceWord] | None = None


def read_pending(event: Event, scheme: Scheme) -> Pending:
    """Return all that an event changes.

    Raises:
        FieldInvalid: If its data does not fit its type.
    """
    reader = scheme.readers.get(event.type)
    if reader is None:
        return Pending(event, scheme.unmetered(event))
    known = reader.check(event)
    word, labels = None, reader.labels(known)
    if event.type in _RESOURCE_TYPES:
        kind, resource_id = str(known["kind"]), str(known["resource_id"])
        word = (kind, resource_id, read_word(event.type, event.time_us, known))
        if kind in _NAMED and "name" in known:
            labels = [*labels, (_NAMED[kind], resource_id, str(known["name"]))]
    return Pending(event, reader.readings(event, known), labels, word)


def read_again(pending: Pending, scheme: Scheme) -> Pending:
    """Read an event by a newer scheme; what no longer fits it is counted as unmetered."""
    return read_kept(pending.event, scheme)


def read_kept(event: Event, scheme: Scheme) -> Pending:
    """Return all that an event changes which was let in before; what does not fit *scheme* is counted as unmetered."""
    try:
        return read_pending(event, scheme)
    except FieldInvalid:
        return Pending(event, scheme.unmetered(event))
