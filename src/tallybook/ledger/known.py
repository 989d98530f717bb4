"""Lists of series that readers remember, of as many accounts as fit.

Series are only added, with rising numbers, and never change, so a list is brought up to date by what has a higher
number. Not for transactions that may be undone.
"""

import threading
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from tallybook.ledger.hot import Hot

SERIES_KEPT_MAX = 50_000
"""Most series remembered at once, of all accounts; about 25 MB."""
LIST_KEPT_MAX = 500
"""Most series of a list that is remembered."""

Dims = Mapping[int, Mapping[str, str]]
"""The dimension values that are there, by the number of the series."""


class Listed(NamedTuple):
    """All series of a type of an account up to a number, and the numbers under which they are summarised."""

    last_no: int = 0
    dims: Dims = MappingProxyType({})
    summaries: frozenset[int] = frozenset()


_NOTHING = Listed()
_SERIES = Hot(
    "SELECT s.series_no, s.dims, coalesce(m.summary_no, s.series_no) FROM series s"
    " LEFT JOIN summaries m ON m.account_no = s.account_no AND m.series_no = s.series_no"
    " WHERE s.account_no = :account_no AND s.series_no > :last_no AND s.type_no = :type_no"
)
_read_dims = msgspec.json.Decoder(dict[str, str]).decode


class KnownSeries:
    """Remembers lists of series, those that were asked for last; safe for any number of threads."""

    def __init__(self) -> None:
        self._lists: dict[tuple[int, int], Listed] = {}
        self._series = 0
        self._lock = threading.Lock()

    def read(self, connection: Connection, account_no: int, type_no: int) -> Listed:
        """Return every series of a type that the snapshot of *connection* has, and perhaps newer ones."""
        known = self._lists.get((account_no, type_no), _NOTHING)
        place = {"account_no": account_no, "type_no": type_no, "last_no": known.last_no}
        fresh = _SERIES.rows(connection, place)
        if not fresh:
            return known
        listed = _added(known, fresh)
        self._keep((account_no, type_no), listed)
        return listed

    def _keep(self, place: tuple[int, int], listed: Listed) -> None:
        """Remember a list, as the newest, and forget the oldest ones that there is no room for."""
        with self._lock:
            self._drop(place)
            if len(listed.dims) > LIST_KEPT_MAX:
                return
            self._lists[place] = listed
            self._series += len(listed.dims)
            while self._series > SERIES_KEPT_MAX:
                self._drop(next(iter(self._lists)))

    def _drop(self, place: tuple[int, int]) -> None:
        dropped = self._lists.pop(place, None)
        if dropped is not None:
            self._series -= len(dropped.dims)


def _added(known: Listed, fresh: Iterable[tuple[int, str, int]]) -> Listed:
    dims, summaries = dict(known.dims), set(known.summaries)
    for series_no, text, summary_no in fresh:
        dims[series_no] = _read_dims(text)
        summaries.add(summary_no)
    return Listed(max(dims), dims, frozenset(summaries))
