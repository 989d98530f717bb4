"""Keys are found by their hash, belong to the operator or one account, and are revoked once."""

import pytest

from tallybook.core.errors import Conflict, NotFound
from tallybook.core.ids import AccountId
from tallybook.core.key import Key
from tallybook.ledger.accounts import resolve
from tallybook.ledger.keys import LedgerKeys
from tallybook.ledger.open import Ledger

NOW_US = 1_772_000_000_000_000
OPERATORS = Key("key_1", None, "ops", "tb_live_…abcd", frozenset({"admin", "usage:read"}), NOW_US, None)
MINE = Key("key_2", AccountId("a"), "", "tb_live_…efgh", frozenset({"usage:read"}), NOW_US, None)


@pytest.fixture
def store(ledger: Ledger) -> LedgerKeys:
    """Two keys: the operator's and one of the account `a`."""
    with ledger.writing() as connection:
        resolve(connection, [AccountId("a"), AccountId("b")], NOW_US, create=True)
    keys = LedgerKeys(ledger)
    keys.put(OPERATORS, "hash-1")
    keys.put(MINE, "hash-2")
    return keys


def test_a_key_comes_back_by_its_hash(store: LedgerKeys) -> None:
    """With its account and its scopes; an unknown hash finds nothing."""
    assert [OPERATORS, MINE, None] == [store.find("hash-1"), store.find("hash-2"), store.find("hash-3")]


def test_a_token_belongs_to_one_key(store: LedgerKeys) -> None:
    """The second key with the same token is refused and leaves no trace."""
    with pytest.raises(Conflict):
        store.put(Key("key_3", None, "", "", frozenset({"admin"}), NOW_US, None), "hash-1")
    assert [OPERATORS, MINE] == list(store.page(None, "", 10))


def test_a_key_needs_its_account(store: LedgerKeys) -> None:
    """A key for an account that does not exist is refused."""
    with pytest.raises(NotFound):
        store.put(Key("key_3", AccountId("nobody"), "", "", frozenset({"admin"}), NOW_US, None), "hash-3")
    assert None is store.find("hash-3")


def test_keys_are_listed_by_page_and_account(store: LedgerKeys) -> None:
    """An account's page holds its own keys only."""
    assert [OPERATORS] == list(store.page(None, "", 1))
    assert [MINE] == list(store.page(None, "key_1", 1))
    assert [MINE] == list(store.page(AccountId("a"), "", 10))
    assert [] == list(store.page(AccountId("b"), "", 10))


def test_a_key_is_revoked_once(store: LedgerKeys) -> None:
    """The first revocation's time stays; an unknown key is none."""
    assert [5, 5] == [key.revoked_us for at_us in (5, 6) if (key := store.revoke("key_1", at_us))]
    assert 5 == (found.revoked_us if (found := store.find("hash-1")) else None)
    assert None is store.revoke("key_9", 5)
    assert MINE == store.find("hash-2")
