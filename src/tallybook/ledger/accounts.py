"""Accounts in the ledger, and which plan each was on when. Not for what a plan says (see `plans`)."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, func, insert, select, text, update

from tallybook.core.errors import Conflict
from tallybook.core.ids import AccountId, AccountNo
from tallybook.core.plan import (
    DEFAULT_ANCHOR_DAY,
    DEFAULT_PLAN,
    DEFAULT_ZONE,
    Account,
    BillingStatus,
    Subscription,
)
from tallybook.core.ports import AccountChange
from tallybook.ledger.hot import Hot
from tallybook.ledger.open import Ledger
from tallybook.ledger.rows import fold, from_json, to_json, unfold
from tallybook.ledger.tables import accounts, subscriptions
from tallybook.ledger.watch_changes import hold_lanes, note_change

SUBSCRIPTIONS_MAX = 1_000
"""Most changes of plan of one account."""

_ID = [("account_id", "text")]
_FIND = {
    sqlite: text(
        fold(
            ("a.account_id", "a.account_no"),
            f"FROM ({unfold('ids', _ID, sqlite=sqlite)}) wanted JOIN accounts a ON a.account_id = wanted.account_id",
            sqlite=sqlite,
        )
    )
    for sqlite in (True, False)
}
_CREATE = {
    sqlite: text(
        "INSERT INTO accounts (account_id, timezone, anchor_day, created_us)"
        " SELECT account_id, :timezone, :anchor_day, :created_us"
        f" FROM ({unfold('ids', _ID, sqlite=sqlite)}) wanted WHERE true ON CONFLICT DO NOTHING"
    )
    for sqlite in (True, False)
}
# Who nobody put on a plan is on the newest version of the default one. Nobody writes that grace is over: it is told by
# the instant that is asked about.
_READ = f"""
    SELECT a.account_no, a.account_id, a.name, a.timezone, a.anchor_day,
           COALESCE(s.plan_name, :default_plan),
           COALESCE(s.plan_version, (SELECT max(version) FROM plans WHERE name = :default_plan), 0),
           CASE WHEN p.account_no IS NULL THEN '{BillingStatus.ACTIVE}'
                WHEN p.grace_ends_us <= :at_us THEN '{BillingStatus.SUSPENDED}'
                ELSE '{BillingStatus.PAST_DUE}' END,
           a.created_us, p.grace_ends_us,
           EXISTS (SELECT 1 FROM limit_overrides o WHERE o.account_no = a.account_no)
             OR EXISTS (SELECT 1 FROM add_ons o WHERE o.account_no = a.account_no),
           n.starts_us, n.plan_name, n.plan_version
      FROM accounts a
      LEFT JOIN subscriptions s ON s.account_no = a.account_no AND s.starts_us =
           (SELECT max(starts_us) FROM subscriptions b WHERE b.account_no = a.account_no AND b.starts_us <= :at_us)
      LEFT JOIN subscriptions n ON n.account_no = a.account_no AND n.starts_us =
           (SELECT min(starts_us) FROM subscriptions b WHERE b.account_no = a.account_no AND b.starts_us > :at_us)
      LEFT JOIN billing p ON p.account_no = a.account_no
"""
_GET = Hot(f"{_READ} WHERE a.account_id = :account_id")
_NUMBERED = {
    sqlite: Hot(
        f"{_READ} WHERE a.account_no IN (SELECT account_no FROM"
        f" ({unfold('numbers', [('account_no', 'bigint')], sqlite=sqlite)}) wanted)"
    )
    for sqlite in (True, False)
}
_SUBSCRIPTIONS = Hot(
    "SELECT starts_us, plan_name, plan_version FROM subscriptions WHERE account_no = :account_no ORDER BY starts_us"
)
_LIST = Hot(f"{_READ} WHERE a.account_id > :after ORDER BY a.account_id LIMIT :limit")
_SEARCH = Hot(
    f"{_READ} WHERE lower(a.account_id) LIKE lower(:pattern) ESCAPE '!'"
    " OR lower(a.name) LIKE lower(:pattern) ESCAPE '!' ORDER BY a.account_id LIMIT :limit"
)
_WILD = str.maketrans({"!": "!!", "%": "!%", "_": "!_"})


def resolve(connection: Connection, ids: Collection[AccountId], now_us: int, *, create: bool) -> dict[AccountId, int]:
    """Return the number of each account, inside the caller's transaction.

    Args:
        connection: The caller's transaction.
        ids: Any number of them; one statement finds all.
        now_us: When those that are new were created.
        create: Whether unknown accounts are created, on the default plan; otherwise they are missing in the answer.
    """
    on_sqlite = connection.dialect.name == "sqlite"
    numbers = _find(connection, ids, on_sqlite=on_sqlite)
    missing = sorted(set(ids) - numbers.keys()) if create and len(numbers) < len(ids) else []
    if missing:
        row = {
            "ids": to_json([(account_id,) for account_id in missing]),
            "timezone": DEFAULT_ZONE,
            "anchor_day": DEFAULT_ANCHOR_DAY,
            "created_us": now_us,
        }
        connection.execute(_CREATE[on_sqlite], row)
        numbers |= _find(connection, missing, on_sqlite=on_sqlite)
    return numbers


def _find(connection: Connection, ids: Collection[AccountId], *, on_sqlite: bool) -> dict[AccountId, int]:
    found = connection.scalar(_FIND[on_sqlite], {"ids": to_json([(account_id,) for account_id in ids])})
    return {AccountId(account_id): account_no for account_id, account_no in from_json(found)}


class LedgerAccounts:
    """Reads and changes accounts."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def get(self, account_id: AccountId, at_us: int) -> Account | None:
        """Return the account with the plan in force at *at_us*, None if there is none."""
        with self._ledger.reading() as connection:
            return read_account(connection, account_id, at_us)

    def page(self, after: str, limit: int, at_us: int) -> list[Account]:
        """Return up to *limit* accounts whose id comes after *after*, by the bytes of their ids."""
        values = {"after": after, "limit": limit, "at_us": at_us, "default_plan": DEFAULT_PLAN}
        with self._ledger.reading() as connection:
            return [_from_row(row) for row in _LIST.rows(connection, values)]

    def search(self, part: str, limit: int, at_us: int) -> list[Account]:
        """Return up to *limit* accounts that have *part* in their id or name, by the bytes of their ids."""
        pattern = f"%{part.translate(_WILD)}%"
        values = {"pattern": pattern, "limit": limit, "at_us": at_us, "default_plan": DEFAULT_PLAN}
        with self._ledger.reading() as connection:
            return [_from_row(row) for row in _SEARCH.rows(connection, values)]

    def put(self, change: AccountChange, now_us: int) -> Account:
        """Create the account or change what *change* names, in one transaction; return it as it is now."""
        with self._ledger.writing() as connection:
            hold_lanes(connection)
            account_no, is_new = _claim(connection, change, now_us)
            values = {
                key: value for key in ("name", "timezone", "anchor_day") if (value := getattr(change, key)) is not None
            }
            if values:
                connection.execute(update(accounts).where(accounts.c.account_no == account_no).values(values))
            if change.plan_name is not None:
                _subscribe(connection, account_no, change, 0 if is_new else now_us)
            if values.keys() - {"name"} or change.plan_name is not None:
                note_change(connection, account_no, now_us)
            account = read_account(connection, change.account_id, now_us)
            assert account is not None
            return account

    def subscriptions(self, account_no: AccountNo) -> list[Subscription]:
        """Return every subscription the account had or will have, by when it starts."""
        with self._ledger.reading() as connection:
            rows = _SUBSCRIPTIONS.rows(connection, {"account_no": account_no})
        return [Subscription(*row) for row in rows]


def _claim(connection: Connection, change: AccountChange, now_us: int) -> tuple[AccountNo, bool]:
    """Return the account's number, creating it where it is new, and whether it was."""
    ids = [change.account_id]
    known = resolve(connection, ids, now_us, create=False)
    if known:
        return AccountNo(known[change.account_id]), False
    return AccountNo(resolve(connection, ids, now_us, create=True)[change.account_id]), True


def _subscribe(connection: Connection, account_no: AccountNo, change: AccountChange, default_us: int) -> None:
    """Put the account on a plan's version, unless it is on it already and no instant was named."""
    starts_us = default_us if change.starts_us is None else change.starts_us
    mine = subscriptions.c.account_no == account_no
    begun = select(subscriptions).where(mine, subscriptions.c.starts_us <= starts_us)
    current = connection.execute(begun.order_by(subscriptions.c.starts_us.desc()).limit(1)).first()
    wanted = (change.plan_name, change.plan_version)
    if current is not None and wanted == (current.plan_name, current.plan_version):
        return
    if connection.scalars(select(func.count()).select_from(subscriptions).where(mine)).one() >= SUBSCRIPTIONS_MAX:
        raise Conflict(f"an account can have at most {SUBSCRIPTIONS_MAX} subscriptions")
    connection.execute(subscriptions.delete().where(mine, subscriptions.c.starts_us == starts_us))
    values = {
        "account_no": account_no,
        "starts_us": starts_us,
        "plan_name": change.plan_name,
        "plan_version": change.plan_version,
    }
    connection.execute(insert(subscriptions), values)


def read_account(connection: Connection, account_id: AccountId, at_us: int) -> Account | None:
    """Return the account as it is at *at_us*, as the caller's transaction sees it."""
    values = {"account_id": account_id, "at_us": at_us, "default_plan": DEFAULT_PLAN}
    row = _GET.first(connection, values)
    return None if row is None else _from_row(row)


def read_accounts(connection: Connection, numbers: Collection[int], at_us: int) -> list[Account]:
    """Return the accounts with these numbers as they are at *at_us*, as the caller's transaction sees them."""
    values = {"numbers": to_json([(number,) for number in numbers]), "at_us": at_us, "default_plan": DEFAULT_PLAN}
    rows = _NUMBERED[connection.dialect.name == "sqlite"].rows(connection, values)
    return [_from_row(row) for row in rows]


def _from_row(row: tuple[Any, ...]) -> Account:
    *known, has_own_limits, next_us, next_name, next_version = row
    no, account_id, name, timezone, anchor_day, plan_name, plan_version, status, created_us, grace_ends_us = known
    return Account(
        no=AccountNo(no),
        id=AccountId(account_id),
        name=name,
        timezone=timezone,
        anchor_day=anchor_day,
        plan_name=plan_name,
        plan_version=plan_version,
        billing_status=status,
        created_us=created_us,
        grace_ends_us=grace_ends_us,
        has_own_limits=bool(has_own_limits),
        next_plan=None if next_us is None else Subscription(next_us, next_name, next_version),
    )
