"""Settling calls that a deadline billed: the real call event takes the place of the one that was written for it.

A call event also ends the lease that its call held, if the platform never released it.
"""

from collections.abc import Mapping, Sequence

import msgspec
from sqlalchemy import Connection, insert, select, text, update

from tallybook.core.event import Admission, read_event
from tallybook.core.ids import AccountId
from tallybook.core.intake import read_pending
from tallybook.core.key import Caller
from tallybook.core.lease import CALL, Ending
from tallybook.core.ports import Group, Pending
from tallybook.ledger.limit_tables import leases, voids
from tallybook.ledger.rows import to_json, unfold

_ANYBODY = Admission(Caller("settle", None, frozenset()), 0, backfill=True)


class Settling:
    """Finds the leases of reported calls inside a commit's transaction."""

    def __init__(self, *, sqlite: bool) -> None:
        calls = unfold("rows", [("account_no", "bigint"), ("call_id", "text")], sqlite=sqlite)
        self._find = text(
            "SELECT l.account_no, l.lease_id, l.ended_us, l.billed"
            f" FROM ({calls}) s JOIN leases l ON l.account_no = s.account_no AND l.call_id = s.call_id"
            " WHERE l.ended_us IS NULL OR l.billed IS NOT NULL"
        )

    def settle(
        self, connection: Connection, accepted: Sequence[Pending], numbers: Mapping[AccountId, int], group: Group
    ) -> list[Pending]:
        """End the leases of calls that *accepted* reports; return billed events that have to be taken back."""
        calls = {
            (numbers[p.event.account_id], call_id)
            for p in accepted
            if p.event.type == CALL and isinstance(call_id := p.event.data.get("call_id"), str)
        }
        if not calls:
            return []
        taken = []
        own = {(numbers[p.event.account_id], p.event.key_hi, p.event.key_lo) for p in accepted}
        for account_no, lease_id, ended_us, billed in connection.execute(self._find, {"rows": to_json(sorted(calls))}):
            mine = (leases.c.account_no == account_no) & (leases.c.lease_id == lease_id)
            if ended_us is None:
                ended = {"ended_us": group.received_us, "ending": Ending.RELEASED.value}
                connection.execute(update(leases).where(mine).values(ended))
            if billed is None:
                continue
            pending = read_pending(read_event(0, msgspec.json.decode(billed), _ANYBODY, any_time=True), group.scheme)
            key = (account_no, pending.event.key_hi, pending.event.key_lo)
            if key in own:
                continue  # it is the billed event itself that is being written
            connection.execute(update(leases).where(mine).values(billed=None))
            row = {"account_no": account_no, "key_hi": key[1], "key_lo": key[2], "voided_us": group.received_us}
            connection.execute(insert(voids), row)
            taken.append(pending)
        return taken


def read_voids(connection: Connection, account_no: int | None = None) -> set[tuple[int, int, int]]:
    """Return the identities that were taken back, of one account or of all."""
    found = select(voids.c.account_no, voids.c.key_hi, voids.c.key_lo)
    if account_no is not None:
        found = found.where(voids.c.account_no == account_no)
    return set(map(tuple, connection.execute(found)))
