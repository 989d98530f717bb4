"""What a lane remembers of reservations: whatever was put, settled or expired, a plain list adds up to the same."""

from pathlib import Path
from random import Random

import pytest
from sqlalchemy import Connection

from tallybook.core.hold import Held, Hold, HoldState, Wanted
from tallybook.ledger.memory import Holdings
from tallybook.ledger.migrate import migrate
from tallybook.ledger.open import Ledger, sqlite_url

PLACES = [("month", ""), ("each", "a"), ("each", "b")]


def live(holds: list[Hold], now_us: int) -> list[tuple[tuple[str, str], int, int]]:
    """The items that count at an instant: place, quantity, end."""
    return [
        ((item.limit, item.value), item.quantity, hold.expires_us)
        for hold in holds
        if hold.expires_us > now_us
        for item in hold.items
    ]


def check(holdings: Holdings, holds: list[Hold], now_us: int) -> None:
    """What is remembered is what the list says."""
    known = holdings.at(1, now_us, _nothing_to_read)
    counted = live(holds, now_us)
    sums = {place: [nanos for where, nanos, _ in counted if where == place] for place in PLACES}
    ends = {place: [end_us for where, _, end_us in counted if where == place] for place in PLACES}
    assert {place: Held(sum(nanos), min(ends[place])) for place, nanos in sums.items() if nanos} == known.held()
    assert max(map(len, sums.values())) == known.live()


def _nothing_to_read() -> Connection:
    raise AssertionError("it was known")


@pytest.fixture
def holdings(tmp_path: Path) -> Holdings:
    """Holdings that have looked at account 1, of which nothing is held."""
    known, ledger = Holdings(), Ledger(sqlite_url(tmp_path))
    migrate(ledger)
    with ledger.reading() as connection:
        known.at(1, 0, lambda: connection)
    ledger.close()
    return known


@pytest.mark.parametrize("seed", range(5))
def test_it_is_what_a_list_adds_up_to(holdings: Holdings, seed: int) -> None:
    """In any order; many more are settled than stay, and many expire."""
    random, holds, now_us = Random(seed), list[Hold](), 0
    for number in range(1_500):
        now_us += random.randrange(20)
        if holds and random.random() < 0.45:
            gone = holds.pop(random.randrange(len(holds)))
            holdings.drop(1, gone)
        else:
            places = random.sample(PLACES, random.randint(1, 3))
            items = tuple(Wanted(name, random.randint(1, 10**20), value) for name, value in places)
            hold = Hold(f"rsv_{number}", HoldState.HELD, now_us + random.randint(1, 3_000), items)
            holds.append(hold)
            holdings.put(1, hold)
        if number % 7 == 0:
            check(holdings, holds, now_us)
    check(holdings, holds, now_us + 3_000)


def test_a_clock_that_is_set_back_has_it_read_again(holdings: Holdings) -> None:
    """What had expired lives again, and only the table knows of it."""
    holdings.at(1, 100, _nothing_to_read)
    with pytest.raises(AssertionError, match="it was known"):
        holdings.at(1, 99, _nothing_to_read)
