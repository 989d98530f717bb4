"""The outbox: what has to be told, written in the transaction that made it true, with the crossings it tells of.

Not for where messages go (see `deliveries`).
"""

from collections.abc import Mapping

import msgspec
from sqlalchemy import Connection

from tallybook.core.crossing import Crossing
from tallybook.core.ids import new_id
from tallybook.ledger.hot import Hot

_TELL = Hot(
    "INSERT INTO outbox (account_no, message_id, type, body, created_us)"
    " VALUES (:account_no, :message_id, :type, :body, :created_us)"
)
_CROSS = Hot(
    "INSERT INTO alerts (alert_id, account_no, subject, value, period_us, percent, arm, event, body, quantity,"
    " raised_us, late, passed, standing, recheck_us) VALUES (:alert_id, :account_no, :subject, :value, :period_us,"
    " :percent, :arm, :event, :body, :quantity, :raised_us, :late, :passed, 1, :recheck_us) ON CONFLICT DO NOTHING"
)
_encode = msgspec.json.Encoder().encode


def put_message(
    connection: Connection, account_no: int, event_type: str, body: Mapping[str, object] | msgspec.Raw, now_us: int
) -> None:
    """Put a message into the outbox."""
    row = {"account_no": account_no, "message_id": new_id("msg"), "type": event_type}
    _TELL.change(connection, row | {"body": _encode(body).decode(), "created_us": now_us})


def put_crossing(connection: Connection, account_no: int, crossing: Crossing, now_us: int) -> bool:
    """Write a crossing and, unless it is late, its message; False if it was there already."""
    row = {
        "alert_id": crossing.alert_id,
        "account_no": account_no,
        "subject": crossing.subject,
        "value": crossing.value,
        "period_us": crossing.period_us,
        "percent": crossing.percent,
        "arm": crossing.arm,
        "event": crossing.event,
        "body": crossing.body.decode(),
        "quantity": str(crossing.quantity),
        "raised_us": now_us,
        "late": int(crossing.late),
        "passed": int(crossing.passed),
        "recheck_us": crossing.recheck_us,
    }
    if not _CROSS.change(connection, row):
        return False
    if not crossing.late:
        put_message(connection, account_no, crossing.event, msgspec.Raw(crossing.body), now_us)
    return True
