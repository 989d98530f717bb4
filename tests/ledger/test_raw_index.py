"""Which batches hold an account's events: the same before, while and after the notes of them move."""

import pytest
from sqlalchemy import text

from tallybook.core.errors import Unavailable
from tallybook.core.instant import HOUR_US
from tallybook.ledger import raw_index
from tallybook.ledger.raw_index import batches_of
from tests.support.events import NOW_US
from tests.support.works import Works, job


def noted(works: Works, account_id: str) -> list[int]:
    """The batches of an account in the hour that holds now."""
    with works.ledger.reading() as connection:
        asked = batches_of(works.account(account_id).no, NOW_US // HOUR_US, NOW_US // HOUR_US)
        return sorted(connection.scalars(asked))


def count(works: Works, table: str) -> int:
    """How many notes a table has."""
    with works.ledger.reading() as connection:
        return int(connection.scalar(text(f"SELECT count(*) FROM {table}")) or 0)


@pytest.mark.parametrize("bound", [0, 3, 10**6])
def test_every_batch_of_an_account_is_found_wherever_its_note_lies(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch, bound: int
) -> None:
    """Each once, with those of other accounts, and of a batch with several of its events, between them."""
    monkeypatch.setattr(raw_index, "RECENT_MAX", bound)
    with Works(ledger_url) as works:
        for number in range(8):
            works.write([job(f"{number}/{n}", account_id) for n in range(2) for account_id in ("acme", "globex")])
            works.write([job(f"{number}/other", "globex")])
            if number == 4:
                assert (5, 10) == (len(noted(works, "acme")), len(noted(works, "globex")))
        assert (8, 16) == (len(noted(works, "acme")), len(noted(works, "globex")))
        assert 24 == count(works, "raw_index") + count(works, "raw_recent")
        assert count(works, "raw_recent") <= bound if works.ledger.is_sqlite else not count(works, "raw_recent")
    with Works(ledger_url) as again:
        again.write([job("late")])
        assert 9 == len(noted(again, "acme"))
        assert count(again, "raw_recent") <= bound


@pytest.mark.parametrize("store_kind", ["sqlite"])
def test_a_move_that_fails_takes_the_commit_with_it(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """And loses no note that was waiting; on PostgreSQL nothing moves."""
    monkeypatch.setattr(raw_index, "RECENT_MAX", 2)
    with Works(ledger_url) as works:
        works.write([job("0")])
        works.write([job("1")])
        with works.ledger.writing() as connection:
            body = "BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END"
            connection.execute(text(f"CREATE TRIGGER refuse BEFORE INSERT ON raw_index {body}"))
        with pytest.raises(Unavailable):
            works.write([job("2")])
        assert 2 == len(noted(works, "acme"))
        with works.ledger.writing() as connection:
            connection.execute(text("DROP TRIGGER refuse"))
        assert 1 == works.write([job("2")]).accepted
        assert (3, 0) == (len(noted(works, "acme")), count(works, "raw_recent"))
