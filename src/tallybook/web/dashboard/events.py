"""Events: searched by type, id and time, and the story of one; beside them those that did not count, and why."""

from datetime import date, timedelta
from typing import Annotated
from urllib.parse import urlencode

import msgspec
from msgspec import Meta

from tallybook.core.errors import NotFound, RangeInvalid
from tallybook.core.event import DEFAULT_SOURCE, encode_json
from tallybook.core.ids import ID_BYTES_MAX
from tallybook.core.instant import DAY_US, day_of, day_start_us
from tallybook.core.key import USAGE_READ
from tallybook.core.story import FoundEvent, Stop, Wanted
from tallybook.web.dashboard.page import Page, Visit
from tallybook.web.endpoint import Reply

DAYS_DEFAULT = 7
SUMMARY_CHARS_MAX = 160
BATCH_MAX = 2**62


class EventsQuery(msgspec.Struct, frozen=True):
    """What is searched; *until* is the last day that counts, *batch* and *seen* are where an earlier look stopped."""

    type: str | None = None
    id: str | None = None
    from_: str | None = msgspec.field(name="from", default=None)
    until: str | None = None
    batch: Annotated[int, Meta(ge=0, le=BATCH_MAX)] | None = None
    seen: Annotated[int, Meta(ge=0, le=BATCH_MAX)] = 0


class StoryQuery(msgspec.Struct, frozen=True):
    """Which event."""

    id: str
    source: str = DEFAULT_SOURCE


def get_events(visit: Visit) -> Reply:
    """Show what was found, and the latest events that did not count."""
    query: EventsQuery = visit.query
    last = _day(query.until, "until") or day_of(visit.now_us)
    first = _day(query.from_, "from") or last - timedelta(days=DAYS_DEFAULT - 1)
    if first > last:
        raise RangeInvalid("the last day lies before the first", parameter="until")
    # days: an event may lie a few minutes ahead, so the end of the last day is exact
    end_us = day_start_us(last) + DAY_US
    place = None if query.batch is None else Stop(query.batch, query.seen)
    wanted = Wanted(max(0, day_start_us(first)), end_us, query.type or "", query.id or "", place)
    found = visit.rooms.stories.search(visit.account, wanted)
    asked = {"type": query.type, "id": query.id, "from": first.isoformat(), "until": last.isoformat()}
    kept = {name: value for name, value in asked.items() if value}
    stop = found.stop
    further = None if stop is None else urlencode({**kept, "batch": str(stop.batch_no), "seen": str(stop.seen)})
    return visit.html(
        "events.html",
        query=query,
        first_day=first.isoformat(),
        last_day=last.isoformat(),
        types=sorted(visit.rooms.measure.scheme.catalogue.events),
        rows=[_row(one) for one in found.events],
        further=further,
        batches=found.batches,
        notes=visit.rooms.stories.notes(visit.account) if place is None else [],
    )


def _row(one: FoundEvent) -> dict[str, object]:
    body = one.body
    return {
        "id": str(body.get("id", "")),
        "source": str(body.get("source", DEFAULT_SOURCE)),
        "type": str(body.get("type", "")),
        "time": str(body.get("time", "")),
        "received_us": one.received_us,
        "data": encode_json(body.get("data", {})).decode()[:SUMMARY_CHARS_MAX],
    }


def get_story(visit: Visit) -> Reply:
    """Tell the story of one event."""
    query: StoryQuery = visit.query
    if max(len(query.id.encode()), len(query.source.encode())) > ID_BYTES_MAX:
        raise NotFound("there is no such event")
    story = visit.rooms.stories.tell(visit.account, query.source, query.id)
    if story.event is None and not story.notes:
        raise NotFound("there is no such event")
    body = None if story.event is None else msgspec.json.format(encode_json(story.event.body), indent=2).decode()
    return visit.html(
        "story.html",
        event_id=query.id,
        source=query.source,
        story=story,
        body=body,
        event_type="" if story.event is None else str(story.event.body.get("type", "")),
    )


def _day(text: str | None, parameter: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise RangeInvalid(f"{parameter} must be a date such as 2026-03-01", parameter=parameter) from None


PAGES = (
    Page("events", "GET", "/accounts/{account_id}/events", get_events, USAGE_READ, query=EventsQuery),
    Page("events", "GET", "/accounts/{account_id}/events/story", get_story, USAGE_READ, query=StoryQuery),
)
