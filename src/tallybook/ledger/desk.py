"""Admission's tables inside a lane's transaction: reservations, leases, repeated answers, the outbox."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from sqlalchemy import Connection, RowMapping, insert, select, update

from tallybook.core.allowance import AddOn, OwnLimits
from tallybook.core.arrears import Arrears
from tallybook.core.changes import Count, Counts, Memory
from tallybook.core.crossing import Crossing
from tallybook.core.desk import Answered, Thing
from tallybook.core.figures import Figures, Following
from tallybook.core.hold import Held, Hold, HoldState, Wanted
from tallybook.core.ids import AccountId
from tallybook.core.lease import Ending, Lease
from tallybook.core.limit import Limit
from tallybook.core.pending import Pending
from tallybook.core.plan import Account
from tallybook.core.ports import Verdict
from tallybook.core.scheme import Scheme
from tallybook.ledger import alert_rules, arrears, own_limits
from tallybook.ledger.accounts import read_account
from tallybook.ledger.gathered import Gathered
from tallybook.ledger.held import HeldOnce
from tallybook.ledger.hot import Hot
from tallybook.ledger.limit_tables import leases
from tallybook.ledger.memory import ACCOUNTS_KNOWN_MAX, LaneMemory
from tallybook.ledger.outbox import put_crossing, put_message
from tallybook.ledger.resources import read_thing
from tallybook.ledger.usage import Snapshot
from tallybook.ledger.watch_changes import note_change

_TAKEN = Hot(
    "SELECT count(*), min(CASE WHEN deadline_us < expires_us THEN deadline_us ELSE expires_us END) FROM leases"
    " WHERE account_no = :account_no AND limit_name = :limit_name AND ended_us IS NULL AND expires_us > :now_us"
    " AND (deadline_us IS NULL OR deadline_us > :now_us)"
)
_FENCE = Hot("SELECT max(fence) FROM leases WHERE account_no = :account_no AND limit_name = :limit_name")
_HOLD = Hot("SELECT state, expires_us, items FROM holds WHERE account_no = :account_no AND hold_id = :hold_id")
_ANSWERED = Hot("SELECT digest, status, body FROM idempotency WHERE account_no = :account_no AND key = :key")
_decode_items = msgspec.json.Decoder(list[tuple[str, str, str]]).decode


@dataclass(slots=True)
class Touched:
    """Accounts that a transaction changed.

    By number: what is watched of their *limits*, their *leases*, and what decides what they are allowed (*terms*). By
    id: those whose usage it changed (*used*), and what became of their *figures*.
    """

    limits: set[int] = field(default_factory=set)
    leases: set[int] = field(default_factory=set)
    terms: set[int] = field(default_factory=set)
    used: set[AccountId] = field(default_factory=set)
    figures: Following | None = None


class LaneDesk:
    """One lane's transaction, as admissions see it; made anew for each transaction."""

    def __init__(
        self,
        connection: Connection,
        snapshot: Snapshot,
        scheme: Scheme,
        write: Callable[[Sequence[Pending]], list[Verdict]],
        *,
        touched: Touched,
        received_us: int,
        memory: LaneMemory,
    ) -> None:
        self._connection = connection
        self._touched = touched
        self._memory = memory
        self._gathered = Gathered(connection)
        # Where nothing is remembered for longer, all stays what it is while the transaction holds its lane, but for
        # what is done at this desk.
        self._accounts = memory.accounts if memory.changes is not None else Memory(Counts(), ACCOUNTS_KNOWN_MAX)
        self._received_us = received_us
        self._holdings = memory.holdings or HeldOnce()
        self._used = Counts()
        self._write = write
        self.figures = None if memory.changes is not None else Figures(self._used)
        self.snapshot = snapshot
        self.scheme = scheme

    def finish(self) -> None:
        """Write what was gathered; nothing may be asked of the desk before that is done."""
        self._gathered.write()

    def account(self, account: Account, at_us: int) -> Account:
        """Return the account as it is now, with the plan and the billing status in force at *at_us*."""
        known, is_changed = self._accounts, account.no in self._touched.terms
        count = None if is_changed else known.count(account.id)
        found = None if count is None else known.find(account.id, count, at_us)
        if found is not None:
            return found
        fresh = read_account(self._connection, account.id, at_us)
        assert fresh is not None  # accounts are never deleted
        known.keep(account.id, count, (at_us, fresh.same_until_us(at_us)), fresh)
        return fresh

    def write(self, pending: Sequence[Pending]) -> list[Verdict]:
        """Count events in this transaction."""
        self._used.note({item.event.account_id for item in pending})
        return self._write(pending)

    def figures_count(self, account: Account) -> Count | None:
        """Return what changes with the account's usage; None where that may not be remembered.

        Figures that outlive the transaction must not be of what it wrote itself, as it may be rolled back.
        """
        touched, changes = self._touched, self._memory.changes
        if account.no in touched.terms:
            return None
        if changes is None:
            return self._used.count(account.id)
        return None if account.id in touched.used else changes.figures.count(account.id)

    def own_limits(self, account_no: int) -> OwnLimits:
        """Return the account's exceptions from its plan."""
        return own_limits.read_own_limits(self._connection, account_no)

    def put_override(self, account_no: int, limit: Limit) -> None:
        """Keep a limit of the account's own in place of the one of that name."""
        own_limits.put_override(self._connection, account_no, limit)
        self._note_change(account_no)

    def drop_override(self, account_no: int, limit_name: str) -> None:
        """Forget a limit of the account's own, if there is one."""
        own_limits.drop_override(self._connection, account_no, limit_name)
        self._note_change(account_no)

    def put_add_on(self, account_no: int, add_on: AddOn) -> None:
        """Keep a new add-on."""
        own_limits.put_add_on(self._connection, account_no, add_on)
        self._note_change(account_no)

    def drop_add_on(self, account_no: int, add_on_id: str) -> bool:
        """Forget an add-on; say whether there was one."""
        found = own_limits.drop_add_on(self._connection, account_no, add_on_id)
        self._note_change(account_no)
        return found

    def put_own(self, account_no: int, name: str, body: Mapping[str, object]) -> None:
        """Keep an account's rules for alerts (under the empty name) or a budget."""
        alert_rules.put_own(self._connection, account_no, name, body, self._received_us)
        self._touched.limits.add(account_no)

    def drop_own(self, account_no: int, name: str) -> bool:
        """Forget rules or a budget; say whether there were any."""
        self._touched.limits.add(account_no)
        return alert_rules.drop_own(self._connection, account_no, name, self._received_us)

    def reconsider(self, account_no: int) -> None:
        """Have the account's limits looked at when all else of the transaction is written."""
        self._touched.limits.add(account_no)

    def _note_change(self, account_no: int) -> None:
        note_change(self._connection, account_no, self._received_us)
        self._touched.limits.add(account_no)
        self._touched.terms.add(account_no)

    def arrears(self, account_no: int) -> Arrears | None:
        """Return what the account owes, None if it pays."""
        return arrears.read_arrears(self._connection, account_no)

    def put_arrears(self, account_no: int, owed: Arrears) -> None:
        """Keep what the account owes."""
        self._touched.terms.add(account_no)
        arrears.put_arrears(self._connection, account_no, owed)

    def drop_arrears(self, account_no: int) -> None:
        """Note that the account pays."""
        self._touched.terms.add(account_no)
        arrears.drop_arrears(self._connection, account_no)

    def thing(self, account_no: int, kind: str, resource_id: str) -> Thing:
        """Say whether a thing of the inventory exists, and whether it ever did."""
        return read_thing(self._connection, account_no, kind, resource_id)

    # --- reservations ------------------------------------------------------------------------------------------------

    def held(self, account_no: int, now_us: int) -> Mapping[tuple[str, str], Held]:
        """Return what live reservations hold, by (limit, value)."""
        return self._holdings.at(account_no, now_us, lambda: self._written(account_no)).held()

    def holds_live(self, account_no: int, now_us: int) -> int:
        """Return how many reservations are live on the limit of the account that has most."""
        return self._holdings.at(account_no, now_us, lambda: self._written(account_no)).live()

    def _written(self, account_no: int) -> Connection:
        """Return the transaction with all in it that was gathered of an account's reservations."""
        self._gathered.write_holds(account_no)
        return self._connection

    def find_hold(self, account_no: int, hold_id: str) -> Hold | None:
        """Return a reservation, settled or not."""
        self._gathered.write_hold(account_no, hold_id)
        row = _HOLD.first(self._connection, {"account_no": account_no, "hold_id": hold_id})
        if row is None:
            return None
        state, expires_us, items = row
        wanted = tuple(Wanted(limit, int(nanos), value) for limit, value, nanos in _decode_items(items))
        return Hold(hold_id, HoldState(state), expires_us, wanted)

    def put_hold(self, account_no: int, hold: Hold, now_us: int) -> None:
        """Keep a new reservation."""
        self._holdings.put(account_no, hold)
        self._gathered.put_hold(account_no, hold, now_us)

    def settle_hold(self, account_no: int, hold: Hold) -> None:
        """Give back what a reservation holds; its state says how it ended."""
        self._holdings.drop(account_no, hold)
        self._gathered.settle_hold(account_no, hold)

    # --- leases --------------------------------------------------------------------------------------------------

    def slots_taken(self, account_no: int, limit: str, now_us: int) -> tuple[int, int | None]:
        """Return how many leases of a limit are live, and when the first of them runs out."""
        return read_slots_taken(self._connection, account_no, limit, now_us)

    def last_fence(self, account_no: int, limit: str) -> int:
        """Return the greatest fence that was given out for a limit, 0 for none."""
        return _FENCE.scalar(self._connection, {"account_no": account_no, "limit_name": limit}) or 0

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
        is_new = self._connection.execute(update(leases).where(mine).values(values)).rowcount == 0
        if is_new or lease.ended_us is not None:
            self._touched.leases.add(account_no)
        if is_new:
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
        self._gathered.write_answer(account_no, key)
        row = _ANSWERED.first(self._connection, {"account_no": account_no, "key": key})
        return None if row is None else Answered(row[0], row[1], row[2].encode())

    def remember(self, account_no: int, key: str, answer: Answered, now_us: int) -> None:
        """Keep the answer given under an Idempotency-Key."""
        self._gathered.remember(account_no, key, answer, now_us)

    def tell(self, account_no: int, event_type: str, body: Mapping[str, object], now_us: int) -> None:
        """Put a message into the outbox."""
        put_message(self._connection, account_no, event_type, body, now_us)

    def cross(self, account_no: int, crossing: Crossing, now_us: int) -> bool:
        """Write a crossing of a threshold and, unless it is late, its message; False if it was there already."""
        return put_crossing(self._connection, account_no, crossing, now_us)


def read_slots_taken(connection: Connection, account_no: int, limit: str, now_us: int) -> tuple[int, int | None]:
    """Return how many leases of a limit are live, and when the first of them runs out."""
    place = {"account_no": account_no, "limit_name": limit, "now_us": now_us}
    row = _TAKEN.first(connection, place)
    assert row is not None  # a count always has its row
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
