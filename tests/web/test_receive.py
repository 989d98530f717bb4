"""Reading bodies off the wire: no more than the cap is ever taken, and nobody waits for ever."""

import asyncio

import pytest
from starlette.datastructures import Headers

from tallybook.core.errors import TooLarge
from tallybook.web import wire
from tallybook.web.errors import BodyMalformed
from tallybook.web.wire import ClientGone, receive_body

CAP = 1000


class Sender:
    """Hands a body over in parts, and counts how many were taken."""

    def __init__(self, *parts, last=True):
        self.parts, self.last, self.taken = list(parts), last, 0

    async def __call__(self):
        if self.taken == len(self.parts):
            await asyncio.Event().wait()
        self.taken += 1
        more = self.taken < len(self.parts) or not self.last
        return {"type": "http.request", "body": self.parts[self.taken - 1], "more_body": more}


def read(sender, **headers):
    return asyncio.run(receive_body(sender, Headers(headers), CAP))


def test_parts_are_joined_up_to_the_cap():
    """
    One byte at a time as well; the cap itself passes.
    """
    assert b"x" * CAP == read(Sender(*[b"x"] * CAP))
    assert b"" == read(Sender(b""))


def test_reading_stops_as_soon_as_it_is_too_much():
    """
    Whatever else the client would send is not taken.
    """
    sender = Sender(*[b"x" * 400] * 50)

    with pytest.raises(TooLarge):
        read(sender)
    assert 3 == sender.taken


def test_an_announced_length_above_the_cap_is_refused_unread():
    """
    Not one byte is waited for.
    """
    sender = Sender(last=False)

    for length in ("1001", "9" * 4000):
        with pytest.raises(TooLarge):
            read(sender, **{"content-length": length})
    assert 0 == sender.taken


@pytest.mark.parametrize("length", ["3", "5", "0", "-1", "abc", "4.0", "\u0664", "4, 4", "+4", ""])
def test_a_length_that_is_not_the_bodys_is_refused(length):
    """
    Too short, too long, no number.
    """
    with pytest.raises(BodyMalformed):
        asyncio.run(receive_body(Sender(b"body"), Headers(raw=[(b"content-length", length.encode())]), CAP))


def test_a_client_that_hangs_up_is_no_error_of_ours():
    """
    There is nobody to answer.
    """

    async def gone():
        return {"type": "http.disconnect"}

    with pytest.raises(ClientGone):
        read(gone)


def test_a_body_that_never_comes_is_given_up(monkeypatch):
    """
    After the named time, with a refusal that says so.
    """
    monkeypatch.setattr(wire, "BODY_TIMEOUT_S", 0)

    with pytest.raises(BodyMalformed, match="did not arrive"):
        read(Sender(b"part", last=False))


def test_a_body_that_is_there_is_read_without_a_clock(monkeypatch):
    """
    And up to the cap only, as any other.
    """
    monkeypatch.setattr(asyncio, "timeout", None)

    assert b"x" * CAP == asyncio.run(receive_body(Sender(b"x" * CAP), Headers({}), CAP, is_there=True))
    with pytest.raises(TooLarge):
        asyncio.run(receive_body(Sender(b"x" * CAP, b"x"), Headers({}), CAP, is_there=True))
