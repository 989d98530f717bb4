"""Reading usage: sums, marks and distinct values of any windows, in one snapshot.

A question becomes one statement (see `usage_sql`): its segments, which are runs of rollup buckets, and the minutes that
they stand for, of which `recent` may hold a part.
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec
import zstandard
from sqlalchemy import Connection, select

from tallybook.core.cover import Minutes, Segment, in_minutes
from tallybook.core.event import decode_events
from tallybook.core.ids import AccountId
from tallybook.core.instant import HOUR_US, MINUTE_US
from tallybook.core.number import from_limbs
from tallybook.core.resource import Life, ResourceCount
from tallybook.core.sums import Place, SumRows, Wanted
from tallybook.core.window import Span
from tallybook.ledger.hot import Hot
from tallybook.ledger.known import Dims, KnownSeries
from tallybook.ledger.limit_tables import voids
from tallybook.ledger.open import Ledger
from tallybook.ledger.raw_index import batches_of
from tallybook.ledger.resources import read_counts, read_lives
from tallybook.ledger.rows import fold, from_json, to_json
from tallybook.ledger.tables import SLOTS, SUMMARIES, raw_batches
from tallybook.ledger.usage_columns import columns_of, read_sums
from tallybook.ledger.usage_groups import NO_GROUPS, Picked, pick
from tallybook.ledger.usage_sql import (
    SPAN,
    Form,
    by_place_sql,
    first_minute_sql,
    ranking_sql,
    rows_sql,
    run_sql,
    some_rows_sql,
    sums_sql,
)

RAW_BATCH_BYTES_MAX = 256 * 1024 * 1024
_VERSION = Hot("SELECT max(catalogue_version) FROM lanes")
RUN_BUCKETS_MIN = 16
"""A run of at least so many buckets is read by a statement of its own, which is faster by the bucket."""
ROWS_READ_MAX = 4_000
"""Most rows that a run may have, of all series that count, to be read as they are."""
CLIPPED_MIN = 8
"""So many spans of minutes are first cut down to what `recent` has."""

Fractions = set[tuple[int, int]]
"""Types and their slots in which a sum was not whole when it was read: what to expect, whatever comes."""


class Usage:
    """Opens snapshots of the rollups."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._known = KnownSeries()
        self._fractions: Fractions = set()

    @contextmanager
    def snapshot(self) -> Iterator["Snapshot"]:
        """Return one consistent look at everything."""
        with self._ledger.reading() as connection:
            yield Snapshot(connection, sqlite=self._ledger.is_sqlite, known=self._known, fractions=self._fractions)

    def ranking(
        self, place: Place, segments: Sequence[Segment], *, by_series: bool
    ) -> list[tuple[AccountId, Mapping[str, str], int, tuple[tuple[int, int], ...]]]:
        """Return (account, dimensions, events, slots) per account or, *by_series*, per account and series.

        There is one such row for each part of the rollups that holds one of the slots, and of `recent`; they add up.
        """
        found, slots = [], place.wanted.sums
        with self._ledger.reading() as connection:
            for part, wanted in _by_part(slots):
                statement = ranking_sql(_within(wanted), by_series=by_series, sqlite=self._ledger.is_sqlite)
                parameters = {
                    "type_no": place.type_no,
                    "part": part,
                    **_unfolded(place, segments, in_minutes(segments)),
                }
                for account_id, dims, *sums in connection.execute(statement, parameters):
                    events, *limbs = map(int, sums)
                    found.append((AccountId(account_id), json.loads(dims), events, _slots(limbs, wanted, slots)))
        return found


class Snapshot:
    """One consistent look at the rollups; not for use after its block ends."""

    def __init__(
        self,
        connection: Connection,
        *,
        sqlite: bool,
        known: KnownSeries | None = None,
        fractions: Fractions | None = None,
    ) -> None:
        """Look through *connection*; in a transaction that writes *known* is None, and nothing is read only once."""
        self.connection = connection
        self._fractions: Fractions = set() if fractions is None else fractions
        self._sqlite = sqlite
        self._known = KnownSeries() if known is None else known
        self._lasts = known is not None
        self._version: int | None = None
        self._lists: dict[tuple[int, int], Dims] = {}
        self._spans: dict[tuple[int, int], tuple[int | None, int]] = {}

    def scheme_version(self) -> int:
        """Return the version of the scheme that is in force in this snapshot."""
        if self._version is None:
            self._version = _VERSION.scalar(self.connection, {}) or 0
        return self._version

    def series(self, account_no: int, type_no: int) -> Mapping[int, Mapping[str, str]]:
        """Return every series of a type: number -> the dimension values that are there."""
        dims = self._lists.get((account_no, type_no))
        if dims is None or not self._lasts:
            dims = self._lists[account_no, type_no] = self._known.read(self.connection, account_no, type_no)
        return dims

    def sums(self, place: Place, segments: Sequence[Segment], groups: Mapping[int, int] | None) -> Iterator[SumRows]:
        """Add rollups up by window and group; *groups* maps series to group (None: all series, group 0)."""
        long = [segment for segment in segments if _is_long(segment)]
        rest = [segment for segment in segments if segment not in long] if long else segments
        runs = [(_run_sql(place, run, groups), self._bounds(place, run)) for run in long]
        if rest:
            runs.append(((sums_sql,), _unfolded(place, rest, self._clipped(place, in_minutes(rest)))))
        picked = NO_GROUPS if groups is None else pick(groups, sqlite=self._sqlite)
        parameters = {"account_no": place.account_no, "type_no": place.type_no, **picked.values}
        for part in sorted({slot // SLOTS for slot in place.wanted.slots} | {0}):
            wanted = place.wanted.within(range(part * SLOTS, (part + 1) * SLOTS))
            form = self._form(place, wanted, picked)
            for statements, bounds in runs:
                rows = self._rows(statements, form, parameters | bounds | {"part": part})
                found = [read_sums(row, wanted, form) for row in rows if row[0] != _EMPTY]
                self._fractions.update(
                    [(place.type_no, slot) for one in found for slot in form.wholes if slot in one.sums]
                )
                yield from found

    def _form(self, place: Place, wanted: Wanted, picked: Picked) -> Form:
        """Say how to read what is wanted of a part: sums in units, unless a fraction was seen in their slot."""
        sums = tuple([slot for slot in wanted.sums if (place.type_no, slot) in self._fractions])
        wholes = tuple([slot for slot in wanted.sums if slot not in sums]) if len(sums) < len(wanted.sums) else ()
        is_parted = place.fields is None or place.fields > SLOTS
        return Form(columns_of(wanted), sums, wholes, picked.form, ROWS_READ_MAX + 1, self._sqlite, is_parted)

    def _rows(
        self, statements: Sequence[Callable[[Form], Hot]], form: Form, values: dict[str, object]
    ) -> list[tuple[str, ...]]:
        """Return the rows of the first of *statements* that reads them all."""
        first, *others = statements
        rows = first(form).rows(self.connection, values)
        return self._rows(others, form, values) if others and any(map(_is_cut, rows)) else rows

    def _bounds(self, place: Place, run: Segment) -> dict[str, object]:
        minutes = to_json(self._clipped(place, in_minutes((run,))))
        bounds = {"low": run.low, "high": run.high, "shift": run.window - run.low}
        return {**bounds, "level": _level(place, run), "minutes": minutes}

    def _clipped(self, place: Place, minutes: list[Minutes]) -> list[Minutes]:
        """Return those of many spans that `recent` has anything of."""
        if len(minutes) < CLIPPED_MIN:
            return minutes
        first, last = self._span(place.account_no, place.type_no)
        return [] if first is None else [span for span in minutes if span[0] <= last and span[1] > first]

    def _span(self, account_no: int, type_no: int) -> tuple[int | None, int]:
        """Return the first and the last minute of a type that `recent` has anything of."""
        span = self._spans.get((account_no, type_no))
        if span is None or not self._lasts:
            ((first, last),) = SPAN.rows(self.connection, {"account_no": account_no, "type_no": type_no})
            span = self._spans[account_no, type_no] = first, last
        return span

    def marks(
        self, place: Place, segments: Sequence[Segment], groups: Mapping[int, int] | None
    ) -> Iterator[tuple[int, int, str]]:
        """Return (window, group, greatest mark) of the mark that *place* names."""
        statement = by_place_sql("marks", "max(r.mark)", grouped=groups is not None, sqlite=self._sqlite)
        yield from statement.rows(self.connection, self._at(place, segments, groups))

    def uniques(
        self, place: Place, segments: Sequence[Segment], groups: Mapping[int, int] | None
    ) -> Iterator[tuple[int, int, int, int]]:
        """Return (window, group, value_hi, value_lo), each distinct value once per window and group."""
        statement = by_place_sql("uniques", "r.value_hi, r.value_lo", grouped=groups is not None, sqlite=self._sqlite)
        yield from statement.rows(self.connection, self._at(place, segments, groups))

    def events(self, account_no: int, account_id: AccountId, span: Span) -> Iterator[dict[str, object]]:
        """Return the raw events of an account in the batches that touch *span*; the caller looks at exact times."""
        batches = batches_of(account_no, span.start_us // HOUR_US, (span.end_us - 1) // HOUR_US)
        bodies = select(raw_batches.c.body).where(raw_batches.c.batch_no.in_(batches)).order_by(raw_batches.c.batch_no)
        needle = b'"subject":' + msgspec.json.encode(account_id)
        for (body,) in self.connection.execute(bodies):
            plain = zstandard.ZstdDecompressor().decompress(body, max_output_size=RAW_BATCH_BYTES_MAX)
            lines = b"\n".join(line for line in plain.splitlines() if needle in line)
            for event in decode_events(lines, lines=True, events_max=None):
                if isinstance(event, dict) and event.get("subject") == account_id:
                    yield event

    def voided(self, account_no: int) -> set[tuple[int, int]]:
        """Return the identities (key_hi, key_lo) of events that were taken back."""
        found = select(voids.c.key_hi, voids.c.key_lo).where(voids.c.account_no == account_no)
        return set(map(tuple, self.connection.execute(found)))

    def names(self, account_no: int, dimension: str, values: Iterable[str] | None) -> Mapping[str, str]:
        """Return the latest seen display names of a dimension's values."""
        found = _NAMES[self._sqlite].scalar(self.connection, {"account_no": account_no, "dimension": dimension})
        names: dict[str, str] = dict(from_json(found))
        return names if values is None else {value: names[value] for value in values if value in names}

    def first_minute(self, place: Place, span: Span, groups: Mapping[int, int] | None) -> int | None:
        """Return the start, in microseconds, of the first minute in *span* with a row in *groups*."""
        parameters = self._parameters(place, groups)
        parameters |= {"low": span.start_us // MINUTE_US, "high": -(-span.end_us // MINUTE_US)}
        first = first_minute_sql(grouped=groups is not None, sqlite=self._sqlite).scalar(self.connection, parameters)
        return None if first is None else int(first) * MINUTE_US

    def resource_counts(self, account_no: int) -> Mapping[str, ResourceCount]:
        """Return how many things of each kind there are."""
        return read_counts(self.connection, account_no)

    def lives(self, account_no: int, kinds: Collection[str]) -> list[Life]:
        """Return from when to when each thing of *kinds* existed."""
        return [life for kind in sorted(kinds) for life in read_lives(self.connection, account_no, kind)]

    def _parameters(self, place: Place, groups: Mapping[int, int] | None) -> dict[str, object]:
        parameters: dict[str, object] = {"account_no": place.account_no, "type_no": place.type_no}
        if groups is not None:
            parameters["groups"] = to_json(list(groups.items()))
        return parameters

    def _at(self, place: Place, segments: Sequence[Segment], groups: Mapping[int, int] | None) -> dict[str, object]:
        return self._parameters(place, groups) | {"rows": _segment_json(place, segments), "place": place.place}


def _is_long(segment: Segment) -> bool:
    return segment.stride > 0 and segment.high - segment.low >= RUN_BUCKETS_MIN


def _run_sql(place: Place, run: Segment, groups: Mapping[int, int] | None) -> Sequence[Callable[[Form], Hot]]:
    """Return what reads a run of buckets: row by row where these are not too many, else added up."""
    buckets, is_summary = run.high - run.low, place.summary and run.level in SUMMARIES
    if is_summary and 0 < place.summaries * buckets <= ROWS_READ_MAX:
        return (rows_sql,)
    if groups is None or is_summary:
        return some_rows_sql, run_sql  # how many series there are, or summaries, is not worth a look
    return (rows_sql,) if len(groups) * buckets <= ROWS_READ_MAX else (run_sql,)


def _is_cut(row: Sequence[str]) -> bool:
    """Whether a folded row has so many values that there may be more of them."""
    return len(row[0]) > 2 * ROWS_READ_MAX and row[0].count(",") >= ROWS_READ_MAX


def _level(place: Place, segment: Segment) -> int:
    """Return the level to read: that of summaries, where they will do and there are any."""
    level = int(segment.level)
    return SUMMARIES.get(level, level) if place.summary else level


def _segment_json(place: Place, segments: Sequence[Segment]) -> str:
    return to_json([(_level(place, s), s.low, s.high, s.window, s.stride) for s in segments])


def _unfolded(place: Place, segments: Sequence[Segment], minutes: Sequence[Minutes]) -> dict[str, object]:
    return {"rows": _segment_json(place, segments), "minutes": to_json(minutes)}


_EMPTY = "[]"


def _by_part(slots: Sequence[int]) -> list[tuple[int, tuple[int, ...]]]:
    """Return the parts of rollup rows to look at, each with its slots; the first, which counts events, always."""
    parts = sorted({slot // SLOTS for slot in slots} | {0})
    return [(part, tuple(slot for slot in slots if slot // SLOTS == part)) for part in parts]


def _within(slots: Sequence[int]) -> tuple[int, ...]:
    return tuple(slot % SLOTS for slot in slots)


def _slots(sums: Sequence[int], wanted: Sequence[int], slots: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Read (count, nanos) of each of *slots* from the *sums* of those *wanted*: four of each."""
    found = [(sums[at], from_limbs(sums[at + 1], sums[at + 2], sums[at + 3])) for at in range(0, len(sums), 4)]
    if len(found) == len(slots):
        return tuple(found)
    known = dict(zip(wanted, found, strict=True))
    return tuple(known.get(slot, (0, 0)) for slot in slots)


_NAMES = {
    sqlite: Hot(
        fold(("value", "name"), "FROM labels WHERE account_no = :account_no AND dimension = :dimension", sqlite=sqlite)
    )
    for sqlite in (True, False)
}
