"""Statements over many rows: every row once, whatever their number."""

import pytest
from sqlalchemy import text

from tallybook.ledger.bulk import STEPS, Bulk
from tallybook.ledger.open import Ledger

COLUMNS = [("place", "bigint"), ("word", "text")]
COUNTS = sorted({0, 1, 2, 3, 1_000, *(step + more for step in STEPS for more in (-1, 0, 1))})


@pytest.mark.parametrize("count", COUNTS)
def test_every_row_is_read_once(ledger: Ledger, count: int) -> None:
    """In any number, with nothing and with quotes and other scripts in them."""
    rows = [(place, None if place % 3 else f"it's “{place}” 数") for place in range(count)]
    found = Bulk("SELECT s.word, s.place FROM ({rows}) s", COLUMNS, sqlite=ledger.is_sqlite)
    with ledger.reading() as connection:
        assert rows == sorted((place, word) for word, place in found.each(connection, rows))


@pytest.mark.parametrize("count", COUNTS)
def test_every_row_is_written_once_and_counted(ledger: Ledger, count: int) -> None:
    """What is there already stays as it is and is not counted."""
    write = Bulk(
        "INSERT INTO labels (account_no, dimension, value, name, seen_us)"
        " SELECT s.place, 'd', 'v', s.word, 0 FROM ({rows}) s WHERE true ON CONFLICT DO NOTHING",
        COLUMNS,
        sqlite=ledger.is_sqlite,
    )
    rows = [(place, f"name {place}") for place in range(count)]
    with ledger.writing() as connection:
        assert count == write.change(connection, rows)
        assert 1 == write.change(connection, [(place, "later") for place in range(count + 1)])
        found = connection.execute(text("SELECT account_no, name FROM labels ORDER BY account_no")).all()
    assert [*rows, (count, "later")] == [tuple(row) for row in found]
