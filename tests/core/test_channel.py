"""Channels: when they speak, and what they say."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallybook.core.alert import ALERT_TYPES
from tallybook.core.channel import (
    DIGEST_TYPE,
    PLAIN,
    Pace,
    check_address,
    line,
    lines_for_chat,
    options_of,
    pace_of,
    read_pace,
    say,
    write_pace,
)
from tallybook.core.errors import FieldInvalid
from tallybook.core.fields import errors_of
from tallybook.core.instant import DAY_US, MINUTE_US, instant_text, parse_instant
from tallybook.core.message import OWN_TYPES, Message
from tallybook.core.window import zone

BERLIN = zone("Europe/Berlin")
minutes = st.integers(0, 1439)


def at(text: str) -> int:
    """Return an instant."""
    return parse_instant(text, "at")[0]


def due(pace: Pace, now: str, sent: str | None = None) -> str:
    """Return when a message that comes at *now* may be sent, by the clocks of Berlin."""
    return instant_text(pace.due_us(at(now), BERLIN, None if sent is None else at(sent)))


def test_a_plain_channel_speaks_at_once() -> None:
    """Whatever the hour."""
    assert "2026-03-15T02:00:00Z" == due(PLAIN, "2026-03-15T02:00:00Z")
    assert PLAIN.is_plain
    assert Pace(timezone="Europe/Berlin").is_plain


def test_a_digest_waits_from_the_first_message_on() -> None:
    """Minutes, or until the time of the day."""
    assert "2026-03-15T12:15:00Z" == due(Pace(digest_minutes=15), "2026-03-15T12:00:00Z")
    daily = read_pace({"digest": "daily"}, "")
    assert "2026-03-16T07:00:00Z" == due(daily, "2026-03-15T12:00:00Z")
    assert "2026-03-15T07:00:00Z" == due(daily, "2026-03-15T06:59:59Z")
    assert "2026-03-29T06:00:00Z" == due(daily, "2026-03-28T12:00:00Z")


def test_quiet_hours_end_in_the_morning() -> None:
    """Also where they begin before midnight, and on the night when clocks change."""
    quiet = read_pace({"quiet_hours": "22:00-07:00"}, "")
    assert "2026-03-15T20:59:00Z" == due(quiet, "2026-03-15T20:59:00Z")
    assert "2026-03-16T06:00:00Z" == due(quiet, "2026-03-15T21:00:00Z")
    assert "2026-03-16T06:00:00Z" == due(quiet, "2026-03-16T05:59:00Z")
    assert "2026-03-29T05:00:00Z" == due(quiet, "2026-03-28T23:00:00Z")
    noon = read_pace({"quiet_hours": "12:00-13:00"}, "")
    assert "2026-03-15T12:00:00Z" == due(noon, "2026-03-15T11:30:00Z")


def test_a_gap_counts_from_the_last_message() -> None:
    """And nothing waits before there was one."""
    gap = Pace(gap_minutes=10)
    assert "2026-03-15T12:00:00Z" == due(gap, "2026-03-15T12:00:00Z")
    assert "2026-03-15T12:05:00Z" == due(gap, "2026-03-15T12:00:00Z", "2026-03-15T11:55:00Z")
    assert "2026-03-15T12:00:00Z" == due(gap, "2026-03-15T12:00:00Z", "2026-03-15T11:00:00Z")


@given(minutes, minutes, st.integers(0, 3 * DAY_US))
def test_no_message_is_due_in_quiet_hours_nor_much_later(begins: int, ends: int, passed_us: int) -> None:
    """It waits for two days at most."""
    now_us = at("2026-06-15T00:00:00Z") + passed_us
    pace = Pace(quiet=(begins, ends)) if begins != ends else PLAIN
    due_us = pace.due_us(now_us, zone("UTC"), None)
    minute = due_us // MINUTE_US % 1440
    assert now_us <= due_us < now_us + 2 * DAY_US
    if pace.quiet is not None and due_us != now_us:
        assert ends == minute


def test_a_pace_is_read_back_as_it_was_written() -> None:
    """In options, too."""
    said = {"digest": 15, "quiet_hours": "22:00-07:30", "minimum_gap_minutes": 5, "timezone": "Europe/Berlin"}
    for body in ({}, said, {"digest": "daily"}, {"digest": "daily 18:30"}):
        pace = read_pace(body, "")
        assert pace == read_pace(write_pace(pace), "") == pace_of(options_of(pace))
    assert {} == options_of(PLAIN)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"digest": 0}, "/p/digest"),
        ({"digest": True}, "/p/digest"),
        ({"digest": "weekly"}, "/p/digest"),
        ({"digest": "daily 25:00"}, "/p/digest"),
        ({"quiet_hours": "22:00"}, "/p/quiet_hours"),
        ({"quiet_hours": "22:00-22:00"}, "/p/quiet_hours"),
        ({"quiet_hours": 22}, "/p/quiet_hours"),
        ({"quiet_hours": "22:00-7:00"}, "/p/quiet_hours"),
        ({"minimum_gap_minutes": -1}, "/p/minimum_gap_minutes"),
        ({"timezone": "Mars/Olympus"}, "/p/timezone"),
        ({"timezone": 5}, "/p/timezone"),
        ({"sound": "loud"}, "/p/sound"),
    ],
)
def test_a_wrong_pace_is_told(body: object, pointer: str) -> None:
    """With its place."""
    with pytest.raises(FieldInvalid) as refused:
        read_pace(body, "/p")
    assert [pointer] == [place for place, _ in errors_of(refused.value)]


@pytest.mark.parametrize(
    "value",
    [
        None,
        5,
        "",
        "ops",
        "ops@",
        "@example.com",
        "a b@example.com",
        "a@example.com\nBcc: x@example.com",
        "a@example.com\r\n",
        "Ops <ops@example.com>",
        "a@b@example.com",
        "a..b@example.com",
        ".a@example.com",
        "a.@example.com",
        "a@example..com",
        "a@exämple.com",
        "a@" + "x" * 300,
    ],
)
def test_what_is_no_plain_address_is_refused(value: object) -> None:
    """Above all what could become a header or a second address."""
    with pytest.raises(FieldInvalid):
        check_address(value, "/address")


def test_an_address_is_taken_as_it_is() -> None:
    """With a plus, too."""
    assert "ops+usage@example.co.uk" == check_address("ops+usage@example.co.uk", "/address")


@pytest.mark.parametrize("message_type", [*ALERT_TYPES, *OWN_TYPES, DIGEST_TYPE], ids=lambda one: one.name)
def test_every_type_can_be_said(message_type: object) -> None:
    """In a title, in plain text, in HTML and in a chat."""
    said = say(message(message_type.name, msgspec.json.encode(message_type.example)))  # type: ignore[attr-defined]
    assert said.title == line(said.title)
    assert said.title
    assert said.plain()
    assert "<table>" in said.html()
    assert lines_for_chat(said)[0].startswith("*")


def message(kind: str, body: bytes) -> Message:
    """Return a message about an account with a nasty name."""
    return Message("msg_1", kind, "<b>&co\r\nBcc: x", body, at("2026-03-15T12:00:00Z"))  # type: ignore[arg-type]


def test_names_that_others_gave_can_do_nothing() -> None:
    """No markup, no lines, no mentions of everybody."""
    body = msgspec.json.encode({"limit": "<img src=x onerror=alert(1)>\n@channel", "parts": [True, 1], "none": None})
    said = say(message("usage.warning", body))
    assert "\n" not in said.title
    assert "\r" not in said.title
    assert "<img" not in said.html()
    assert "<b>" not in said.html()
    chat = "\n".join(lines_for_chat(said))
    assert "<" not in chat
    assert "@channel" not in chat
    assert "parts: yes, 1" in said.plain()
