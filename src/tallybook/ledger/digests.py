"""What is held back for channels: collected for digests, over quiet hours, and for the least time between messages.

Held messages are rows; sending them is one transaction that makes one delivery of them all and forgets them, so a crash
neither loses nor repeats any. Not for what paces mean (see `core.channel`).
"""

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, text

from tallybook.core.changes import NOTHING
from tallybook.core.channel import DIGEST, DIGEST_ITEMS_MAX, Digest, DigestItem, pace_of
from tallybook.core.clock import Clock
from tallybook.core.delivery import Destination, State
from tallybook.core.ids import AccountId, new_id
from tallybook.core.instant import instant_text
from tallybook.core.message import OPERATOR_NO, Message
from tallybook.core.plan import DEFAULT_ZONE
from tallybook.core.window import zone
from tallybook.ledger.alert_tables import channel_pauses, digest_items
from tallybook.ledger.deliveries import delivery_row
from tallybook.ledger.open import Ledger
from tallybook.ledger.tables import accounts
from tallybook.ledger.webhook_tables import deliveries, destinations, messages

DUE_MAX = 100
"""Most digests that one step makes."""
_HOLD = text(
    "INSERT INTO digest_items (destination_id, message_id, type, account_no, body, time_us, due_us)"
    " VALUES (:destination_id, :message_id, :type, :account_no, :body, :time_us, :due_us) ON CONFLICT DO NOTHING"
)
_PAUSE = text(
    "INSERT INTO channel_pauses (destination_id, sent_us) VALUES (:destination_id, :sent_us)"
    " ON CONFLICT (destination_id) DO UPDATE SET sent_us = excluded.sent_us"
)
_encode = msgspec.json.Encoder().encode


class LedgerShelf:
    """Holds messages back until their channel may speak."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock

    def hold(self, destination: Destination, message: Message) -> bool:
        """Keep *message* if the channel may not speak now; otherwise note that it does.

        Raises:
            Unavailable: If the store cannot be written; nothing was kept.
        """
        now_us, pace = self._clock.now_us(), pace_of(destination.options)
        with self._ledger.writing(NOTHING) as connection:
            mine = {"destination_id": destination.destination_id}
            waiting = _waiting_until(connection, destination.destination_id)
            due_us = waiting
            if due_us is None:
                sent_us = connection.scalar(
                    select(channel_pauses.c.sent_us).where(
                        channel_pauses.c.destination_id == destination.destination_id
                    )
                )
                due_us = pace.due_us(now_us, zone(pace.timezone or _zone_of(connection, destination)), sent_us)
            if waiting is None and due_us <= now_us:
                if pace.gap_minutes:
                    connection.execute(_PAUSE, mine | {"sent_us": now_us})
                return False
            about = OPERATOR_NO if message.account_id is None else _account_no(connection, message.account_id)
            row = {"message_id": message.message_id, "type": message.type, "account_no": about}
            row |= {"body": message.body.decode(), "time_us": message.time_us, "due_us": due_us}
            connection.execute(_HOLD, mine | row)
            return True

    def step(self) -> int:
        """Make the digests that are due; return how many.

        Raises:
            Unavailable: If the store cannot be written; a later sweep goes on.
        """
        now_us = self._clock.now_us()
        due = (
            select(digest_items.c.destination_id)
            .group_by(digest_items.c.destination_id)
            .having(func.min(digest_items.c.due_us) <= now_us)
            .limit(DUE_MAX)
        )
        with self._ledger.reading() as connection:
            found = list(connection.scalars(due))
        for destination_id in found:
            with self._ledger.writing(NOTHING) as connection:
                _send(connection, destination_id, now_us, lock=not self._ledger.is_sqlite)
        return len(found)


def _send(connection: Connection, destination_id: str, now_us: int, *, lock: bool) -> None:
    """Make one delivery of what waits for a channel; drop it where the channel is gone."""
    wanted = select(destinations).where(destinations.c.destination_id == destination_id)
    place = connection.execute(wanted.with_for_update() if lock else wanted).first()
    mine = digest_items.c.destination_id == destination_id
    rows = connection.execute(
        select(digest_items, accounts.c.account_id)
        .outerjoin(accounts, accounts.c.account_no == digest_items.c.account_no)
        .where(mine)
        .order_by(digest_items.c.item_no)
        .limit(DIGEST_ITEMS_MAX)
    ).all()
    if not rows:
        return
    connection.execute(delete(digest_items).where(mine, digest_items.c.item_no <= rows[-1].item_no))
    if place is None or place.state != State.ENABLED.value:
        return
    more = int(connection.scalar(select(func.count()).where(mine)) or 0)
    items = [
        DigestItem(row.message_id, row.type, row.account_id, instant_text(row.time_us), msgspec.Raw(row.body.encode()))
        for row in rows
    ]
    about = OPERATOR_NO if place.account_no is None else place.account_no
    message_id = new_id("msg")
    body = _encode(Digest(items, more)).decode()
    message = {"message_id": message_id, "type": DIGEST, "body": body, "account_no": about, "created_us": now_us}
    connection.execute(insert(messages), message)
    connection.execute(insert(deliveries), delivery_row(message_id, DIGEST, place.destination_no, now_us))
    connection.execute(_PAUSE, {"destination_id": destination_id, "sent_us": now_us})


def _waiting_until(connection: Connection, destination_id: str) -> int | None:
    """Return when what waits for a channel already is due: what comes meanwhile joins it."""
    mine = digest_items.c.destination_id == destination_id
    due_us: int | None = connection.scalar(select(func.min(digest_items.c.due_us)).where(mine))
    return due_us


def _zone_of(connection: Connection, destination: Destination) -> str:
    if destination.account_id is None:
        return DEFAULT_ZONE
    mine = select(accounts.c.timezone).where(accounts.c.account_id == destination.account_id)
    return connection.scalar(mine) or DEFAULT_ZONE


def _account_no(connection: Connection, account_id: AccountId) -> int:
    number = connection.scalar(select(accounts.c.account_no).where(accounts.c.account_id == account_id))
    return OPERATOR_NO if number is None else int(number)
