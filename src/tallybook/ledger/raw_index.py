"""Which raw batches hold events of an account in an hour: noted by the batch at first, and some way behind by account.

In `raw_index` each account has a page of its own, and a commit with events of 700 accounts would write 700 pages. So on
SQLite it appends to `raw_recent`, and many commits' notes move at once, those of an account side by side. PostgreSQL
writes no page in a commit, and gets them in `raw_index`.
"""

from collections.abc import Collection

from sqlalchemy import CompoundSelect, Connection, select, union

from tallybook.ledger.bulk import Bulk
from tallybook.ledger.hot import Hot
from tallybook.ledger.tables import raw_index, raw_recent

RECENT_MAX = 10_000
"""Notes that wait before they move: so many does a reader look through, in less than a millisecond."""

_COUNT = Hot("SELECT count(*) FROM raw_recent")
_MOVE = Hot(
    "INSERT INTO raw_index (account_no, hour, batch_no)"
    " SELECT account_no, hour, batch_no FROM raw_recent ORDER BY account_no, hour, batch_no"
)
_CLEAR = Hot("DELETE FROM raw_recent")


class RawIndex:
    """Notes what batches hold, inside a commit's transaction; `forget` follows where that is rolled back."""

    def __init__(self, *, sqlite: bool) -> None:
        table = "raw_recent" if sqlite else "raw_index"
        columns = [(name, "bigint") for name in ("account_no", "hour", "batch_no")]
        insert = f"INSERT INTO {table} (account_no, hour, batch_no) SELECT * FROM ({{rows}}) s WHERE true"
        self._insert = Bulk(insert, columns, sqlite=sqlite)
        self._is_sqlite = sqlite
        self._waiting: int | None = None

    def add(self, connection: Connection, batch_no: int, hours: Collection[tuple[int, int]]) -> None:
        """Note that a batch holds events of these accounts and hours."""
        self._insert.change(connection, [(*hour, batch_no) for hour in sorted(hours)])
        if not self._is_sqlite:
            return
        self._waiting = _COUNT.scalar(connection, {}) if self._waiting is None else self._waiting + len(hours)
        if self._waiting > RECENT_MAX:
            _MOVE.change(connection, {})
            _CLEAR.change(connection, {})
            self._waiting = 0

    def forget(self) -> None:
        """The transaction was rolled back."""
        self._waiting = None


def batches_of(account_no: int, first_hour: int, last_hour: int) -> CompoundSelect[tuple[int]]:
    """Return the SELECT of the batches that hold events of an account from one hour to another, each once."""
    return union(
        *(
            select(table.c.batch_no).where(
                table.c.account_no == account_no, table.c.hour.between(first_hour, last_hour)
            )
            for table in (raw_index, raw_recent)
        )
    )
