"""What a commit keeps of its events beside sums: their bytes, whose they are and of which hours, the names they give.

Not for the inventory that resource events make (see `resources`).
"""

from collections.abc import Mapping, Sequence

import zstandard
from sqlalchemy import Connection

from tallybook.core.bundle import Bundle
from tallybook.core.ids import AccountId
from tallybook.ledger.bulk import Bulk
from tallybook.ledger.hot import Hot
from tallybook.ledger.raw_index import RawIndex

ZSTD_LEVEL = 1

_KEEP = Hot(
    "INSERT INTO raw_batches (batch_no, lane, received_us, events, body)"
    " VALUES (:batch_no, :lane, :received_us, :events, :body)"
)


class Kept:
    """Writes for one lane, inside a commit's transaction; `forget` follows where that is rolled back."""

    def __init__(self, lane: int, *, sqlite: bool) -> None:
        self._lane = lane
        self._compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL)
        self._index = RawIndex(sqlite=sqlite)
        self._label = Bulk(
            "INSERT INTO labels (account_no, dimension, value, name, seen_us) SELECT * FROM ({rows}) s WHERE true"
            " ON CONFLICT (account_no, dimension, value) DO UPDATE SET name = excluded.name, seen_us = excluded.seen_us"
            " WHERE excluded.seen_us >= labels.seen_us",
            [("account_no", "bigint"), *((n, "text") for n in ("dimension", "value", "name")), ("seen_us", "bigint")],
            sqlite=sqlite,
        )

    def forget(self) -> None:
        """The transaction was rolled back."""
        self._index.forget()

    def names(self, connection: Connection, bundles: Sequence[Bundle], numbers: Mapping[AccountId, int]) -> None:
        """Keep the latest name of each thing, by the times of the events."""
        latest: dict[tuple[int, str, str], tuple[int, str]] = {}
        for bundle in bundles:
            owners = [numbers.get(account_id, 0) for account_id in bundle.accounts]
            for label in bundle.labels:
                seen_us, name, _ = label.said[0]
                key, told = (owners[label.account], label.dimension, label.value), (seen_us, name)
                known = latest.get(key)
                if known is None or known < told:
                    latest[key] = told
        if latest:
            rows = sorted((*key, name, seen_us) for key, (seen_us, name) in latest.items())
            self._label.change(connection, rows)

    def lines(
        self,
        connection: Connection,
        bundles: Sequence[Bundle],
        numbers: Mapping[AccountId, int],
        batch: tuple[int, int],
    ) -> None:
        """Keep the events themselves, of a *batch* by its number and the instant at which it was received."""
        batch_no, received_us = batch
        body = self._compressor.compress(b"\n".join([bundle.lines for bundle in bundles]))
        row = {"batch_no": batch_no, "lane": self._lane, "received_us": received_us}
        _KEEP.change(connection, row | {"events": sum(map(len, bundles)), "body": body})
        hours = {(numbers[bundle.accounts[at]], hour) for bundle in bundles for at, hour in bundle.hours}
        self._index.add(connection, batch_no, hours)
