"""Messages: their envelope, which filters let which types pass, and the registry of types."""

import json

import msgspec
import pytest

from tallybook.core.errors import FieldInvalid
from tallybook.core.message import OWN_TYPES, PATTERNS_MAX, Message, check_patterns, wants
from tallybook.core.message_types import MESSAGE_TYPES

KNOWN = ("usage.warning", "usage.critical", "usages.none", "lease.terminated")


def test_the_envelope_is_the_same_every_time():
    """
    Id, type, time and data, in this order; the data as it was written.
    """
    message = Message("msg_1", "lease.terminated", None, b'{"b":1,"a":"2.50"}', 1_773_577_800_000_000)
    expected = b'{"id":"msg_1","type":"lease.terminated","timestamp":"2026-03-15T12:30:00Z","data":{"b":1,"a":"2.50"}}'

    assert [expected, expected] == [message.envelope(), message.envelope()]


@pytest.mark.parametrize(
    ("pattern", "passing"),
    [
        ("*", set(KNOWN)),
        ("usage.*", {"usage.warning", "usage.critical"}),
        ("usage.warning", {"usage.warning"}),
        ("lease.*", {"lease.terminated"}),
        ("usages.none", {"usages.none"}),
    ],
)
def test_filters_let_types_pass(pattern, passing):
    """
    A whole name, all that begin with a word, or everything.
    """
    assert passing == {name for name in KNOWN if wants([pattern], name)}
    assert (pattern,) == check_patterns([pattern], "/events", KNOWN)


@pytest.mark.parametrize(
    ("patterns", "pointer"),
    [
        ([], "/events"),
        ("usage.*", "/events"),
        ([7], "/events/0"),
        (["usage.*", ""], "/events/1"),
        (["usage*"], "/events/0"),
        (["*.warning"], "/events/0"),
        (["**"], "/events/0"),
        (["Usage.warning"], "/events/0"),
        (["usage.warning.*"], "/events/0"),
        (["usage.warnings"], "/events/0"),
        (["usage.warning\n"], "/events/0"),
        (["*"] * (PATTERNS_MAX + 1), "/events"),
    ],
)
def test_what_is_no_filter_is_refused(patterns, pointer):
    """
    So is one that lets nothing pass: it is a typing mistake.
    """
    with pytest.raises(FieldInvalid) as refused:
        check_patterns(patterns, "/events", KNOWN)
    assert pointer == refused.value.pointer


def test_a_filter_given_twice_counts_once():
    """
    In the order given.
    """
    assert ("lease.*", "*") == check_patterns(["lease.*", "*", "lease.*"], "/events", KNOWN)


def test_the_registry_names_each_type_once():
    """
    And each example is one of its type; each of our own says whom it is about.
    """
    names = [each.name for each in MESSAGE_TYPES]
    assert len(names) == len(set(names))
    for each in MESSAGE_TYPES:
        assert isinstance(each.example, each.data)
        assert each.example == msgspec.json.decode(msgspec.json.encode(each.example), type=each.data)
    for each in OWN_TYPES:
        assert "account" in json.loads(msgspec.json.encode(each.example))
