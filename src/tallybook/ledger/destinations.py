"""Destinations of all kinds in the ledger, with their secrets sealed.

Not for what is brought to them (see `deliveries`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, Select, delete, func, insert, select, text, update

from tallybook.core.delivery import Destination, Reason, Secret, State, Status
from tallybook.core.errors import Conflict, NotFound, Unavailable
from tallybook.core.ids import AccountId
from tallybook.core.instant import instant_text
from tallybook.core.message import ENDPOINT_DISABLED, OPERATOR_NO
from tallybook.ledger.open import Ledger
from tallybook.ledger.outbox import put_message
from tallybook.ledger.tables import accounts
from tallybook.ledger.vault import Vault, key_name_of
from tallybook.ledger.webhook_tables import deliveries, destination_secrets, destinations

DESTINATIONS_MAX = 1_000
"""Most destinations of one account, and of the operator."""
SECRETS_MAX = 10
"""Most secrets that one destination has at a time, those that a rotation replaced included."""
KEY_NAME = "secrets_key"
"""Under which the ledger remembers the name of the key that sealed its secrets."""

JOINED = select(destinations, accounts.c.account_id).outerjoin_from(
    destinations, accounts, destinations.c.account_no == accounts.c.account_no
)
"""Destinations with the names of their accounts, as `from_row` reads them."""
_REMEMBER = text("INSERT INTO ledger_info (key, value) VALUES (:key, :value) ON CONFLICT DO NOTHING")
_REMEMBER_ANEW = text(
    "INSERT INTO ledger_info (key, value) VALUES (:key, :value) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
)
_RECALL = text("SELECT value FROM ledger_info WHERE key = :key")
_encode = msgspec.json.Encoder().encode
_decode_list = msgspec.json.Decoder(tuple[str, ...]).decode
_decode_map = msgspec.json.Decoder(dict[str, str]).decode


class LedgerDestinations:
    """Keeps destinations; *secrets* come out only where they are asked for."""

    def __init__(self, ledger: Ledger, vault: Vault) -> None:
        self._ledger = ledger
        self._vault = vault

    def get(self, destination_id: str, kind: str) -> Destination | None:
        """Return a destination without its secrets, None if there is none of that kind."""
        with self._ledger.reading() as connection:
            row = connection.execute(_one(destination_id, kind)).first()
            return None if row is None else from_row(row)

    def secrets_of(self, destination_id: str, now_us: int) -> tuple[Secret, ...]:
        """Return the secrets that are valid, the newest first."""
        with self._ledger.reading() as connection:
            number = connection.scalar(
                select(destinations.c.destination_no).where(destinations.c.destination_id == destination_id)
            )
            return () if number is None else read_secrets(connection, self._vault, [number], now_us).get(number, ())

    def page(
        self, kind: str, account_id: AccountId | None, after: str, limit: int, *, operator_only: bool = False
    ) -> Sequence[Destination]:
        """Return up to *limit* destinations after the id *after*.

        Args:
            kind: Of this kind.
            account_id: Only this account's; None for everybody's, the operator's own included.
            after: Where the page before ended.
            limit: Most of them.
            operator_only: Only the operator's own.
        """
        wanted = JOINED.where(destinations.c.kind == kind, destinations.c.destination_id > after)
        if account_id is not None:
            wanted = wanted.where(accounts.c.account_id == account_id)
        if operator_only:
            wanted = wanted.where(destinations.c.account_no.is_(None))
        wanted = wanted.order_by(destinations.c.destination_id).limit(limit)
        with self._ledger.reading() as connection:
            return [from_row(row) for row in connection.execute(wanted)]

    def put(self, destination: Destination) -> None:
        """Keep a new destination with its secrets.

        Raises:
            NotFound: If its account is unknown.
            Conflict: Beyond the bound on destinations.
        """
        with self._ledger.writing() as connection:
            account_no = None if destination.account_id is None else _account_no(connection, destination.account_id)
            mine = (
                destinations.c.account_no.is_(None) if account_no is None else destinations.c.account_no == account_no
            )
            if int(connection.scalar(select(func.count()).where(mine)) or 0) >= DESTINATIONS_MAX:
                raise Conflict(f"there are {DESTINATIONS_MAX} destinations already; delete some first")
            made = insert(destinations).values(to_row(destination, account_no)).returning(destinations.c.destination_no)
            number = connection.execute(made).scalar_one()
            for secret in destination.secrets:
                self._put_secret(connection, number, secret, destination.created_us)

    def change(self, destination_id: str, values: Mapping[str, object]) -> None:
        """Change the address, patterns, options or description."""
        row = {name: _written(value) for name, value in values.items()}
        mine = destinations.c.destination_id == destination_id
        with self._ledger.writing() as connection:
            connection.execute(update(destinations).where(mine).values(row))

    def enable(self, destination_id: str) -> None:
        """Let messages go there again, as if nothing had failed."""
        mine = destinations.c.destination_id == destination_id
        values = {"state": State.ENABLED.value, "reason": None, "disabled_us": None, "failing_since_us": None}
        with self._ledger.writing() as connection:
            connection.execute(update(destinations).where(mine).values(values))

    def disable(self, destination_id: str, reason: Reason, now_us: int) -> None:
        """Let nothing go there any more; what waited is given up, and can be replayed."""
        with self._ledger.writing() as connection:
            row = connection.execute(JOINED.where(destinations.c.destination_id == destination_id)).first()
            if row is not None:
                disable_row(connection, row, reason, now_us)

    def delete(self, destination_id: str, now_us: int) -> None:
        """Forget a destination with its secrets; its log is pruned with age, and nobody can ask for it meanwhile."""
        table = destinations
        with self._ledger.writing() as connection:
            no = connection.scalar(select(table.c.destination_no).where(table.c.destination_id == destination_id))
            if no is None:
                return
            give_up(connection, no, now_us)
            connection.execute(delete(destination_secrets).where(destination_secrets.c.destination_no == no))
            connection.execute(delete(table).where(table.c.destination_no == no))

    def rotate(self, destination_id: str, scheme: str, value: bytes, now_us: int, *, old_until_us: int) -> None:
        """Add a secret; those that are valid now are so until *old_until_us* at most.

        Raises:
            Conflict: If there are too many at once.
        """
        with self._ledger.writing() as connection:
            no = connection.scalar(
                select(destinations.c.destination_no)
                .where(destinations.c.destination_id == destination_id)
                .with_for_update()
            )
            if no is None:
                raise NotFound("there is no such destination")
            mine = destination_secrets.c.destination_no == no
            expires = destination_secrets.c.expires_us
            connection.execute(delete(destination_secrets).where(mine, expires <= now_us))
            numbers = [int(row[0]) for row in connection.execute(select(destination_secrets.c.secret_no).where(mine))]
            if len(numbers) >= SECRETS_MAX:
                raise Conflict(f"{SECRETS_MAX} secrets are valid already; wait until one runs out")
            late = mine & (expires.is_(None) | (expires > old_until_us))
            connection.execute(update(destination_secrets).where(late).values(expires_us=old_until_us))
            connection.execute(delete(destination_secrets).where(mine, expires <= now_us))
            self._put_secret(connection, no, Secret(max(numbers, default=0) + 1, scheme, value), now_us)

    def reseal(self) -> int:
        """Seal secrets again that an older key sealed; return how many.

        Raises:
            Unavailable: If one was sealed with a key that is not here.
        """
        table = destination_secrets
        with self._ledger.reading() as connection:
            rows = connection.execute(select(table)).all()
        if not rows:
            return 0
        old = [row for row in rows if key_name_of(row.sealed) != self._vault.key_name]
        with self._ledger.writing() as connection:
            for row in old:
                place = _place(row.destination_no, row.secret_no)
                sealed = self._vault.seal(self._vault.open(row.sealed, place), place)
                mine = (table.c.destination_no == row.destination_no) & (table.c.secret_no == row.secret_no)
                connection.execute(update(table).where(mine, table.c.sealed == row.sealed).values(sealed=sealed))
            connection.execute(_REMEMBER_ANEW, {"key": KEY_NAME, "value": self._vault.key_name})
        return len(old)

    def _put_secret(self, connection: Connection, number: int, secret: Secret, now_us: int) -> None:
        connection.execute(_REMEMBER, {"key": KEY_NAME, "value": self._vault.key_name})
        known = str(connection.scalar(_RECALL, {"key": KEY_NAME}))
        if not self._vault.knows(known):
            raise Unavailable(f"the secrets of this ledger are sealed with the key {known}; this server has another")
        row = {
            "destination_no": number,
            "secret_no": secret.number,
            "scheme": secret.scheme,
            "sealed": self._vault.seal(secret.value, _place(number, secret.number)),
            "created_us": now_us,
            "expires_us": secret.expires_us,
        }
        connection.execute(insert(destination_secrets), row)


def read_secrets(
    connection: Connection, vault: Vault, numbers: Sequence[int], now_us: int
) -> dict[int, tuple[Secret, ...]]:
    """Return the valid secrets of destinations, opened, the newest first."""
    table = destination_secrets
    valid = table.c.expires_us.is_(None) | (table.c.expires_us > now_us)
    wanted = select(table).where(table.c.destination_no.in_(numbers), valid).order_by(table.c.secret_no.desc())
    found: dict[int, tuple[Secret, ...]] = {}
    for row in connection.execute(wanted):
        value = vault.open(row.sealed, _place(row.destination_no, row.secret_no))
        secret = Secret(row.secret_no, row.scheme, value, row.expires_us)
        found[row.destination_no] = (*found.get(row.destination_no, ()), secret)
    return found


def disable_row(connection: Connection, row: Row[Any], reason: Reason, now_us: int) -> bool:
    """Disable the destination of *row*, tell the operator unless it was asked for; say whether it was enabled."""
    table, no = destinations, row.destination_no
    values = {"state": State.DISABLED.value, "reason": reason.value, "disabled_us": now_us}
    mine = (table.c.destination_no == no) & (table.c.state == State.ENABLED.value)
    if connection.execute(update(table).where(mine).values(values)).rowcount == 0:
        return False
    give_up(connection, no, now_us)
    if reason is not Reason.ASKED:
        body = {
            "endpoint": row.destination_id,
            "account": row.account_id,
            "kind": row.kind,
            "address": row.address,
            "reason": reason.value,
            "at": instant_text(now_us),
        }
        put_message(connection, OPERATOR_NO, ENDPOINT_DISABLED, body, now_us)
    return True


def give_up(connection: Connection, number: int, now_us: int) -> None:
    """Give up what waits for a destination; it can be replayed."""
    waiting = (deliveries.c.destination_no == number) & deliveries.c.due_us.is_not(None)
    given_up = {"status": Status.FAILED.value, "due_us": None, "claim": None, "finished_us": now_us}
    connection.execute(update(deliveries).where(waiting).values(given_up | {"error": "endpoint-disabled"}))


def from_row(row: Row[Any], secrets: tuple[Secret, ...] = ()) -> Destination:
    """Return the destination that a row of `destinations`, joined with its account, holds."""
    return Destination(
        destination_id=row.destination_id,
        account_id=None if row.account_id is None else AccountId(row.account_id),
        kind=row.kind,
        address=row.address,
        patterns=_decode_list(row.patterns),
        description=row.description,
        options=_decode_map(row.options),
        state=State(row.state),
        reason=None if row.reason is None else Reason(row.reason),
        created_us=row.created_us,
        disabled_us=row.disabled_us,
        failing_since_us=row.failing_since_us,
        secrets=secrets,
    )


def to_row(destination: Destination, account_no: int | None) -> dict[str, object]:
    """Return the row of `destinations` for a new destination."""
    return {
        "destination_id": destination.destination_id,
        "account_no": account_no,
        "kind": destination.kind,
        "address": destination.address,
        "patterns": _written(destination.patterns),
        "options": _written(dict(destination.options)),
        "description": destination.description,
        "state": destination.state.value,
        "reason": None,
        "created_us": destination.created_us,
        "disabled_us": None,
        "failing_since_us": None,
    }


def _written(value: object) -> object:
    return value if isinstance(value, str) else _encode(value).decode()


def _one(destination_id: str, kind: str) -> Select[Any]:
    return JOINED.where(destinations.c.destination_id == destination_id, destinations.c.kind == kind)


def _account_no(connection: Connection, account_id: AccountId) -> int:
    number: int | None = connection.scalar(select(accounts.c.account_no).where(accounts.c.account_id == account_id))
    if number is None:
        raise NotFound("there is no such account")
    return number


def _place(number: int, secret_no: int) -> str:
    return f"destination {number} secret {secret_no}"
