"""Watching inside ingest: what is left until the next threshold is counted down in one statement a commit.

What a commit adds to a subject is bounded from above by all usage of its event type, whatever its filter; so *left* is
never more than what is really left, and only where it reaches 0 is the account looked at exactly. Not for the looking
(see `flows.watch`), nor for what is written then (see `alerts`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from sqlalchemy import Connection

from tallybook.core.aggregate import Placed, value_of_max, value_of_min
from tallybook.core.bundle import Bundle
from tallybook.core.desk import Desk
from tallybook.core.ids import AccountId
from tallybook.core.instant import DAY_US, MINUTE_US
from tallybook.core.limit import LimitKind
from tallybook.core.number import NANOS
from tallybook.core.period import billing_period
from tallybook.core.plan import Account
from tallybook.core.ports import Group
from tallybook.core.rules import PLAIN, Own
from tallybook.core.scheme import Scheme
from tallybook.core.watch import LATE_DAYS, Gauge, Left, Watched, Watcher
from tallybook.core.window import zone
from tallybook.ledger.accounts import read_accounts
from tallybook.ledger.alert_rules import read_own
from tallybook.ledger.alerts import AlertDesk
from tallybook.ledger.rows import from_json, to_json
from tallybook.ledger.watch_bounds import Bounds
from tallybook.ledger.watch_sql import Statements

ENTRIES_MAX = 100_000
"""Most accounts of which it is remembered what is watched; a change of limits makes every process forget it."""
NANOS_A_MILLI = NANOS // 1_000
LEFT_MAX = 1 << 61
"""Stands for as much as you like, in thousandths; two of them still fit 64 bits."""


@dataclass(slots=True)
class _Entry:
    """What is remembered of an account; *low* and *high* are the minutes of the billing period that holds now."""

    account: Account
    watched: Watched
    low: int
    high: int
    period_us: int


Due = tuple[int, str, int | None]
"""Account number, subject, period."""


class Watching:
    """Counts down, and has those looked at of whom nothing may be left; one for each lane."""

    def __init__(self, watcher: Watcher, *, sqlite: bool) -> None:
        self._watcher = watcher
        self._sql = Statements(sqlite=sqlite)
        self._bounds = Bounds(sqlite=sqlite)
        self._entries: dict[AccountId, _Entry | None] = {}
        self._ids: dict[int, AccountId] = {}
        self._stale: set[int] = set()
        self._known_change_no: int | None = None
        self._scheme_version: int | None = None

    def begin(self, connection: Connection, group: Group) -> None:
        """Forget accounts whose limits changed since the last commit; the lane is held, so none changes meanwhile."""
        if self._scheme_version != group.scheme_version:
            self._forget_all()
            self._scheme_version = group.scheme_version
        last_no = self._sql.last_change.scalar(connection, {}) or 0
        if last_no == self._known_change_no:
            return
        known, self._known_change_no = self._known_change_no, last_no
        if known is None or (self._sql.first_change.scalar(connection, {}) or 0) > known + 1:
            self._forget_all()
            self._stale = {row[0] for row in self._sql.open_changes.rows(connection, {})}
            return
        for (account_no,) in self._sql.changes.rows(connection, {"after": known}):
            self._forget(account_no)
            if account_no:
                self._stale.add(account_no)

    def undo(self) -> None:
        """Forget all: the transaction was rolled back."""
        self._forget_all()
        self._known_change_no = None

    def prepare(
        self, connection: Connection, desk: Desk, wanted: Collection[int], beside: Collection[int], *, group: Group
    ) -> None:
        """Make all *wanted* accounts known, and look at those whose limits changed, before their events count.

        The limits of those *beside* were changed in this transaction.
        """
        now_us = group.received_us
        self._load(connection, desk, [no for no in wanted if no not in self._ids], group)
        changed = {no for no in wanted if no in self._stale or no in beside}
        changed |= {
            no for no in wanted if (entry := self._entries[self._ids[no]]) and 0 < entry.watched.until_us <= now_us
        }
        if changed:
            self.reconsider(connection, desk, changed, group)

    def reconsider(self, connection: Connection, desk: Desk, numbers: Collection[int], group: Group) -> None:
        """Look at every subject of these accounts by the limits that are in force now."""
        for account_no in numbers:
            self._forget(account_no)
        self._load(connection, desk, numbers, group)
        named = {"numbers": to_json([(account_no,) for account_no in sorted(numbers)])}
        self._sql.forget_watches.change(connection, named)
        standing = {account_no for (account_no,) in self._sql.standing.rows(connection, named)}
        due = {
            account_no: _all_of(entry)
            for account_no in numbers
            if (entry := self._entries.get(self._ids.get(account_no, AccountId("")))) is not None
        }
        quiet = {account_no: subjects for account_no, subjects in due.items() if account_no not in standing}
        self._write(connection, self._clear_by_bound(connection, quiet, group.received_us), group.received_us)
        self._look(connection, desk, due, group.received_us)
        self._sql.close_changes.change(connection, named)
        self._stale -= set(numbers)
        self._known_change_no = self._sql.last_change.scalar(connection, {}) or 0

    def look_at_slots(self, connection: Connection, desk: Desk, numbers: Collection[int], group: Group) -> None:
        """Look at limits on concurrency: leases of these accounts began or ended."""
        self._load(connection, desk, [no for no in numbers if no not in self._ids], group)
        due = {}
        for account_no in sorted(numbers):
            entry = self._entries.get(self._ids.get(account_no, AccountId("")))
            if entry is not None and entry.watched.slots:
                due[account_no] = [(name, 0) for name in entry.watched.slots]
        self._look(connection, desk, due, group.received_us)

    def count(
        self,
        connection: Connection,
        desk: Desk,
        placed: Placed,
        accepted: Sequence[Bundle],
        *,
        group: Group,
    ) -> None:
        """Count what a commit added, which can be read by now; have looked at what may have crossed a threshold."""
        now_us = group.received_us
        due = self._things(accepted)
        if placed.marks:
            self._add_marked(connection, due, self._values(placed, now_us), now_us)
        spent = self._spent(placed, now_us)
        if spent:
            rows = [
                (*key, min(LEFT_MAX, -(-amount // NANOS_A_MILLI))) for key, amount in sorted(spent.items()) if amount
            ]
            parameters = {"rows": to_json(rows), "now_us": now_us}
            self._sql.spend.change(connection, parameters)
            for account_no, subject, period_us in from_json(self._sql.due.scalar(connection, parameters)):
                due.setdefault(account_no, []).append((subject, period_us))
        if due:
            self._write(connection, self._clear_by_bound(connection, due, now_us), now_us)
            self._look(connection, desk, due, now_us)

    # --- what a commit adds --------------------------------------------------------------------------------------

    def _spent(self, placed: Placed, now_us: int) -> dict[Due, int]:
        """Return by how much, in nanos, the commit lowers what is left of each subject at most."""
        entries, ids = self._entries, self._ids
        spent: dict[Due, int] = {}
        for row in chain(placed.rows, placed.wide):
            account_no, type_no, minute = row[0], row[1], row[4]
            entry = entries[ids[account_no]]
            if entry is None:
                continue
            gauges = entry.watched.gauges.get(type_no)
            if gauges is None:
                continue
            period_us = entry.period_us if entry.low <= minute < entry.high else _period_us(entry, minute, now_us)
            for gauge in gauges:
                at_us = period_us if gauge.by_period else 0
                amount = 0 if at_us is None else _amount(gauge, row)
                if amount > 0:
                    key = (entry.account.no, gauge.subject, at_us)
                    spent[key] = spent.get(key, 0) + amount
        return spent

    def _values(self, placed: Placed, now_us: int) -> dict[Due, int]:
        """Return the greatest new value, in nanos, of each limit on last or extreme values."""
        values: dict[Due, int] = {}
        for ((account_no, type_no, minute, _), place), mark in placed.marks.items():
            entry = self._entries[self._ids[account_no]]
            for gauge in () if entry is None else entry.watched.gauges.get(type_no, ()):
                if gauge.mark != place or entry is None:
                    continue
                at_us = _period_us(entry, minute, now_us) if gauge.by_period else 0
                if at_us is not None:
                    key = (entry.account.no, gauge.subject, at_us)
                    value = value_of_min(mark) if gauge.is_least else value_of_max(mark)
                    values[key] = max(values.get(key, 0), value)
        return values

    def _add_marked(
        self, connection: Connection, due: dict[int, list[tuple[str, int]]], values: Mapping[Due, int], now_us: int
    ) -> None:
        """Add to *due* what has a value from which on to look."""
        rows = [(*key, min(LEFT_MAX, -(-value // NANOS_A_MILLI))) for key, value in sorted(values.items())]
        if rows:
            found = self._sql.marked.scalar(connection, {"rows": to_json(rows), "now_us": now_us})
            for account_no, subject, period_us in from_json(found):
                due.setdefault(account_no, []).append((subject, period_us))

    def _things(self, accepted: Sequence[Bundle]) -> dict[int, list[tuple[str, int]]]:
        """Return the limits on things that the commit's words may have changed the number of."""
        found: dict[int, list[tuple[str, int]]] = {}
        for account_id, kind in {
            (bundle.accounts[word.account], word.kind) for bundle in accepted for word in bundle.words
        }:
            entry = self._entries[account_id]
            if entry is not None and kind in entry.watched.things:
                due = found.setdefault(entry.account.no, [])
                due += [(name, 0) for name in entry.watched.things[kind]]
        return found

    # --- looking ---------------------------------------------------------------------------------------------------

    def _clear_by_bound(
        self, connection: Connection, due: dict[int, list[tuple[str, int]]], now_us: int
    ) -> list[tuple[int, Left]]:
        """Take those out of *due* for which all usage of the type together reaches no threshold; say what is left."""
        asked = []
        for account_no, subjects in due.items():
            entry = self._entries[self._ids[account_no]]
            assert entry is not None  # only watched accounts are due
            bounds = entry.watched.bounds
            asked += [(entry.account, entry.watched, bounds[s], s, p) for s, p in subjects if s in bounds]
        cleared = self._bounds.clear(connection, asked, now_us)
        for account_no, left in cleared:
            due[account_no].remove((left.subject, left.period_us))
        return cleared

    def _look(
        self, connection: Connection, desk: Desk, due: Mapping[int, Sequence[tuple[str, int]]], now_us: int
    ) -> None:
        found: list[tuple[int, Left]] = []
        for account_no, subjects in sorted(due.items()):
            entry = self._entries[self._ids[account_no]]
            if subjects and entry is not None:
                lefts = self._watcher.look(AlertDesk(connection, desk), entry.account, entry.watched, subjects, now_us)
                found += [(account_no, left) for left in lefts]
        self._write(connection, found, now_us)

    def _write(self, connection: Connection, found: Sequence[tuple[int, Left]], now_us: int) -> None:
        rows = {}
        for account_no, left in found:
            entry = self._entries[self._ids[account_no]]
            assert entry is not None  # or nobody would have looked at it
            milli = LEFT_MAX if left.left is None else min(LEFT_MAX, left.left // NANOS_A_MILLI)
            until_us = entry.watched.until_us
            rows[account_no, left.subject, left.period_us] = (milli, until_us if until_us > now_us else 0)
        if rows:
            self._sql.set_left.change(connection, {"rows": to_json([(*key, *row) for key, row in rows.items()])})

    # --- what is remembered ------------------------------------------------------------------------------------------

    def _load(self, connection: Connection, desk: Desk, numbers: Collection[int], group: Group) -> None:
        if not numbers:
            return
        if len(self._entries) + len(numbers) > ENTRIES_MAX:
            self._forget_all()
        own = read_own(connection, numbers)
        for account in read_accounts(connection, numbers, group.received_us):
            mine = own.get(account.no, PLAIN)
            self._ids[account.no] = account.id
            self._entries[account.id] = self._entry(desk, account, mine, group.scheme, group.received_us)

    def _entry(self, desk: Desk, account: Account, own: Own, scheme: Scheme, now_us: int) -> _Entry | None:
        watched = self._watcher.watched(desk, account, own, scheme, now_us)
        if watched.is_empty and not watched.until_us:
            return None
        span = billing_period(now_us, account.anchor_day, zone(account.timezone))
        return _Entry(account, watched, span.start_us // MINUTE_US, span.end_us // MINUTE_US, span.start_us)

    def _forget(self, account_no: int) -> None:
        if not account_no:
            self._forget_all()
        elif account_no in self._ids:
            del self._entries[self._ids.pop(account_no)]

    def _forget_all(self) -> None:
        self._entries.clear()
        self._ids.clear()


def _amount(gauge: Gauge, row: Sequence[int]) -> int:
    """Return what a row of a `Placed` adds at most; what it takes away is not believed: it may be another's."""
    if gauge.mark is not None:
        return 0
    if gauge.always:
        return LEFT_MAX * NANOS_A_MILLI
    if not gauge.slots:
        amount = row[5] * NANOS
    elif len(gauge.slots) == 1:
        amount = row[2 * gauge.slots[0] + 7]
    else:
        amount = sum(max(0, row[2 * slot + 7]) for slot in gauge.slots)
    return -(-amount * gauge.price // NANOS) if gauge.price else amount


def _period_us(entry: _Entry, minute: int, now_us: int) -> int | None:
    """Return the period of a minute outside the one that held now, None for one that closed too long ago."""
    account = entry.account
    span = billing_period(minute * MINUTE_US, account.anchor_day, zone(account.timezone))
    if now_us in span:
        entry.low, entry.high, entry.period_us = span.start_us // MINUTE_US, span.end_us // MINUTE_US, span.start_us
    return None if span.end_us <= now_us - LATE_DAYS * DAY_US else span.start_us  # days: a bound on age


def _all_of(entry: _Entry) -> list[tuple[str, int]]:
    """Return every subject of an account in its running period."""
    limits = [
        (name, entry.period_us if limit.kind is LimitKind.PERIOD else 0)
        for name, (limit, _) in entry.watched.limits.items()
    ]
    return limits + [(subject, entry.period_us) for subject in entry.watched.budgets]
