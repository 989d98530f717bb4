"""What was delivered, looked at and sent again: lists, single deliveries with their attempts, replays, pruning.

Not for delivering (see `deliveries`).
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, and_, insert, or_, select, text, true, update

from tallybook.core.changes import NOTHING
from tallybook.core.clock import Clock
from tallybook.core.delivery import Outcome, State, Status
from tallybook.core.delivery_log import Delivery, LogFilter, LoggedAttempt, Replay, Which
from tallybook.core.errors import Conflict
from tallybook.core.ids import AccountId
from tallybook.core.instant import DAY_US
from tallybook.core.message import EVERYTHING, OPERATOR_NO, Message
from tallybook.ledger.deliveries import delivery_row
from tallybook.ledger.open import Ledger
from tallybook.ledger.tables import accounts
from tallybook.ledger.webhook_tables import attempts, deliveries, destinations, messages

ATTEMPTS_SHOWN_MAX = 50
REPLAY_MAX = 10_000
"""Most deliveries that one replay queues; whoever asks is told if there are more."""
PRUNE_ROWS_MAX = 500

_decode = msgspec.json.Decoder(list[str]).decode
_headers = msgspec.json.Decoder(dict[str, str]).decode
_ONE = (
    select(deliveries, destinations.c.destination_id, destinations.c.account_no, accounts.c.account_id)
    .join_from(deliveries, destinations, deliveries.c.destination_no == destinations.c.destination_no)
    .outerjoin(accounts, destinations.c.account_no == accounts.c.account_no)
)
_PRUNE = tuple(
    text(f"DELETE FROM {table} WHERE {key} IN (SELECT {key} FROM {table} WHERE {old} LIMIT :rows)")
    for table, key, old in (
        ("attempts", "attempt_no", "started_us < :before"),
        ("deliveries", "delivery_no", "created_us < :before AND queued_us < :before AND due_us IS NULL"),
        (
            "messages",
            "message_id",
            "created_us < :before AND NOT EXISTS (SELECT 1 FROM deliveries d WHERE d.message_id = messages.message_id)",
        ),
    )
)


class LedgerDeliveryLog:
    """Reads the log of deliveries, and queues what is to be sent again."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def get(self, delivery_id: str) -> Delivery | None:
        """Return one delivery with its message and its latest attempts, the oldest of them first."""
        with self._ledger.reading() as connection:
            row = connection.execute(_ONE.where(deliveries.c.delivery_id == delivery_id)).first()
            if row is None:
                return None
            wanted = select(attempts).where(attempts.c.delivery_no == row.delivery_no)
            found = connection.execute(wanted.order_by(attempts.c.attempt_no.desc()).limit(ATTEMPTS_SHOWN_MAX)).all()
            logged = tuple(_attempt(each) for each in reversed(found))
            return _delivery(row, _message(connection, row.message_id), logged)

    def page(
        self, destination_id: str, wanted: LogFilter, before: int | None, limit: int
    ) -> tuple[Sequence[Delivery], int | None]:
        """Return up to *limit* deliveries of a destination, the newest first, and where the next page begins.

        Args:
            destination_id: Whose.
            wanted: Which of them.
            before: What the page before returned.
            limit: Most of them.
        """
        asked = _ONE.where(destinations.c.destination_id == destination_id)
        asked = asked.order_by(deliveries.c.delivery_no.desc()).limit(limit)
        if wanted.status is not None:
            asked = asked.where(deliveries.c.status == wanted.status.value)
        if wanted.type is not None:
            asked = asked.where(deliveries.c.type == wanted.type)
        if wanted.from_us is not None:
            asked = asked.where(deliveries.c.created_us >= wanted.from_us)
        if wanted.to_us is not None:
            asked = asked.where(deliveries.c.created_us < wanted.to_us)
        if before is not None:
            asked = asked.where(deliveries.c.delivery_no < before)
        with self._ledger.reading() as connection:
            rows = connection.execute(asked).all()
        return [_delivery(row, None, ()) for row in rows], rows[-1].delivery_no if len(rows) == limit else None

    def send(self, destination_id: str, message: Message, now_us: int) -> str:
        """Queue a message for one destination only, whatever its filter; return the id of the delivery.

        Raises:
            Conflict: If the destination is disabled.
        """
        with self._ledger.writing(NOTHING) as connection:
            place = _enabled(connection, destination_id)
            row = {"message_id": message.message_id, "type": message.type, "body": message.body.decode()}
            about = OPERATOR_NO if place.account_no is None else place.account_no
            connection.execute(insert(messages), row | {"account_no": about, "created_us": message.time_us})
            made = delivery_row(message.message_id, message.type, place.destination_no, now_us)
            connection.execute(insert(deliveries), made)
        return str(made["delivery_id"])

    def replay(self, delivery_id: str, now_us: int) -> None:
        """Queue one delivery again, from the beginning of the schedule.

        Raises:
            Conflict: If its destination is disabled, its message was pruned, or it is being tried just now.
        """
        with self._ledger.writing(NOTHING) as connection:
            row = connection.execute(_ONE.where(deliveries.c.delivery_id == delivery_id)).first()
            if row is None:
                return
            _enabled(connection, row.destination_id)
            if connection.scalar(select(messages.c.type).where(messages.c.message_id == row.message_id)) is None:
                raise Conflict("the message is no longer kept")
            free = deliveries.c.claim.is_(None) | (deliveries.c.due_us <= now_us)
            mine = update(deliveries).where(deliveries.c.delivery_no == row.delivery_no, free)
            if connection.execute(mine.values(_again(now_us))).rowcount == 0:
                raise Conflict("the delivery is being tried just now")

    def replay_many(self, destination_id: str, asked: Replay, now_us: int) -> tuple[int, bool]:
        """Queue deliveries of a destination again; return how many, and whether there are more.

        Raises:
            Conflict: If the destination is disabled.
        """
        with self._ledger.writing(NOTHING) as connection:
            place = _enabled(connection, destination_id)
            queued = 0
            if asked.which is not Which.MISSING:
                queued += _requeue(connection, place.destination_no, asked, now_us)
            if asked.which is not Which.FAILED:
                queued += _make_up(connection, place, asked, now_us, rows_max=REPLAY_MAX - queued)
        return queued, queued >= REPLAY_MAX


class PruneDeliveries:
    """Deletes what is too old to be looked at or sent again."""

    def __init__(self, ledger: Ledger, clock: Clock, *, kept_days: int) -> None:
        self._ledger = ledger
        self._clock = clock
        self._kept_us = kept_days * DAY_US

    def step(self) -> int:
        """Delete a few rows of each table; return how many.

        Raises:
            Unavailable: If the store cannot be written.
        """
        before_us = self._clock.now_us() - self._kept_us
        done = 0
        for statement in _PRUNE:
            with self._ledger.writing(NOTHING) as connection:
                done += connection.execute(statement, {"before": before_us, "rows": PRUNE_ROWS_MAX}).rowcount
        return done


def _again(now_us: int) -> dict[str, object]:
    """Return what makes a delivery due from the beginning."""
    return {
        "status": Status.PENDING.value,
        "tries": 0,
        "due_us": now_us,
        "claim": None,
        "queued_us": now_us,
        "finished_us": None,
    }


def _enabled(connection: Connection, destination_id: str) -> Row[Any]:
    row = connection.execute(select(destinations).where(destinations.c.destination_id == destination_id)).one()
    if row.state != State.ENABLED.value:
        raise Conflict("the endpoint is disabled; enable it first")
    return row


def _requeue(connection: Connection, destination_no: int, asked: Replay, now_us: int) -> int:
    table = deliveries.c
    finished = [Status.FAILED.value] if asked.which is Which.FAILED else [Status.FAILED.value, Status.DELIVERED.value]
    wanted = (
        select(table.delivery_no)
        .join(messages, messages.c.message_id == table.message_id)
        .where(table.destination_no == destination_no, table.status.in_(finished))
        .where(messages.c.created_us >= asked.from_us, messages.c.created_us < asked.to_us)
        .order_by(table.delivery_no)
        .limit(REPLAY_MAX)
    )
    return connection.execute(update(deliveries).where(table.delivery_no.in_(wanted)).values(_again(now_us))).rowcount


def _make_up(connection: Connection, place: Row[Any], asked: Replay, now_us: int, *, rows_max: int) -> int:
    """Make deliveries of messages that came before the destination, or while it was disabled."""
    handed = select(deliveries.c.message_id).where(deliveries.c.destination_no == place.destination_no)
    wanted = (
        select(messages.c.message_id, messages.c.type)
        .where(messages.c.created_us >= asked.from_us, messages.c.created_us < asked.to_us)
        .where(messages.c.message_id.not_in(handed), messages.c.type != asked.never)
        .where(or_(*map(_passes, _decode(place.patterns))))
        .order_by(messages.c.created_us, messages.c.message_id)
        .limit(rows_max)
    )
    if place.account_no is not None:
        wanted = wanted.where(messages.c.account_no == place.account_no)
    found = connection.execute(wanted).all()
    rows = [delivery_row(row.message_id, row.type, place.destination_no, now_us) for row in found]
    if rows:
        connection.execute(insert(deliveries), rows)
    return len(rows)


def _passes(pattern: str) -> ColumnElement[bool]:
    """Return `message.wants` of one filter as a condition; as a range, since `_` means something to LIKE."""
    if pattern == EVERYTHING:
        return true()
    if not pattern.endswith(".*"):
        return messages.c.type == pattern
    return and_(messages.c.type >= pattern[:-1], messages.c.type < pattern[:-2] + "/")  # "/" follows "."


def _delivery(row: Row[Any], message: Message | None, logged: tuple[LoggedAttempt, ...]) -> Delivery:
    return Delivery(
        delivery_id=row.delivery_id,
        destination_id=row.destination_id,
        account_id=None if row.account_id is None else AccountId(row.account_id),
        message_id=row.message_id,
        type=row.type,
        status=Status(row.status),
        attempts=row.attempts,
        created_us=row.created_us,
        due_us=row.due_us,
        finished_us=row.finished_us,
        error=row.error,
        answer_status=row.answer_status,
        message=message,
        logged=logged,
    )


def _message(connection: Connection, message_id: str) -> Message | None:
    wanted = select(messages, accounts.c.account_id).outerjoin_from(
        messages, accounts, messages.c.account_no == accounts.c.account_no
    )
    row = connection.execute(wanted.where(messages.c.message_id == message_id)).first()
    if row is None:
        return None
    about = None if row.account_id is None else AccountId(row.account_id)
    return Message(row.message_id, row.type, about, row.body.encode(), row.created_us)


def _attempt(row: Row[Any]) -> LoggedAttempt:
    return LoggedAttempt(
        started_us=row.started_us,
        latency_us=row.latency_us,
        outcome=Outcome(row.outcome),
        error=row.error,
        status=row.answer_status,
        request_headers=_headers(row.request_headers),
        response_headers=_headers(row.answer_headers),
        response_body=bytes(row.answer_body),
    )
