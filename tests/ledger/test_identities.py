"""Identities on SQLite: taken once, whether they are held, moving or moved, and whoever wrote them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from struct import Struct

import pytest
from sqlalchemy import text

from tallybook.core.claims import claims_of
from tallybook.core.identity import identity, integers_of
from tallybook.ledger.identities import batch_of
from tallybook.ledger.key_log import Asked, HeldIdentities
from tallybook.ledger.migrate import migrate
from tallybook.ledger.open import Ledger, sqlite_url
from tallybook.ledger.sieve import PARTS, Sieve
from tests.support.older import list_keys_as_json, list_keys_packed

HELD_MAX, MOVED_MIN = 40, 7
_PACKED = Struct(">qqq")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    ledger = Ledger(sqlite_url(tmp_path))
    migrate(ledger)
    yield ledger
    ledger.close()


def identity_of(who: int, key: int) -> tuple[int, int]:
    """Return the halves of the identity that an event of that key has."""
    return integers_of(identity(f"{who}\0{key}", b""))[:2]


def asked(keys: list[tuple[int, int, int]]) -> Asked:
    """Return (account, key, digest) as a bundle asks for them."""
    accounts = list(dict.fromkeys(who for who, _, _ in keys))
    names = [_PACKED.pack(*identity_of(who, key), digest) for who, key, digest in keys]
    return accounts, claims_of([accounts.index(who) for who, _, _ in keys], names)


class Taking:
    """Claims in transactions of their own, batch by batch, as a lane does."""

    def __init__(self, ledger: Ledger, *, batch_no: int = 0, lane: int = 0) -> None:
        self.ledger = ledger
        self.batch_no = batch_no
        self._identities = HeldIdentities(lane, held_max=HELD_MAX, moved_min=MOVED_MIN)

    def claim(self, keys: list[tuple[int, int, int]], *, bundles: int = 1, fail: bool = False) -> dict[int, bool]:
        """Claim (account, key, digest) in so many bundles; return place -> whether the first says the same."""
        self.batch_no += 1
        size = -(-len(keys) // bundles)
        parts = [keys[at : at + size] for at in range(0, len(keys), size)]
        try:
            with self.ledger.writing() as connection:
                taken = self._identities.claim(connection, [asked(part) for part in parts], self.batch_no)
                if fail:
                    raise ConnectionError
        except ConnectionError:
            self._identities.forget()
            return {}
        self._identities.keep()
        return {bundle * size + seq: is_same for bundle, seq, is_same in taken}

    def count(self, table: str) -> int:
        """Return how many rows a table has."""
        with self.ledger.reading() as connection:
            return int(connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0)


@pytest.mark.parametrize("seed", range(4))
def test_every_identity_is_taken_once_through_moves_failures_and_restarts(ledger: Ledger, seed: int) -> None:
    """Against a plain dict: the first digest stays, whatever happens between."""
    dice, taking, known = Random(seed), Taking(ledger), dict[tuple[int, int], int]()
    for _ in range(120):
        size, bundles = dice.choice((1, 3, 12)), dice.randrange(1, 4)
        keys = [(dice.randrange(1, 4), dice.randrange(-200, 200), dice.randrange(3)) for _ in range(size)]
        fail = dice.random() < 0.2
        expected, seen = {}, dict(known)
        for seq, (who, key, digest) in enumerate(keys):
            if (who, key) in seen:
                expected[seq] = seen[who, key] == digest
            seen.setdefault((who, key), digest)
        taken = taking.claim(keys, bundles=bundles, fail=fail)
        if not fail:
            assert expected == taken
            known = seen
        if dice.random() < 0.1:
            taking = Taking(ledger, batch_no=taking.batch_no)
    assert 0 < taking.count("event_keys") <= len(known)


def test_what_is_held_and_its_log_stay_bounded(ledger: Ledger) -> None:
    """After any number of batches the log is as long as what is held, and everything else has moved."""
    taking = Taking(ledger)
    for batch in range(60):
        assert {} == taking.claim([(1, batch * 10 + place, 0) for place in range(10)])
    moved = taking.count("event_keys")
    assert 600 - 2 * HELD_MAX <= moved <= 600
    assert taking.count("key_log") * 10 <= 3 * HELD_MAX


def test_a_batch_that_another_process_wrote_is_seen(ledger: Ledger, tmp_path: Path) -> None:
    """A command beside the server takes identities too; neither takes what the other has."""
    other = Ledger(sqlite_url(tmp_path))
    ours, theirs = Taking(ledger), Taking(other, batch_no=100)
    ours.claim([(1, 1, 7)])
    assert {0: False} == theirs.claim([(1, 1, 9), (1, 2, 8)])
    ours.batch_no = 200
    assert {0: False, 1: True} == ours.claim([(1, 1, 9), (1, 2, 8), (1, 3, 5)])
    other.close()


def test_lanes_share_what_is_held(ledger: Ledger) -> None:
    """Each lane keeps its own log, and no lane's moves lose what another holds."""
    lanes = [Taking(ledger, lane=lane) for lane in range(2)]
    for batch in range(20):
        for lane, taking in enumerate(lanes):
            assert {} == taking.claim([(lane + 1, batch * 5 + place, lane) for place in range(5)])
    fresh = [Taking(ledger, lane=lane, batch_no=100) for lane in range(2)]
    for lane, taking in enumerate(fresh):
        assert dict.fromkeys(range(100), True) == taking.claim([(lane + 1, key, lane) for key in range(100)])


def test_an_event_is_found_by_its_identity_wherever_that_lies(ledger: Ledger) -> None:
    """Held, moving or stored, its batch is known; of others nothing is."""
    taking = Taking(ledger)
    for batch in range(12):
        taking.claim([(1, batch * 10 + place, 0) for place in range(10)])
    assert 0 < taking.count("event_keys") < 120
    with ledger.reading() as connection:
        found = [batch_of(connection, 1, identity_of(1, key)) for key in range(120)]
        assert [1 + key // 10 for key in range(120)] == found
        assert [None, None] == [batch_of(connection, who, identity_of(who, key)) for who, key in ((1, 120), (2, 5))]


@pytest.mark.parametrize(("bring_back", "parts"), [(list_keys_as_json, 0), (list_keys_packed, PARTS)])
def test_identities_as_an_earlier_release_listed_them_stay_taken(
    ledger: Ledger, bring_back: Callable[[Ledger], None], parts: int
) -> None:
    """Some had moved, some were listed as JSON, or packed."""
    taking = Taking(ledger)
    for batch in range(8):
        taking.claim([(1, batch * 10 + place, place) for place in range(10)])
    assert 0 < taking.count("event_keys") < 80
    bring_back(ledger)
    assert migrate(ledger)
    again = Taking(ledger, batch_no=100)
    assert (80, parts) == (again.count("event_keys"), again.count("key_sieve"))
    assert {key: key % 10 == 7 for key in range(80)} == again.claim([(1, key, 7) for key in range(90)])
    assert {0: True} == again.claim([(1, 89, 7)])
    assert again.count("key_sieve") == PARTS


# --- the sieve --------------------------------------------------------------------------------------------------------


def test_the_sieve_lets_every_identity_through_that_it_had_and_hardly_any_other() -> None:
    """Of any sign and size; one in several hundred others shares a bit."""
    dice, sieve = Random(7), Sieve(0)
    had, others = ([_PACKED.pack(0, dice.getrandbits(64) - 2**63, 0) for _ in range(100_000)] for _ in range(2))
    assert len(sieve.sift(claims_of([0] * len(had), had))) < 200
    sieve.add(_PACKED.unpack(name)[1] for name in had)
    assert list(range(len(had))) == sieve.sift(claims_of([0] * len(had), had))
    assert len(sieve.sift(claims_of([0] * len(others), others))) < 400


@pytest.mark.parametrize("lost", [0, 1, PARTS])
def test_a_sieve_of_which_parts_are_missing_is_made_anew(ledger: Ledger, lost: int) -> None:
    """What has moved stays taken after a restart, whatever was kept of the sieve, which is whole again then."""
    taking = Taking(ledger)
    for batch in range(20):
        taking.claim([(1, batch * 10 + place, place) for place in range(10)])
    assert taking.count("key_sieve") == PARTS
    with ledger.writing() as connection:
        connection.execute(text(f"DELETE FROM key_sieve WHERE part < {lost}"))
    again = Taking(ledger, batch_no=100)
    assert {key: key % 10 == 7 for key in range(200)} == again.claim([(1, key, 7) for key in range(210)])
    assert again.count("key_sieve") == PARTS
