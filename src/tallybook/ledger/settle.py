"""Settling calls that a deadline billed: the real call event takes the place of the one that was written for it.

A call event also ends the lease that its call held, if the platform never released it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec
from sqlalchemy import Connection, insert, select, text, update

from tallybook.core.bundle import Bundle
from tallybook.core.event import Admission, read_event
from tallybook.core.ids import AccountId
from tallybook.core.key import Caller
from tallybook.core.lease import TERMINATED, Ending, Lease, hang_up
from tallybook.core.pending import Pending, read_pending
from tallybook.core.ports import Group
from tallybook.ledger.desk import read_lease
from tallybook.ledger.limit_tables import leases, voids
from tallybook.ledger.outbox import put_message
from tallybook.ledger.rows import to_json, unfold

_ANYBODY = Admission(Caller("settle", None, frozenset()), 0, backfill=True)


class Settling:
    """Finds the leases of reported calls inside a commit's transaction."""

    def __init__(self, *, sqlite: bool) -> None:
        calls = unfold("rows", [("account_no", "bigint"), ("call_id", "text")], sqlite=sqlite)
        self._find = text(
            "SELECT l.*"
            f" FROM ({calls}) s JOIN leases l ON l.account_no = s.account_no AND l.call_id = s.call_id"
            " WHERE l.ended_us IS NULL OR l.billed IS NOT NULL"
        )

    def settle(
        self, connection: Connection, accepted: Sequence[Bundle], numbers: Mapping[AccountId, int], group: Group
    ) -> list[Pending]:
        """End the leases of calls that *accepted* reports; return billed events that have to be taken back."""
        called = set().union(*[bundle.called() for bundle in accepted])
        if not called:
            return []
        ids = {numbers[account_id]: account_id for account_id, _ in called}
        calls = [(numbers[account_id], call_id) for account_id, call_id in called]
        taken = []
        found = connection.execute(self._find, {"rows": to_json(sorted(calls))}).mappings().all()
        own = _identities(accepted, numbers) if found else set()
        for row in found:
            account_no, billed = row["account_no"], row["billed"]
            mine = (leases.c.account_no == account_no) & (leases.c.lease_id == row["lease_id"])
            if row["ended_us"] is None:
                _end(connection, (account_no, ids[account_no]), read_lease(row), group.received_us)
            if billed is None:
                continue
            pending = read_pending(read_event(0, msgspec.json.decode(billed), _ANYBODY, any_time=True), group.scheme)
            key = (account_no, pending.event.key_hi, pending.event.key_lo)
            if key in own:
                continue  # it is the billed event itself that is being written
            connection.execute(update(leases).where(mine).values(billed=None))
            void = {"account_no": account_no, "key_hi": key[1], "key_lo": key[2], "voided_us": group.received_us}
            connection.execute(insert(voids), void)
            taken.append(pending)
        return taken


def _identities(accepted: Sequence[Bundle], numbers: Mapping[AccountId, int]) -> set[tuple[int, int, int]]:
    return {(numbers[bundle.accounts[place]], hi, lo) for bundle in accepted for place, hi, lo, _ in bundle.keys}


def _end(connection: Connection, account: tuple[int, AccountId], lease: Lease, now_us: int) -> None:
    """End the lease of a reported call; what had run out by now ends as it would have by itself, but bills nothing."""
    account_no, account_id = account
    ended = replace(lease, ended_us=now_us, ending=Ending.RELEASED) if lease.is_live(now_us) else lease.run_out()
    if ended.ending is Ending.TERMINATED:
        put_message(connection, account_no, TERMINATED, hang_up(account_id, ended), now_us)
    mine = (leases.c.account_no == account_no) & (leases.c.lease_id == lease.lease_id)
    values = {"ended_us": ended.ended_us, "ending": None if ended.ending is None else ended.ending.value}
    connection.execute(update(leases).where(mine).values(values))


def read_voids(connection: Connection, account_no: int | None = None) -> set[tuple[int, int, int]]:
    """Return the identities that were taken back, of one account or of all."""
    found = select(voids.c.account_no, voids.c.key_hi, voids.c.key_lo)
    if account_no is not None:
        found = found.where(voids.c.account_no == account_no)
    return set(map(tuple, connection.execute(found)))
