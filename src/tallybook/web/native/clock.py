"""The test clock over the native API; these endpoints exist only where the house runs one."""

from typing import Annotated

import msgspec
from msgspec import Meta

from tallybook.core.clock import US_PER_S, FrozenClock
from tallybook.core.errors import FieldInvalid
from tallybook.core.instant import INSTANT_MAX_US, instant_text, parse_event_time
from tallybook.core.key import ADMIN
from tallybook.web.endpoint import Ask, Endpoint

ADVANCE_S_MAX = 10 * 366 * 24 * 3600  # days: a bound, ten years of any length


class ClockBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where to set the clock, or how far to advance it."""

    now: Annotated[str | None, Meta(description="An RFC 3339 instant.")] = None
    advance_s: Annotated[int, Meta(ge=0, le=ADVANCE_S_MAX)] | None = None


class ClockAnswer(msgspec.Struct, frozen=True):
    """Where the clock stands."""

    now: str


def get_clock(ask: Ask[None, None]) -> ClockAnswer:
    """Return where the clock stands."""
    return ClockAnswer(instant_text(ask.rooms.clock.now_us()))


def post_clock(ask: Ask[None, ClockBody]) -> ClockAnswer:
    """Move the clock."""
    clock, body = ask.rooms.clock, ask.body
    assert isinstance(clock, FrozenClock)  # or the endpoint would not exist
    if (body.now is None) == (body.advance_s is None):
        raise FieldInvalid("must be given, or advance_s: one of the two", pointer="/now")
    if body.now is not None:
        clock.set(parse_event_time(body.now, "/now"))
    elif body.advance_s is not None:
        if clock.now_us() + body.advance_s * US_PER_S >= INSTANT_MAX_US:
            raise FieldInvalid("would lead beyond 2200", pointer="/advance_s")
        clock.advance(body.advance_s * US_PER_S)
    return ClockAnswer(instant_text(clock.now_us()))


_EXAMPLE = ClockAnswer("2026-03-15T12:00:00Z")

ENDPOINTS = (
    Endpoint(
        "GET",
        "/v1/test-clock",
        get_clock,
        ADMIN,
        "Where the test clock stands",
        answer=ClockAnswer,
        operator_only=True,
        example=_EXAMPLE,
    ),
    Endpoint(
        "POST",
        "/v1/test-clock",
        post_clock,
        ADMIN,
        "Move the test clock",
        answer=ClockAnswer,
        body=ClockBody,
        operator_only=True,
        errors=(FieldInvalid("must be given, or advance_s: one of the two", pointer="/now"),),
        body_example={"advance_s": 3600},
        example=_EXAMPLE,
    ),
)
