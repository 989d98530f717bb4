"""The history of alerts in the ledger, and which accounts have to be looked at again by themselves.

Not for writing crossings (see `outbox`).
"""

from typing import Any

from sqlalchemy import Row, delete, exists, or_, select, union, update

from tallybook.core.changes import NOTHING
from tallybook.core.crossing import Alert, AlertFilter
from tallybook.core.ids import AccountId
from tallybook.core.instant import DAY_US
from tallybook.core.watch import LATE_DAYS
from tallybook.ledger.alert_tables import alerts, watch_changes, watches
from tallybook.ledger.open import Ledger
from tallybook.ledger.tables import accounts

ALERTS_KEPT_DAYS = 400
WATCHES_KEPT_DAYS = LATE_DAYS + 70
"""Longer than any period that events may still come late into."""
CHANGES_KEPT_MAX = 10_000
"""Notes of changes that are kept for other processes to read."""
ROWS_MAX = 1_000


class LedgerAlerts:
    """Reads the history as of the last commit."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def page(self, account_no: int, wanted: AlertFilter, before: int | None, limit: int) -> list[Alert]:
        """Return up to *limit* alerts of an account, the newest first, below the number *before*."""
        asked = select(alerts).where(alerts.c.account_no == account_no)
        if before is not None:
            asked = asked.where(alerts.c.alert_no < before)
        if wanted.standing is not None:
            asked = asked.where(alerts.c.standing == int(wanted.standing))
        if wanted.acknowledged is not None:
            seen = alerts.c.acknowledged_us.is_not(None)
            asked = asked.where(seen if wanted.acknowledged else ~seen)
        with self._ledger.reading() as connection:
            rows = connection.execute(asked.order_by(alerts.c.alert_no.desc()).limit(limit))
            return [_from_row(row) for row in rows]

    def find(self, account_no: int, alert_id: str) -> Alert | None:
        """Return one alert of an account."""
        mine = select(alerts).where(alerts.c.account_no == account_no, alerts.c.alert_id == alert_id)
        with self._ledger.reading() as connection:
            row = connection.execute(mine).first()
            return None if row is None else _from_row(row)

    def acknowledge(self, account_no: int, alert_id: str, by: str, note: str | None, now_us: int) -> bool:
        """Note once that somebody has seen it; False if there is no such alert."""
        mine = (alerts.c.account_no == account_no) & (alerts.c.alert_id == alert_id)
        values = {"acknowledged_us": now_us, "acknowledged_by": by, "note": note}
        with self._ledger.writing(NOTHING) as connection:
            if connection.execute(select(alerts.c.alert_no).where(mine)).first() is None:
                return False
            connection.execute(update(alerts).where(mine, alerts.c.acknowledged_us.is_(None)).values(values))
            return True

    def to_recheck(self, now_us: int, limit: int) -> list[tuple[int, AccountId]]:
        """Return accounts whose limits changed, or where something may have fallen by now."""
        fallen = select(alerts.c.account_no).where(alerts.c.recheck_us <= now_us).limit(limit)
        changed = select(watch_changes.c.account_no).where(watch_changes.c.open == 1).limit(limit)
        begun = (watches.c.until_us > 0) & (watches.c.until_us <= now_us)
        other = select(watches.c.account_no).where(begun).limit(limit)
        wanted = union(*(select(one.subquery()) for one in (fallen, changed, other))).subquery()
        found = select(accounts.c.account_no, accounts.c.account_id).join(
            wanted, accounts.c.account_no == wanted.c.account_no
        )
        with self._ledger.reading() as connection:
            return [(row.account_no, AccountId(row.account_id)) for row in connection.execute(found.limit(limit))]

    def with_periods(self, after: str, limit: int) -> list[AccountId]:
        """Return accounts that have used something of a limit by period, by id."""
        used = exists().where(watches.c.account_no == accounts.c.account_no, watches.c.period_us > 0)
        wanted = select(accounts.c.account_id).where(accounts.c.account_id > after, used)
        with self._ledger.reading() as connection:
            rows = connection.scalars(wanted.order_by(accounts.c.account_id).limit(limit))
            return [AccountId(account_id) for account_id in rows]

    def prune(self, now_us: int) -> int:
        """Forget what is too old to be asked for; return how many rows."""
        aged = now_us - ALERTS_KEPT_DAYS * DAY_US  # days: a bound on age
        closed = now_us - WATCHES_KEPT_DAYS * DAY_US  # days: a bound on age
        old = select(alerts.c.alert_no).where(
            alerts.c.raised_us < aged, or_(alerts.c.standing == 0, alerts.c.period_us > 0)
        )
        with self._ledger.writing(NOTHING) as connection:
            last_no = connection.scalar(select(watch_changes.c.change_no).order_by(watch_changes.c.change_no.desc()))
            read = (watch_changes.c.change_no < (last_no or 0) - CHANGES_KEPT_MAX) & (watch_changes.c.open == 0)
            past = (watches.c.period_us > 0) & (watches.c.period_us < closed)
            done = connection.execute(delete(alerts).where(alerts.c.alert_no.in_(old.limit(ROWS_MAX)))).rowcount
            done += connection.execute(delete(watch_changes).where(read)).rowcount
            return done + connection.execute(delete(watches).where(past)).rowcount


def _from_row(row: Row[Any]) -> Alert:
    return Alert(
        number=row.alert_no,
        alert_id=row.alert_id,
        subject=row.subject,
        value=row.value,
        percent=row.percent,
        event=row.event,
        body=row.body.encode(),
        raised_us=row.raised_us,
        late=bool(row.late),
        passed=bool(row.passed),
        standing=bool(row.standing),
        ended_us=row.ended_us,
        acknowledged_us=row.acknowledged_us,
        acknowledged_by=row.acknowledged_by,
        note=row.note,
    )
