"""The events of one request as a commit takes them: added up beforehand, with enough of each to leave it out again.

A commit needs of each event that counts only its identity and its bytes; all else is needed in sums. So what a batch
adds is made up where it is read, on any thread or in another process, and the lane's thread has little left to do.
"""

from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import accumulate
from operator import add
from typing import cast

import msgspec

from tallybook.core.aggregate import Dimensions, Head, NumberOfSeries, Placed, SeriesKey, Tally
from tallybook.core.claims import Claims, claims_of
from tallybook.core.event import Event, decode_json
from tallybook.core.folding import HOUR_MINUTES, KEY, PLACE, Folding, Label, Word
from tallybook.core.ids import AccountId
from tallybook.core.instant import parse_event_time
from tallybook.core.pending import Pending, read_kept
from tallybook.core.scheme import Scheme

Key = tuple[int, int, int, int]
"""Place of the account in *accounts*, the two halves of the identity, the digest of the payload."""

FEW = 16
"""Of fewer than one event in so many the lines are looked up by their ends, and not all split."""

OpenHead = tuple[int, int, int | None]
"""A `Head` of which the number of the series may be open."""


class Bundle(msgspec.Struct, array_like=True, gc=False):
    """Events of one request and one lane; *seq* is the place of an event in here.

    Attributes:
        accounts: The accounts, each once; elsewhere they are named by their place.
        indexes: The place of each event in its request.
        packed_keys: The `Key` of each event.
        claims: Their identities as they are taken; nothing of them once events were left out: that comes after.
        lines: Each event as it is kept, as JSON, one on each line.
        ends: Where the line of each ends, as native 32-bit numbers; nothing of them once events were left out.
        series: (account, type number, dimensions) of every series that is counted.
        rows: (series by its place, minute, events, then how many carried each field and their sum). First comes one of
            each series, in their order, unless some events were left out.
        wide: Whether a number of *rows* may be negative or have more than 63 bits.
        marks: (series, minute, place of the mark, mark), and *uniques* (series, minute, place, value_hi, value_lo).
        calls: (seq, account, call id) of calls that ended.
        hours: (account, hour) of every event; *bare_hours*, of those that no rollup counts.
        delicate: Events of which *marks* or *uniques* hold something: that cannot be taken out again.
    """

    accounts: list[AccountId]
    indexes: list[int]
    packed_keys: bytes
    lines: bytes
    ends: bytes = b""
    claims: Claims = Claims()
    series: list[tuple[int, int, Dimensions]] = []
    rows: list[list[int]] = []
    wide: bool = False
    marks: list[tuple[int, int, int, str]] = []
    uniques: list[tuple[int, int, int, int, int]] = []
    labels: list[Label] = []
    words: list[Word] = []
    calls: list[tuple[int, int, str]] = []
    hours: list[tuple[int, int]] = []
    bare_hours: list[tuple[int, int]] = []
    delicate: list[int] = []

    def __len__(self) -> int:
        return len(self.indexes)

    @property
    def keys(self) -> Iterator[Key]:
        """The key of each event, in their order."""
        return KEY.iter_unpack(self.packed_keys)

    def owners(self, numbers: Sequence[int]) -> list[int]:
        """Return the number of the account of each event."""
        return [numbers[place] for place, *_ in self.keys]

    def split(self) -> list[bytes]:
        """Return the line of each event."""
        return self.lines.split(b"\n")

    def series_keys(self) -> list[SeriesKey]:
        """Return every series as tallies name it."""
        return [(self.accounts[account], type_no, dimensions) for account, type_no, dimensions in self.series]

    def called(self) -> set[tuple[AccountId, str]]:
        """Return (account, call id) of the calls that ended."""
        return {(self.accounts[account], call_id) for _, account, call_id in self.calls}

    def pending(self, seqs: Iterable[int], scheme: Scheme) -> list[Pending]:
        """Return these events one by one, read again by *scheme*; what does not fit it counts as unmetered."""
        wanted, indexes, keys = list(seqs), self.indexes, self.packed_keys
        if not wanted:
            return []
        is_few = self.ends and len(wanted) * FEW < len(self)
        lines = {seq: self._lines_of(seq, seq + 1) for seq in wanted} if is_few else self.split()
        return [_read_again(indexes[seq], lines[seq], KEY.unpack_from(keys, seq * KEY.size), scheme) for seq in wanted]

    def _lines_of(self, start: int, end: int) -> bytes:
        """Return the lines from one event to before another."""
        ends = memoryview(self.ends).cast("I")
        return self.lines[ends[start - 1] + 1 if start else 0 : ends[end - 1]]

    def without(self, refused: AbstractSet[int], scheme: Scheme) -> "Bundle":
        """Return the same less some events, which do not count; *seq* of labels, words and calls stays what it was."""
        if self.bare_hours or not self.ends:
            return fold(self.pending([seq for seq in range(len(self)) if seq not in refused], scheme))
        out, named = Tally(), set[str]()
        for pending in self.pending(refused, scheme):
            named.update(value for _, value, _ in pending.labels)
            for reading in pending.readings:
                out.take(pending.event.account_id, pending.event.time_us, reading)
        runs = list(_runs(refused, len(self)))
        marks, uniques, delicate = self.marks, self.uniques, self.delicate
        if not set(delicate).isdisjoint(refused):
            delicate = sorted(set(delicate).difference(refused))
            marks, uniques = self._delicate_parts(self.pending(delicate, scheme))
        rows, changed = self._rows_and(out)
        return Bundle(
            accounts=self.accounts,
            indexes=[index for start, end in runs for index in self.indexes[start:end]],
            packed_keys=b"".join([self.packed_keys[start * KEY.size : end * KEY.size] for start, end in runs]),
            lines=b"\n".join([self._lines_of(start, end) for start, end in runs]),
            series=self.series,
            rows=rows,
            wide=self.wide or _is_wide(changed),
            marks=marks,
            uniques=uniques,
            labels=[
                left
                for label in self.labels
                if (left := label.without(refused) if label.value in named else label) is not None
            ],
            words=[word for word in self.words if word.seq not in refused],
            calls=[call for call in self.calls if call[0] not in refused],
            hours=self._hours_of(rows, {self.series[row[0]][0] for row in changed if not row[2]}),
            delicate=delicate,
        )

    def _delicate_parts(
        self, left: Sequence[Pending]
    ) -> tuple[list[tuple[int, int, int, str]], list[tuple[int, int, int, int, int]]]:
        """Return the marks and the distinct values of the events that make any."""
        folded = fold(left)
        places = {key: place for place, key in enumerate(self.series_keys())}
        place_of = [places[key] for key in folded.series_keys()]
        marks = [(place_of[place], *mark) for place, *mark in folded.marks]
        uniques = [(place_of[place], *unique) for place, *unique in folded.uniques]
        return marks, uniques  # type: ignore[return-value]

    def _rows_and(self, tally: Tally) -> tuple[list[list[int]], list[list[int]]]:
        """Return the rows with those of a *tally* of the same series added, and those that this changed.

        Rows of no events go.
        """
        rows, changed, gone = self.rows.copy(), [], []
        places = {series: place for place, series in enumerate(self.series)}
        accounts = {account_id: place for place, account_id in enumerate(self.accounts)}
        for ((account_id, type_no, dimensions), minute), change in tally.rows.items():
            series = places[accounts[account_id], type_no, dimensions]
            place = self._place_of(series, minute)
            rows[place] = [series, minute, *map(add, rows[place][2:], change)]
            changed.append(rows[place])
            if not rows[place][2]:
                gone.append(place)
        for place in sorted(gone, reverse=True):
            del rows[place]
        return rows, changed

    def _hours_of(self, rows: Iterable[Sequence[int]], fewer: Collection[int]) -> list[tuple[int, int]]:
        """Return the hours of *rows*, which are fewer than before of some accounts."""
        if not fewer:
            return self.hours
        left = _hours(self.series, [row for row in rows if self.series[row[0]][0] in fewer])
        return [hour for hour in self.hours if hour[0] not in fewer] + left

    def _place_of(self, series: int, minute: int) -> int:
        """Return which row is that of a series and minute."""
        if self.rows[series][1] == minute:
            return series
        others = range(len(self.series), len(self.rows))
        return next(place for place in others if self.rows[place][:2] == [series, minute])

    def heads(self, accounts: Mapping[AccountId, int], series: NumberOfSeries) -> list[OpenHead]:
        """Return account, type and number of every series; None for one without a number, 0 for such an account."""
        numbers = [accounts.get(account_id, 0) for account_id in self.accounts]
        names, number_of = self.accounts, series.get
        return [(numbers[at], type_no, number_of((names[at], type_no, dims))) for at, type_no, dims in self.series]

    def unnumbered(self, heads: Sequence[OpenHead]) -> set[SeriesKey]:
        """Return the series that have a row and no number; what was left out may have been all of one."""
        if None not in [number for _, _, number in heads]:
            return set()
        keys = self.series_keys()
        return {keys[place] for place, *_ in self.rows if heads[place][2] is None}

    def add_to(self, placed: Placed, heads: Sequence[OpenHead]) -> None:
        """Add all that the events count to *placed*, where their series have these *heads*."""
        at = cast("Sequence[Head]", heads)  # those that have rows
        rows = placed.wide if self.wide else placed.rows
        rows += [(*at[row[0]], *row) for row in self.rows]
        for place, minute, meter_no, mark in self.marks:
            account_no, type_no, series_no = at[place]
            placed.add_mark((account_no, type_no, minute, series_no), meter_no, mark)
        for place, minute, *rest in self.uniques:
            account_no, type_no, series_no = at[place]
            placed.uniques.add(((account_no, type_no, minute, series_no), *rest))  # type: ignore[arg-type]


def _runs(refused: Collection[int], count: int) -> Iterator[tuple[int, int]]:
    """Return from where to where those of *count* stand between which none is refused."""
    start = 0
    for seq in (*sorted(refused), count):
        if start < seq:
            yield start, seq
        start = seq + 1


def _read_again(index: int, line: bytes, key: Key, scheme: Scheme) -> Pending:
    """Read an event as it is kept; its identity and digest are not made anew, as they know what was left out."""
    body = decode_json(line)
    assert isinstance(body, dict)  # or it would not have been kept
    time_us = parse_event_time(body["time"], "/time")
    data = body.get("data")
    event = Event(index, body["subject"], body["id"], body["type"], time_us, data or {}, line, *key[1:])
    return read_kept(event, scheme)


# --- making them --------------------------------------------------------------------------------------------------


def fold(pending: Iterable[Pending]) -> Bundle:
    """Return what *pending* add up to."""
    folding = Folding()
    for item in pending:
        folding.take(item)
    return bundle_of(folding)


def bundle_of(folding: Folding) -> Bundle:
    """Return the bundle of the events that *folding* took."""
    indexes, accounts, identities, lines = zip(*folding.kept, strict=True) if folding.kept else ((), (), (), ())
    series, rows = list(folding.first_rows), [*folding.first_rows.values(), *folding.other_rows.values()]
    return Bundle(
        accounts=list(folding.accounts),
        indexes=list(indexes),
        packed_keys=b"".join(map(add, map(PLACE.pack, accounts), identities)),
        lines=b"\n".join(lines),
        ends=array("I", [end - 1 for end in accumulate([len(line) + 1 for line in lines])]).tobytes(),
        claims=claims_of(identities),
        series=series,
        rows=rows,
        wide=_is_wide(rows),
        marks=[(*key, mark) for key, mark in folding.marks.items()],
        uniques=sorted(folding.uniques),
        labels=[Label(*of, sorted(said, reverse=True)) for of, said in folding.labels.items()],
        words=folding.words,
        calls=folding.calls,
        hours=_hours(series, rows, folding.bare_hours),
        bare_hours=sorted(folding.bare_hours),
        delicate=folding.delicate,
    )


def _hours(
    series: Sequence[tuple[int, int, Dimensions]], rows: Iterable[Sequence[int]], bare: Iterable[tuple[int, int]] = ()
) -> list[tuple[int, int]]:
    """Return (account, hour) of all rows, and *bare* ones, each once."""
    return list({(series[row[0]][0], row[1] // HOUR_MINUTES) for row in rows}.union(bare))


def _is_wide(rows: Sequence[Sequence[int]]) -> bool:
    """Tell whether a number is negative or has more than 63 bits."""
    return bool(rows) and not (min(map(min, rows)) >= 0 and max(map(max, rows)) < 1 << 63)
