"""Housekeeping: what admission need not remember any longer is deleted, a few rows at a time beside the lanes' work.

Usage, events, and what was taken back of them (`voids`) are never touched here.
"""

from sqlalchemy import text

from tallybook.core.changes import NOTHING
from tallybook.core.clock import US_PER_S, Clock
from tallybook.core.hold import HOLDS_KEPT_DAYS
from tallybook.core.instant import DAY_US
from tallybook.core.lease import LEASES_KEPT_DAYS
from tallybook.ledger.open import Ledger

ROWS_MAX = 500
"""Most rows of one table that one step deletes."""
ANSWERS_KEPT_HOURS = 24
EXPIRED_KEPT_S = 60
"""How long the rows of an expired reservation stay, for servers whose clocks differ."""

_HOUR_US = 3600 * US_PER_S


def _delete(table: str, keys: str, condition: str) -> str:
    return f"DELETE FROM {table} WHERE ({keys}) IN (SELECT {keys} FROM {table} WHERE {condition} < :before LIMIT :rows)"


_STEPS = (
    (text(_delete("hold_items", "account_no, limit_name, value, hold_id", "expires_us")), EXPIRED_KEPT_S * US_PER_S),
    (text(_delete("holds", "account_no, hold_id", "expires_us")), HOLDS_KEPT_DAYS * DAY_US),  # days: a bound on age
    (text(_delete("idempotency", "account_no, key", "created_us")), ANSWERS_KEPT_HOURS * _HOUR_US),
    (text(_delete("leases", "account_no, lease_id", "ended_us")), LEASES_KEPT_DAYS * DAY_US),  # days: a bound on age
)


class Prune:
    """Deletes what is too old to be asked for."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def step(self) -> int:
        """Delete up to ROWS_MAX rows of each table; return how many.

        Raises:
            Unavailable: If the store cannot be written.
        """
        now_us = self._clock.now_us()
        done = 0
        for statement, age_us in _STEPS:
            with self._ledger.writing(NOTHING) as connection:  # nothing that counts
                done += connection.execute(statement, {"before": now_us - age_us, "rows": ROWS_MAX}).rowcount
        return done
