"""Numbers of series: one per combination of dimension values of an account, given once, never reused."""

import hashlib
import json
from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, text

from tallybook.core.aggregate import Dimensions, SeriesKey
from tallybook.core.ids import AccountId
from tallybook.core.instant import HOUR_US
from tallybook.core.ports import Group
from tallybook.ledger.rows import fold, from_json, to_json, unfold
from tallybook.ledger.summaries import Summaries

CACHED_MAX = 100_000
FOLDED = "~other"
"""Stands for the free-text values of series beyond the cap on new ones."""


class SeriesNumbers:
    """Looks numbers up and gives out new ones inside a commit's transaction.

    What a transaction adds is only remembered once it has committed (`keep_new`); numbers never change, so what is
    remembered can never be stale.
    """

    def __init__(self, sqlite: bool, *, an_hour_max: int) -> None:  # noqa: FBT001 - the store's kind, set once
        self._an_hour_max = an_hour_max
        self._summaries = Summaries(sqlite=sqlite)
        self._known: dict[SeriesKey, int] = {}
        self._new: dict[SeriesKey, int] = {}
        self._folded: dict[SeriesKey, int] = {}
        wanted = unfold("rows", [("account_no", "bigint"), ("type_no", "bigint"), ("dims_key", "text")], sqlite=sqlite)
        self._find = text(
            fold(
                ("s.account_no", "s.type_no", "s.dims_key", "r.series_no"),
                f"FROM ({wanted}) s JOIN series r"
                " ON r.account_no = s.account_no AND r.type_no = s.type_no AND r.dims_key = s.dims_key",
                sqlite=sqlite,
            )
        )
        accounts = unfold("rows", [("account_no", "bigint")], sqlite=sqlite)
        mine = "FROM series r WHERE r.account_no = s.account_no"
        last, this_hour = f"(SELECT max(r.series_no) {mine})", f"(SELECT count(*) {mine} AND r.created_hour = :hour)"
        self._state = text(fold(("s.account_no", last, this_hour), f"FROM ({accounts}) s", sqlite=sqlite))
        columns = [("account_no", "bigint"), ("series_no", "bigint"), ("type_no", "bigint"), ("dims_key", "text")]
        rows = unfold("rows", [*columns, ("dims", "text")], sqlite=sqlite)
        self._insert = text(
            "INSERT INTO series (account_no, series_no, type_no, dims_key, dims, created_hour)"
            f" SELECT account_no, series_no, type_no, dims_key, dims, :hour FROM ({rows}) s"
        )

    def get(self, key: SeriesKey) -> int | None:
        """Return the number of a series, None if it is not known."""
        number = self._known.get(key)
        if number is None:
            number = self._new.get(key)
        return self._folded.get(key) if number is None else number

    @property
    def committed(self) -> Mapping[SeriesKey, int]:
        """The numbers that are remembered of committed transactions, for any thread to look at."""
        return self._known

    def keep_new(self) -> None:
        """Remember the numbers of a committed transaction."""
        if len(self._known) + len(self._new) > CACHED_MAX:
            self._known.clear()
        self._known.update(self._new)
        self.forget_new()

    def forget_new(self) -> None:
        """Drop the numbers of a transaction that was rolled back, and which series one had to fold."""
        self._new.clear()
        self._folded.clear()

    def unknown(self, keys: Iterable[SeriesKey]) -> set[SeriesKey]:
        """Return those of *keys* whose number is not known yet."""
        known = self._known
        return {key for key in keys if key not in known}

    def resolve(
        self, connection: Connection, keys: set[SeriesKey], numbers: Mapping[AccountId, int], group: Group
    ) -> set[SeriesKey]:
        """Make every key of *keys* known; return those that were folded into their account's overflow series."""
        missing = {key: _dims(key, group) for key in keys.difference(self._known)}
        if not missing:
            return set()
        self._look_up(connection, missing, numbers)
        fresh = [key for key in missing if key not in self._new]
        return self._create(connection, fresh, numbers, group) if fresh else set()

    def _look_up(
        self, connection: Connection, missing: Mapping[SeriesKey, tuple[str, str]], numbers: Mapping[AccountId, int]
    ) -> None:
        places = {(numbers[key[0]], key[1], dims_key): key for key, (dims_key, _) in missing.items()}
        found = from_json(connection.scalar(self._find, {"rows": to_json(list(places))}))
        for account_no, type_no, dims_key, series_no in found:
            self._new[places[account_no, type_no, dims_key]] = series_no

    def _create(
        self, connection: Connection, fresh: list[SeriesKey], numbers: Mapping[AccountId, int], group: Group
    ) -> set[SeriesKey]:
        """Number new series account by account, up to the cap; fold the rest."""
        hour = group.received_us // HOUR_US
        wanted = sorted({numbers[key[0]] for key in fresh})
        found = connection.scalar(self._state, {"rows": to_json([(n,) for n in wanted]), "hour": hour})
        state = {account_no: (last_no or 0, this_hour) for account_no, last_no, this_hour in from_json(found)}
        made: list[tuple[int, int, int, str, str]] = []
        folded: dict[SeriesKey, SeriesKey] = {}
        for key in sorted(fresh, key=lambda k: (k[0], k[1], repr(k[2]))):
            account_no = numbers[key[0]]
            last_no, this_hour = state[account_no]
            if this_hour >= self._an_hour_max and (folds := _fold(key, group)) != key:
                folded[key] = folds
                continue
            state[account_no] = (last_no + 1, this_hour + 1)
            self._new[key] = last_no + 1
            made.append((account_no, last_no + 1, key[1], *_dims(key, group)))
        if made:
            connection.execute(self._insert, {"rows": to_json(made), "hour": hour})
            self._summaries.add(connection, made, group.scheme)
        if folded:
            self._resolve_folds(connection, folded, numbers, group)
        return set(folded)

    def _resolve_folds(
        self,
        connection: Connection,
        folded: Mapping[SeriesKey, SeriesKey],
        numbers: Mapping[AccountId, int],
        group: Group,
    ) -> None:
        self.resolve(connection, set(folded.values()), numbers, group)
        for key, target in folded.items():
            number = self.get(target)
            assert number is not None  # it was resolved just now
            self._folded[key] = number


def _fold(key: SeriesKey, group: Group) -> SeriesKey:
    account_id, type_no, dimensions = key
    places = group.foldable(type_no)
    return (
        account_id,
        type_no,
        tuple(FOLDED if place in places and value is not None else value for place, value in enumerate(dimensions)),
    )


def _dims(key: SeriesKey, group: Group) -> tuple[str, str]:
    """Return the hash and the JSON of a series' dimension values."""
    text_ = dims_json(group.columns(key[1]), key[2])
    return hashlib.blake2b(text_.encode(), digest_size=16).hexdigest(), text_


def dims_json(columns: tuple[str, ...], dimensions: Dimensions) -> str:
    """Return the values that are there as a JSON object, in the order of *columns*."""
    there = {name: value for name, value in zip(columns, dimensions, strict=True) if value is not None}
    return json.dumps(there, ensure_ascii=False, sort_keys=True)


def unmetered_dims(event_type: str) -> str:
    """Return the dims of the series that counts events of a type which no meter reads."""
    return dims_json(("type",), (event_type,))
