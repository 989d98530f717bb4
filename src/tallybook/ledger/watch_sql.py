"""The SQL of watching: each step is one statement for a whole commit. Not for when it runs (see `watches`)."""

from tallybook.ledger.hot import Hot
from tallybook.ledger.rows import fold, unfold

_KEY = [("account_no", "bigint"), ("subject", "text"), ("period_us", "bigint")]


class Statements:
    """The statements for one kind of store."""

    def __init__(self, *, sqlite: bool) -> None:
        spent = unfold("rows", [*_KEY, ("spent", "bigint")], sqlite=sqlite)
        left = unfold("rows", [*_KEY, ("left_milli", "bigint"), ("until_us", "bigint")], sqlite=sqlite)
        key = "account_no, subject, period_us"
        self.spend = Hot(
            f"INSERT INTO watches ({key}, left_milli, until_us)"
            f" SELECT {key}, -spent, 0 FROM ({spent}) s WHERE true ON CONFLICT ({key})"
            " DO UPDATE SET left_milli = watches.left_milli + excluded.left_milli"
        )
        same = "w.account_no = s.account_no AND w.subject = s.subject AND w.period_us = s.period_us"
        self.due = Hot(
            fold(
                ("s.account_no", "s.subject", "s.period_us"),
                f"FROM ({spent}) s JOIN watches w ON {same}"
                " WHERE w.left_milli <= 0 OR (w.until_us > 0 AND w.until_us <= :now_us)",
                sqlite=sqlite,
            )
        )
        self.marked = Hot(
            fold(
                ("s.account_no", "s.subject", "s.period_us"),
                f"FROM ({spent}) s LEFT JOIN watches w ON {same}"
                " WHERE w.left_milli IS NULL OR s.spent >= w.left_milli OR (w.until_us > 0 AND w.until_us <= :now_us)",
                sqlite=sqlite,
            )
        )
        self.set_left = Hot(
            f"INSERT INTO watches ({key}, left_milli, until_us) SELECT {key}, left_milli, until_us"
            f" FROM ({left}) s WHERE true ON CONFLICT ({key})"
            " DO UPDATE SET left_milli = excluded.left_milli, until_us = excluded.until_us"
        )
        numbers = unfold("numbers", [("account_no", "bigint")], sqlite=sqlite)
        among = f"account_no IN (SELECT account_no FROM ({numbers}) s)"
        self.forget_watches = Hot(f"DELETE FROM watches WHERE {among}")
        self.standing = Hot(f"SELECT DISTINCT account_no FROM alerts WHERE {among} AND standing = 1")
        self.last_change = Hot("SELECT max(change_no) FROM watch_changes")
        self.first_change = Hot("SELECT min(change_no) FROM watch_changes")
        self.changes = Hot("SELECT account_no FROM watch_changes WHERE change_no > :after ORDER BY change_no")
        self.open_changes = Hot('SELECT DISTINCT account_no FROM watch_changes WHERE "open" = 1')
        self.close_changes = Hot(f'UPDATE watch_changes SET "open" = 0 WHERE "open" = 1 AND {among}')
