"""Crossings in the ledger: written in the transaction of the usage that crossed, read as the history of an account."""

from collections.abc import Sequence

from sqlalchemy import Connection

from tallybook.core.alert import Told
from tallybook.core.crossing import Crossing
from tallybook.core.desk import Desk
from tallybook.core.watch import ToldBefore
from tallybook.ledger.hot import Hot
from tallybook.ledger.rows import to_json, unfold

_TOLD = {
    sqlite: Hot(
        "SELECT a.subject, a.period_us, a.value, a.percent, a.arm, a.standing, a.quantity, a.raised_us"
        f" FROM ({unfold('periods', [('period_us', 'bigint')], sqlite=sqlite)}) s JOIN alerts a"
        " ON a.account_no = :account_no AND a.period_us = s.period_us AND a.arm = (SELECT max(b.arm) FROM alerts b"
        " WHERE b.account_no = a.account_no AND b.period_us = a.period_us AND b.subject = a.subject"
        " AND b.value = a.value AND b.percent = a.percent)"
    )
    for sqlite in (True, False)
}
_REARM = Hot(
    "UPDATE alerts SET standing = 0, ended_us = :now_us, recheck_us = NULL WHERE account_no = :account_no"
    " AND period_us = :period_us AND subject = :subject AND value = :value AND percent = :percent AND standing = 1"
)
_AGAIN = Hot(
    "UPDATE alerts SET recheck_us = :recheck_us WHERE account_no = :account_no AND period_us = 0"
    " AND subject = :subject AND standing = 1"
)


class AlertDesk:
    """A lane's transaction, as those see it who watch."""

    def __init__(self, connection: Connection, lane: Desk) -> None:
        self._connection = connection
        self.lane = lane

    def told(self, account_no: int, periods_us: Sequence[int]) -> ToldBefore:
        """Return what was told of an account in these periods, of each threshold the last time."""
        periods = to_json([(period_us,) for period_us in sorted(set(periods_us))])
        values = {"account_no": account_no, "periods": periods}
        statement = _TOLD[self._connection.dialect.name == "sqlite"]
        found: dict[tuple[str, int], dict[str, dict[int, Told]]] = {}
        for subject, period_us, value, percent, arm, standing, quantity, raised_us in statement.rows(
            self._connection, values
        ):
            told = Told(percent, arm, bool(standing), int(quantity), raised_us)
            found.setdefault((subject, period_us), {}).setdefault(value, {})[percent] = told
        return found

    def cross(self, account_no: int, crossing: Crossing, now_us: int) -> bool:
        """Write a crossing and, unless it is late, its message; False if it was there already."""
        return self.lane.cross(account_no, crossing, now_us)

    def rearm(
        self, account_no: int, subject: str, value: str, period_us: int, percents: Sequence[int], *, now_us: int
    ) -> None:
        """Note that these thresholds stand no longer."""
        place = {"account_no": account_no, "subject": subject, "value": value, "period_us": period_us}
        for percent in percents:
            _REARM.change(self._connection, place | {"percent": percent, "now_us": now_us})

    def look_again(self, account_no: int, subject: str, recheck_us: int) -> None:
        """Put off the next look at what stands of a subject."""
        values = {"account_no": account_no, "subject": subject, "recheck_us": recheck_us}
        _AGAIN.change(self._connection, values)
