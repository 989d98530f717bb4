"""Reading usage: sums, marks and distinct values of any windows, in one snapshot.

A question becomes one statement (see `usage_sql`): its segments, which are runs of rollup buckets, and the minutes that
they stand for, of which `recent` may hold a part.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType

import msgspec
import zstandard
from sqlalchemy import Connection, select

from tallybook.core.cover import Minutes, Segment, in_minutes
from tallybook.core.event import decode_events
from tallybook.core.ids import AccountId
from tallybook.core.instant import HOUR_US, MINUTE_US
from tallybook.core.number import from_limbs
from tallybook.core.ports import Place
from tallybook.core.resource import Life, ResourceCount
from tallybook.core.view import SumRows
from tallybook.core.window import Span
from tallybook.ledger.hot import Hot
from tallybook.ledger.limit_tables import voids
from tallybook.ledger.open import Ledger
from tallybook.ledger.resources import read_counts, read_lives
from tallybook.ledger.rows import fold, from_json, to_json
from tallybook.ledger.tables import SLOTS, SUMMARIES, raw_batches, raw_index
from tallybook.ledger.usage_sql import SPAN, by_place_sql, first_minute_sql, ranking_sql, rows_sql, run_sql, sums_sql

RAW_BATCH_BYTES_MAX = 256 * 1024 * 1024
KnownSeries = dict[tuple[int, int], tuple[int, Mapping[int, Mapping[str, str]]]]
"""(account, type) -> the highest number seen and all series up to it. Series are only added, with rising numbers, and
never change, so a list is brought up to date by what has a higher number. Not for transactions that may be undone."""
LISTS_KEPT_MAX, SERIES_KEPT_MAX = 2_000, 500
_NO_SERIES: Mapping[int, Mapping[str, str]] = MappingProxyType({})
_VERSION = Hot("SELECT max(catalogue_version) FROM lanes")
_SERIES = Hot(
    "SELECT series_no, dims FROM series WHERE account_no = :account_no AND series_no > :last_no AND type_no = :type_no"
)
RUN_BUCKETS_MIN = 16
"""A run of at least so many buckets is read by a statement of its own, which is faster by the bucket."""
ROWS_READ_MAX = 1_500
"""Most rows of a run that are read as they are."""
CLIPPED_MIN = 8
"""So many spans of minutes are first cut down to what `recent` has."""


class Usage:
    """Opens snapshots of the rollups."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._known: KnownSeries = {}

    @contextmanager
    def snapshot(self) -> Iterator["Snapshot"]:
        """Return one consistent look at everything."""
        with self._ledger.reading() as connection:
            yield Snapshot(connection, sqlite=self._ledger.is_sqlite, known=self._known)

    def ranking(
        self, place: Place, segments: Sequence[Segment], *, by_series: bool
    ) -> list[tuple[AccountId, Mapping[str, str], int, tuple[tuple[int, int], ...]]]:
        """Return (account, dimensions, events, slots) per account or, *by_series*, per account and series.

        There is one such row for each part of the rollups that holds one of the slots, and of `recent`; they add up.
        """
        found = []
        with self._ledger.reading() as connection:
            for part, wanted in _by_part(place.slots):
                statement = ranking_sql(_within(wanted), by_series=by_series, sqlite=self._ledger.is_sqlite)
                parameters = {
                    "type_no": place.type_no,
                    "part": part,
                    **_unfolded(place, segments, in_minutes(segments)),
                }
                for account_id, dims, *sums in connection.execute(statement, parameters):
                    events, *limbs = map(int, sums)
                    found.append((AccountId(account_id), json.loads(dims), events, _slots(limbs, wanted, place.slots)))
        return found


class Snapshot:
    """One consistent look at the rollups; not for use after its block ends."""

    def __init__(self, connection: Connection, *, sqlite: bool, known: "KnownSeries | None" = None) -> None:
        self.connection = connection
        self._sqlite = sqlite
        self._known: KnownSeries = {} if known is None else known
        self._version: int | None = None

    def scheme_version(self) -> int:
        """Return the version of the scheme that is in force in this snapshot."""
        if self._version is None:
            self._version = _VERSION.scalar(self.connection, {}) or 0
        return self._version

    def series(self, account_no: int, type_no: int) -> Mapping[int, Mapping[str, str]]:
        """Return every series of a type: number -> the dimension values that are there."""
        last_no, known = self._known.get((account_no, type_no), (0, _NO_SERIES))
        place = {"account_no": account_no, "type_no": type_no, "last_no": last_no}
        fresh = {number: json.loads(dims) for number, dims in _SERIES.rows(self.connection, place)}
        if not fresh:
            return known
        known = {**known, **fresh}
        if len(known) <= SERIES_KEPT_MAX:
            if len(self._known) >= LISTS_KEPT_MAX:
                self._known.clear()
            self._known[account_no, type_no] = (max(fresh), known)
        return known

    def sums(self, place: Place, segments: Sequence[Segment], groups: Mapping[int, int] | None) -> Iterator[SumRows]:
        """Add rollups up by window and group; *groups* maps series to group (None: all series, group 0)."""
        long = [segment for segment in segments if _is_long(segment)]
        rest = [segment for segment in segments if segment not in long] if long else segments
        runs = [self._bounds(place, run) for run in long]
        minutes = self._clipped(place, in_minutes(rest))
        for part, wanted in _by_part(place.slots):
            shape = (_within(wanted), groups is not None, self._sqlite)
            parameters = self._parameters(place, groups) | {"part": part}
            for bounds in runs:
                yield SumRows(wanted, self._run(place, shape, parameters | bounds))
            if rest:
                yield SumRows(wanted, self._folded(sums_sql(*shape), parameters | _unfolded(place, rest, minutes)))

    def _bounds(self, place: Place, run: Segment) -> dict[str, object]:
        minutes = to_json(self._clipped(place, in_minutes((run,))))
        bounds = {"low": run.low, "high": run.high, "shift": run.window - run.low}
        return {**bounds, "level": _level(place, run), "minutes": minutes}

    def _clipped(self, place: Place, minutes: list[Minutes]) -> list[Minutes]:
        """Return those of many spans that `recent` has anything of."""
        if len(minutes) < CLIPPED_MIN:
            return minutes
        first, last = SPAN.rows(self.connection, {"account_no": place.account_no, "type_no": place.type_no})[0]
        return [] if first is None else [span for span in minutes if span[0] <= last and span[1] > first]

    def _run(
        self, place: Place, shape: tuple[tuple[int, ...], bool, bool], parameters: dict[str, object]
    ) -> list[list[int]]:
        """Read one run of buckets: row by row if they are summaries of sums, and few; else added up."""
        if place.summary and shape[0]:
            rows = self._folded(rows_sql(*shape), parameters | {"most": ROWS_READ_MAX + 1})
            if len(rows) <= ROWS_READ_MAX:
                return rows
        return self._folded(run_sql(*shape), parameters)

    def _folded(self, statement: Hot, parameters: Mapping[str, object]) -> list[list[int]]:
        return from_json(statement.scalar(self.connection, parameters))

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
        hours = (span.start_us // HOUR_US, (span.end_us - 1) // HOUR_US)
        batches = select(raw_index.c.batch_no).where(
            raw_index.c.account_no == account_no, raw_index.c.hour.between(*hours)
        )
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


def _level(place: Place, segment: Segment) -> int:
    """Return the level to read: that of summaries, where they will do and there are any."""
    level = int(segment.level)
    return SUMMARIES.get(level, level) if place.summary else level


def _segment_json(place: Place, segments: Sequence[Segment]) -> str:
    return to_json([(_level(place, s), s.low, s.high, s.window, s.stride) for s in segments])


def _unfolded(place: Place, segments: Sequence[Segment], minutes: Sequence[Minutes]) -> dict[str, object]:
    return {"rows": _segment_json(place, segments), "minutes": to_json(minutes)}


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
