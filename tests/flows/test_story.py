"""Single events over a real ledger: found by identity, searched within bounds, told with their copies."""

import pytest

from tallybook.core.event import Admission, Outcome, read_event
from tallybook.core.instant import DAY_US
from tallybook.core.key import SCOPES, Caller
from tallybook.core.story import NOTES_KEPT_DAYS, Wanted, identity_of
from tallybook.flows.story import Stories
from tallybook.ledger.stories import FOUND_MAX, LedgerStories

OPERATOR = Caller("key_operator", None, frozenset(SCOPES))
ANY_TIME = (0, 2**60)


@pytest.fixture
def stories(flows):
    """The stories of a ledger."""
    return Stories(LedgerStories(flows.ledger), flows.metering, flows.accounts)


def call(event_id, account="acme", **more):
    data = {"channel": "voice", "direction": "inbound", "duration_s": "42.5", "agent_id": "a1"}
    return {"id": event_id, "type": "call", "subject": account, "data": {**data, **more}}


def send(flows, stories, *events):
    """Send a request as the web room does."""
    prepared = flows.ingest.prepare(list(events), OPERATOR)
    receipt = flows.ingest.submit(prepared).result()
    stories.note_request(prepared, OPERATOR, flows.clock.now_us())
    stories.step()
    return receipt


def test_the_identity_is_that_of_ingest():
    """
    The same hash, so that an event is found again.
    """
    event = read_event(0, {**call("c1"), "source": "s"}, Admission(OPERATOR, 0), any_time=True)

    assert (event.key_hi, event.key_lo) == identity_of("acme", "s", "c1")


def test_a_story_says_what_an_event_counts_for(flows, stories):
    """
    Each meter of its type with its share, and one rollup of each size.
    """
    send(flows, stories, call("c1"), call("c2"))
    story = stories.tell(flows.accounts.get("acme"), "default", "c1")

    assert {"call_seconds": 42_500_000_000, "calls": 1_000_000_000} == {s.meter.name: s.nanos for s in story.shares}
    assert ["MINUTE", "HOUR", "DAY", "MONTH"] == [place.level.name for place in story.rollups]
    assert {"agent_id": "a1", "channel": "voice", "direction": "inbound"} == dict(story.rollups[0].dimensions)
    assert (False, []) == (story.voided, list(story.notes))


def test_copies_clashes_and_refusals_are_noted(flows, stories):
    """
    With what they called themselves, newest first; they change nothing of the count.
    """
    send(flows, stories, call("c1"))
    send(flows, stories, call("c1"), call("c1", duration_s=1), call("c9", channel="fax"))
    account = flows.accounts.get("acme")
    told = {(note.event_id, str(note.outcome), note.type) for note in stories.notes(account)}

    assert {("c1", "duplicate", "call"), ("c1", "conflict", "call"), ("c9", "rejected", "call")} == told
    refused = stories.tell(account, "default", "c9")
    assert (None, "/2/data/channel") == (refused.event, refused.notes[0].pointer)
    assert 2 == len(stories.tell(account, "default", "c1").notes)


def test_nothing_of_another_account_is_told(flows, stories):
    """
    The same id in two accounts is two stories.
    """
    send(flows, stories, call("c1"), call("c1", account="zeta", agent_id="canary"))
    send(flows, stories, call("c1", account="zeta", agent_id="canary"))
    mine, other = flows.accounts.get("acme"), flows.accounts.get("zeta")

    assert "a1" == stories.tell(mine, "default", "c1").event.body["data"]["agent_id"]
    assert [] == stories.notes(mine)
    assert 1 == len(stories.notes(other))
    assert ["acme"] == [one.body["subject"] for one in stories.search(mine, Wanted(*ANY_TIME)).events]


def test_a_search_goes_on_where_it_stopped(flows, stories):
    """
    Page after page every event comes once, newest received first.
    """
    names = [f"c{number:03d}" for number in range(2 * FOUND_MAX + 7)]
    for start in range(0, len(names), 40):
        send(flows, stories, *(call(name) for name in names[start : start + 40]))
    account, seen, place = flows.accounts.get("acme"), [], None
    for _ in range(10):
        found = stories.search(account, Wanted(*ANY_TIME, place=place))
        seen += [one.body["id"] for one in found.events]
        place = found.stop
        if place is None:
            break

    assert names[::-1] == seen


def test_a_search_is_by_type_id_and_time(flows, stories):
    """
    Each alone and all together.
    """
    send(
        flows, stories, call("c1"), {"id": "m1", "type": "message", "subject": "acme", "data": {"direction": "inbound"}}
    )
    account, now_us = flows.accounts.get("acme"), flows.clock.now_us()

    def ids(**wanted):
        return [
            one.body["id"]
            for one in stories.search(account, Wanted(**{"start_us": 0, "end_us": 2**60, **wanted})).events
        ]

    assert ["m1"] == ids(type="message")
    assert ["c1"] == ids(event_id="c1")
    assert [] == ids(event_id="c1", type="message")
    assert [] == ids(end_us=now_us - DAY_US)
    assert ["m1", "c1"] == ids(start_us=now_us - DAY_US)


def test_notes_are_forgotten(flows, stories):
    """
    After as long as events may come late.
    """
    send(flows, stories, call("c1"))
    send(flows, stories, call("c1"))
    assert 0 == stories.forget(flows.clock.now_us())

    assert 1 == stories.forget(flows.clock.now_us() + (NOTES_KEPT_DAYS + 1) * DAY_US)  # days: a bound on age
    assert [] == stories.notes(flows.accounts.get("acme"))


def test_the_latest_notes_of_all_accounts_are_told_by_outcome(flows, stories):
    """
    Newest first, whosever they are.
    """
    send(flows, stories, call("a", "acme"), call("b", "other"))
    send(flows, stories, call("a", "acme"), call("b", "other", duration_s=5))
    stories.step()

    told = stories.latest([Outcome.CONFLICT, Outcome.REJECTED])
    assert [("other", "b", Outcome.CONFLICT)] == [(one.account_id, one.event_id, one.outcome) for one in told]
    assert ["b", "a"] == [one.event_id for one in stories.latest(list(Outcome))]
