"""Lists of series that readers remember, of as many accounts as fit.

Series are only added, with rising numbers, and never change, so a list is brought up to date by what has a higher
number. Not for transactions that may be undone.
"""

import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from tallybook.ledger.hot import Hot
from tallybook.ledger.rows import from_column

SERIES_KEPT_MAX = 50_000
"""Most series remembered at once, of all accounts; about 25 MB."""
LIST_KEPT_MAX = 500
"""Most series of a list that is remembered."""

Dims = Mapping[int, Mapping[str, str]]
"""The dimension values that are there, by the number of the series."""


class _Listed(NamedTuple):
    """All series of a type of an account up to a number."""

    last_no: int = 0
    dims: Dims = MappingProxyType({})


_NOTHING = _Listed()
_NO_NUMBERS = "[]"
_SERIES = {
    sqlite: Hot(
        f"SELECT {numbers}, '[' || coalesce({texts}, '') || ']' FROM series"
        " WHERE account_no = :account_no AND series_no > :last_no AND type_no = :type_no"
    )
    for sqlite, numbers, texts in (
        (True, "json_group_array(series_no)", "group_concat(dims)"),
        (False, "coalesce(json_agg(series_no), '[]')::text", "string_agg(dims, ',')"),
    )
}
"""One row of all: who asks for a list for the first time pays several times as much for a row a series."""
_read_dims = msgspec.json.Decoder(list[dict[str, str]]).decode


class KnownSeries:
    """Remembers lists of series, those that were asked for last; safe for any number of threads."""

    def __init__(self) -> None:
        self._lists: dict[tuple[int, int], _Listed] = {}
        self._series = 0
        self._lock = threading.Lock()

    def read(self, connection: Connection, account_no: int, type_no: int) -> Dims:
        """Return every series of a type that the snapshot of *connection* has, and perhaps newer ones."""
        known = self._lists.get((account_no, type_no), _NOTHING)
        place = {"account_no": account_no, "type_no": type_no, "last_no": known.last_no}
        ((numbers, dims),) = _SERIES[connection.dialect.name == "sqlite"].rows(connection, place)
        if numbers == _NO_NUMBERS:
            return known.dims
        fresh = dict(zip(from_column(numbers), _read_dims(dims), strict=True))
        listed = _Listed(max(fresh), {**known.dims, **fresh})
        self._keep((account_no, type_no), listed)
        return listed.dims

    def _keep(self, place: tuple[int, int], listed: _Listed) -> None:
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
