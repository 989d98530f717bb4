"""A process that delivers until it is killed: run by `test_webhooks`, which says why.

    python -m tests.sim.webhook_server URL KEYFILE FOLDER

Beside delivering it writes a message for each of its accounts again and again, one transaction each, and after each,
never before, a line with the messages that are in the outbox for good.
"""

import os
import sys
from io import StringIO
from ipaddress import ip_network
from pathlib import Path

from sqlalchemy import select

from tallybook.core.clock import Clock, SystemClock
from tallybook.core.delivery import Destination, Secret
from tallybook.core.ids import new_id
from tallybook.house.webhooks import Webhooks
from tallybook.ledger.limit_tables import outbox
from tallybook.ledger.open import Ledger
from tallybook.ledger.outbox import put_message
from tallybook.outside.resolver import Resolver
from tallybook.settings import Settings
from tallybook.web.log import make_log
from tallybook.web.observe import Observer


def webhooks(
    ledger: Ledger,
    key_file: str,
    *,
    clock: Clock | None = None,
    resolver: Resolver | None = None,
    allow: str = "127.0.0.0/8",
) -> Webhooks:
    """Return the webhooks of a server on *ledger* that may call this machine."""
    settings = Settings(
        data_dir=Path(key_file).parent, secrets_key_file=Path(key_file), egress_allow=(ip_network(allow),)
    )
    observer = Observer(make_log("json", StringIO()))
    return Webhooks(ledger, settings, clock or SystemClock(), observer, resolver=resolver)


def endpoint(open_webhooks: Webhooks, url: str) -> Destination:
    """Make an operator's endpoint."""
    made = Destination(
        new_id("hook"),
        None,
        "webhook",
        url,
        ("*",),
        options={"scheme": "hmac-sha256"},
        secrets=(Secret(1, "hmac-sha256", b"s" * 32),),
    )
    open_webhooks.destinations.put(made)
    return made


def write(ledger: Ledger, now_us: int) -> list[str]:
    """Write a message in one transaction, and return the ids of those that were written."""
    with ledger.writing() as connection:
        last = connection.scalar(select(outbox.c.message_no).order_by(outbox.c.message_no.desc()).limit(1)) or 0
        put_message(connection, 0, "lease.terminated", {"at": now_us}, now_us)
        return list(connection.scalars(select(outbox.c.message_id).where(outbox.c.message_no > last)))


def main(url: str, key_file: str) -> None:
    """Deliver and write until the end."""
    ledger, clock = Ledger(url), SystemClock()
    webhooks(ledger, key_file).start()
    while True:
        for message_id in write(ledger, clock.now_us()):
            os.write(1, f"{message_id}\n".encode())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
