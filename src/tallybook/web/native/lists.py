"""Lists in pages: what their queries share, and the cursor from one page to the next."""

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from tallybook.web.cursor import open_cursor, seal_cursor
from tallybook.web.endpoint import Ask

PAGE_DEFAULT, PAGE_MAX = 100, 1_000

Cursor = Annotated[str | None, Meta(description="`next_cursor` of the page before.")]
Limit = Annotated[int, Meta(ge=1, le=PAGE_MAX, description="Most items of the page.")]


class PageQuery(msgspec.Struct, frozen=True):
    """Which page."""

    cursor: Cursor = None
    limit: Limit = PAGE_DEFAULT


def read_cursor(ask: Ask[Any, Any], *words: str) -> tuple[str, ...] | None:
    """Return the place after which the page begins, None for the first.

    Raises:
        CursorInvalid: If the cursor was not given to this caller for this list.
    """
    if ask.query.cursor is None:
        return None
    return open_cursor(ask.rooms.cursor_secret, _bound_to(ask, words), ask.query.cursor)


def write_cursor(ask: Ask[Any, Any], items: Sequence[object], place: tuple[str, ...], *words: str) -> str | None:
    """Return the cursor that follows *items*, of which the last is at *place*; None if there is no more to come."""
    if len(items) < ask.query.limit:
        return None
    return seal_cursor(ask.rooms.cursor_secret, _bound_to(ask, words), place)


def _bound_to(ask: Ask[Any, Any], words: tuple[str, ...]) -> tuple[str, ...]:
    return (ask.caller.account_id or "", *words)
