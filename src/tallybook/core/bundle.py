"""The events of one request as a commit takes them: added up beforehand, with enough of each to leave it out again.

A commit needs of each event that counts only its identity and its bytes; all else is needed in sums. So what a batch
adds is made up where it is read, on any thread or in another process, and the lane's thread has little left to do.
"""

import struct
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from operator import add

import msgspec

from tallybook.core.aggregate import Dimensions, NumberOfSeries, Placed, Reading, SeriesKey, Tally, add_values
from tallybook.core.event import Event, decode_json
from tallybook.core.ids import AccountId
from tallybook.core.instant import HOUR_US, MINUTE_US, parse_event_time
from tallybook.core.lease import CALL
from tallybook.core.pending import Pending, read_kept
from tallybook.core.resource import ResourceWord
from tallybook.core.scheme import Scheme

_KEY = struct.Struct("<Iqqq")
_HOUR_MINUTES = HOUR_US // MINUTE_US

Key = tuple[int, int, int, int]
"""Place of the account in *accounts*, the two halves of the identity, the digest of the payload."""


class Label(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A display name that an event gives: account by its place, dimension, value, name; when, and which event it was.

    The greatest by *seen_us* and *name* is the one that stays.
    """

    account: int
    dimension: str
    value: str
    seen_us: int
    name: str
    seq: int


class Word(msgspec.Struct, array_like=True, frozen=True):
    """What a resource event says of a thing."""

    seq: int
    account: int
    kind: str
    resource_id: str
    said: ResourceWord


class Bundle(msgspec.Struct, array_like=True, gc=False):
    """Events of one request and one lane; *seq* is the place of an event in here.

    Attributes:
        accounts: The accounts, each once; elsewhere they are named by their place.
        indexes: The place of each event in its request.
        packed_keys: The `Key` of each event.
        lines: Each event as it is kept, as JSON, one on each line.
        series: (account, type number, dimensions) of every series that is counted.
        rows: (series by its place, minute, events, then how many carried each field and their sum).
        marks: (series, minute, place of the mark, mark), and *uniques* (series, minute, place, value_hi, value_lo).
        calls: (seq, account, call id) of calls that ended.
        bare_hours: (account, hour) of events that no rollup counts.
        delicate: Events of which *marks* or *uniques* hold something: that cannot be taken out again.
    """

    accounts: list[AccountId]
    indexes: list[int]
    packed_keys: bytes
    lines: bytes
    series: list[tuple[int, int, Dimensions]] = []
    rows: list[list[int]] = []
    marks: list[tuple[int, int, int, str]] = []
    uniques: list[tuple[int, int, int, int, int]] = []
    labels: list[Label] = []
    words: list[Word] = []
    calls: list[tuple[int, int, str]] = []
    bare_hours: list[tuple[int, int]] = []
    delicate: list[int] = []

    def __len__(self) -> int:
        return len(self.indexes)

    @property
    def keys(self) -> Iterator[Key]:
        """The key of each event, in their order."""
        return _KEY.iter_unpack(self.packed_keys)

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
        return self._pending(seqs, scheme, self.split())

    def _pending(self, seqs: Iterable[int], scheme: Scheme, lines: Sequence[bytes]) -> list[Pending]:
        indexes, keys = self.indexes, self.packed_keys
        return [_read_again(indexes[seq], lines[seq], _KEY.unpack_from(keys, seq * _KEY.size), scheme) for seq in seqs]

    def without(self, refused: Collection[int], scheme: Scheme) -> "Bundle":
        """Return the same less some events, which do not count; *seq* of labels, words and calls stays what it was."""
        lines = self.split()
        if self.bare_hours or not set(self.delicate).isdisjoint(refused):
            return fold(self._pending([seq for seq in range(len(self)) if seq not in refused], scheme, lines))
        out = Tally()
        for pending in self._pending(refused, scheme, lines):
            for reading in pending.readings:
                out.take(pending.event.account_id, pending.event.time_us, reading)
        runs = list(_runs(refused, len(self)))
        return Bundle(
            accounts=self.accounts,
            indexes=[index for start, end in runs for index in self.indexes[start:end]],
            packed_keys=b"".join([self.packed_keys[start * _KEY.size : end * _KEY.size] for start, end in runs]),
            lines=b"\n".join([line for start, end in runs for line in lines[start:end]]),
            series=self.series,
            rows=self._rows_and(out),
            marks=self.marks,
            uniques=self.uniques,
            labels=[label for label in self.labels if label.seq not in refused],
            words=[word for word in self.words if word.seq not in refused],
            calls=[call for call in self.calls if call[0] not in refused],
            delicate=self.delicate,
        )

    def _rows_and(self, tally: Tally) -> list[list[int]]:
        """Return the rows with those of a *tally* of the same series added; rows of no events go."""
        changes = {}
        for ((account_id, type_no, dimensions), minute), change in tally.rows.items():
            place = self.series.index((self.accounts.index(account_id), type_no, dimensions))
            changes[place, minute] = change
        changed = {place for place, _ in changes}
        rows = []
        for row in self.rows:
            less = changes.get((row[0], row[1])) if row[0] in changed else None
            left = row if less is None else [*row[:2], *map(add, row[2:], less)]
            if left[2]:
                rows.append(left)
        return rows

    def _counted(self) -> set[int]:
        """Return the places of the series that have a row; what was left out may have been all of one."""
        return {row[0] for row in self.rows}

    def counted(self) -> list[SeriesKey]:
        """Return every series that has a row."""
        keys = self.series_keys()
        return [keys[place] for place in self._counted()]

    def add_to(self, placed: Placed, accounts: Mapping[AccountId, int], series: NumberOfSeries) -> None:
        """Add all that the events count to *placed*; their accounts and the series with rows have these numbers."""
        keys = self.series_keys()
        at = {place: (accounts[keys[place][0]], keys[place][1], series[keys[place]]) for place in self._counted()}
        add_row = placed.add_row
        for place, minute, *row in self.rows:
            account_no, type_no, series_no = at[place]
            add_row((account_no, type_no, minute, series_no), row)
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


def fold(pending: Sequence[Pending]) -> Bundle:
    """Return what *pending* add up to."""
    folding = _Folding()
    for seq, item in enumerate(pending):
        folding.take(seq, item)
    return folding.bundle(pending)


class _Folding:
    """A bundle in the making."""

    def __init__(self) -> None:
        self._accounts: dict[AccountId, int] = {}
        self._keys: list[bytes] = []
        self._series: dict[tuple[int, int, Dimensions], int] = {}
        self._rows: dict[tuple[int, int], list[int]] = {}
        self._marks: dict[tuple[int, int, int], str] = {}
        self._uniques: set[tuple[int, int, int, int, int]] = set()
        self._labels: list[Label] = []
        self._words: list[Word] = []
        self._calls: list[tuple[int, int, str]] = []
        self._bare_hours: set[tuple[int, int]] = set()
        self._delicate: list[int] = []

    def take(self, seq: int, item: Pending) -> None:
        """Add one event."""
        event = item.event
        account = self._accounts.setdefault(event.account_id, len(self._accounts))
        self._keys.append(_KEY.pack(account, event.key_hi, event.key_lo, event.digest))
        minute = event.time_us // MINUTE_US
        for reading in item.readings:
            place = self._series.setdefault((account, reading.type_no, reading.dimensions), len(self._series))
            self._count(place, minute, reading)
            if reading.marks or reading.uniques:
                self._delicate.append(seq)
                self._mark(place, minute, reading)
        if not item.readings:
            self._bare_hours.add((account, minute // _HOUR_MINUTES))
        for dimension, value, name in item.labels:
            self._labels.append(Label(account, dimension, value, event.time_us, name, seq))
        if item.word is not None:
            self._words.append(Word(seq, account, *item.word))
        if event.type == CALL and isinstance(call_id := event.data.get("call_id"), str):
            self._calls.append((seq, account, call_id))

    def _count(self, place: int, minute: int, reading: Reading) -> None:
        row = self._rows.get((place, minute))
        if row is None:
            row = self._rows[place, minute] = [place, minute, 1]
            for value in reading.values:
                row += (0, 0) if value is None else (1, value)
            return
        row[2] += 1
        add_values(row, 3, reading.values)

    def _mark(self, place: int, minute: int, reading: Reading) -> None:
        for meter_no, mark in reading.marks:
            if mark > self._marks.get((place, minute, meter_no), ""):
                self._marks[place, minute, meter_no] = mark
        self._uniques.update((place, minute, *unique) for unique in reading.uniques)

    def bundle(self, pending: Sequence[Pending]) -> Bundle:
        """Return the bundle of *pending*, all of which were taken."""
        return Bundle(
            accounts=list(self._accounts),
            indexes=[item.event.index for item in pending],
            packed_keys=b"".join(self._keys),
            lines=b"\n".join([item.event.line for item in pending]),
            series=list(self._series),
            rows=list(self._rows.values()),
            marks=[(*key, mark) for key, mark in self._marks.items()],
            uniques=sorted(self._uniques),
            labels=self._labels,
            words=self._words,
            calls=self._calls,
            bare_hours=sorted(self._bare_hours),
            delicate=self._delicate,
        )
