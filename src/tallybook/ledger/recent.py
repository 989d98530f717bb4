"""What commits added lately: rows by the minute in `recent`, a small table, which move to the rollups many at a time.

A commit that wrote its rows to all four levels of the rollups would write a page for almost each of them. It writes
them here instead, and when an account has many, or all have, they move: rows of one account lie side by side at every
level, those of one hour, day or month become one row, and all of it happens in the commit's own transaction. A row is
in `recent` or in the rollups, never in both and never in neither; who adds up reads both (see `usage`).
"""

from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, text

from tallybook.ledger.rows import fold, from_json, to_json, unfold
from tallybook.ledger.tables import SUMMARIES, SUMS

ROWS_MAX = 200_000
"""Rows of all accounts that a writer lets lie before it moves some; about 12 MB."""
ACCOUNT_ROWS_MAX = 500
"""Rows of one account that a writer lets lie: so many at most does a reader add to what the rollups say."""
SWEPT_SHARE = 4
"""A sweep moves one row in so many."""
MOVED_MIN = 1_000
"""Fewest rows that a commit moves while a sweep lasts."""
ACCOUNTS_KNOWN_MAX = 100_000
"""Most accounts without rows of which that is remembered."""


class Recent:
    """Keeps `recent` small, for one writer, inside transactions that hold the lane of the accounts.

    How many rows an account has is counted when the writer first sees it and guessed from then on: rows of one minute
    and series become one, so there may be fewer. Where that seems too many they are counted before any move.
    """

    def __init__(self, *, sqlite: bool) -> None:
        self._is_sqlite = sqlite
        self._rows_max, self._account_rows_max, self._moved_min = ROWS_MAX, ACCOUNT_ROWS_MAX, MOVED_MIN
        self._sizes: dict[int, int] = {}
        self._total = 0
        self._sweep: list[int] = []
        self._cursor = 0
        accounts = unfold("accounts", [("account_no", "bigint")], sqlite=sqlite)
        listed = f"IN ({accounts})" if sqlite else f"= ANY (ARRAY({accounts}))"  # an array is looked up in the index
        mine = f"WHERE account_no {listed}"
        counted = "(SELECT account_no, count(*) AS found FROM recent {} GROUP BY account_no) c"
        self._count_all, self._count = (
            text(fold(("account_no", "found"), f"FROM {counted.format(where)}", sqlite=sqlite)) for where in ("", mine)
        )
        self._move = [text(sql) for sql in _move_sql(mine, sqlite=sqlite)]

    def forget(self) -> None:
        """Believe nothing any more: a transaction was rolled back."""
        self._sizes.clear()
        self._sweep.clear()
        self._total = 0

    def make_room(self, connection: Connection, added: Mapping[int, int]) -> None:
        """Move rows where there are too many, now that so many were *added* to each account."""
        self._note(connection, added)
        full = [account_no for account_no in added if self._sizes[account_no] > self._account_rows_max]
        if full:
            self._recount(connection, full)
            self._move_all(connection, [no for no in full if self._sizes[no] > self._account_rows_max])
        count = max(self._moved_min, 2 * sum(added.values()))
        if self._total > self._rows_max and not self._sweep:
            self._recount(connection, self._sizes)
            self._begin_sweep(max(count, self._rows_max // SWEPT_SHARE))
        if self._sweep:
            self._move_all(connection, self._next(count))

    # --- how many there are ------------------------------------------------------------------------------------------

    def _note(self, connection: Connection, added: Mapping[int, int]) -> None:
        if self._is_sqlite and not self._sizes:  # who writes there writes every account
            self._set(from_json(connection.scalar(self._count_all)))
            added = dict.fromkeys(added, 0)
        if len(self._sizes) > ACCOUNTS_KNOWN_MAX:
            self._sizes = {account_no: rows for account_no, rows in self._sizes.items() if rows}
        unknown = [] if self._is_sqlite else [account_no for account_no in added if account_no not in self._sizes]
        self._set((account_no, self._sizes.get(account_no, 0) + rows) for account_no, rows in added.items())
        if unknown:
            self._recount(connection, unknown)

    def _set(self, found: Iterable[Iterable[int]]) -> None:
        for account_no, rows in found:
            self._total += rows - self._sizes.get(account_no, 0)
            self._sizes[account_no] = rows

    def _recount(self, connection: Connection, accounts: Iterable[int]) -> None:
        wanted = sorted(accounts)
        found = dict(from_json(connection.scalar(self._count, {"accounts": to_json([(no,) for no in wanted])})))
        self._set((account_no, found.get(account_no, 0)) for account_no in wanted)

    # --- moving ------------------------------------------------------------------------------------------------------

    def _begin_sweep(self, share: int) -> None:
        """Choose what to move, account after account from where the last sweep ended; nothing, if little is there."""
        if self._total <= self._rows_max * (2 * SWEPT_SHARE - 1) // (2 * SWEPT_SHARE):
            return
        ordered = sorted(account_no for account_no, rows in self._sizes.items() if rows)
        ordered = [no for no in ordered if no > self._cursor] + [no for no in ordered if no <= self._cursor]
        for account_no in ordered:
            if share <= 0:
                break
            self._sweep.append(account_no)
            share -= self._sizes[account_no]
        self._cursor = self._sweep[-1]
        self._sweep.reverse()

    def _next(self, count: int) -> list[int]:
        """Return the next accounts of the sweep, of about *count* rows together."""
        found = []
        while self._sweep and count > 0:
            found.append(self._sweep.pop())
            count -= self._sizes[found[-1]]
        return found

    def _move_all(self, connection: Connection, accounts: list[int]) -> None:
        """Move every row of *accounts*."""
        if not accounts:
            return
        for statement in self._move:
            connection.execute(statement, {"accounts": to_json([(no,) for no in sorted(accounts)])})
        self._set((account_no, 0) for account_no in accounts)


_PLACE = "account_no, type_no, {} AS bucket, series_no, part"
_SUMMED = ", ".join(f"sum({name}) AS {name}" for name in SUMS)


def _move_sql(mine: str, *, sqlite: bool) -> list[str]:
    """Return the statements that move the rows of *mine* (a WHERE) to all levels of the rollups.

    Each level is added up from the one below, and summaries from days and months. PostgreSQL takes the very rows that
    it deletes, so that none is lost or counted twice even where another process adds to them meanwhile; on SQLite there
    is no such process.
    """
    named = ", ".join(SUMS)
    gone = [] if sqlite else [f"gone AS (DELETE FROM recent {mine} RETURNING *)"]
    if sqlite:
        taken = [f"l0 AS MATERIALIZED (SELECT {_PLACE.format('minute')}, {named} FROM recent {mine})"]
    else:
        place = _PLACE.format("minute")
        taken = [*gone, f"l0 AS MATERIALIZED (SELECT {place}, {named} FROM gone)"]
    for level, bucket in enumerate(("bucket / 60", "bucket / 24", _month_sql("bucket", sqlite=sqlite)), start=1):
        taken.append(
            f"l{level} AS MATERIALIZED (SELECT {_PLACE.format(bucket)}, {_SUMMED}"
            f" FROM l{level - 1} GROUP BY account_no, type_no, {bucket}, series_no, part)"
        )
    for days, summary in SUMMARIES.items():
        taken.append(
            f"l{summary} AS MATERIALIZED (SELECT l.account_no, l.type_no, l.bucket, m.summary_no AS series_no, l.part,"
            f" {_SUMMED} FROM l{days} l JOIN summaries m ON m.account_no = l.account_no AND m.series_no = l.series_no"
            " GROUP BY l.account_no, l.type_no, l.bucket, m.summary_no, l.part)"
        )
    key = "account_no, type_no, level, bucket, series_no, part"
    levels = " UNION ALL ".join(
        f"SELECT account_no, type_no, {level} AS level, bucket, series_no, part, {named} FROM l{level}"
        for level in range(len(taken) - len(gone))
    )
    update = ", ".join(f"{name} = rollups.{name} + excluded.{name}" for name in SUMS)
    move = (
        f"WITH {', '.join(taken)} INSERT INTO rollups ({key}, {named}) SELECT * FROM ({levels}) l WHERE true"
        f" ON CONFLICT ({key}) DO UPDATE SET {update}"
    )
    return [move, f"DELETE FROM recent {mine}"] if sqlite else [move]


def _month_sql(day: str, *, sqlite: bool) -> str:
    """Return the number of the month of a *day* since the epoch (see `window.month_bucket`)."""
    if sqlite:
        shown = f"CAST(strftime('%Y%m', ({day}) * 86400, 'unixepoch') AS INTEGER)"
        return f"({shown} / 100 * 12 + {shown} % 100 - 1)"
    shown = f"(DATE '1970-01-01' + ({day})::int)"
    return f"(extract(year FROM {shown})::bigint * 12 + extract(month FROM {shown})::bigint - 1)"
