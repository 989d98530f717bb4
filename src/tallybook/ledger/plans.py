"""Plans in the ledger, in versions that never change. Not for who is on which (see `accounts`)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, text, tuple_

from tallybook.core.errors import Conflict
from tallybook.core.plan import DEFAULT_PLAN, Plan, read_plan, write_plan
from tallybook.ledger.hot import Hot
from tallybook.ledger.open import Ledger
from tallybook.ledger.tables import ledger_info, plans
from tallybook.ledger.watch_changes import DEFAULT_PLAN_CHANGED, hold_lanes, note_change

PLANS_MAX = 1_000
"""Most plans of a ledger."""
VERSIONS_MAX = 10_000
"""Most versions of one plan."""
READ_KEPT_MAX = 256
"""Most plans that are remembered as they were read from their JSON."""

_REGISTERED = "builtin_plans"
_encoder = msgspec.json.Encoder(order="deterministic")
_NEWEST = Hot("SELECT name, version, body FROM plans WHERE name = :name ORDER BY version DESC LIMIT 1")
_VERSION = Hot("SELECT name, version, body FROM plans WHERE name = :name AND version = :version")


class LedgerPlans:
    """Reads plans and writes new versions."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def newest(self) -> list[Plan]:
        """Return the newest version of every plan, by name."""
        with self._ledger.reading() as connection:
            bodies = _newest(connection)
        return [_plan(name, version, body) for name, (version, body) in bodies.items()]

    def get(self, name: str, version: int | None = None) -> Plan | None:
        """Return one version (the newest, unless named), None if there is none."""
        with self._ledger.reading() as connection:
            wanted = _NEWEST if version is None else _VERSION
            row = wanted.first(connection, {"name": name, "version": version})
        return None if row is None else _plan(*row)

    def put(self, wanted: Sequence[Plan], now_us: int) -> list[Plan]:
        """Write a new version of each plan whose content is not that of its newest; return all as they are now.

        Raises:
            Conflict: Beyond PLANS_MAX or VERSIONS_MAX; nothing was written.
        """
        with self._locked() as connection:
            return _write(connection, wanted, now_us)

    def register(self, builtin: Sequence[Plan], now_us: int) -> list[str]:
        """Write those built-in plans that are new or changed since they were last registered; return their names.

        A plan whose newest version somebody else wrote is theirs and stays as it is.
        """
        offered = {plan.name: _body(plan) for plan in builtin}
        with self._ledger.reading() as connection:
            if _registered(connection) == offered:
                return []
        with self._locked() as connection:
            registered, known = _registered(connection), _newest(connection)
            stale = [
                plan
                for plan in builtin
                if plan.name not in known
                or (known[plan.name][1] == registered.get(plan.name) and offered[plan.name] != registered[plan.name])
            ]
            _write(connection, stale, now_us)
            connection.execute(delete(ledger_info).where(ledger_info.c.key == _REGISTERED))
            value = msgspec.json.encode(registered | offered).decode()
            connection.execute(insert(ledger_info), {"key": _REGISTERED, "value": value})
            return [plan.name for plan in stale]

    @contextmanager
    def _locked(self) -> Iterator[Connection]:
        """One transaction in which nobody else writes plans."""
        with self._ledger.writing() as connection:
            hold_lanes(connection)
            if not self._ledger.is_sqlite:
                connection.execute(text("LOCK TABLE plans IN SHARE ROW EXCLUSIVE MODE"))
            yield connection


def _registered(connection: Connection) -> dict[str, str]:
    """Return the body of each built-in plan as it was last registered."""
    value = connection.scalar(select(ledger_info.c.value).where(ledger_info.c.key == _REGISTERED))
    return {} if value is None else msgspec.json.decode(value, type=dict[str, str])


def _write(connection: Connection, wanted: Sequence[Plan], now_us: int) -> list[Plan]:
    known = _newest(connection)
    rows = []
    for plan in wanted:
        version, body = known.get(plan.name, (0, ""))
        new = _body(plan)
        if new != body:
            known[plan.name] = version + 1, new
            rows.append({"name": plan.name, "version": version + 1, "body": new, "created_us": now_us})
    if len(known) > PLANS_MAX:
        raise Conflict(f"there can be at most {PLANS_MAX} plans")
    if any(version > VERSIONS_MAX for version, _ in known.values()):
        raise Conflict(f"a plan can have at most {VERSIONS_MAX} versions")
    if rows:
        connection.execute(insert(plans), rows)
        if any(row["name"] == DEFAULT_PLAN for row in rows):
            note_change(connection, DEFAULT_PLAN_CHANGED, now_us)
    return [_plan(plan.name, *known[plan.name]) for plan in wanted]


def _newest(connection: Connection) -> dict[str, tuple[int, str]]:
    last = select(plans.c.name, func.max(plans.c.version)).group_by(plans.c.name)
    rows = select(plans).where(tuple_(plans.c.name, plans.c.version).in_(last)).order_by(plans.c.name)
    return {row.name: (row.version, row.body) for row in connection.execute(rows)}


def _body(plan: Plan) -> str:
    return _encoder.encode(write_plan(plan)).decode()


@lru_cache(maxsize=READ_KEPT_MAX)
def _plan(name: str, version: int, body: str) -> Plan:
    return read_plan(name, msgspec.json.decode(body), version=version)
