"""The one transaction of ingest: identities, rollups, inventory, names and raw bytes, together or not at all.

Each step is one statement over a whole group of events, whatever its size. Everything of an account is written by its
lane, one commit after the other, so no two commits ever wait for each other's rows.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import zip_longest
from typing import cast

from sqlalchemy import Connection

from tallybook.core.aggregate import Head, Placed, SeriesKey, Tally
from tallybook.core.bundle import Bundle, fold
from tallybook.core.changes import Changing
from tallybook.core.desk import Errand
from tallybook.core.event import Outcome
from tallybook.core.ids import AccountId
from tallybook.core.pending import Pending
from tallybook.core.ports import Exceptions, Group, SchemeOutdated, Verdict
from tallybook.core.scheme import Scheme
from tallybook.core.watch import Watcher
from tallybook.ledger import accounts, resources
from tallybook.ledger.addup import AddUp
from tallybook.ledger.desk import LaneDesk, Touched
from tallybook.ledger.hot import Hot
from tallybook.ledger.identities import Asked, DirectIdentities, HeldIdentities, Identities
from tallybook.ledger.kept import Kept
from tallybook.ledger.memory import LaneMemory
from tallybook.ledger.open import Ledger
from tallybook.ledger.series import SeriesNumbers
from tallybook.ledger.settle import Settling
from tallybook.ledger.tables import LANES_MAX
from tallybook.ledger.usage import Snapshot
from tallybook.ledger.watches import Watching

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
        self._kept = Kept(lane, sqlite=ledger.is_sqlite)
        self._settling = Settling(sqlite=ledger.is_sqlite)
        self._sql = _Statements(sqlite=ledger.is_sqlite)
        self._identities: Identities = HeldIdentities(lane) if ledger.is_sqlite else DirectIdentities()
        self._watching = None if watcher is None else Watching(watcher, sqlite=ledger.is_sqlite)
        self._accounts: dict[AccountId, int] = {}
        self._accounts_found: dict[AccountId, int] = {}
        self._memory = LaneMemory(ledger.changes)
        self._counter: int | None = None

    def look_up(self, bundle: Bundle) -> Sequence[Head] | None:
        """Return the heads of a bundle's series, None if some have none yet; on any thread, before it is committed."""
        heads = bundle.heads(self._accounts, self._numbers.committed)
        return cast("list[Head]", heads) if all(owner and number for owner, _, number in heads) else None

    def commit(self, group: Group, errands: Sequence[Errand] = ()) -> list[Exceptions]:
        """Write *group*, then run *errands*; return, bundle by bundle, what became of events not just accepted.

        Raises:
            SchemeOutdated: If a meter was added meanwhile; nothing was written, the events must be read again.
            Unavailable: If the store is full, locked or away; nothing was written.
        """
        figures = self._ledger.figures
        beside, changed = Touched(figures=(following := figures.following())), set[AccountId]()
        held = {errand.account_id for errand in errands}
        changing = Changing(beside.used, changed, held, lambda: figures.take_over(following))
        self._memory.trim()
        try:
            with self._ledger.writing(changing) as connection:
                self._enter(connection, group)
                exceptions = self._write(connection, group, beside) if group.bundles else []
                self._run(connection, group, errands, (beside, changed))
                self._look_at(connection, group, beside)
        except BaseException:
            if self._watching is not None:
                self._watching.undo()
            self._numbers.forget_new()
            self._identities.forget()
            self._add_up.forget()
            self._kept.forget()
            self._accounts_found = {}
            self._memory.undo()
            raise
        self._numbers.keep_new()
        self._identities.keep()
        self._keep_accounts()
        return exceptions

    def _run(
        self,
        connection: Connection,
        group: Group,
        errands: Sequence[Errand],
        touched: tuple[Touched, set[AccountId]],
    ) -> None:
        """Run *errands* at one desk; note in *touched* which accounts themselves they changed."""
        beside, changed = touched
        if not errands:
            return
        desk = self._desk(connection, group, beside)
        for errand in errands:
            before = len(beside.terms)
            errand.run(desk)
            if len(beside.terms) > before:
                changed.add(AccountId(errand.account_id))
        desk.finish()

    def _write(self, connection: Connection, group: Group, beside: Touched) -> list[Exceptions]:
        accounts_there = _accounts_of(group.bundles)
        beside.used |= accounts_there
        batch_no = self._next_batch(connection)
        numbers = self._resolve_accounts(connection, accounts_there, group.received_us)
        exceptions = self._claim(connection, group.bundles, numbers, batch_no)
        accepted, heads = list[Bundle](), list[Sequence[Head] | None]()
        for bundle, refused, known in zip_longest(group.bundles, exceptions, group.heads):
            if len(refused) < len(bundle):
                accepted.append(bundle.without(refused.keys(), group.scheme) if refused else bundle)
                heads.append(known)
        if not accepted:
            return list(exceptions)
        if self._watching is not None:
            desk = self._desk(connection, group, beside)
            wanted = {numbers[account_id] for account_id in _accounts_of(accepted) if account_id in numbers}
            self._watching.prepare(connection, desk, wanted, beside.limits, group=group)
        back = Tally()
        for pending in self._settling.settle(connection, accepted, numbers, group):
            for reading in pending.readings:
                back.take(pending.event.account_id, pending.event.time_us, reading)
        placed, folded = self._place(connection, zip(accepted, heads, strict=True), numbers, back.series(), group=group)
        placed.add_tally(back, numbers, self._numbers)
        self._add_up.write(connection, placed)
        _move_figures(beside, accepted, back.series() | folded)
        self._kept.names(connection, accepted, numbers)
        words = [
            ((numbers[bundle.accounts[word.account]], word.kind, word.resource_id), word.said)
            for bundle in accepted
            for word in bundle.words
        ]
        if words:
            resources.apply(connection, words)
        if self._watching is not None:
            desk = self._desk(connection, group, beside)
            self._watching.count(connection, desk, placed, accepted, group=group)
        self._kept.lines(connection, accepted, numbers, (batch_no, group.received_us))
        if folded:
            for bundle, of_bundle in zip(group.bundles, exceptions, strict=True):
                _note_folded(bundle, of_bundle, folded, group.scheme)
        return list(exceptions)

    def _place(
        self,
        connection: Connection,
        accepted: Iterable[tuple[Bundle, Sequence[Head] | None]],
        numbers: dict[AccountId, int],
        others: set[SeriesKey],
        *,
        group: Group,
    ) -> tuple[Placed, set[SeriesKey]]:
        """Return all that bundles count, by where it goes; see to it that their series, and *others*, have numbers.

        Also returned are the series that had to be folded into their account's overflow series.
        """
        placed, missing = Placed(), self._numbers.unknown(others)
        left = []
        for bundle, known in accepted:
            heads = known or bundle.heads(numbers, self._numbers)
            unnumbered = set() if known else bundle.unnumbered(heads)
            if unnumbered:
                missing |= unnumbered
                left.append(bundle)
            else:
                bundle.add_to(placed, heads)
        folded = self._numbers.resolve(connection, missing, numbers, group) if missing else set()
        for bundle in left:
            bundle.add_to(placed, bundle.heads(numbers, self._numbers))
        return placed, folded

    def _resolve_accounts(
        self, connection: Connection, wanted: set[AccountId], received_us: int
    ) -> dict[AccountId, int]:
        """Return the numbers of *wanted* accounts, and of others; those that were found now are kept on commit."""
        known = self._accounts
        missing = wanted.difference(known, self._accounts_found)
        if missing:
            self._accounts_found |= accounts.resolve(connection, missing, received_us, create=self._auto_create)
        return {**known, **self._accounts_found} if self._accounts_found else known

    def _keep_accounts(self) -> None:
        if len(self._accounts) + len(self._accounts_found) > ACCOUNTS_CACHED_MAX:
            self._accounts.clear()
        self._accounts |= self._accounts_found
        self._accounts_found = {}

    def _enter(self, connection: Connection, group: Group) -> None:
        """Hold the lane until the transaction ends; refuse events that were read by another scheme."""
        statement = self._sql.enter_with_batch if group.bundles else self._sql.enter
        version, self._counter = statement.first(connection, {"lane": self._lane}) or (None, None)
        if version != group.scheme_version:
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
            (exceptions,) = self._write(connection, replace(group, bundles=[fold(pending)], heads=()), touched)
            return [exceptions.get(seq, _ACCEPTED) for seq in range(len(pending))]

        snapshot = Snapshot(connection, sqlite=self._ledger.is_sqlite)
        received_us, memory = group.received_us, self._memory
        return LaneDesk(
            connection, snapshot, group.scheme, write, touched=touched, received_us=received_us, memory=memory
        )

    def _next_batch(self, connection: Connection) -> int:
        """Return the number of the next batch; that of the first was given with the lane."""
        counter, self._counter = self._counter, None
        if counter is None:
            _, counter = self._sql.enter_with_batch.first(connection, {"lane": self._lane}) or (None, 0)
        return int(counter or 0) * LANES_MAX + self._lane

    def _claim(
        self, connection: Connection, bundles: Sequence[Bundle], numbers: dict[AccountId, int], batch_no: int
    ) -> list[dict[int, Verdict]]:
        """Take the identities; return, bundle by bundle, which events could not have theirs and why."""
        owners = [[numbers.get(account_id, 0) for account_id in bundle.accounts] for bundle in bundles]
        exceptions = [
            _of_unknown(bundle, of_bundle) if 0 in of_bundle else {}
            for bundle, of_bundle in zip(bundles, owners, strict=True)
        ]
        asked = [
            Asked(bundle.claims.less(unknown) if unknown else bundle.claims, partial(bundle.owners, of_bundle))
            for bundle, of_bundle, unknown in zip(bundles, owners, exceptions, strict=True)
        ]
        for place, seq, is_same in self._identities.claim(connection, asked, batch_no):
            exceptions[place][seq] = _DUPLICATE if is_same else _CONFLICT
        return exceptions


def _accounts_of(bundles: Sequence[Bundle]) -> set[AccountId]:
    return {account_id for bundle in bundles for account_id in bundle.accounts}


def _move_figures(touched: Touched, accepted: Sequence[Bundle], otherwise: set[SeriesKey]) -> None:
    """Move what is remembered of usage, but for accounts some of whose series count *otherwise* than bundles say."""
    if touched.figures is not None:
        touched.figures.count(_rows_of(accepted), {account_id for account_id, _, _ in otherwise})


def _rows_of(bundles: Sequence[Bundle]) -> Iterator[tuple[SeriesKey, int, Sequence[int]]]:
    for bundle in bundles:
        keys = bundle.series_keys()
        for place, minute, *row in bundle.rows:
            yield keys[place], minute, row


_ACCEPTED = Verdict(Outcome.ACCEPTED, "")
_DUPLICATE = Verdict(Outcome.DUPLICATE, "")
_CONFLICT = Verdict(Outcome.CONFLICT, "event-id-reused")
_UNKNOWN_ACCOUNT = Verdict(Outcome.REJECTED, "account-unknown")
_FOLDED = Verdict(Outcome.ACCEPTED, "series-limit")


def _of_unknown(bundle: Bundle, owners: Sequence[int]) -> dict[int, Verdict]:
    """Return the refusal of each event whose account has no number."""
    return {seq: _UNKNOWN_ACCOUNT for seq, account_no in enumerate(bundle.owners(owners)) if not account_no}


def _note_folded(bundle: Bundle, exceptions: dict[int, Verdict], folded: set[SeriesKey], scheme: Scheme) -> None:
    """Add to *exceptions* the events that counted in a series which had to be folded."""
    if folded.isdisjoint(bundle.series_keys()):
        return
    for seq, item in enumerate(bundle.pending(range(len(bundle)), scheme)):
        account_id = item.event.account_id
        if seq not in exceptions and any((account_id, r.type_no, r.dimensions) in folded for r in item.readings):
            exceptions[seq] = _FOLDED


# --- the statements ----------------------------------------------------------------------------------------------


class _Statements:
    """The SQL of a commit, the same on both stores but for how rows are given."""

    def __init__(self, *, sqlite: bool) -> None:
        lock = "" if sqlite else " FOR UPDATE"
        self.enter = Hot(f"SELECT catalogue_version, NULL FROM lanes WHERE lane = :lane{lock}")
        self.enter_with_batch = Hot(
            "UPDATE lanes SET last_batch_no = last_batch_no + 1 WHERE lane = :lane"
            " RETURNING catalogue_version, last_batch_no"
        )
