"""What is remembered holds as long as nothing of its account was committed, and no longer than it says."""

import pytest

from tallybook.core import changes as counting
from tallybook.core.changes import Changes, Changing, Counts, Memory


def test_a_commit_changes_the_count_of_its_accounts() -> None:
    """And of no other; one that may have changed anything changes all."""
    counts = Counts()
    acme, other = counts.count("acme"), counts.count("other")
    counts.note(["acme"])
    assert (False, True) == (counts.count("acme") == acme, counts.count("other") == other)
    counts.note(None)
    assert counts.count("other") != other


def test_a_count_never_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when there are too many accounts to count each on its own."""
    monkeypatch.setattr(counting, "ACCOUNTS_COUNTED_MAX", 2)
    counts = Counts()
    seen = {counts.count("acme")}
    for number in range(20):
        counts.note(["acme", f"account-{number}"])
        assert counts.count("acme") not in seen
        seen.add(counts.count("acme"))


def test_an_answer_is_found_at_its_count_and_in_its_time() -> None:
    """From its first instant until before its last."""
    counts = Counts()
    memory: Memory[str] = Memory(counts, 10)
    count = memory.count("acme")
    memory.keep("question", count, (10, 20), "answer")
    assert [None, "answer", "answer", None] == [memory.find("question", count, at) for at in (9, 10, 19, 20)]
    counts.note(["acme"])
    assert memory.find("question", memory.count("acme"), 10) is None


def test_an_answer_that_was_read_beside_a_commit_is_not_believed() -> None:
    """The count is taken before the reading, so whatever comes between makes it old."""
    counts = Counts()
    memory: Memory[str] = Memory(counts, 10)
    count = memory.count("acme")
    counts.note(["acme"])
    memory.keep("question", count, (0, 100), "old, perhaps")
    assert memory.find("question", memory.count("acme"), 10) is None


def test_a_memory_is_bounded() -> None:
    """It forgets all rather than grow."""
    memory: Memory[int] = Memory(Counts(), 3)
    for number in range(10):
        memory.keep(number, memory.count("acme"), (0, 100), number)
    assert 3 >= sum(memory.find(number, memory.count("acme"), 1) is not None for number in range(10))
    assert 9 == memory.find(9, memory.count("acme"), 1)


def test_without_counts_nothing_is_remembered() -> None:
    """Where other processes write as well."""
    memory: Memory[str] = Memory(None, 10)
    memory.keep("question", memory.count("acme"), (0, 100), "answer")
    assert memory.find("question", None, 10) is None


def test_usage_changes_an_account_but_not_its_terms() -> None:
    """What is known of the account itself holds while events come in; what changes it changes both."""
    changes = Changes()
    usage, terms = changes.anything.count("acme"), changes.terms.count("acme")
    changes.note(Changing(used=["acme"]))
    assert (False, True) == (changes.anything.count("acme") == usage, changes.terms.count("acme") == terms)
    usage = changes.anything.count("acme")
    changes.note(Changing(changed=["acme"]))
    assert (False, False) == (changes.anything.count("acme") == usage, changes.terms.count("acme") == terms)
    terms = changes.terms.count("other")
    changes.note(None)
    assert terms != changes.terms.count("other")


def test_figures_change_with_usage_and_terms_but_not_with_what_is_held() -> None:
    """A reservation leaves what meters say as it is; but whoever remembers all of an account forgets."""
    changes = Changes()
    figures, terms, anything = (
        changes.figures.count("acme"),
        changes.terms.count("acme"),
        changes.anything.count("acme"),
    )
    changes.note(Changing(held=["acme"]))
    assert (figures, terms) == (changes.figures.count("acme"), changes.terms.count("acme"))
    assert anything != changes.anything.count("acme")
    for changing in (Changing(used=["acme"]), Changing(changed=["acme"]), None):
        figures = changes.figures.count("acme")
        changes.note(changing)
        assert figures != changes.figures.count("acme")


def test_what_is_to_be_done_with_a_commit_is_done_before_anybody_takes_counts() -> None:
    """Once it is counted, and only if it is committed for sure."""
    changes, seen = Changes(), list[object]()
    before = changes.figures.count("acme")
    commit = Changing(used=["acme"], then=lambda: seen.append(changes.figures.count("acme") != before))
    changes.note(commit, is_done=False)
    assert [] == seen
    changes.note(commit)
    assert [True] == seen
