"""Accounts are found and made by the set, paged by the bytes of their ids, and know which plan they were on when."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallybook.core.errors import Conflict
from tallybook.core.ids import AccountId
from tallybook.core.plan import Plan, Subscription, plan_in_force
from tallybook.core.ports import AccountChange
from tallybook.ledger import accounts
from tallybook.ledger.accounts import LedgerAccounts, resolve
from tallybook.ledger.open import Ledger
from tallybook.ledger.plans import LedgerPlans

NOW_US = 1_772_000_000_000_000


def change(account_id: str, **values: object) -> AccountChange:
    """A change of one account."""
    return AccountChange(AccountId(account_id), **values)  # type: ignore[arg-type]


def ids(*names: str) -> list[AccountId]:
    return [AccountId(name) for name in names]


def test_unknown_accounts_are_made_once_and_found_again(ledger: Ledger) -> None:
    """The same ids give the same numbers, however often they are asked for, and each id has its own."""
    with ledger.writing() as connection:
        first = resolve(connection, ids("a", "b"), NOW_US, create=True)
        second = resolve(connection, ids("c", "b", "a"), NOW_US, create=True)
    assert {"a", "b"} == first.keys()
    assert first == {key: second[key] for key in first}
    assert 3 == len(set(second.values()))


def test_accounts_made_by_events_begin_plainly(ledger: Ledger) -> None:
    """They are in UTC, anchored on the 1st, active, on the newest version of the default plan."""
    LedgerPlans(ledger).put([Plan("default", 0, "Default", "default")], NOW_US)
    with ledger.writing() as connection:
        resolve(connection, ids("a"), NOW_US, create=True)
    account = LedgerAccounts(ledger).get(AccountId("a"), NOW_US)
    assert account is not None
    assert ("a", None, "UTC", 1) == (account.id, account.name, account.timezone, account.anchor_day)
    assert ("default", 1, "active") == (account.plan_name, account.plan_version, account.billing_status)
    assert NOW_US == account.created_us


def test_accounts_are_not_made_where_that_is_not_wanted(ledger: Ledger) -> None:
    """Unknown ids are simply missing in the answer."""
    with ledger.writing() as connection:
        resolve(connection, ids("a"), NOW_US, create=True)
        assert ["a"] == list(resolve(connection, ids("a", "b"), NOW_US, create=False))
    assert None is LedgerAccounts(ledger).get(AccountId("b"), NOW_US)


def stop(_: object) -> None:
    """End a transaction from within."""
    raise RuntimeError("stop")


def test_a_rolled_back_commit_leaves_no_account(ledger: Ledger) -> None:
    """Accounts are made in the caller's transaction."""
    with pytest.raises(RuntimeError, match="stop"), ledger.writing() as connection:
        stop(resolve(connection, ids("a"), NOW_US, create=True))
    assert None is LedgerAccounts(ledger).get(AccountId("a"), NOW_US)


def test_threads_that_meet_the_same_new_accounts_agree(ledger: Ledger) -> None:
    """Eight threads that see fifty new accounts at once, in their own orders, end with one number for each."""
    names = [f"account-{number}" for number in range(50)]
    found: list[dict[AccountId, int]] = []

    def work(shift: int) -> None:
        with ledger.writing() as connection:
            found.append(resolve(connection, ids(*names[shift:], *names[:shift]), NOW_US, create=True))

    threads = [threading.Thread(target=work, args=(shift * 6,)) for shift in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 8 == len(found)
    assert all(found[0] == other for other in found)
    assert 50 == len(set(found[0].values()))


def test_any_id_survives(ledger: Ledger) -> None:
    """Quotes, backslashes, other scripts and control characters come back as they went in."""
    names = ids('"', "\\", "'; DROP TABLE accounts; --", "ключ", "👩‍💻", "\x01\x1f", "a" * 256, "%_", " ")
    with ledger.writing() as connection:
        assert set(names) == resolve(connection, names, NOW_US, create=True).keys()
    assert sorted(names, key=str.encode) == [account.id for account in LedgerAccounts(ledger).page("", 100, NOW_US)]


def test_pages_follow_the_bytes_of_the_ids_and_miss_nothing(ledger: Ledger) -> None:
    """Paging by the last id yields every account once, in the same order on every store."""
    names = ids("b", "B", "a", "ä", "a-1", "A", "_", "z", "é", "中")
    with ledger.writing() as connection:
        resolve(connection, names, NOW_US, create=True)
    store, seen, after = LedgerAccounts(ledger), [], ""
    while page := store.page(after, 3, NOW_US):
        seen += [account.id for account in page]
        after = seen[-1]
    assert sorted(names, key=str.encode) == seen


def test_accounts_are_found_by_a_part_of_their_id_or_name(ledger: Ledger) -> None:
    """In any case; what stands for anything in patterns stands for itself."""
    store = LedgerAccounts(ledger)
    for account_id, name in (("acme", "Acme Ltd"), ("b_1", "Bright % Co"), ("zoo", None)):
        store.put(AccountChange(AccountId(account_id), name=name), NOW_US)
    found = {part: [one.id for one in store.search(part, 10, NOW_US)] for part in ("ACM", "ltd", "_", "%", "o", "!")}
    assert {"ACM": ["acme"], "ltd": ["acme"], "_": ["b_1"], "%": ["b_1"], "o": ["b_1", "zoo"], "!": []} == found
    assert ["b_1"] == [one.id for one in store.search("o", 1, NOW_US)]


def test_a_put_changes_only_what_it_names(ledger: Ledger) -> None:
    """What is left out stays."""
    store = LedgerAccounts(ledger)
    store.put(change("a", name="Anna", timezone="Europe/Paris", anchor_day=31), NOW_US)
    account = store.put(change("a", anchor_day=5), NOW_US + 1)
    assert ("Anna", "Europe/Paris", 5) == (account.name, account.timezone, account.anchor_day)
    assert NOW_US == account.created_us


def test_the_first_plan_of_a_new_account_counts_since_ever(ledger: Ledger) -> None:
    """It never was on another plan, so usage that is imported later falls under this one."""
    store = LedgerAccounts(ledger)
    account = store.put(change("a", plan_name="pro", plan_version=2), NOW_US)
    assert ("pro", 2) == (account.plan_name, account.plan_version)
    assert [Subscription(0, "pro", 2)] == store.subscriptions(account.no)


def test_a_later_plan_begins_now_and_history_stays(ledger: Ledger) -> None:
    """Before the change the old plan is in force, from then on the new one; the same plan again changes nothing."""
    store = LedgerAccounts(ledger)
    store.put(change("a", plan_name="free", plan_version=1), NOW_US)
    store.put(change("a", plan_name="pro", plan_version=1), NOW_US + 10)
    account = store.put(change("a", plan_name="pro", plan_version=1), NOW_US + 20)
    assert [Subscription(0, "free", 1), Subscription(NOW_US + 10, "pro", 1)] == store.subscriptions(account.no)
    before = store.get(AccountId("a"), NOW_US + 9)
    assert before is not None
    assert ("free", "pro") == (before.plan_name, account.plan_name)


def test_a_plan_may_begin_in_the_future(ledger: Ledger) -> None:
    """It is not in force before, and at its instant it is."""
    store = LedgerAccounts(ledger)
    store.put(change("a", plan_name="free", plan_version=1), NOW_US)
    store.put(change("a", plan_name="pro", plan_version=1, starts_us=NOW_US + 100), NOW_US)
    plans = [
        found.plan_name for at_us in (NOW_US, NOW_US + 99, NOW_US + 100) if (found := store.get(AccountId("a"), at_us))
    ]
    assert ["free", "free", "pro"] == plans


def test_two_plans_for_one_instant_leave_the_last(ledger: Ledger) -> None:
    """An instant has one plan."""
    store = LedgerAccounts(ledger)
    store.put(change("a", plan_name="free", plan_version=1, starts_us=5), NOW_US)
    account = store.put(change("a", plan_name="pro", plan_version=1, starts_us=5), NOW_US)
    assert [Subscription(5, "pro", 1)] == store.subscriptions(account.no)


def test_changes_of_plan_are_bounded(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """An account cannot fill the ledger with subscriptions; the refused one leaves no trace."""
    monkeypatch.setattr(accounts, "SUBSCRIPTIONS_MAX", 3)
    store = LedgerAccounts(ledger)
    for version in range(1, 4):
        store.put(change("a", plan_name="pro", plan_version=version, starts_us=version), NOW_US)
    with pytest.raises(Conflict, match="at most 3 subscriptions"):
        store.put(change("a", name="x", plan_name="pro", plan_version=4, starts_us=4), NOW_US)
    account = store.get(AccountId("a"), NOW_US)
    assert account is not None
    assert (None, 3) == (account.name, account.plan_version)


@given(starts=st.lists(st.integers(0, 20), unique=True), at_us=st.integers(0, 25))
def test_the_plan_in_force_is_the_last_that_has_begun(starts: list[int], at_us: int) -> None:
    """In whatever order subscriptions are given."""
    found = plan_in_force([Subscription(start, "p", start) for start in starts], at_us)
    begun = [start for start in starts if start <= at_us]
    assert (max(begun) if begun else None) == (found.starts_us if found else None)
