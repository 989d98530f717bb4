"""Filling a new generation of rollups from the raw events that came before it, batch by batch, across restarts.

New events go to the new generation from the instant it exists; what lies in the raw batches up to then is added here,
each batch once, in one transaction that also notes how far it came.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import zstandard
from sqlalchemy import Connection, delete, func, select, update

from tallybook.core.aggregate import Placed, Reading, Tally
from tallybook.core.catalogue import UNMETERED
from tallybook.core.errors import FieldInvalid
from tallybook.core.event import Admission, Event, decode_events, read_event
from tallybook.core.key import Caller
from tallybook.core.ports import FillProgress, Group
from tallybook.core.scheme import Scheme, State
from tallybook.ledger import accounts
from tallybook.ledger.addup import AddUp
from tallybook.ledger.open import Ledger
from tallybook.ledger.series import SeriesNumbers, unmetered_dims
from tallybook.ledger.settle import read_voids
from tallybook.ledger.tables import (
    LANES_MAX,
    event_types,
    fills,
    lanes,
    marks,
    raw_batches,
    recent,
    rollups,
    series,
    summaries,
    uniques,
)
from tallybook.ledger.usage import RAW_BATCH_BYTES_MAX

EVENTS_A_STEP_MAX = 20_000
ACCOUNTS_A_STEP_MAX = 100
_ANYBODY = Admission(Caller("fill", None, frozenset()), 0, backfill=True)
_WORK = (
    select(fills.c.type_no)
    .union_all(select(event_types.c.type_no).where(event_types.c.state == State.RETIRED.value))
    .limit(1)
)
"""What is being filled, or has to be cleared away."""


@dataclass(frozen=True, slots=True)
class _Batch:
    batch_no: int
    received_us: int
    body: bytes


class Fills:
    """Does the work in steps that hold a lane for a moment each."""

    def __init__(self, ledger: Ledger, *, series_an_hour_max: int) -> None:
        self._ledger = ledger
        self._numbers = SeriesNumbers(ledger.is_sqlite, an_hour_max=series_an_hour_max)
        self._add_up = AddUp(sqlite=ledger.is_sqlite)
        self._voids: set[tuple[int, ...]] = set()

    def step(self, scheme: Scheme) -> FillProgress | None:
        """Do the next piece of work and say how far its generation is; None when there is nothing to do.

        When the last batch of a generation is in, it begins to serve and the scheme's version rises. Who finds nothing
        to do has held no lane, and committed nothing that anybody would have to look at again.
        """
        with self._ledger.reading() as connection:
            if connection.scalar(_WORK) is None:
                return None
        try:
            with self._ledger.writing() as connection:
                progress = self._step(connection, scheme)
        except BaseException:
            self._add_up.forget()
            raise
        finally:
            self._numbers.forget_new()
        return progress

    def _step(self, connection: Connection, scheme: Scheme) -> FillProgress | None:
        open_ = fills.c.done_batch_no < fills.c.upto_batch_no
        wanted = select(fills).where(open_, fills.c.type_no.in_(list(scheme.written)))
        task = connection.execute(wanted.order_by(fills.c.type_no, fills.c.lane).limit(1)).first()
        if task is None:
            return self._finish(connection, scheme)
        mine = (fills.c.type_no == task.type_no) & (fills.c.lane == task.lane)
        connection.execute(select(lanes.c.lane).where(lanes.c.lane == task.lane).with_for_update())
        task = connection.execute(select(fills).where(mine)).first()  # another process may have been here meanwhile
        if task is None or task.done_batch_no == task.upto_batch_no:
            return FillProgress("", 0, 0)
        self._voids = {key[1:] for key in read_voids(connection)}
        done = task.done_batch_no
        for batch in self._batches(connection, task.lane, (task.done_batch_no, task.upto_batch_no)):
            self._count(connection, scheme, task.type_no, batch)
            done = batch.batch_no // LANES_MAX
        if done == task.done_batch_no:
            done = task.upto_batch_no
        connection.execute(update(fills).where(mine).values(done_batch_no=done))
        totals = select(func.sum(fills.c.done_batch_no), func.sum(fills.c.upto_batch_no))
        progressed, total = connection.execute(totals.where(fills.c.type_no == task.type_no)).one()
        return FillProgress(scheme.written[task.type_no].shape.event_type, int(progressed), int(total))

    def _batches(self, connection: Connection, lane: int, between: tuple[int, int]) -> Iterator[_Batch]:
        """Return the lane's next batches, about EVENTS_A_STEP_MAX events of them but at least one."""
        after, upto = (number * LANES_MAX + lane for number in between)
        table = raw_batches.c
        found = select(table.batch_no, table.events, table.received_us).where(
            table.lane == lane, table.batch_no > after, table.batch_no <= upto
        )
        events = 0
        for batch_no, count, received_us in connection.execute(found.order_by(table.batch_no).limit(1_000)).all():
            if events and events + count > EVENTS_A_STEP_MAX:
                return
            events += count
            body = connection.scalars(select(table.body).where(table.batch_no == batch_no)).one()
            yield _Batch(batch_no, received_us, body)

    def _count(self, connection: Connection, scheme: Scheme, type_no: int, batch: _Batch) -> None:
        event_type = scheme.written[type_no].shape.event_type
        tally = Tally()
        for event in _events(batch.body, event_type):
            if (event.key_hi, event.key_lo) in self._voids:
                continue
            for reading in _readings(event, scheme):
                if reading.type_no == type_no:
                    tally.add(event.account_id, event.time_us, reading)
        if not tally.rows:
            return
        ids = {key[0] for key in tally.series()}
        numbers = accounts.resolve(connection, ids, batch.received_us, create=False)
        self._numbers.resolve(connection, tally.series(), numbers, Group((), batch.received_us, scheme))
        placed = Placed()
        placed.add_tally(tally, numbers, self._numbers)
        self._add_up.write(connection, placed)

    def _finish(self, connection: Connection, scheme: Scheme) -> FillProgress | None:
        """Let a filled generation serve; else clear away a piece of a retired one."""
        connection.execute(select(lanes.c.lane).order_by(lanes.c.lane).with_for_update())
        filled = connection.scalar(select(fills.c.type_no).where(fills.c.type_no.in_(list(scheme.written))).limit(1))
        if filled is None:
            return self._clear(connection)
        event_type = scheme.written[filled].shape.event_type
        same = (event_types.c.type == event_type) & (event_types.c.state == State.SERVING.value)
        connection.execute(update(event_types).where(same).values(state=State.RETIRED.value))
        connection.execute(update(event_types).where(event_types.c.type_no == filled).values(state=State.SERVING.value))
        connection.execute(delete(fills).where(fills.c.type_no == filled))
        _forget_unmetered(connection, scheme, event_type)
        connection.execute(update(lanes).values(catalogue_version=lanes.c.catalogue_version + 1))
        return FillProgress(event_type, 1, 1)

    def _clear(self, connection: Connection) -> FillProgress | None:
        retired = connection.execute(
            select(event_types).where(event_types.c.state == State.RETIRED.value).limit(1)
        ).first()
        if retired is None:
            return None
        mine = series.c.type_no == retired.type_no
        owners = list(connection.scalars(select(series.c.account_no).where(mine).distinct().limit(ACCOUNTS_A_STEP_MAX)))
        numbers = select(series.c.series_no).where(mine, series.c.account_no == summaries.c.account_no)
        of_type = summaries.c.account_no.in_(owners) & summaries.c.series_no.in_(numbers)
        connection.execute(delete(summaries).where(of_type))
        for table in (recent, rollups, marks, uniques, series):
            at = table.c.account_no.in_(owners) & (table.c.type_no == retired.type_no)
            connection.execute(delete(table).where(at))
        if not owners:
            connection.execute(delete(fills).where(fills.c.type_no == retired.type_no))
            connection.execute(delete(event_types).where(event_types.c.type_no == retired.type_no))
        return FillProgress(retired.type, 0, 0)


def _events(body: bytes, event_type: str) -> Iterator[Event]:
    plain = zstandard.ZstdDecompressor().decompress(body, max_output_size=RAW_BATCH_BYTES_MAX)
    for index, event in enumerate(decode_events(plain, lines=True, events_max=None)):
        if isinstance(event, dict) and event_type in {UNMETERED, event.get("type")}:
            yield read_event(index, event, _ANYBODY, any_time=True)


def _readings(event: Event, scheme: Scheme) -> tuple[Reading, ...]:
    """Read an event from before; what no meter reads, or fits the catalogue no longer, is unmetered."""
    reader = scheme.readers.get(event.type)
    if reader is None:
        return scheme.unmetered(event)
    try:
        return reader.readings(event, reader.check(event))
    except FieldInvalid:
        return scheme.unmetered(event)


def _forget_unmetered(connection: Connection, scheme: Scheme, event_type: str) -> None:
    """Stop counting the type's earlier events as unmetered, for a meter reads them now; its series stay known."""
    is_it = series.c.type_no.in_(scheme.unmetered_nos) & (series.c.dims == unmetered_dims(event_type))
    found = select(series.c.account_no, series.c.series_no, series.c.type_no).where(is_it)
    for account_no, series_no, type_no in connection.execute(found).all():
        for table in (recent, rollups):
            mine = (table.c.account_no == account_no) & (table.c.series_no == series_no)
            connection.execute(delete(table).where(mine, table.c.type_no == type_no))
