"""From a key to an answer: what is looked at when, and by how many threads."""

import gzip
import json
from collections.abc import Callable
from typing import Any

import pytest

from tallybook.core.key import EVENTS_WRITE
from tallybook.flows import access
from tallybook.web.crew import Crew
from tests.support.client import Desk, message

USAGE = "/wontopos/v1/usage"


@pytest.fixture
def trips(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """One item for each piece of work that was handed to a thread."""
    made: list[object] = []
    run = Crew.run

    def counted(crew: Crew, work: Callable[[], Any]) -> object:
        made.append(work)
        return run(crew, work)

    monkeypatch.setattr(Crew, "run", counted)
    return made


def forget_keys(desk: Desk) -> None:
    """As half a second does."""
    desk.house.access._found.clear()


def test_a_key_that_is_not_remembered_costs_no_trip_of_its_own(desk: Desk, trips: list[object]) -> None:
    """Where there is no body to wait for; the answer is the same, with the same headers."""
    key = desk.account("acme")
    trips.clear()
    first, second = desk.get(USAGE, key), desk.get(USAGE, key)
    assert 2 == len(trips)
    assert (200, first.json()) == (second.status_code, second.json())
    assert int(first.headers["x-ratelimit-remaining"]) - 1 == int(second.headers["x-ratelimit-remaining"])


@pytest.mark.parametrize(
    ("events", "packed", "expected"), [(1, False, 0), (12, False, 0), (60, False, 1), (1, True, 1)]
)
def test_few_events_are_read_without_a_thread(
    desk: Desk, trips: list[object], monkeypatch: pytest.MonkeyPatch, *, events: int, packed: bool, expected: int
) -> None:
    """Many would keep other requests waiting, and what is compressed may be many."""
    monkeypatch.setattr(access, "CACHE_S", 3_600.0)  # looking a key up is a trip of its own
    body = json.dumps([message(f"e{number}", "acme") for number in range(events)]).encode()
    headers = {"Content-Type": "application/json"} | ({"Content-Encoding": "gzip"} if packed else {})
    for outcome in ("accepted", "duplicate"):
        trips.clear()
        answer = desk.post(
            "/v1/events", desk.operator, content=gzip.compress(body) if packed else body, headers=headers
        )
        assert (200, events) == (answer.status_code, answer.json()[outcome])
    assert expected == len(trips)


@pytest.mark.parametrize("remembered", [True, False])
def test_nothing_of_a_request_is_looked_at_before_its_key(desk: Desk, *, remembered: bool) -> None:
    """A key that is unknown or was revoked hears nothing of parameters; one without the scope hears that."""
    key, poor = desk.account("acme"), desk.account("acme", scopes=(EVENTS_WRITE,))
    for wanted, token in ((400, key), (403, poor), (401, "tb_nobody-knows-this-key")):
        if remembered and wanted != 401:
            desk.get(USAGE, token)
        else:
            forget_keys(desk)
        assert wanted == desk.get(f"{USAGE}?from=soon", token).status_code
    for one in desk.house.access.list_keys():
        desk.house.access.revoke_key(one.key_id)
    assert 401 == desk.get(f"{USAGE}?from=soon", key).status_code
