"""Upper bounds of usage for many accounts in one statement: all usage of an event type over a span, whatever a filter.

Where even that reaches no threshold nothing has to be looked at. Not exact figures (see `flows.measure`).
"""

from collections.abc import Sequence
from functools import lru_cache

from sqlalchemy import Connection

from tallybook.core.cover import cover, in_minutes
from tallybook.core.limit import LimitKind
from tallybook.core.number import NANOS, from_limbs
from tallybook.core.plan import Account
from tallybook.core.standing import counting_span
from tallybook.core.watch import Gauge, Left, Watched
from tallybook.core.window import Span
from tallybook.ledger.hot import Hot
from tallybook.ledger.rows import fold, from_json, to_json, unfold
from tallybook.ledger.tables import SLOTS

Asked = tuple[Account, Watched, Gauge, str, int]
"""Account, what is watched of it, the gauge, its subject, and the period."""

_RECENT = -1
"""Stands for the minutes of `recent` where the levels of rollups have their numbers."""
_COLUMNS = [(name, "bigint") for name in ("tag", "account_no", "type_no", "level", "low", "high")]


class Bounds:
    """Reads the bounds inside a commit's transaction."""

    def __init__(self, *, sqlite: bool) -> None:
        rows = unfold("rows", _COLUMNS, sqlite=sqlite)
        if sqlite:  # or it would read the JSON again for every rollup
            rows = f"SELECT {', '.join(f'CAST({n} AS INTEGER) AS {n}' for n, _ in _COLUMNS)} FROM ({rows}) LIMIT -1"
        names = [f"{limb}_{slot}" for slot in range(1, SLOTS + 1) for limb in ("giga", "unit", "nano")]
        arms = (
            ("rollups", "r.level = s.level AND r.bucket >= s.low AND r.bucket < s.high"),
            ("recent", f"s.level = {_RECENT} AND r.minute >= s.low AND r.minute < s.high"),
        )
        listed = ", ".join(f"r.{name}" for name in ("events", *names))
        found = " UNION ALL ".join(
            f"SELECT s.tag, {listed} FROM s CROSS JOIN {table} r WHERE r.account_no = s.account_no"
            f" AND r.type_no = s.type_no AND {inside} AND r.part = 0"
            for table, inside in arms
        )
        sums = ", ".join(f"sum({name}) AS {name}" for name in ("events", *names))
        added = f"SELECT tag, {sums} FROM ({found}) f GROUP BY tag"
        listing = f"WITH s AS MATERIALIZED ({rows}) "
        self._sums = Hot(listing + fold(("tag", "events", *names), f"FROM ({added}) x", sqlite=sqlite))

    def clear(self, connection: Connection, asked: Sequence[Asked], now_us: int) -> list[tuple[int, Left]]:
        """Return, of all that is *asked*, what is left at least where no threshold can have been reached."""
        tags: dict[tuple[int, int, Span], int] = {}
        rows = []
        placed = []
        for account, watched, gauge, subject, period_us in asked:
            if any(slot >= SLOTS for slot in gauge.slots):
                continue
            limit = watched.limits[subject][0]
            at_us = period_us if limit.kind is LimitKind.PERIOD else now_us
            key = (account.no, gauge.type_no, counting_span(limit, account, at_us))
            tag = tags.get(key)
            if tag is None:
                tag = tags[key] = len(tags)
                rows += [(tag, account.no, gauge.type_no, *range_) for range_ in _ranges(key[2])]
            placed.append((tag, account.no, gauge, subject, period_us))
        if not rows:
            return []
        sums = {row[0]: row[1:] for row in from_json(self._sums.scalar(connection, {"rows": to_json(rows)}))}
        found: list[tuple[int, Left]] = []
        for tag, account_no, gauge, subject, period_us in placed:
            assert gauge.least is not None  # only gauges with one are asked
            left = gauge.least - _bound(gauge, sums.get(tag))
            if left > 0:
                found.append((account_no, Left(subject, period_us, left)))
        return found


@lru_cache(maxsize=1024)
def _ranges(span: Span) -> Sequence[tuple[int, int, int]]:
    """Return the (level, low, high) that a span's usage lies in."""
    covered = cover((span,))
    assert not covered.edges  # limits count whole minutes
    recent = [(_RECENT, low, high) for low, high, *_ in in_minutes(covered.segments)]
    return [(int(s.level), s.low, s.high) for s in covered.segments] + recent


def _bound(gauge: Gauge, sums: Sequence[int] | None) -> int:
    if sums is None:
        return 0
    if not gauge.slots:
        return int(sums[0]) * NANOS
    return sum(from_limbs(sums[3 * slot + 1], sums[3 * slot + 2], sums[3 * slot + 3]) for slot in gauge.slots)
