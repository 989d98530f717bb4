"""Summaries of days and months, for series and rollups that are there already.

Which fields of an event are closed lists was not written down so far, so what is there is summarised by conditions
alone; generations that are made from now on say it.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision: str | None = "0008"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

_SUMS = ("events", *(f"{name}_{slot}" for slot in (1, 2, 3) for name in ("count", "giga", "unit", "nano")))
_NAMES = ", ".join(_SUMS)
_LEVELS = ((2, 4), (3, 5))
"""Days and months, and the levels of their summaries."""
_WRITTEN_AT_ONCE = 1_000


def upgrade() -> None:
    summaries = op.create_table(
        "summaries",
        sa.Column("account_no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("series_no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("summary_no", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("summary_key", sa.Text().with_variant(sa.Text(collation="C"), "postgresql"), nullable=True),
        sa.PrimaryKeyConstraint("account_no", "series_no"),
        sqlite_with_rowid=False,
    )
    connection = op.get_bind()
    kept = _kept(connection)
    accounts = list(connection.scalars(sa.text("SELECT DISTINCT account_no FROM series ORDER BY account_no")))
    for account_no in accounts:
        found = list(_rows(connection, account_no, kept))
        for first in range(0, len(found), _WRITTEN_AT_ONCE):
            connection.execute(sa.insert(summaries), [row for _, row in found[first : first + _WRITTEN_AT_ONCE]])
        for type_no in sorted({type_no for type_no, _ in found}):
            for level, summary in _LEVELS:
                place = {"account_no": account_no, "type_no": type_no, "level": level, "summary": summary}
                connection.execute(_ADD, place)
    op.create_index("summaries_by_key", "summaries", ["account_no", "summary_key"])


_ADD = sa.text(
    f"INSERT INTO rollups (account_no, type_no, level, bucket, series_no, part, {_NAMES})"
    " SELECT r.account_no, r.type_no, CAST(:summary AS smallint), r.bucket, m.summary_no, r.part,"
    f" {', '.join(f'sum(r.{name})' for name in _SUMS)}"
    " FROM rollups r JOIN summaries m ON m.account_no = r.account_no AND m.series_no = r.series_no"
    " WHERE r.account_no = :account_no AND r.type_no = :type_no AND r.level = :level"
    " GROUP BY r.account_no, r.type_no, r.bucket, m.summary_no, r.part"
)


def _kept(connection: sa.Connection) -> dict[int, frozenset[str]]:
    """Return what summaries keep of each type; nothing is summarised of events that no meter reads."""
    found = {}
    for type_no, event_type, shape in connection.execute(sa.text("SELECT type_no, type, shape FROM event_types")):
        if event_type == "*":
            continue
        told = json.loads(shape)
        flags = (
            f"?{c['field']} {c['operator']} {json.dumps(c['values'], ensure_ascii=False)}" for c in told["conditions"]
        )
        found[type_no] = frozenset(flags).union(told.get("closed", ()))
    return found


def _rows(
    connection: sa.Connection, account_no: int, kept: dict[int, frozenset[str]]
) -> Iterator[tuple[int, dict[str, object]]]:
    """Return the type of each of an account's series, and its row in the new table."""
    first: dict[str, int] = {}
    asked = sa.text("SELECT series_no, type_no, dims FROM series WHERE account_no = :account_no ORDER BY series_no")
    for series_no, type_no, dims in connection.execute(asked, {"account_no": account_no}):
        if type_no not in kept:
            continue
        values = {name: value for name, value in json.loads(dims).items() if name in kept[type_no]}
        told = f"{type_no} {json.dumps(values, ensure_ascii=False, sort_keys=True)}"
        key = hashlib.blake2b(told.encode(), digest_size=16).hexdigest()
        is_first = key not in first
        place = {"account_no": account_no, "series_no": series_no, "summary_no": first.setdefault(key, series_no)}
        yield type_no, place | {"summary_key": key if is_first else None}
