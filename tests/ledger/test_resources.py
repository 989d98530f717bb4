"""The inventory in the ledger is what its words say together, whatever their order, grouping and repetition."""

import random

from hypothesis import given
from hypothesis import strategies as st

from tallybook.core.ids import AccountNo
from tallybook.core.resource import NEVER_US, Resource, ResourceCount, ResourceKey, ResourceWord, merge_words, read_word
from tallybook.ledger.open import Ledger
from tallybook.ledger.resources import LedgerResources, apply
from tests.support.words import told

Told = tuple[ResourceKey, ResourceWord]


def tell(ledger: Ledger, *words: Told) -> None:
    """Write *words* in one commit."""
    with ledger.writing() as connection:
        apply(connection, words)


def word(account_no: int, resource_id: str, change: str, time_us: int, **data: object) -> Told:
    """What one event says about one agent."""
    return (account_no, "agent", resource_id), read_word(f"resource.{change}", time_us, data)


def inventory(ledger: Ledger, account_no: int = 1) -> list[Resource]:
    """Everything that was ever created."""
    return LedgerResources(ledger).page(AccountNo(account_no), None, ("", ""), 1000, released=True)


def test_a_thing_lives_from_its_creation_to_its_release(ledger: Ledger) -> None:
    """Released things are counted for ever, and listed on request only."""
    store = LedgerResources(ledger)
    tell(ledger, word(1, "a", "created", 10, name="Ann"), word(1, "b", "created", 10, shared=True, active=False))
    assert {"agent": ResourceCount(live=2, lifetime=2, shared=1, active=1)} == store.counts(AccountNo(1))
    tell(ledger, word(1, "a", "released", 20))
    assert {"agent": ResourceCount(live=1, lifetime=2, shared=1, active=0)} == store.counts(AccountNo(1))
    listed = [store.page(AccountNo(1), None, ("", ""), 10, released=both) for both in (False, True)]
    assert [["b"], ["a", "b"]] == [[thing.resource_id for thing in page] for page in listed]


def test_a_release_that_arrives_first_still_wins_if_it_happened_later(ledger: Ledger) -> None:
    """Times decide, not arrival; at the same instant the release does."""
    tell(ledger, word(1, "a", "released", 20))
    assert {} == LedgerResources(ledger).counts(AccountNo(1))
    tell(ledger, word(1, "a", "created", 10), word(1, "b", "created", 10), word(1, "b", "released", 10))
    assert [("a", False), ("b", False)] == [(thing.resource_id, thing.live) for thing in inventory(ledger)]
    tell(ledger, word(1, "a", "created", 30))
    assert [("a", True, 10), ("b", False, 10)] == [(t.resource_id, t.live, t.created_us) for t in inventory(ledger)]


def test_what_is_gone_is_told_also_without_its_creation(ledger: Ledger) -> None:
    """A release says so alone; an update or a later creation does not."""
    store = LedgerResources(ledger)
    tell(ledger, word(1, "a", "released", 20), word(1, "b", "updated", 20), word(1, "c", "released", 20))
    tell(ledger, word(1, "c", "created", 21), word(1, "d", "created", 10), word(1, "d", "released", 10))
    tell(ledger, word(2, "e", "released", 20))
    assert ["a", "d"] == store.released(AccountNo(1), "agent", 10)
    assert ["a"] == store.released(AccountNo(1), "agent", 1)
    assert [] == store.released(AccountNo(1), "dataset", 10)


def test_an_update_of_what_was_never_created_does_not_count(ledger: Ledger) -> None:
    """Its attributes are kept, and show once the creation arrives."""
    tell(ledger, word(1, "a", "updated", 50, name="New", shared=True))
    assert [] == inventory(ledger)
    assert {} == LedgerResources(ledger).counts(AccountNo(1))
    tell(ledger, word(1, "a", "created", 10, name="Old"))
    assert [Resource("agent", "a", "New", shared=True, active=True, live=True, created_us=10)] == inventory(ledger)


def test_what_an_event_does_not_say_stays(ledger: Ledger) -> None:
    """Each attribute has its own newest word."""
    tell(ledger, word(1, "a", "created", 10, name="Ann", shared=True, active=False))
    tell(ledger, word(1, "a", "updated", 20, active=True), word(1, "a", "updated", 5, name="Older"))
    assert [Resource("agent", "a", "Ann", shared=True, active=True, live=True, created_us=10)] == inventory(ledger)


def test_accounts_do_not_see_each_other(ledger: Ledger) -> None:
    """The same kind and id in two accounts are two things."""
    tell(ledger, word(1, "a", "created", 10), word(2, "a", "created", 10), word(2, "a", "released", 11))
    assert [True] == [thing.live for thing in inventory(ledger, 1)]
    assert [False] == [thing.live for thing in inventory(ledger, 2)]
    assert [] == inventory(ledger, 3)


def test_pages_tile_the_inventory(ledger: Ledger) -> None:
    """By kind, then by the bytes of the id; a kind alone can be asked for."""
    names = ["b", "B", "ä", "a", "中", "_"]
    said = ResourceWord(live=True, life_us=1, created_us=1)
    tell(ledger, *(((1, kind, name), said) for kind in ("seat", "agent") for name in names))
    store, seen = LedgerResources(ledger), [("", "")]
    while page := store.page(AccountNo(1), None, seen[-1], 5, released=False):
        seen += [(thing.kind, thing.resource_id) for thing in page]
    expected = [(kind, name) for kind in ("agent", "seat") for name in sorted(names, key=str.encode)]
    assert expected == seen[1:]
    only = store.page(AccountNo(1), "seat", ("", ""), 100, released=False)
    assert expected[len(names) :] == [(thing.kind, thing.resource_id) for thing in only]


def test_the_sql_merges_as_the_core_does(ledger: Ledger) -> None:
    """500 random words, in random order and commits of random size, end where merging them in memory ends."""
    dice = random.Random(20260301)
    words = [told(dice) for _ in range(500)]
    expected = merge_words(words)
    dice.shuffle(words)
    while words:
        size = dice.randint(1, 40)
        again = dice.sample(words[:size], min(2, len(words[:size])))  # what was said twice changes nothing
        tell(ledger, *words[:size], *again)
        words = words[size:]
    assert shown(expected) == sorted(
        (no, thing.kind, thing.resource_id, thing.name, thing.shared, thing.active, thing.live, thing.created_us)
        for no in (1, 2)
        for thing in inventory(ledger, no)
    )


def shown(merged: dict[ResourceKey, ResourceWord]) -> list[tuple[object, ...]]:
    """The created ones among *merged*, as the inventory shows them."""
    return sorted(
        (*key, w.name, w.shared, w.active, w.live, w.created_us)
        for key, w in merged.items()
        if w.created_us is not None
    )


@given(st.lists(st.integers(0, 10_000), max_size=12), st.randoms(use_true_random=False))
def test_merging_does_not_depend_on_the_order(seeds: list[int], dice: random.Random) -> None:
    """Nor on the grouping, nor on hearing a word twice."""
    words = [told(random.Random(seed)) for seed in seeds]
    shuffled = dice.sample(words, len(words))
    half = len(words) // 2
    grouped = [*merge_words(shuffled[:half]).items(), *merge_words(shuffled[half:]).items(), *shuffled[:3]]
    assert merge_words(words) == merge_words(shuffled) == merge_words(grouped)


def test_a_word_that_was_never_said_is_older_than_all() -> None:
    """The epoch itself is an instant at which something can be said."""
    said = read_word("resource.created", 0, {"active": False, "name": "zero"})
    assert NEVER_US < 0
    assert said == said.merged(ResourceWord()) == ResourceWord().merged(said)
