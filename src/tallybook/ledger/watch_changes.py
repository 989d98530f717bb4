"""Notes that an account's limits or rules changed, so that no process goes on by what it remembers.

Every note is written while the lanes are held: a commit either knows the change or is over before it. That is also why
numbers of notes become visible in their order.
"""

from sqlalchemy import Connection, text

from tallybook.ledger.hot import Hot

DEFAULT_PLAN_CHANGED = 0
"""Stands where an account's number does when every account on the default plan is meant."""

_HOLD = text("SELECT lane FROM lanes ORDER BY lane FOR UPDATE")
_NOTE = Hot(
    'INSERT INTO watch_changes (account_no, created_us, "open") VALUES (:account_no, :created_us, :open)',
)
_FORGET = Hot("DELETE FROM watches WHERE account_no = :account_no")
_FORGET_DEFAULT = Hot("DELETE FROM watches WHERE account_no NOT IN (SELECT account_no FROM subscriptions)")


def hold_lanes(connection: Connection) -> None:
    """Let no commit run beside the caller's transaction; to be called before it touches anything else."""
    if connection.dialect.name != "sqlite":  # which has one writer at a time anyway
        connection.execute(_HOLD).all()


def note_change(connection: Connection, account_no: int, now_us: int) -> None:
    """Note that an account's limits or rules are others from now on; the lanes are held, or it is a lane itself."""
    is_open = int(account_no != DEFAULT_PLAN_CHANGED)
    _NOTE.change(connection, {"account_no": account_no, "created_us": now_us, "open": is_open})
    if account_no == DEFAULT_PLAN_CHANGED:
        _FORGET_DEFAULT.change(connection, {})
    else:
        _FORGET.change(connection, {"account_no": account_no})
