"""The inventory that people see: events and hands write the same things, and limits and lists agree."""

import pytest

from tallybook.core.errors import FieldInvalid
from tallybook.core.ids import AccountId
from tallybook.core.instant import instant_text
from tallybook.core.resource import ResourceCount
from tests.support.rooms import NOW_US, OPERATOR, Flows

ACME = AccountId("acme")


def test_what_is_put_by_hand_is_there(flows: Flows) -> None:
    """With its name; said again without one, it keeps it."""
    account = flows.accounts.put(ACME)
    flows.inventory.put(OPERATOR, account, "dataset", "d-1", name="Manuals", active=False)
    flows.clock.advance(1)
    flows.inventory.put(OPERATOR, account, "dataset", "d-1", shared=True)
    (found,) = flows.inventory.resources(account)
    assert ("dataset", "d-1", "Manuals", True, False, True, NOW_US) == (
        found.kind,
        found.resource_id,
        found.name,
        found.shared,
        found.active,
        found.live,
        found.created_us,
    )
    assert {"dataset": ResourceCount(live=1, lifetime=1, shared=1, active=0)} == flows.inventory.counts(account)


def test_what_is_released_by_hand_is_gone_and_was_there(flows: Flows) -> None:
    """It leaves the list, not the lifetime count; created again later, it is back and counts once."""
    account = flows.accounts.put(ACME)
    counts = []
    for change in ("put", "release", "put"):
        getattr(flows.inventory, change)(OPERATOR, account, "agent", "a")
        flows.clock.advance(1)
        counts.append(flows.inventory.counts(account)["agent"])
    assert [(1, 1), (0, 1), (1, 1)] == [(count.live, count.lifetime) for count in counts]


def test_what_is_said_by_hand_is_said_last(flows: Flows) -> None:
    """Also at the instant of the word before, as under a test clock that stands, and after one from the future."""
    account = flows.accounts.put(ACME)
    seen = []
    for change, said in (("put", {"name": "b"}), ("release", {}), ("put", {"name": "a"}), ("release", {})):
        getattr(flows.inventory, change)(OPERATOR, account, "agent", "x", **said)
        (thing,) = flows.inventory.resources(account, released=True)
        seen.append((thing.live, thing.name))
    assert [(True, "b"), (False, "b"), (True, "a"), (False, "a")] == seen

    data = {"kind": "agent", "resource_id": "y"}
    ahead = {"type": "resource.created", "subject": "acme", "time": instant_text(NOW_US + 60_000_000), "data": data}
    flows.ingest.take([{"id": "e", **ahead}], OPERATOR).result()
    flows.inventory.release(OPERATOR, account, "agent", "y")
    assert [] == flows.inventory.resources(account)


def test_an_unknown_kind_is_refused_with_its_place(flows: Flows) -> None:
    """And nothing is written."""
    account = flows.accounts.put(ACME)
    with pytest.raises(FieldInvalid) as caught:
        flows.inventory.put(OPERATOR, account, "spaceship", "x")
    assert "/kind" == caught.value.pointer
    assert {} == flows.inventory.counts(account)


def test_pages_can_be_of_one_kind(flows: Flows) -> None:
    """And go on where the last one ended."""
    account = flows.accounts.put(ACME)
    for kind, name in (("agent", "b"), ("agent", "a"), ("seat", "c")):
        flows.inventory.put(OPERATOR, account, kind, name)
    agents = flows.inventory.resources(account, "agent", limit=1)
    rest = flows.inventory.resources(account, after=("agent", "a"))
    assert [["a"], ["b", "c"]] == [[thing.resource_id for thing in page] for page in (agents, rest)]


def test_words_by_hand_are_events_like_any_other(flows: Flows) -> None:
    """Nothing that changes the inventory is off the record."""
    account = flows.accounts.put(ACME)
    flows.inventory.put(OPERATOR, account, "agent", "a")
    flows.inventory.release(OPERATOR, account, "agent", "a")
    with flows.ledger.reading() as connection:
        assert 2 == connection.exec_driver_sql("SELECT sum(events) FROM raw_batches").scalar_one()
