"""A bundle in the making: events go in one by one, what they add up to comes out; see `bundle`."""

import struct
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

import msgspec

from tallybook.core.aggregate import Dimensions, Reading, add_to_row
from tallybook.core.event import CALL
from tallybook.core.instant import HOUR_US, MINUTE_US
from tallybook.core.pending import Pending
from tallybook.core.resource import ResourceWord

if TYPE_CHECKING:
    from tallybook.core.ids import AccountId

KEY = struct.Struct(">Iqqq")
"""Place of the account, then what `identity` returns: the two halves of the identity, the digest of the payload."""
PLACE = struct.Struct(">I")
HOUR_MINUTES = HOUR_US // MINUTE_US


class Label(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What events call a thing: account by its place, dimension, value; when, by which name and by which event.

    The greatest by time and name stands first: it is the one that stays.
    """

    account: int
    dimension: str
    value: str
    said: list[tuple[int, str, int]]

    def without(self, refused: AbstractSet[int]) -> "Label | None":
        """Return the same less what some events say; None if nothing is left."""
        left = [said for said in self.said if said[2] not in refused]
        return Label(self.account, self.dimension, self.value, left) if left else None


class Word(msgspec.Struct, array_like=True, frozen=True):
    """What a resource event says of a thing."""

    seq: int
    account: int
    kind: str
    resource_id: str
    said: ResourceWord


class Folding:
    """Events of one lane on their way into a `Bundle`; its parts are named as they are there."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.accounts: dict[AccountId, int] = {}
        self.kept: list[tuple[int, int, bytes, bytes]] = []
        self.first_rows: dict[tuple[int, int, Dimensions], list[int]] = {}
        self.other_rows: dict[tuple[int, int], list[int]] = {}
        self.marks: dict[tuple[int, int, int], str] = {}
        self.uniques: set[tuple[int, int, int, int, int]] = set()
        self.labels: dict[tuple[int, str, str], list[tuple[int, str, int]]] = {}
        self.words: list[Word] = []
        self.calls: list[tuple[int, int, str]] = []
        self.bare_hours: set[tuple[int, int]] = set()
        self.delicate: list[int] = []

    def count(self, series: tuple[int, int, Dimensions], minute: int, row: list[int]) -> int:
        """Add the row of an event, whose place and minute are still open, and return the place of its series."""
        row[0], row[1] = len(self.first_rows), minute
        mine = self.first_rows.setdefault(series, row)
        if mine is row:
            return row[0]
        row[0] = mine[0]
        if mine[1] != minute:
            mine = self.other_rows.setdefault((row[0], minute), row)
        if mine is not row:
            add_to_row(mine, row, 2)
        return row[0]

    def name(self, account: int, time_us: int, labels: Sequence[tuple[str, str, str]]) -> None:
        """Keep the names that the latest event gives."""
        for dimension, value, name in labels:
            said = (time_us, name, len(self.kept) - 1)
            known = self.labels.setdefault((account, dimension, value), [said])
            if known[0] is not said:
                known.append(said)

    def call(self, account: int, call_id: object) -> None:
        """Keep which call the latest event reports, if it says so."""
        if isinstance(call_id, str):
            self.calls.append((len(self.kept) - 1, account, call_id))

    def take(self, item: Pending) -> None:
        """Add an event with all that it changes."""
        event, seq = item.event, len(self.kept)
        identity = KEY.pack(0, event.key_hi, event.key_lo, event.digest)[PLACE.size :]
        account = self.accounts.setdefault(event.account_id, len(self.accounts))
        self.kept.append((event.index, account, identity, event.line))
        minute = event.time_us // MINUTE_US
        for reading in item.readings:
            place = self.count((account, reading.type_no, reading.dimensions), minute, [0, 0, *reading.adds()])
            if reading.marks or reading.uniques:
                self.delicate.append(seq)
                self._mark(place, minute, reading)
        if not item.readings:
            self.bare_hours.add((account, minute // HOUR_MINUTES))
        self.name(account, event.time_us, item.labels)
        if item.word is not None:
            self.words.append(Word(seq, account, *item.word))
        if event.type == CALL:
            self.call(account, event.data.get("call_id"))

    def _mark(self, place: int, minute: int, reading: Reading) -> None:
        for meter_no, mark in reading.marks:
            if mark > self.marks.get((place, minute, meter_no), ""):
                self.marks[place, minute, meter_no] = mark
        self.uniques.update((place, minute, *unique) for unique in reading.uniques)
