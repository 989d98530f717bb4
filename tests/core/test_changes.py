"""What is remembered holds as long as nothing of its account was committed, and no longer than it says."""

import pytest

from tallybook.core import changes as counting
from tallybook.core.changes import Changes, Memory


def test_a_commit_changes_the_count_of_its_accounts() -> None:
    """And of no other; one that may have changed anything changes all."""
    changes = Changes()
    acme, other = changes.count("acme"), changes.count("other")
    changes.note(["acme"])
    assert (False, True) == (changes.count("acme") == acme, changes.count("other") == other)
    changes.note(None)
    assert changes.count("other") != other


def test_a_count_never_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when there are too many accounts to count each on its own."""
    monkeypatch.setattr(counting, "ACCOUNTS_COUNTED_MAX", 2)
    changes = Changes()
    seen = {changes.count("acme")}
    for number in range(20):
        changes.note(["acme", f"account-{number}"])
        assert changes.count("acme") not in seen
        seen.add(changes.count("acme"))


def test_an_answer_is_found_at_its_count_and_in_its_time() -> None:
    """From its first instant until before its last."""
    changes = Changes()
    memory: Memory[str] = Memory(changes, 10)
    count = memory.count("acme")
    memory.keep("question", count, (10, 20), "answer")
    assert [None, "answer", "answer", None] == [memory.find("question", count, at) for at in (9, 10, 19, 20)]
    changes.note(["acme"])
    assert memory.find("question", memory.count("acme"), 10) is None


def test_an_answer_that_was_read_beside_a_commit_is_not_believed() -> None:
    """The count is taken before the reading, so whatever comes between makes it old."""
    changes = Changes()
    memory: Memory[str] = Memory(changes, 10)
    count = memory.count("acme")
    changes.note(["acme"])
    memory.keep("question", count, (0, 100), "old, perhaps")
    assert memory.find("question", memory.count("acme"), 10) is None


def test_a_memory_is_bounded() -> None:
    """It forgets all rather than grow."""
    memory: Memory[int] = Memory(Changes(), 3)
    for number in range(10):
        memory.keep(number, memory.count("acme"), (0, 100), number)
    assert 3 >= sum(memory.find(number, memory.count("acme"), 1) is not None for number in range(10))
    assert 9 == memory.find(9, memory.count("acme"), 1)


def test_without_counts_nothing_is_remembered() -> None:
    """Where other processes write as well."""
    memory: Memory[str] = Memory(None, 10)
    memory.keep("question", memory.count("acme"), (0, 100), "answer")
    assert memory.find("question", None, 10) is None
