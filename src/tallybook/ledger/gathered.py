"""What the admissions of one transaction write, gathered: one statement a table, however many they are.

Whoever reads what may be in here writes it first. Not for what is rare, which `desk` writes at once.
"""

import msgspec
from sqlalchemy import Connection

from tallybook.core.desk import Answered
from tallybook.core.hold import Hold, HoldState
from tallybook.core.number import to_limbs
from tallybook.ledger.hot import Hot
from tallybook.ledger.rows import to_json, unfold

_encode = msgspec.json.Encoder().encode
_HOLDS = (
    ("account_no", "bigint"),
    ("hold_id", "text"),
    ("state", "text"),
    ("created_us", "bigint"),
    ("expires_us", "bigint"),
    ("items", "text"),
)
_ITEMS = (
    ("account_no", "bigint"),
    ("limit_name", "text"),
    ("value", "text"),
    ("hold_id", "text"),
    *((name, "bigint") for name in ("expires_us", "giga", "unit", "nano")),
)
_ANSWERS = (
    ("account_no", "bigint"),
    ("key", "text"),
    ("digest", "text"),
    ("status", "bigint"),
    ("body", "text"),
    ("created_us", "bigint"),
)


def _insert(table: str, columns: tuple[tuple[str, str], ...], *, sqlite: bool) -> Hot:
    names = ", ".join(name for name, _ in columns)
    return Hot(f"INSERT INTO {table} ({names}) SELECT {names} FROM ({unfold('rows', columns, sqlite=sqlite)}) s")


class _Statements:
    def __init__(self, *, sqlite: bool) -> None:
        self.holds = _insert("holds", _HOLDS, sqlite=sqlite)
        self.items = _insert("hold_items", _ITEMS, sqlite=sqlite)
        self.answers = _insert("idempotency", _ANSWERS, sqlite=sqlite)
        settled = unfold("rows", _HOLDS[:2], sqlite=sqlite)
        self.settle = Hot(f"UPDATE holds SET state = :state WHERE (account_no, hold_id) IN ({settled})")
        given_back = unfold("rows", _ITEMS[:4], sqlite=sqlite)
        self.give_back = Hot(f"DELETE FROM hold_items WHERE (account_no, limit_name, value, hold_id) IN ({given_back})")


_SQL = {sqlite: _Statements(sqlite=sqlite) for sqlite in (True, False)}


class Gathered:
    """Reservations and answers that wait to be written in one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._sql = _SQL[connection.dialect.name == "sqlite"]
        self._holds: dict[tuple[int, str], tuple[object, ...]] = {}
        self._items: list[tuple[object, ...]] = []
        self._settled: dict[tuple[int, str], HoldState] = {}
        self._given_back: list[tuple[object, ...]] = []
        self._answers: dict[tuple[int, str], tuple[object, ...]] = {}

    def put_hold(self, account_no: int, hold: Hold, now_us: int) -> None:
        """Gather a new reservation."""
        items = _encode([(item.limit, item.value, str(item.quantity)) for item in hold.items]).decode()
        key = account_no, hold.hold_id
        self._holds[key] = (*key, hold.state.value, now_us, hold.expires_us, items)
        for item in hold.items:
            place = account_no, item.limit, item.value, hold.hold_id
            self._items.append((*place, hold.expires_us, *to_limbs(item.quantity)))

    def settle_hold(self, account_no: int, hold: Hold) -> None:
        """Gather how a reservation ended."""
        self._settled[account_no, hold.hold_id] = hold.state
        self._given_back += [(account_no, item.limit, item.value, hold.hold_id) for item in hold.items]

    def remember(self, account_no: int, key: str, answer: Answered, now_us: int) -> None:
        """Gather an answer that was given under an Idempotency-Key."""
        told = answer.digest, answer.status, answer.body.decode(), now_us
        self._answers[account_no, key] = (account_no, key, *told)

    def write_hold(self, account_no: int, hold_id: str) -> None:
        """Write what was gathered if anything of that reservation was."""
        if (account_no, hold_id) in self._holds or (account_no, hold_id) in self._settled:
            self.write()

    def write_holds(self, account_no: int) -> None:
        """Write what was gathered if anything of the account's reservations was."""
        if any(owner == account_no for owner, _ in (*self._holds, *self._settled)):
            self.write()

    def write_answer(self, account_no: int, key: str) -> None:
        """Write what was gathered if an answer under that key was."""
        if (account_no, key) in self._answers:
            self.write()

    def write(self) -> None:
        """Write what was gathered."""
        if self._holds:
            self._run(self._sql.holds, list(self._holds.values()))
            self._run(self._sql.items, self._items)
        for state in dict.fromkeys(self._settled.values()):
            rows = [key for key, became in self._settled.items() if became is state]
            self._sql.settle.change(self._connection, {"rows": to_json(rows), "state": state.value})
        if self._given_back:
            self._run(self._sql.give_back, self._given_back)
        if self._answers:
            self._run(self._sql.answers, list(self._answers.values()))
        for gathered in (self._holds, self._items, self._settled, self._given_back, self._answers):
            gathered.clear()

    def _run(self, statement: Hot, rows: list[tuple[object, ...]]) -> None:
        statement.change(self._connection, {"rows": to_json(rows)})
