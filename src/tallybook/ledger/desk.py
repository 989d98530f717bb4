"""Admission's tables inside a lane's transaction: reservations, leases, repeated answers, the outbox."""

from collections.abc import Callable, Mapping, Sequence

import msgspec
from sqlalchemy import Connection, RowMapping, delete, func, insert, select, text, update

from tallybook.core.allowance import AddOn, OwnLimits
from tallybook.core.arrears import Arrears
from tallybook.core.desk import Answered, Thing
from tallybook.core.hold import Hold, HoldState, Wanted
from tallybook.core.ids import new_id
from tallybook.core.lease import Ending, Lease
from tallybook.core.limit import Limit
from tallybook.core.number import from_limbs, to_limbs
from tallybook.core.plan import Account
from tallybook.core.ports import Pending, Verdict
from tallybook.core.scheme import Scheme
from tallybook.ledger import arrears, own_limits
from tallybook.ledger.accounts import read_account
from tallybook.ledger.limit_tables import hold_items, holds, idempotency, leases, outbox
from tallybook.ledger.resources import read_thing
from tallybook.ledger.usage import Snapshot

_HELD = text(
    "SELECT limit_name, value, sum(giga), sum(unit), sum(nano) FROM hold_items"
    " WHERE account_no = :account_no AND expires_us > :now_us GROUP BY limit_name, value"
)
_TAKEN = text(
    "SELECT count(*), min(CASE WHEN deadline_us < expires_us THEN deadline_us ELSE expires_us END) FROM leases"
    " WHERE account_no = :account_no AND limit_name = :limit_name AND ended_us IS NULL AND expires_us > :now_us"
    " AND (deadline_us IS NULL OR deadline_us > :now_us)"
)
_encode = msgspec.json.Encoder().encode


class LaneDesk:
    """One lane's transaction, as admissions see it; made anew for each."""

    def __init__(
        self,
        connection: Connection,
        snapshot: Snapshot,
        scheme: Scheme,
        write: Callable[[Sequence[Pending]], list[Verdict]],
    ) -> None:
        self._connection = connection
        self.snapshot = snapshot
        self.scheme = scheme
        self.write = write
        self._held: dict[int, dict[tuple[str, str], int]] = {}

    def account(self, account: Account, at_us: int) -> Account:
        """Return the account as it is now, with the plan and the billing status in force at *at_us*."""
        fresh = read_account(self._connection, account.id, at_us)
        assert fresh is not None  # accounts are never deleted
        return fresh

    def own_limits(self, account_no: int) -> OwnLimits:
        """Return the account's exceptions from its plan."""
        return own_limits.read_own_limits(self._connection, account_no)

    def put_override(self, account_no: int, limit: Limit) -> None:
        """Keep a limit of the account's own in place of the one of that name."""
        own_limits.put_override(self._connection, account_no, limit)

    def drop_override(self, account_no: int, limit_name: str) -> None:
        """Forget a limit of the account's own, if there is one."""
        own_limits.drop_override(self._connection, account_no, limit_name)

    def put_add_on(self, account_no: int, add_on: AddOn) -> None:
        """Keep a new add-on."""
        own_limits.put_add_on(self._connection, account_no, add_on)

    def drop_add_on(self, account_no: int, add_on_id: str) -> bool:
        """Forget an add-on; say whether there was one."""
        return own_limits.drop_add_on(self._connection, account_no, add_on_id)

    def arrears(self, account_no: int) -> Arrears | None:
        """Return what the account owes, None if it pays."""
        return arrears.read_arrears(self._connection, account_no)

    def put_arrears(self, account_no: int, owed: Arrears) -> None:
        """Keep what the account owes."""
        arrears.put_arrears(self._connection, account_no, owed)

    def drop_arrears(self, account_no: int) -> None:
        """Note that the account pays."""
        arrears.drop_arrears(self._connection, account_no)

    def thing(self, account_no: int, kind: str, resource_id: str) -> Thing:
        """Say whether a thing of the inventory exists, and whether it ever did."""
        return read_thing(self._connection, account_no, kind, resource_id)

    # --- reservations ------------------------------------------------------------------------------------------------

    def held(self, account_no: int, now_us: int) -> Mapping[tuple[str, str], int]:
        """Return what live reservations hold, in nanos, by (limit, value)."""
        known = self._held.get(account_no)
        if known is None:
            known = self._held[account_no] = read_held(self._connection, account_no, now_us)
        return known

    def hold_ends_us(self, account_no: int, limit: str, value: str, now_us: int) -> int | None:
        """Return when the first live reservation on a limit expires."""
        table = hold_items.c
        mine = (table.account_no == account_no) & (table.limit_name == limit) & (table.value == value)
        ends_us: int | None = self._connection.scalar(
            select(func.min(table.expires_us)).where(mine, table.expires_us > now_us)
        )
        return ends_us

    def holds_live(self, account_no: int, now_us: int) -> int:
        """Return how many reservations of the account are live."""
        table = hold_items.c
        live = select(func.count(func.distinct(table.hold_id))).where(
            table.account_no == account_no, table.expires_us > now_us
        )
        return self._connection.scalar(live) or 0

    def find_hold(self, account_no: int, hold_id: str) -> Hold | None:
        """Return a reservation, settled or not."""
        mine = (holds.c.account_no == account_no) & (holds.c.hold_id == hold_id)
        row = self._connection.execute(select(holds).where(mine)).first()
        if row is None:
            return None
        items = msgspec.json.decode(row.items, type=list[tuple[str, str, str]])
        wanted = tuple(Wanted(limit, int(nanos), value) for limit, value, nanos in items)
        return Hold(hold_id, HoldState(row.state), row.expires_us, wanted)

    def put_hold(self, account_no: int, hold: Hold, now_us: int) -> None:
        """Keep a new reservation."""
        items = _encode([(item.limit, item.value, str(item.quantity)) for item in hold.items]).decode()
        row = {"account_no": account_no, "hold_id": hold.hold_id, "state": hold.state.value, "items": items}
        self._connection.execute(insert(holds), row | {"created_us": now_us, "expires_us": hold.expires_us})
        rows = []
        for item in hold.items:
            giga, unit, nano = to_limbs(item.quantity)
            place = {"account_no": account_no, "limit_name": item.limit, "value": item.value, "hold_id": hold.hold_id}
            rows.append(place | {"expires_us": hold.expires_us, "giga": giga, "unit": unit, "nano": nano})
        self._connection.execute(insert(hold_items), rows)
        self._change_held(account_no, hold, 1)

    def settle_hold(self, account_no: int, hold: Hold) -> None:
        """Give back what a reservation holds; its state says how it ended."""
        mine = (holds.c.account_no == account_no) & (holds.c.hold_id == hold.hold_id)
        self._connection.execute(update(holds).where(mine).values(state=hold.state.value))
        for item in hold.items:
            table = hold_items.c
            place = (table.account_no == account_no) & (table.limit_name == item.limit) & (table.value == item.value)
            self._connection.execute(delete(hold_items).where(place, table.hold_id == hold.hold_id))
        self._held.pop(account_no, None)

    def _change_held(self, account_no: int, hold: Hold, sign: int) -> None:
        known = self._held.get(account_no)
        if known is not None:
            for item in hold.items:
                key = (item.limit, item.value)
                known[key] = known.get(key, 0) + sign * item.quantity

    # --- leases --------------------------------------------------------------------------------------------------

    def slots_taken(self, account_no: int, limit: str, now_us: int) -> tuple[int, int | None]:
        """Return how many leases of a limit are live, and when the first of them runs out."""
        return read_slots_taken(self._connection, account_no, limit, now_us)

    def last_fence(self, account_no: int, limit: str) -> int:
        """Return the greatest fence that was given out for a limit, 0 for none."""
        mine = (leases.c.account_no == account_no) & (leases.c.limit_name == limit)
        return self._connection.scalar(select(func.max(leases.c.fence)).where(mine)) or 0

    def find_lease(self, account_no: int, lease_id: str) -> Lease | None:
        """Return a lease, ended or not."""
        mine = (leases.c.account_no == account_no) & (leases.c.lease_id == lease_id)
        row = self._connection.execute(select(leases).where(mine)).first()
        return None if row is None else read_lease(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name

    def put_lease(self, account_no: int, lease: Lease) -> None:
        """Keep a new lease, or what became of a known one."""
        mine = (leases.c.account_no == account_no) & (leases.c.lease_id == lease.lease_id)
        values = {
            "limit_name": lease.limit,
            "token": lease.token,
            "fence": lease.fence,
            "call_id": lease.call_id,
            "ttl_us": lease.ttl_us,
            "granted_us": lease.granted_us,
            "expires_us": lease.expires_us,
            "deadline_us": lease.deadline_us,
            "ended_us": lease.ended_us,
            "ending": None if lease.ending is None else lease.ending.value,
        }
        if self._connection.execute(update(leases).where(mine).values(values)).rowcount == 0:
            row = {"account_no": account_no, "lease_id": lease.lease_id, "billed": None}
            self._connection.execute(insert(leases), row | values)

    def call_reported(self, account_no: int, call_id: str) -> bool:
        """Whether a lease of the same call was billed already."""
        mine = (leases.c.account_no == account_no) & (leases.c.call_id == call_id) & leases.c.billed.is_not(None)
        return self._connection.execute(select(leases.c.lease_id).where(mine).limit(1)).first() is not None

    def set_billed(self, account_no: int, lease_id: str, event: str | None) -> None:
        """Note the call event that a lease's deadline wrote, or that a real one took its place."""
        mine = (leases.c.account_no == account_no) & (leases.c.lease_id == lease_id)
        self._connection.execute(update(leases).where(mine).values(billed=event))

    # --- answers and messages ------------------------------------------------------------------------------------

    def answered(self, account_no: int, key: str) -> Answered | None:
        """Return the answer that was given under an Idempotency-Key."""
        mine = (idempotency.c.account_no == account_no) & (idempotency.c.key == key)
        row = self._connection.execute(select(idempotency).where(mine)).first()
        return None if row is None else Answered(row.digest, row.status, row.body.encode())

    def remember(self, account_no: int, key: str, answer: Answered, now_us: int) -> None:
        """Keep the answer given under an Idempotency-Key."""
        row = {"account_no": account_no, "key": key, "digest": answer.digest, "status": answer.status}
        self._connection.execute(insert(idempotency), row | {"body": answer.body.decode(), "created_us": now_us})

    def tell(self, account_no: int, event_type: str, body: Mapping[str, object], now_us: int) -> None:
        """Put a message into the outbox."""
        put_message(self._connection, account_no, event_type, body, now_us)


def put_message(
    connection: Connection, account_no: int, event_type: str, body: Mapping[str, object], now_us: int
) -> None:
    """Put a message into the outbox."""
    row = {"account_no": account_no, "message_id": new_id("msg"), "type": event_type}
    connection.execute(insert(outbox), row | {"body": _encode(body).decode(), "created_us": now_us})


def read_held(connection: Connection, account_no: int, now_us: int) -> dict[tuple[str, str], int]:
    """Return what live reservations of an account hold, in nanos, by (limit, value)."""
    rows = connection.execute(_HELD, {"account_no": account_no, "now_us": now_us})
    return {(name, value): from_limbs(int(giga), int(unit), int(nano)) for name, value, giga, unit, nano in rows}


def read_slots_taken(connection: Connection, account_no: int, limit: str, now_us: int) -> tuple[int, int | None]:
    """Return how many leases of a limit are live, and when the first of them runs out."""
    row = connection.execute(_TAKEN, {"account_no": account_no, "limit_name": limit, "now_us": now_us}).one()
    return int(row[0]), row[1]


def read_live_leases(connection: Connection, account_no: int, now_us: int, length_max: int) -> list[Lease]:
    """Return the live leases of an account, the oldest first."""
    table = leases.c
    mine = (table.account_no == account_no) & table.ended_us.is_(None) & (table.expires_us > now_us)
    mine &= table.deadline_us.is_(None) | (table.deadline_us > now_us)
    found = select(leases).where(mine).order_by(table.granted_us, table.lease_id).limit(length_max)
    return [read_lease(row._mapping) for row in connection.execute(found)]  # noqa: SLF001 - SQLAlchemy's public name


def read_lease(row: RowMapping) -> Lease:
    """Return the lease that a row of `leases` holds."""
    values = {name: row[name] for name in ("lease_id", "token", "call_id", "ttl_us", "granted_us", "expires_us")}
    ending = row["ending"]
    return Lease(
        **values,
        limit=str(row["limit_name"]),
        deadline_us=row["deadline_us"],
        ended_us=row["ended_us"],
        ending=None if ending is None else Ending(str(ending)),
    )
