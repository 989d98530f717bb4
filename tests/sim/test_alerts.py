"""Alerts are those that a plain model says, whatever comes between: restarts, other processes, changes of limits."""

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from tallybook.core.ids import AccountId
from tallybook.core.instant import DAY_US, HOUR_US, MINUTE_US, instant_text
from tallybook.core.limit import Limit, read_limit, write_limit
from tallybook.flows.alerting import RECHECKED_MAX, Rechecks
from tallybook.ledger.alert_history import LedgerAlerts
from tallybook.ledger.open import Ledger
from tests.sim.alerts_model import Happened, Model
from tests.support.rooms import NOW_US, OPERATOR, Flows, open_flows

LIMITS = [
    {"name": "messages", "kind": "period", "meter": "messages", "quantity": "10"},
    {"name": "voice", "kind": "period", "meter": "call_seconds", "filter": {"channel": "voice"}, "quantity": "100"},
    {"name": "requests", "kind": "period", "meter": "requests", "per": "api_id", "quantity": "5"},
    {"name": "credits", "kind": "rolling", "meter": "credits", "window": "PT24H", "quantity": "50"},
    {"name": "storage", "kind": "stock", "meter": "storage_mb", "quantity": "100"},
    {"name": "ever", "kind": "lifetime", "meter": "credits", "quantity": "90"},
]
METERS = ("messages", "call_seconds", "requests", "credits", "storage_mb")
EXAMPLES = {"sqlite": 40, "postgresql": 12}
_COLUMNS = "subject, value, period_us, percent, arm, late, standing"
_names = itertools.count()

event = st.tuples(
    st.sampled_from(METERS),
    st.integers(1, 40),
    st.sampled_from(["a", "b"]),
    st.sampled_from([0, 0, 0, 0, HOUR_US, 3 * DAY_US, 20 * DAY_US, 34 * DAY_US]),
)
step = st.one_of(
    st.tuples(st.just("write"), st.lists(event, min_size=1, max_size=8)),
    st.tuples(st.just("advance"), st.sampled_from([16 * MINUTE_US, 6 * HOUR_US, 25 * HOUR_US, 12 * DAY_US])),
    st.tuples(st.just("limit"), st.tuples(st.integers(0, len(LIMITS) - 1), st.sampled_from([1, 2, 7, 20, 60, 300]))),
    st.tuples(st.just("restart"), st.none()),
)


class Processes:
    """Flows on one ledger: on PostgreSQL two processes take turns, on SQLite one ends and another begins."""

    def __init__(self, url: str, kind: str) -> None:
        self._url = url
        self._kind = kind
        self._open: list[tuple[Flows, ExitStack]] = []
        self._turn = 0
        self._now_us = NOW_US

    @property
    def flows(self) -> Flows:
        """Those whose turn it is, at the common time."""
        if not self._open:
            for _ in range(2 if self._kind == "postgresql" else 1):
                stack = ExitStack()
                ledger = Ledger(self._url)
                stack.callback(ledger.close)
                self._open.append((stack.enter_context(open_flows(ledger)), stack))
        flows, _ = self._open[self._turn % len(self._open)]
        flows.clock.advance(self._now_us - flows.clock.now_us())
        return flows

    def advance(self, by_us: int) -> None:
        """Let time pass for all of them."""
        self._now_us += by_us

    @property
    def now_us(self) -> int:
        """The common time."""
        return self._now_us

    def swap(self) -> None:
        """Go on in another process, which remembers nothing, or not what happened since its last turn."""
        self._turn += 1
        if self._kind == "sqlite":
            self.close()

    def close(self) -> None:
        """End them all."""
        for _, stack in self._open:
            stack.close()
        self._open.clear()


@pytest.fixture
def processes(ledger_url: str, store_kind: str) -> Iterator[Processes]:
    """Processes on an empty ledger."""
    opened = Processes(ledger_url, store_kind)
    yield opened
    opened.close()


@pytest.mark.slow
def test_alerts_are_those_that_a_plain_model_says(processes: Processes, store_kind: str) -> None:
    """Rows of the history, and how many messages of each type, after every step."""

    @settings(max_examples=EXAMPLES[store_kind], deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(step, min_size=3, max_size=14))
    def check(steps: list[tuple[str, object]]) -> None:
        account = f"acct-{next(_names)}"
        case = Case(processes, account)
        for kind, what in steps:
            getattr(case, kind)(what)
            case.compare()

    check()


class Case:
    """One account, in the ledger and in the model."""

    def __init__(self, processes: Processes, account: str) -> None:
        self._processes = processes
        self._account = account
        self._ids = itertools.count()
        flows = processes.flows
        flows.accounts.put_plan("modelled", {"limits": LIMITS, "alerts": [50, 80, 100]})
        flows.accounts.put(AccountId(account), plan="modelled", starts_us=0)
        self._model = Model({limit.name: limit for limit in map(_read, LIMITS)})

    def write(self, what: list[tuple[str, int, str, int]]) -> None:
        """Send events in one commit."""
        flows, now_us = self._processes.flows, self._processes.now_us
        happened = [Happened(m, 1 if m in ("messages", "requests") else n, v, now_us - back) for m, n, v, back in what]
        # of two snapshots at the same instant either may be the last, so no two are
        happened = [
            Happened(one.meter, one.amount, one.value, one.time_us - index - 1) for index, one in enumerate(happened)
        ]
        bodies = [self._body(one) for one in happened]
        assert len(bodies) == flows.ingest.write(bodies, OPERATOR).accepted
        self._model.write(happened, now_us)
        self._processes.advance(20)

    def advance(self, by_us: int) -> None:
        """Let time pass, and let those be looked at that may have recovered."""
        self._processes.advance(by_us)
        self._sweep()
        for name, limit in self._model.limits.items():
            if limit.kind == "rolling":
                self._model.look(name, 0, self._processes.now_us)

    def limit(self, what: tuple[int, int]) -> None:
        """Give the account another limit."""
        number, quantity = what
        flows = self._processes.flows
        body = {**LIMITS[number], "quantity": str(quantity)}
        limit = _read(body)
        account = flows.accounts.get(AccountId(self._account))
        action = flows.exceptions.put_limit(account, limit.name, {k: v for k, v in body.items() if k != "name"})
        flows.limits.run(account, action).result()
        self._model.change(limit, self._processes.now_us)

    def restart(self, _: None) -> None:
        """Go on in another process."""
        self._processes.swap()

    def compare(self) -> None:
        """Hold the history and the outbox against the model."""
        flows = self._processes.flows
        with flows.ledger.reading() as connection:
            no = {"no": flows.accounts.get(AccountId(self._account)).no}
            history = connection.execute(
                text(
                    "SELECT subject, value, period_us, percent, arm, late, standing FROM alerts WHERE account_no = :no"
                ),
                no,
            ).all()
            told = connection.scalars(text("SELECT type FROM outbox WHERE account_no = :no"), no).all()
        expected = {
            (*key, row.percent, row.arm, int(row.late), int(row.standing))
            for key, rows in self._model.rows.items()
            for row in rows
        }
        assert expected == set(map(tuple, history))
        assert Counter(self._model.told) == Counter(told)

    def _sweep(self) -> None:
        flows = self._processes.flows
        rechecks = Rechecks(LedgerAlerts(flows.ledger), flows.ingest, flows.clock.now_us)
        while rechecks.step() == RECHECKED_MAX:
            pass

    def _body(self, one: Happened) -> dict[str, object]:
        kinds: dict[str, Callable[[], tuple[str, dict[str, object]]]] = {
            "messages": lambda: ("message", {"direction": "inbound"}),
            "call_seconds": lambda: (
                "call",
                {"channel": "voice" if one.value == "a" else "chat", "direction": "inbound", "duration_s": one.amount},
            ),
            "requests": lambda: ("api.request", {"api_id": one.value, "status": 200}),
            "credits": lambda: ("credit.spend", {"amount": one.amount}),
            "storage_mb": lambda: ("storage.snapshot", {"megabytes": one.amount}),
        }
        event_type, data = kinds[one.meter]()
        envelope = {"id": f"e{next(self._ids)}", "type": event_type, "subject": self._account}
        return {**envelope, "time": instant_text(one.time_us), "data": data}


def _read(body: dict[str, object]) -> Limit:
    limit = read_limit(body, "")
    assert write_limit(limit)["quantity"] == body["quantity"]
    return limit
