"""The one transaction of ingest: identities, rollups, inventory, names and raw bytes, together or not at all.

Each step is one statement over a whole group of events, whatever its size. Everything of an account is written by its
lane, one commit after the other, so no two commits ever wait for each other's rows.
"""

from collections.abc import Sequence
from dataclasses import replace

import zstandard
from sqlalchemy import Connection, insert, text

from tallybook.core.aggregate import SeriesKey, Tally
from tallybook.core.changes import Changing
from tallybook.core.desk import Errand
from tallybook.core.event import Outcome
from tallybook.core.ids import AccountId
from tallybook.core.instant import HOUR_US
from tallybook.core.ports import Group, Pending, SchemeOutdated, Verdict
from tallybook.core.watch import Watcher
from tallybook.ledger import accounts, resources
from tallybook.ledger.addup import AddUp
from tallybook.ledger.desk import LaneDesk, Touched
from tallybook.ledger.identities import DirectIdentities, HeldIdentities, Identities
from tallybook.ledger.open import Ledger
from tallybook.ledger.rows import to_json, unfold
from tallybook.ledger.series import SeriesNumbers
from tallybook.ledger.settle import Settling
from tallybook.ledger.tables import LANES_MAX, raw_batches
from tallybook.ledger.usage import Snapshot
from tallybook.ledger.watches import Watching

ZSTD_LEVEL = 1
ACCOUNTS_CACHED_MAX = 100_000
"""Most numbers of accounts remembered from commit to commit; they never change."""


class Committer:
    """Writes groups of events for one lane."""

    def __init__(
        self,
        ledger: Ledger,
        lane: int,
        *,
        series_an_hour_max: int,
        accounts_auto_create: bool,
        watcher: Watcher | None = None,
    ) -> None:
        self._ledger = ledger
        self._lane = lane
        self._auto_create = accounts_auto_create
        self._numbers = SeriesNumbers(ledger.is_sqlite, an_hour_max=series_an_hour_max)
        self._add_up = AddUp(sqlite=ledger.is_sqlite)
        self._settling = Settling(sqlite=ledger.is_sqlite)
        self._sql = _Statements(sqlite=ledger.is_sqlite)
        self._identities: Identities = HeldIdentities(lane) if ledger.is_sqlite else DirectIdentities()
        self._watching = None if watcher is None else Watching(watcher, sqlite=ledger.is_sqlite)
        self._accounts: dict[AccountId, int] = {}
        self._accounts_found: dict[AccountId, int] = {}

    def commit(self, group: Group, errands: Sequence[Errand] = ()) -> list[Verdict]:
        """Write *group*, then run *errands*; return, in the group's order, what became of each event.

        Raises:
            SchemeOutdated: If a meter was added meanwhile; nothing was written, the events must be read again.
            Unavailable: If the store is full, locked or away; nothing was written.
        """
        changing = Changing(_accounts_of(group.pending), {errand.account_id for errand in errands})
        try:
            with self._ledger.writing(changing) as connection:
                self._enter(connection, group)
                beside = Touched()
                verdicts = self._write(connection, group, beside) if group.pending else []
                for errand in errands:
                    errand.run(self._desk(connection, group, beside))
                self._look_at(connection, group, beside)
        except BaseException:
            if self._watching is not None:
                self._watching.undo()
            self._numbers.forget_new()
            self._identities.forget()
            self._accounts_found = {}
            raise
        self._numbers.keep_new()
        self._identities.keep()
        self._keep_accounts()
        return verdicts

    def _write(self, connection: Connection, group: Group, beside: Touched) -> list[Verdict]:
        batch_no = self._next_batch(connection)
        numbers = self._resolve_accounts(connection, group)
        verdicts = self._claim(connection, group.pending, numbers, batch_no)
        accepted = [p for p, v in zip(group.pending, verdicts, strict=True) if v.outcome is Outcome.ACCEPTED]
        if not accepted:
            return verdicts
        if self._watching is not None:
            desk = self._desk(connection, group, beside)
            wanted = {numbers[account_id] for account_id in _accounts_of(accepted)}
            self._watching.prepare(connection, desk, wanted, beside.limits, group=group)
        tally = Tally()
        for pending in accepted:
            for reading in pending.readings:
                tally.add(pending.event.account_id, pending.event.time_us, reading)
        for pending in self._settling.settle(connection, accepted, numbers, group):
            for reading in pending.readings:
                tally.take(pending.event.account_id, pending.event.time_us, reading)
        folded = self._numbers.resolve(connection, tally.series(), numbers, group)
        self._add_up.write(connection, tally, numbers, self._numbers)
        self._keep_names(connection, accepted, numbers)
        words = [((numbers[p.event.account_id], *p.word[:2]), p.word[2]) for p in accepted if p.word is not None]
        if words:
            resources.apply(connection, words)
        if self._watching is not None:
            desk = self._desk(connection, group, beside)
            self._watching.count(connection, desk, tally, accepted, group=group)
        self._keep_raw(connection, accepted, numbers, (batch_no, group.received_us))
        if folded:
            _note_folded(group.pending, verdicts, folded)
        return verdicts

    def _resolve_accounts(self, connection: Connection, group: Group) -> dict[AccountId, int]:
        """Return the numbers of the group's accounts, and of others; those that were found now are kept on commit."""
        known = self._accounts
        missing = _accounts_of(group.pending).difference(known, self._accounts_found)
        if missing:
            self._accounts_found |= accounts.resolve(connection, missing, group.received_us, create=self._auto_create)
        return {**known, **self._accounts_found} if self._accounts_found else known

    def _keep_accounts(self) -> None:
        if len(self._accounts) + len(self._accounts_found) > ACCOUNTS_CACHED_MAX:
            self._accounts.clear()
        self._accounts |= self._accounts_found
        self._accounts_found = {}

    def _enter(self, connection: Connection, group: Group) -> None:
        """Hold the lane until the transaction ends; refuse events that were read by another scheme."""
        if connection.scalar(self._sql.enter, {"lane": self._lane}) != group.scheme_version:
            raise SchemeOutdated
        if self._watching is not None:
            self._watching.begin(connection, group)

    def _look_at(self, connection: Connection, group: Group, touched: Touched) -> None:
        """Look at the accounts of which errands changed more than usage."""
        if self._watching is None:
            return
        if touched.limits:
            self._watching.reconsider(connection, self._desk(connection, group, touched), touched.limits, group)
        if touched.leases:
            self._watching.look_at_slots(connection, self._desk(connection, group, touched), touched.leases, group)

    def _desk(self, connection: Connection, group: Group, touched: Touched) -> LaneDesk:
        def write(pending: Sequence[Pending]) -> list[Verdict]:
            return self._write(connection, replace(group, pending=pending), touched)

        snapshot = Snapshot(connection, sqlite=self._ledger.is_sqlite)
        return LaneDesk(connection, snapshot, group.scheme, write, touched=touched, received_us=group.received_us)

    def _next_batch(self, connection: Connection) -> int:
        counter = connection.scalar(self._sql.next_batch, {"lane": self._lane})
        return int(counter or 0) * LANES_MAX + self._lane

    def _claim(
        self, connection: Connection, pending: Sequence[Pending], numbers: dict[AccountId, int], batch_no: int
    ) -> list[Verdict]:
        """Take the identities; an event is accepted if its identity now points at it."""
        rows = [
            (number, e.key_hi, e.key_lo, seq, e.digest)
            for seq, e in enumerate([p.event for p in pending])
            if (number := numbers.get(e.account_id)) is not None
        ]
        verdicts = [_ACCEPTED] * len(pending)
        if len(rows) < len(pending):
            for seq, item in enumerate(pending):
                if item.event.account_id not in numbers:
                    verdicts[seq] = _UNKNOWN_ACCOUNT
        for seq, digest in self._identities.claim(connection, rows, batch_no):
            same = pending[seq].event.digest == digest
            verdicts[seq] = _DUPLICATE if same else _CONFLICT
        return verdicts

    def _keep_names(self, connection: Connection, accepted: Sequence[Pending], numbers: dict[AccountId, int]) -> None:
        newest: dict[tuple[AccountId, tuple[str, str, str]], int] = {}
        for pending in accepted:
            for label in pending.labels:
                told, at_us = (pending.event.account_id, label), pending.event.time_us
                if newest.get(told, -1) < at_us:
                    newest[told] = at_us
        latest: dict[tuple[AccountId, str, str], tuple[int, str]] = {}
        for (account_id, (dimension, value, name)), seen_us in newest.items():
            key = (account_id, dimension, value)
            latest[key] = max((seen_us, name), latest.get(key, (-1, "")))
        if latest:
            rows = sorted((numbers[who], *what, name, seen_us) for (who, *what), (seen_us, name) in latest.items())
            connection.execute(self._sql.label, {"rows": to_json(rows)})

    def _keep_raw(
        self,
        connection: Connection,
        accepted: Sequence[Pending],
        numbers: dict[AccountId, int],
        batch: tuple[int, int],
    ) -> None:
        batch_no, received_us = batch
        body = zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(b"\n".join([p.event.line for p in accepted]))
        connection.execute(
            insert(raw_batches),
            {"batch_no": batch_no, "lane": self._lane, "received_us": received_us}
            | {"events": len(accepted), "body": body},
        )
        hours = {(numbers[p.event.account_id], p.event.time_us // HOUR_US) for p in accepted}
        connection.execute(self._sql.index, {"rows": to_json(sorted(hours)), "batch_no": batch_no})


def _accounts_of(pending: Sequence[Pending]) -> set[AccountId]:
    return {p.event.account_id for p in pending}


_ACCEPTED = Verdict(Outcome.ACCEPTED, "")
_DUPLICATE = Verdict(Outcome.DUPLICATE, "")
_CONFLICT = Verdict(Outcome.CONFLICT, "event-id-reused")
_UNKNOWN_ACCOUNT = Verdict(Outcome.REJECTED, "account-unknown")
_FOLDED = Verdict(Outcome.ACCEPTED, "series-limit")


def _note_folded(pending: Sequence[Pending], verdicts: list[Verdict], folded: set[SeriesKey]) -> None:
    for seq, item in enumerate(pending):
        account_id = item.event.account_id
        if verdicts[seq] is _ACCEPTED and any((account_id, r.type_no, r.dimensions) in folded for r in item.readings):
            verdicts[seq] = _FOLDED


# --- the statements ----------------------------------------------------------------------------------------------

_BIGINT = "bigint"


class _Statements:
    """The SQL of a commit, the same on both stores but for how rows are unfolded."""

    def __init__(self, *, sqlite: bool) -> None:
        def source(*columns: tuple[str, str]) -> str:
            return unfold("rows", columns, sqlite=sqlite)

        self.next_batch = text(
            "UPDATE lanes SET last_batch_no = last_batch_no + 1 WHERE lane = :lane RETURNING last_batch_no"
        )
        lock = "" if sqlite else " FOR UPDATE"
        self.enter = text(f"SELECT catalogue_version FROM lanes WHERE lane = :lane{lock}")
        names = source(
            ("account_no", _BIGINT), *[(n, "text") for n in ("dimension", "value", "name")], ("seen_us", _BIGINT)
        )
        self.label = text(
            f"INSERT INTO labels (account_no, dimension, value, name, seen_us) SELECT * FROM ({names}) s WHERE true"
            " ON CONFLICT (account_no, dimension, value) DO UPDATE SET name = excluded.name, seen_us = excluded.seen_us"
            " WHERE excluded.seen_us >= labels.seen_us"
        )
        hours = source(("account_no", _BIGINT), ("hour", _BIGINT))
        self.index = text(
            f"INSERT INTO raw_index (account_no, hour, batch_no) SELECT account_no, hour, :batch_no FROM ({hours}) s"
        )
