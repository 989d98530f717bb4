"""Keys: known at one look-up, forgotten at once where they are revoked and soon everywhere else."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tallybook.core.clock import FrozenClock
from tallybook.core.errors import Conflict, FieldInvalid, NotFound, Unauthenticated
from tallybook.core.fields import errors_of
from tallybook.core.ids import AccountId
from tallybook.core.key import PREFIX, Caller, Key
from tallybook.flows import access
from tallybook.flows.access import CACHE_S, Access
from tallybook.ledger.keys import LedgerKeys
from tests.support.rooms import NOW_US, Flows

IMPORTED = "sk_live_an_existing_clients_key"


class CountedKeys(LedgerKeys):
    """The real keys, with a count of look-ups and something to do in the midst of one."""

    found = 0
    meanwhile: Callable[[], object] | None = None

    def find(self, token_hash: str) -> Key | None:
        self.found += 1
        key = super().find(token_hash)
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        return key


class Elapsed:
    """Monotonic time that the test moves."""

    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def keys(flows: Flows) -> CountedKeys:
    return CountedKeys(flows.ledger)


def door(keys: CountedKeys, elapsed: Elapsed | None = None) -> Access:
    """One process's door to the ledger."""
    return Access(keys, FrozenClock(NOW_US), elapsed_s=elapsed or Elapsed())


def test_a_key_says_who_holds_it(flows: Flows) -> None:
    """The operator's key has no account, an account's key has its own."""
    flows.accounts.put(AccountId("acme"))
    operators = flows.access.create_key(None, ["admin"], "ops")
    theirs = flows.access.create_key(AccountId("acme"), ["usage:read", "events:write"])
    assert Caller(operators.key_id, None, frozenset({"admin"})) == flows.access.authenticate(operators.token)
    found = flows.access.authenticate(theirs.token)
    assert ("acme", {"usage:read", "events:write"}) == (found.account_id, found.scopes)


def test_the_token_is_nowhere_but_in_the_answer(flows: Flows) -> None:
    """What is kept is a hash and a hint that does not give the token away."""
    made = flows.access.create_key(None, ["admin"])
    assert made.token.startswith(PREFIX)
    assert made.token not in repr(flows.access.list_keys())
    with flows.ledger.reading() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM api_keys").all()
    assert made.token not in repr(rows)
    assert made.token[len(PREFIX) :] not in made.key.hint


def test_an_existing_clients_token_goes_on_working(flows: Flows) -> None:
    """A token of another house is taken in once."""
    made = flows.access.create_key(None, ["usage:read"], token=IMPORTED)
    assert made.key_id == flows.access.authenticate(IMPORTED).key_id
    with pytest.raises(Conflict):
        flows.access.create_key(None, ["admin"], token=IMPORTED)


@pytest.mark.parametrize(
    ("token", "lookups"),
    [("", 0), ("short", 0), ("x" * 513, 0), (f"{PREFIX}{'a' * 38}", 0), ("x" * 16, 1), (IMPORTED, 1)],
)
def test_what_cannot_be_a_key_costs_no_look_up(keys: CountedKeys, token: str, lookups: int) -> None:
    """A mistyped token of ours is seen by its checksum; any other unknown one costs one indexed look-up."""
    with pytest.raises(Unauthenticated):
        door(keys).authenticate(token)
    assert lookups == keys.found


def test_a_known_key_is_looked_up_every_half_second(keys: CountedKeys) -> None:
    """Within CACHE_S it is believed without asking."""
    elapsed = Elapsed()
    opened = door(keys, elapsed)
    token = opened.create_key(None, ["admin"]).token
    for step_s in (0, CACHE_S / 2, CACHE_S / 2 - 0.001):
        elapsed.now_s += step_s
        opened.authenticate(token)
    assert 1 == keys.found
    elapsed.now_s += 0.001
    opened.authenticate(token)
    assert 2 == keys.found


def test_a_revoked_key_is_refused_at_once_here_and_within_half_a_second_elsewhere(keys: CountedKeys) -> None:
    """Two processes on one ledger: the one that revokes forgets at once, the other when its memory runs out."""
    elapsed = Elapsed()
    here, elsewhere = door(keys, elapsed), door(keys, elapsed)
    made = here.create_key(None, ["admin"])
    here.authenticate(made.token)
    elsewhere.authenticate(made.token)
    assert NOW_US == here.revoke_key(made.key_id).revoked_us
    with pytest.raises(Unauthenticated):
        here.authenticate(made.token)
    elapsed.now_s += CACHE_S
    with pytest.raises(Unauthenticated):
        elsewhere.authenticate(made.token)


def test_a_key_revoked_while_it_is_looked_up_is_not_remembered(keys: CountedKeys) -> None:
    """The look-up that raced may still pass; the next one is refused."""
    opened = door(keys)
    made = opened.create_key(None, ["admin"])
    keys.meanwhile = lambda: opened.revoke_key(made.key_id)
    opened.authenticate(made.token)
    with pytest.raises(Unauthenticated):
        opened.authenticate(made.token)


def test_what_is_remembered_is_bounded(keys: CountedKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound old keys are looked up again; none is refused."""
    monkeypatch.setattr(access, "CACHED_MAX", 2)
    opened = door(keys)
    tokens = [opened.create_key(None, ["admin"]).token for _ in range(5)]
    for token in tokens:
        opened.authenticate(token)
    assert len(opened._found) <= 2


@pytest.mark.parametrize(
    ("values", "pointers"),
    [
        ({"scopes": []}, ["/scopes"]),
        ({"scopes": ["admin", "root"]}, ["/scopes/1"]),
        ({"scopes": "admin"}, ["/scopes"]),
        ({"scopes": None}, ["/scopes"]),
        ({"scopes": ["admin"], "name": "x" * 1025}, ["/name"]),
        ({"scopes": ["admin"], "token": "x" * 15}, ["/token"]),
        ({"scopes": ["admin"], "token": "with a space in it"}, ["/token"]),
        ({"scopes": ["admin"], "token": "ключ-ключ-ключ-ключ"}, ["/token"]),
        ({"scopes": ["admin"], "token": f"{PREFIX}{'a' * 38}"}, ["/token"]),
        ({"scopes": ["root"], "name": "\x00", "token": ""}, ["/scopes/0", "/name", "/token"]),
    ],
)
def test_a_key_that_cannot_be_is_refused_with_all_its_faults(
    flows: Flows, values: dict[str, object], pointers: list[str]
) -> None:
    """Each fault with the place in the body."""
    with pytest.raises(FieldInvalid) as caught:
        flows.access.create_key(None, **values)  # type: ignore[arg-type]
    assert pointers == [pointer for pointer, _ in errors_of(caught.value)]
    assert [] == list(flows.access.list_keys())


def test_keys_are_listed_and_revoked_by_id(flows: Flows) -> None:
    """A revoked key stays in the list, with the time; an unknown one is not found."""
    flows.accounts.put(AccountId("acme"))
    made = [flows.access.create_key(account, ["admin"]).key for account in (None, AccountId("acme"))]
    flows.access.revoke_key(made[0].key_id)
    listed = {key.key_id: key for key in flows.access.list_keys()}
    assert {made[0].key_id: replace(made[0], revoked_us=NOW_US), made[1].key_id: made[1]} == listed
    assert [made[1]] == list(flows.access.list_keys(AccountId("acme")))
    with pytest.raises(NotFound):
        flows.access.revoke_key("key_unknown")


def test_a_key_needs_its_account(flows: Flows) -> None:
    """There is no key for nobody."""
    with pytest.raises(NotFound):
        flows.access.create_key(AccountId("nobody"), ["admin"])
