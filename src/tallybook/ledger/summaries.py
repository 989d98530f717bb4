"""Under which number each series is summarised: that of the first one with the same values where there are few.

Rollups of days and months are kept twice, series by series and as summaries in which free text is folded away (see
`recent`): a year of days of an account with a hundred series is a few rows a day then. A summary has no series of its
own that could appear in a list; it stands under the number of one that it holds, whose closed values are those of all.
"""

import hashlib
import json
from collections.abc import Sequence

from sqlalchemy import Connection, text

from tallybook.core.scheme import Scheme
from tallybook.ledger.rows import fold, from_json, to_json, unfold

NewSeries = tuple[int, int, int, str, str]
"""Account, number, type, hash and JSON of the dimension values."""


class Summaries:
    """Gives new series their summary, inside the transaction that makes them."""

    def __init__(self, *, sqlite: bool) -> None:
        wanted = unfold("rows", [("account_no", "bigint"), ("summary_key", "text")], sqlite=sqlite)
        self._find = text(
            fold(
                ("s.account_no", "s.summary_key", "r.series_no"),
                f"FROM ({wanted}) s JOIN summaries r ON r.account_no = s.account_no AND r.summary_key = s.summary_key",
                sqlite=sqlite,
            )
        )
        numbers = [(name, "bigint") for name in ("account_no", "series_no", "summary_no")]
        rows = unfold("rows", [*numbers, ("summary_key", "text")], sqlite=sqlite)
        self._insert = text(
            "INSERT INTO summaries (account_no, series_no, summary_no, summary_key)"
            f" SELECT account_no, series_no, summary_no, summary_key FROM ({rows}) s"
        )

    def add(self, connection: Connection, made: Sequence[NewSeries], scheme: Scheme) -> None:
        """Number the summaries of series that were just *made*, in the order of their numbers."""
        keys = {
            (account_no, series_no): _key(type_no, dims, kept)
            for account_no, series_no, type_no, _, dims in made
            if (kept := scheme.written[type_no].shape.summarised) is not None
        }
        if not keys:
            return
        wanted = sorted({(account_no, key) for (account_no, _), key in keys.items()})
        found = from_json(connection.scalar(self._find, {"rows": to_json(wanted)}))
        first = {(account_no, key): series_no for account_no, key, series_no in found}
        rows: list[tuple[int, int, int, str | None]] = []
        for (account_no, series_no), key in sorted(keys.items()):
            is_first = (account_no, key) not in first
            summary_no = first.setdefault((account_no, key), series_no)
            rows.append((account_no, series_no, summary_no, key if is_first else None))
        connection.execute(self._insert, {"rows": to_json(rows)})


def _key(type_no: int, dims: str, kept: frozenset[str]) -> str:
    values = {name: value for name, value in json.loads(dims).items() if name in kept}
    told = f"{type_no} {json.dumps(values, ensure_ascii=False, sort_keys=True)}"
    return hashlib.blake2b(told.encode(), digest_size=16).hexdigest()
