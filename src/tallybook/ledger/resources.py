"""The inventory in the ledger. What makes one word win over another is `core.resource`; the SQL here says the same."""

from collections.abc import Iterable

from sqlalchemy import Connection, text

from tallybook.core.desk import Thing
from tallybook.core.ids import AccountNo
from tallybook.core.resource import NEVER_US, Life, Resource, ResourceCount, ResourceKey, ResourceWord, merge_words
from tallybook.ledger.hot import Hot
from tallybook.ledger.open import Ledger
from tallybook.ledger.rows import fold, from_json, to_json, unfold

_COLUMNS = [
    ("account_no", "bigint"),
    ("kind", "text"),
    ("resource_id", "text"),
    ("name", "text"),
    ("name_us", "bigint"),
    ("shared", "bigint"),
    ("shared_us", "bigint"),
    ("active", "bigint"),
    ("active_us", "bigint"),
    ("live", "bigint"),
    ("life_us", "bigint"),
    ("created_us", "bigint"),
]


def _newest(value: str, time: str, wins: str = ">") -> str:
    """Return the assignments that keep the newest word on *value*; among equally new ones, the one that *wins*."""
    newer = f"excluded.{time} > r.{time} OR (excluded.{time} = r.{time} AND excluded.{value} {wins} r.{value})"
    return (
        f"{value} = CASE WHEN {newer} THEN excluded.{value} ELSE r.{value} END,"
        f" {time} = CASE WHEN excluded.{time} > r.{time} THEN excluded.{time} ELSE r.{time} END"
    )


def _apply_sql(*, sqlite: bool) -> str:
    names = ", ".join(name for name, _ in _COLUMNS)
    return (
        f"INSERT INTO resources AS r ({names}) SELECT {names}"
        f" FROM ({unfold('rows', _COLUMNS, sqlite=sqlite)}) told WHERE true"
        " ON CONFLICT (account_no, kind, resource_id) DO UPDATE SET"
        f" {_newest('name', 'name_us')}, {_newest('shared', 'shared_us')}, {_newest('active', 'active_us')},"
        f" {_newest('live', 'life_us', wins='<')},"
        " created_us = CASE WHEN r.created_us IS NULL OR excluded.created_us < r.created_us"
        " THEN excluded.created_us ELSE r.created_us END"
    )


_APPLY = {sqlite: text(_apply_sql(sqlite=sqlite)) for sqlite in (True, False)}
_LIST = Hot("""
    SELECT kind, resource_id, name, shared, active, live, created_us FROM resources
     WHERE account_no = :account_no AND created_us IS NOT NULL AND (live = 1 OR :released)
       AND (kind = :kind OR :any_kind) AND (kind, resource_id) > (:after_kind, :after_id)
     ORDER BY kind, resource_id LIMIT :limit""")
_RELEASED = Hot("""
    SELECT resource_id FROM resources WHERE account_no = :account_no AND kind = :kind AND live = 0 AND life_us >= 0
     ORDER BY resource_id LIMIT :limit""")
_TIMES = Hot("""
    SELECT name_us, shared_us, active_us, life_us FROM resources
     WHERE account_no = :account_no AND kind = :kind AND resource_id = :resource_id""")
_COUNT = Hot("""
    SELECT kind, sum(live) AS live, count(*) AS lifetime, sum(live * shared) AS shared, sum(live * active) AS active
      FROM resources WHERE account_no = :account_no AND created_us IS NOT NULL GROUP BY kind""")

_LIVES = {
    sqlite: Hot(
        fold(
            ("shared", "active", "live", "created_us", "life_us"),
            "FROM resources WHERE account_no = :account_no AND kind = :kind AND created_us IS NOT NULL",
            sqlite=sqlite,
        )
    )
    for sqlite in (True, False)
}
_THING = Hot("""
    SELECT live FROM resources WHERE account_no = :account_no AND kind = :kind AND resource_id = :resource_id
       AND created_us IS NOT NULL""")


def read_lives(connection: Connection, account_no: int, kind: str) -> list[Life]:
    """Return from when to when each thing of a kind existed, as the caller's transaction sees it.

    A thing that was released and came again is one that was there all the while: only its newest word is kept.
    """
    found = _LIVES[connection.dialect.name == "sqlite"].scalar(connection, {"account_no": account_no, "kind": kind})
    return [
        Life(kind, bool(shared), bool(active), created_us, None if live else life_us)
        for shared, active, live, created_us, life_us in from_json(found)
    ]


def apply(connection: Connection, words: Iterable[tuple[ResourceKey, ResourceWord]]) -> None:
    """Write what events say about things, inside the caller's transaction, in one statement.

    Words of one thing may come in any order, in one call or many: the same inventory results.
    """
    rows = [
        (
            *key,
            word.name,
            word.name_us,
            int(word.shared),
            word.shared_us,
            int(word.active),
            word.active_us,
            int(word.live),
            word.life_us,
            word.created_us,
        )
        for key, word in sorted(merge_words(words).items(), key=lambda item: item[0])
    ]
    connection.execute(_APPLY[connection.dialect.name == "sqlite"], {"rows": to_json(rows)})


class LedgerResources:
    """Reads the inventory."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def page(
        self, account_no: AccountNo, kind: str | None, after: tuple[str, str], limit: int, *, released: bool
    ) -> list[Resource]:
        """Return up to *limit* things that come after (kind, id), by the bytes of both.

        Args:
            account_no: Whose things.
            kind: Only this kind; None for all.
            after: Where the last page ended; empty strings for the first.
            limit: Most of them.
            released: Whether those that were released are there too.
        """
        values = {
            "account_no": account_no,
            "kind": kind or "",
            "any_kind": kind is None,
            "after_kind": after[0],
            "after_id": after[1],
            "limit": limit,
            "released": released,
        }
        with self._ledger.reading() as connection:
            rows = _LIST.rows(connection, values)
        return [
            Resource(kind, resource_id, name, bool(shared), bool(active), bool(live), created_us)
            for kind, resource_id, name, shared, active, live, created_us in rows
        ]

    def released(self, account_no: AccountNo, kind: str, limit: int) -> list[str]:
        """Return the ids of up to *limit* things that are gone, also of those whose creation nobody told."""
        values = {"account_no": account_no, "kind": kind, "limit": limit}
        with self._ledger.reading() as connection:
            return [resource_id for (resource_id,) in _RELEASED.rows(connection, values)]

    def newest_us(self, account_no: AccountNo, kind: str, resource_id: str) -> int:
        """Return the time of the newest word on a thing, NEVER_US if there is none."""
        key = {"account_no": account_no, "kind": kind, "resource_id": resource_id}
        with self._ledger.reading() as connection:
            times = _TIMES.first(connection, key)
        return NEVER_US if times is None else max(times)

    def counts(self, account_no: AccountNo) -> dict[str, ResourceCount]:
        """Return how many things of each kind there are; kinds of which there never was one are missing."""
        with self._ledger.reading() as connection:
            return read_counts(connection, account_no)


def read_counts(connection: Connection, account_no: int) -> dict[str, ResourceCount]:
    """Return how many things of each kind there are, as the caller's transaction sees it."""
    rows = _COUNT.rows(connection, {"account_no": account_no})
    return {kind: ResourceCount(int(live), ever, int(shared), int(active)) for kind, live, ever, shared, active in rows}


def read_thing(connection: Connection, account_no: int, kind: str, resource_id: str) -> Thing:
    """Say whether a thing exists, and whether it ever did, as the caller's transaction sees it."""
    key = {"account_no": account_no, "kind": kind, "resource_id": resource_id}
    row = _THING.first(connection, key)
    return Thing(live=False, ever=False) if row is None else Thing(live=bool(row[0]), ever=True)
