"""Identities on SQLite: taken once, whether they are held, moving or in a run, and whoever wrote them."""

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from random import Random
from struct import Struct

import pytest
from sqlalchemy import text

from tallybook.core.claims import ENTRY_BYTES, claims_of, split
from tallybook.core.identity import identity, integers_of
from tallybook.ledger import key_runs
from tallybook.ledger.identities import batch_of
from tallybook.ledger.key_log import Asked, HeldIdentities
from tallybook.ledger.migrate import migrate
from tallybook.ledger.open import Ledger, sqlite_url
from tallybook.ledger.sieve import PARTS, Sieve
from tests.support.older import list_keys_as_json, list_keys_by_account, list_keys_packed

HELD_MAX, MOVED_MIN = 20, 7
_PACKED = Struct(">qqq")


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_runs, "BLOCK_ENTRIES", 3)
    monkeypatch.setattr(key_runs, "BLOCKS_READ", 4)


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
    names = [_PACKED.pack(*identity_of(who, key), digest) for who, key, digest in keys]
    return Asked(claims_of(names), lambda: [who for who, _, _ in keys])


class Taking:
    """Claims in transactions of their own, batch by batch, as a lane does; blocks of runs are small."""

    def __init__(self, ledger: Ledger, *, batch_no: int = 0, lane: int = 0) -> None:
        self.ledger = ledger
        self.batch_no = batch_no
        self._identities = HeldIdentities(lane, held_max=HELD_MAX, moved_min=MOVED_MIN)

    def claim(
        self, keys: list[tuple[int, int, int]], *, bundles: int = 1, batches: int = 1, fail: bool = False
    ) -> dict[int, bool]:
        """Claim (account, key, digest) in so many bundles of so many batches, in one transaction.

        Return place -> whether the first says the same.
        """
        size = -(-len(keys) // bundles)
        parts = [keys[at : at + size] for at in range(0, len(keys), size)]
        share = -(-len(parts) // batches)
        taken: list[tuple[int, int, bool]] = []
        try:
            with self.ledger.writing() as connection:
                for first in range(0, len(parts), share):
                    self.batch_no += 1
                    of_batch = [asked(part) for part in parts[first : first + share]]
                    found = self._identities.claim(connection, of_batch, self.batch_no)
                    taken += [(first + bundle, seq, is_same) for bundle, seq, is_same in found]
                if fail:
                    raise ConnectionError
        except ConnectionError:
            self._identities.forget()
            return {}
        self._identities.keep()
        return {bundle * size + seq: is_same for bundle, seq, is_same in taken}

    def ask(self, sql: str) -> int:
        """Return the number that a query finds."""
        with self.ledger.reading() as connection:
            return int(connection.scalar(text(f"SELECT {sql}")) or 0)

    @property
    def in_runs(self) -> int:
        """How many entries runs have."""
        return self.ask(f"sum(length(keys)) / {ENTRY_BYTES} FROM key_blocks")

    @property
    def sieve_parts(self) -> int:
        """How many parts are kept of the sieve."""
        return self.ask("count(*) FROM key_sieve")


@pytest.mark.parametrize("seed", range(6))
def test_every_identity_is_taken_once_through_moves_merges_failures_and_restarts(ledger: Ledger, seed: int) -> None:
    """Against a plain dict: the first digest stays, whatever happens between."""
    dice, taking, known = Random(seed), Taking(ledger), dict[tuple[int, int], int]()
    for _ in range(400):
        size, bundles, batches = dice.choice((1, 3, 12)), dice.randrange(1, 4), dice.randrange(1, 3)
        keys = [(dice.randrange(1, 4), dice.randrange(-600, 600), dice.randrange(3)) for _ in range(size)]
        fail = dice.random() < 0.2
        expected, seen = {}, dict(known)
        for seq, (who, key, digest) in enumerate(keys):
            if (who, key) in seen:
                expected[seq] = seen[who, key] == digest
            seen.setdefault((who, key), digest)
        taken = taking.claim(keys, bundles=bundles, batches=batches, fail=fail)
        if not fail:
            assert expected == taken
            known = seen
        if dice.random() < 0.1:
            taking = Taking(ledger, batch_no=taking.batch_no)
    assert taking.ask("max(level) FROM key_runs") >= 2
    every = [(who, key, digest) for (who, key), digest in known.items()]
    assert dict.fromkeys(range(len(every)), True) == taking.claim(every)
    assert len(known) == len(distinct(taking))


def distinct(taking: Taking) -> set[bytes]:
    """Return the identities that the log and the runs have, of which none may have two digests."""
    with taking.ledger.reading() as connection:
        kept = connection.execute(text("SELECT keys FROM key_log UNION ALL SELECT keys FROM key_blocks")).scalars()
        entries = {entry[:24] for keys in kept for entry in split(keys)}
    assert len(entries) == len({entry[:16] for entry in entries})
    return {entry[:16] for entry in entries}


def test_what_is_held_its_log_and_the_number_of_runs_stay_bounded(ledger: Ledger) -> None:
    """After any number of batches the log is as long as what is held, and everything else is in a few runs."""
    taking = Taking(ledger)
    for batch in range(400):
        assert {} == taking.claim([(1, batch * 10 + place, 0) for place in range(10)])
    assert 4_000 - 2 * HELD_MAX <= taking.in_runs <= 4_000
    assert taking.ask("count(*) FROM key_log") * 10 <= 3 * HELD_MAX
    assert taking.ask("count(*) FROM (SELECT 1 FROM key_runs GROUP BY level HAVING count(*) > 2 * 4)") == 0
    assert 3 == taking.ask("max(level) FROM key_runs")
    assert 4_000 == len(distinct(taking))


def test_processes_that_end_before_all_has_moved_go_on_with_it(ledger: Ledger) -> None:
    """However few events each of them brings, what the log holds stays bounded, and nothing is written twice."""
    for batch in range(300):
        taking = Taking(ledger, batch_no=batch)
        assert {} == taking.claim([(1, batch * 3 + place, 0) for place in range(3)])
    assert taking.ask("count(*) FROM key_log") * 3 <= 3 * HELD_MAX
    assert 900 == len(distinct(taking))
    assert taking.in_runs + 3 * taking.ask("count(*) FROM key_log") <= 900 + HELD_MAX


def test_batches_of_one_transaction_see_each_other(ledger: Ledger) -> None:
    """As where a call that a lease billed is written beside events; none is lost where all that is held moves."""
    taking = Taking(ledger)
    for batch in range(40):
        keys = [(1, batch * 4 + place, 7) for place in range(4)]
        again = [(1, batch * 4, 7), (1, batch * 4 + 1, 8)]
        assert {4: True, 5: False} == taking.claim([*keys, *again], bundles=3, batches=3)
    assert 160 == len(distinct(taking))
    later = Taking(ledger, batch_no=taking.batch_no)
    assert dict.fromkeys(range(160), True) == later.claim([(1, key, 7) for key in range(160)])


def test_runs_lie_in_order_and_in_full_blocks(ledger: Ledger) -> None:
    """Each block of a run comes after the one before, and few are short."""
    taking = Taking(ledger)
    for batch in range(100):
        taking.claim([(1, batch * 10 + place, 0) for place in range(10)])
    with ledger.reading() as connection:
        rows = connection.execute(text("SELECT run_no, first, keys FROM key_blocks ORDER BY run_no, first")).all()
    for run_no in {row.run_no for row in rows}:
        entries = [entry for row in rows if row.run_no == run_no for entry in split(row.keys)]
        assert sorted(entries) == entries
    assert all(row.keys.startswith(row.first) for row in rows)
    assert len(rows) < 1.5 * taking.in_runs / key_runs.BLOCK_ENTRIES


def test_a_ledger_of_very_many_commits_goes_on(ledger: Ledger) -> None:
    """The number of a batch may have forty-two bits: a lane that commits a thousand times a second for a century."""
    first = 1 << 42
    taking = Taking(ledger, batch_no=first)
    for batch in range(20):
        taking.claim([(1, batch * 10 + place, 0) for place in range(10)])
    assert taking.in_runs
    with ledger.reading() as connection:
        assert [first + 1, first + 20] == [batch_of(connection, 1, identity_of(1, key)) for key in (0, 199)]


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
    """Each lane keeps its own log and runs, and no lane's moves lose what another holds."""
    lanes = [Taking(ledger, lane=lane) for lane in range(2)]
    for batch in range(20):
        for lane, taking in enumerate(lanes):
            assert {} == taking.claim([(lane + 1, batch * 5 + place, lane) for place in range(5)])
    fresh = [Taking(ledger, lane=lane, batch_no=100) for lane in range(2)]
    for lane, taking in enumerate(fresh):
        assert dict.fromkeys(range(100), True) == taking.claim([(lane + 1, key, lane) for key in range(100)])


def test_an_event_is_found_by_its_identity_wherever_that_lies(ledger: Ledger) -> None:
    """Held, moving or in a run, its batch is known; of others nothing is."""
    taking = Taking(ledger)
    for batch in range(12):
        taking.claim([(1, batch * 10 + place, 0) for place in range(10)])
    assert 0 < taking.in_runs < 120
    with ledger.reading() as connection:
        found = [batch_of(connection, 1, identity_of(1, key)) for key in range(120)]
        assert [1 + key // 10 for key in range(120)] == found
        assert [None, None] == [batch_of(connection, who, identity_of(who, key)) for who, key in ((1, 120), (2, 5))]


@pytest.mark.parametrize("bring_back", [list_keys_as_json, list_keys_packed, list_keys_by_account])
@pytest.mark.parametrize("size", [25, 1_000])
def test_identities_of_an_earlier_release_stay_taken(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, bring_back: Callable[[Ledger], None], size: int
) -> None:
    """Some had moved to a table, some were listed as JSON, or packed in one way or another, some were both."""
    taking = Taking(ledger)
    for batch in range(7):
        taking.claim([(1, batch * 10 + place, place) for place in range(10)])
    assert taking.in_runs + 10 * taking.ask("count(*) FROM key_log") > 70
    bring_back(ledger)
    monkeypatch.setattr(import_module("tallybook.ledger.migrations.versions.0012_key_runs"), "RUN_ENTRIES", size)
    assert migrate(ledger)
    again = Taking(ledger, batch_no=100)
    assert (70, 0, 0) == (again.in_runs, again.sieve_parts, again.ask("count(*) FROM event_keys"))
    with ledger.reading() as connection:
        assert [1 + key // 10 for key in range(70)] == [
            batch_of(connection, 1, identity_of(1, key)) for key in range(70)
        ]
    assert {key: key % 10 == 7 for key in range(70)} == again.claim([(1, key, 7) for key in range(80)])
    assert {0: True} == again.claim([(1, 79, 7)])
    assert again.sieve_parts == PARTS


# --- the sieve --------------------------------------------------------------------------------------------------------


def test_the_sieve_lets_every_identity_through_that_it_had_and_hardly_any_other() -> None:
    """Of any sign and size; of others, one in thousands has all its bits set."""
    dice, sieve = Random(7), Sieve(0)
    had, others = (claims_of([dice.randbytes(24) for _ in range(100_000)]) for _ in range(2))
    assert len(sieve.sift(had)) < 20
    again = Sieve(0)
    again.add(had.entries)
    for filled in (sieve, again):
        assert list(range(len(had))) == filled.sift(had)
        assert len(filled.sift(others)) < 40


@pytest.mark.parametrize("order", ["little", "big"])
def test_a_sieve_is_kept_whatever_the_machine_writes_first(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, order: str
) -> None:
    """Lowest bytes first; on a machine that has it the other way, they are swapped and swapped again."""
    monkeypatch.setattr("tallybook.ledger.sieve.sys.byteorder", order)
    sieve, read, dice = Sieve(0), Sieve(0), Random(3)
    claims = claims_of([dice.randbytes(24) for _ in range(1_000)])
    sieve.sift(claims)
    with ledger.writing() as connection:
        sieve.keep(connection, range(PARTS))
        read.read(connection)
    assert len(claims) == len(sieve.sift(claims)) == len(read.sift(claims))


@pytest.mark.parametrize("lost", [0, 1, PARTS])
def test_a_sieve_of_which_parts_are_missing_is_made_anew(ledger: Ledger, lost: int) -> None:
    """What has moved stays taken after a restart, whatever was kept of the sieve, which is whole again then."""
    taking = Taking(ledger)
    for batch in range(20):
        taking.claim([(1, batch * 10 + place, place) for place in range(10)])
    assert taking.sieve_parts == PARTS
    with ledger.writing() as connection:
        connection.execute(text(f"DELETE FROM key_sieve WHERE part < {lost}"))
    again = Taking(ledger, batch_no=100)
    assert {key: key % 10 == 7 for key in range(200)} == again.claim([(1, key, 7) for key in range(210)])
    assert again.sieve_parts == PARTS
