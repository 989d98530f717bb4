"""The outbox turned into deliveries, and deliveries claimed and settled; any number of processes may do so at once.

Each step is one short transaction without any call in between. On PostgreSQL rows that another process has locked are
passed over; SQLite has one writer at a time. Not for looking at what was done (see `delivery_log`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, delete, insert, select

from tallybook.core.changes import NOTHING
from tallybook.core.clock import US_PER_S
from tallybook.core.delivery import FAILING_DAYS_MAX, Claimed, Destination, Outcome, Reason, Settled, State, Status
from tallybook.core.ids import AccountId, new_id
from tallybook.core.instant import DAY_US
from tallybook.core.message import Message, wants
from tallybook.core.vitals import Backlog
from tallybook.ledger.destinations import JOINED, disable_row, from_row, give_up, read_secrets
from tallybook.ledger.hot import Hot
from tallybook.ledger.limit_tables import outbox
from tallybook.ledger.open import Ledger
from tallybook.ledger.vault import Vault
from tallybook.ledger.webhook_tables import attempts, deliveries, destinations, messages

FAN_OUT_MAX = 500
"""Most messages of one step."""
CLAIM_S = 60
"""How long a claim lasts: longer than an attempt may take, and how long a crash delays what it had claimed."""
BUSY_MAX = 10_000
"""Most destinations with something to do that one step looks at."""

_BUSY = Hot(
    "WITH RECURSIVE busy (no) AS (SELECT min(destination_no) FROM deliveries WHERE due_us IS NOT NULL UNION ALL"
    " SELECT (SELECT min(d.destination_no) FROM deliveries d WHERE d.due_us IS NOT NULL AND d.destination_no > busy.no)"
    " FROM busy WHERE busy.no IS NOT NULL)"
    " SELECT no FROM busy WHERE no IS NOT NULL AND EXISTS"
    f" (SELECT 1 FROM deliveries d WHERE d.destination_no = busy.no AND d.due_us <= :now_us) LIMIT {BUSY_MAX}"
)
"""Destinations with something due, by jumping from one to the next in the index: a long queue costs no more."""
_CLAIMED = Hot(
    "SELECT destination_no, count(*) FROM deliveries WHERE claim IS NOT NULL AND due_us > :now_us"
    " GROUP BY destination_no"
)
_DUE = (
    "SELECT d.delivery_no, d.delivery_id, d.tries, d.queued_us, m.message_id, m.type, m.body, m.created_us,"
    " a.account_id FROM deliveries d JOIN messages m ON m.message_id = d.message_id"
    " LEFT JOIN accounts a ON a.account_no = m.account_no"
    " WHERE d.destination_no = :no AND d.due_us <= :now_us ORDER BY d.due_us, d.delivery_no LIMIT :room"
)
_PICK = {True: Hot(_DUE), False: Hot(_DUE + " FOR UPDATE OF d SKIP LOCKED")}
_CLAIM = Hot("UPDATE deliveries SET claim = :claim, due_us = :until_us WHERE delivery_no = :no")
_GIVE_BACK = Hot("UPDATE deliveries SET claim = NULL, due_us = :now_us WHERE delivery_no = :no AND claim = :claim")
_SETTLE = Hot(
    "UPDATE deliveries SET claim = NULL, status = :status, tries = tries + 1, attempts = attempts + 1,"
    " due_us = :due_us, finished_us = :finished_us, error = :error, answer_status = :answer_status"
    " WHERE delivery_no = :no AND claim = :claim"
)
_FAILING = Hot(
    "UPDATE destinations SET failing_since_us = :since_us WHERE destination_id = :id AND failing_since_us IS NULL"
)
_WORKING = Hot(
    "UPDATE destinations SET failing_since_us = NULL WHERE destination_id = :id AND failing_since_us IS NOT NULL"
)
_AGE = Hot("SELECT min(created_us) FROM (SELECT created_us FROM outbox ORDER BY message_no LIMIT 1) first")
_DISABLED = Hot("SELECT count(*) FROM destinations WHERE state = 'disabled'")
WAITING_COUNTED_MAX = 10_000
_WAITING = Hot(
    "SELECT count(*), min(due_us) FROM"
    f" (SELECT due_us FROM deliveries WHERE due_us IS NOT NULL LIMIT {WAITING_COUNTED_MAX}) waiting"
)
_ANY = Hot("SELECT message_no FROM outbox ORDER BY message_no LIMIT 1")
_encode = msgspec.json.Encoder().encode


class LedgerDeliveries:
    """Hands out what is due, under a claim that is this process's own."""

    def __init__(self, ledger: Ledger, vault: Vault) -> None:
        self._ledger = ledger
        self._vault = vault
        self._claim = new_id("claim")

    # --- from the outbox to deliveries -----------------------------------------------------------------------------

    def fan_out(self, now_us: int) -> int:
        """Turn waiting messages of the outbox into deliveries; return how many messages.

        Raises:
            Unavailable: If the store cannot be written; nothing is lost.
        """
        with self._ledger.reading() as connection:
            if _ANY.first(connection, {}) is None:
                return 0
        waiting = select(outbox).order_by(outbox.c.message_no).limit(FAN_OUT_MAX).with_for_update(skip_locked=True)
        with self._ledger.writing(NOTHING) as connection:
            rows = connection.execute(waiting).all()
            if not rows:
                return 0
            made = _fanned(rows, _enabled(connection, {row.account_no for row in rows}), now_us)
            connection.execute(insert(messages), [_message_row(row) for row in rows])
            if made:
                connection.execute(insert(deliveries), made)
            connection.execute(delete(outbox).where(outbox.c.message_no.in_([row.message_no for row in rows])))
        return len(rows)

    # --- claims ----------------------------------------------------------------------------------------------------

    def claim(self, now_us: int, rooms: Mapping[str, int], *, room: int, total: int) -> Sequence[Claimed]:
        """Take deliveries that are due; nobody else tries them until the claim runs out.

        Args:
            now_us: Now.
            rooms: How many more this process takes for each destination that it knows.
            room: The same for one that it does not know yet.
            total: Most of all together. At most half of it goes to destinations where the last attempt failed, and
                of each of these one at a time, over all processes.

        Raises:
            Unavailable: If the store cannot be written, or secrets not be opened; nothing is taken.
        """
        with self._ledger.reading() as connection:
            busy = [row[0] for row in _BUSY.rows(connection, {"now_us": now_us})]
            if not busy:
                return ()
            found = connection.execute(JOINED.where(destinations.c.destination_no.in_(busy))).all()
            wanted = {row.destination_no: from_row(row) for row in found if row.state == State.ENABLED.value}
            allowed = _allowed(wanted, rooms, dict(_CLAIMED.rows(connection, {"now_us": now_us})), room)
            secrets = read_secrets(connection, self._vault, list(allowed), now_us)
        wanted = {no: replace(wanted[no], secrets=secrets.get(no, ())) for no in allowed}
        stopped = set(busy) - {row.destination_no for row in found if row.state == State.ENABLED.value}
        if not allowed and not stopped:
            return ()
        with self._ledger.writing(NOTHING) as connection:
            for no in stopped:  # they were disabled or deleted while messages were handed to them
                give_up(connection, no, now_us)
            return self._take(connection, [(wanted[no], no, most) for no, most in allowed.items()], now_us, total)

    def _take(
        self, connection: Connection, allowed: Sequence[tuple[Destination, int, int]], now_us: int, total: int
    ) -> list[Claimed]:
        """Claim up to so many for each destination: first for those that work."""
        until_us = now_us + CLAIM_S * US_PER_S
        claimed: list[Claimed] = []
        left = {False: total, True: total // 2}
        for destination, no, most in allowed:
            failing = destination.failing_since_us is not None
            room = min(most, total - len(claimed), left[failing])
            values = {"no": no, "now_us": now_us, "room": room}
            rows = _PICK[self._ledger.is_sqlite].rows(connection, values) if room > 0 else []
            left[failing] -= len(rows)
            claimed += [_claimed(row, destination, until_us) for row in rows]
        for each in claimed:
            _CLAIM.change(connection, {"claim": self._claim, "until_us": until_us, "no": each.number})
        return claimed

    def give_back(self, claimed: Sequence[Claimed], now_us: int) -> None:
        """Let others try what this process has claimed and not tried."""
        with self._ledger.writing(NOTHING) as connection:
            for each in claimed:
                _GIVE_BACK.change(connection, {"claim": self._claim, "now_us": now_us, "no": each.number})

    def settle(self, settled: Sequence[Settled]) -> None:
        """Write attempts and what follows from them, in one transaction.

        Raises:
            Unavailable: If the store cannot be written: the claims run out, and all is tried again.
        """
        if not settled:
            return
        with self._ledger.writing(NOTHING) as connection:
            connection.execute(insert(attempts), [_attempt_row(each) for each in settled])
            for each in settled:
                _SETTLE.change(connection, self._settled_row(each))
            for each in settled:
                _note_health(connection, each)

    def disable_failing(self, now_us: int) -> int:
        """Disable destinations where nothing but failures was seen for FAILING_DAYS_MAX; return how many."""
        since = destinations.c.failing_since_us <= now_us - FAILING_DAYS_MAX * DAY_US
        wanted = JOINED.where(since, destinations.c.state == State.ENABLED.value).limit(BUSY_MAX)
        with self._ledger.reading() as connection:
            if connection.execute(wanted.limit(1)).first() is None:
                return 0
        with self._ledger.writing(NOTHING) as connection:
            rows = connection.execute(wanted).all()
            return sum(disable_row(connection, row, Reason.FAILING, now_us) for row in rows)

    # --- figures ---------------------------------------------------------------------------------------------------

    def outbox_age_us(self, now_us: int) -> int:
        """Return for how long the oldest message waits in the outbox, 0 for none."""
        with self._ledger.reading() as connection:
            first_us = _AGE.scalar(connection, {})
        return 0 if first_us is None else max(0, now_us - first_us)

    def backlog(self, now_us: int) -> Backlog:
        """Return what waits to be delivered."""
        with self._ledger.reading() as connection:
            first_us = _AGE.scalar(connection, {})
            row = _WAITING.first(connection, {})
            waiting, due_us = (0, None) if row is None else row
            return Backlog(
                outbox_age_us=0 if first_us is None else max(0, now_us - first_us),
                waiting=int(waiting),
                lag_us=0 if due_us is None else max(0, now_us - due_us),
                disabled=int(_DISABLED.scalar(connection, {})),
            )

    def disabled(self) -> int:
        """Return how many destinations are disabled."""
        with self._ledger.reading() as connection:
            return int(_DISABLED.scalar(connection, {}))

    def _settled_row(self, each: Settled) -> dict[str, object]:
        return {
            "no": each.claimed.number,
            "claim": self._claim,
            "status": each.status.value,
            "due_us": each.next_us,
            "finished_us": None if each.next_us is not None else each.ended_us,
            "error": each.attempted.error,
            "answer_status": each.attempted.status,
        }


def _enabled(connection: Connection, numbers: set[int]) -> list[Row[Any]]:
    table = destinations.c
    heard = table.account_no.is_(None) | table.account_no.in_(numbers)
    wanted = select(table.destination_no, table.account_no, table.patterns)
    return list(connection.execute(wanted.where(table.state == State.ENABLED.value, heard)))


def _fanned(rows: Sequence[Row[Any]], enabled: Sequence[Row[Any]], now_us: int) -> list[dict[str, object]]:
    patterns = {row.destination_no: msgspec.json.decode(row.patterns) for row in enabled}
    heard: dict[int | None, list[int]] = {}
    for row in enabled:
        heard.setdefault(row.account_no, []).append(row.destination_no)
    return [
        delivery_row(row.message_id, row.type, destination_no, now_us)
        for row in rows
        for destination_no in (*heard.get(row.account_no, ()), *heard.get(None, ()))
        if wants(patterns[destination_no], row.type)
    ]


def delivery_row(message_id: str, message_type: str, destination_no: int, now_us: int) -> dict[str, object]:
    """Return the row of a delivery that is due now."""
    return {
        "delivery_id": new_id("dlv"),
        "destination_no": destination_no,
        "message_id": message_id,
        "type": message_type,
        "status": Status.PENDING.value,
        "tries": 0,
        "attempts": 0,
        "due_us": now_us,
        "claim": None,
        "created_us": now_us,
        "queued_us": now_us,
        "finished_us": None,
        "error": "",
        "answer_status": None,
    }


def _message_row(row: Row[Any]) -> dict[str, object]:
    return {
        "message_id": row.message_id,
        "account_no": row.account_no,
        "type": row.type,
        "body": row.body,
        "created_us": row.created_us,
    }


def _allowed(
    wanted: Mapping[int, Destination], rooms: Mapping[str, int], taken: Mapping[int, int], room: int
) -> dict[int, int]:
    """Return how many to take at most for each destination, those that work first."""
    allowed: dict[int, int] = {}
    for no, destination in sorted(wanted.items(), key=lambda item: item[1].failing_since_us is not None):
        count = rooms.get(destination.destination_id, room)
        if destination.failing_since_us is not None:
            count = min(count, 1 - taken.get(no, 0))
        if count > 0:
            allowed[no] = count
    return allowed


def _claimed(row: tuple[Any, ...], destination: Destination, until_us: int) -> Claimed:
    number, delivery_id, tries, queued_us, message_id, message_type, body, time_us, account_id = row
    about = None if account_id is None else AccountId(account_id)
    message = Message(message_id, message_type, about, body.encode(), time_us)
    return Claimed(number, delivery_id, destination, message, tries, queued_us, until_us)


def _attempt_row(each: Settled) -> dict[str, object]:
    attempted = each.attempted
    return {
        "delivery_no": each.claimed.number,
        "started_us": each.started_us,
        "latency_us": attempted.latency_us,
        "outcome": attempted.outcome.value,
        "error": attempted.error,
        "answer_status": attempted.status,
        "request_headers": _encode(dict(attempted.request_headers)).decode(),
        "answer_headers": _encode(dict(attempted.response_headers)).decode(),
        "answer_body": attempted.response_body,
    }


def _note_health(connection: Connection, each: Settled) -> None:
    destination_id = each.claimed.destination.destination_id
    if each.attempted.outcome is Outcome.DELIVERED:
        _WORKING.change(connection, {"id": destination_id})
        return
    _FAILING.change(connection, {"id": destination_id, "since_us": each.started_us})
    if each.disable is not None:
        row = connection.execute(JOINED.where(destinations.c.destination_id == destination_id)).first()
        if row is not None and _still_true(row, each):
            disable_row(connection, row, each.disable, each.ended_us)


def _still_true(row: Row[Any], each: Settled) -> bool:
    """Whether the reason to disable holds: meanwhile another attempt may have succeeded."""
    return each.disable is not Reason.FAILING or row.failing_since_us == each.claimed.destination.failing_since_us
