"""What one transaction knows to be held: whatever it writes, and however time goes, it is what the store adds up to."""

from random import Random

import pytest
from sqlalchemy import Connection

from tallybook.core.hold import Hold, HoldState, Wanted
from tallybook.core.ids import AccountId
from tallybook.ledger.accounts import resolve
from tallybook.ledger.gathered import Gathered
from tallybook.ledger.held import HeldOnce, read_held
from tallybook.ledger.open import Ledger

PLACES = [("month", ""), ("each", "a"), ("each", "b")]


@pytest.mark.parametrize("seed", range(3))
def test_it_is_what_the_store_adds_up_to(ledger: Ledger, seed: int) -> None:
    """In any order; some are settled, some expire, and the clock may be set back."""
    random, holds, now_us = Random(seed), list[Hold](), 1_000
    with ledger.writing() as connection:
        (account_no,) = resolve(connection, [AccountId("acme")], 0, create=True).values()
        held, gathered = HeldOnce(), Gathered(connection)

        def written() -> Connection:
            gathered.write_holds(account_no)
            return connection

        for number in range(150):
            now_us += random.randrange(-5, 20)
            if holds and random.random() < 0.4:
                gone = holds.pop(random.randrange(len(holds)))
                held.drop(account_no, gone)
                gathered.settle_hold(account_no, gone)
            else:
                places = random.sample(PLACES, random.randint(1, 3))
                items = tuple(Wanted(name, random.randint(1, 10**20), value) for name, value in places)
                holds.append(Hold(f"rsv_{number}", HoldState.HELD, now_us + random.randint(1, 600), items))
                held.put(account_no, holds[-1])
                gathered.put_hold(account_no, holds[-1], now_us)
            if number % 3 == 0:
                known = held.at(account_no, now_us, written)
                gathered.write()
                assert read_held(connection, account_no, now_us) == known.held()
                live = [item.limit + item.value for one in holds if one.expires_us > now_us for item in one.items]
                assert max(map(live.count, live), default=0) == known.live()


def test_nothing_of_other_accounts_is_written_before_it_is_read(ledger: Ledger) -> None:
    """What is gathered of one account is no matter to another."""
    with ledger.writing() as connection:
        acme, other = resolve(connection, [AccountId("acme"), AccountId("other")], 0, create=True).values()
        gathered = Gathered(connection)
        gathered.put_hold(acme, Hold("rsv_1", HoldState.HELD, 100, (Wanted("month", 1),)), 1)
        gathered.write_holds(other)
        assert {} == read_held(connection, acme, 1)
        gathered.write_holds(acme)
        assert 1 == read_held(connection, acme, 1)["month", ""].nanos
