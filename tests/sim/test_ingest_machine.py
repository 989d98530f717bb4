"""Random days in the life of a ledger: new, repeated, changed and late events, failed commits, restarts, questions.

After every step each account's totals are those of a plain list of events; a failing run is replayed by its seed.
"""

import itertools
from copy import deepcopy
from operator import attrgetter

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from tallybook.core.clock import FrozenClock
from tallybook.core.errors import Unavailable
from tallybook.core.instant import DAY_US, instant_text
from tallybook.core.meter import Question
from tallybook.core.window import Granularity, Span, tile, zone
from tests.support.events import INTERESTING_US, NOW_US, ZONES, EventBody, job_data
from tests.support.model import RULES, Book
from tests.support.works import Works

EXAMPLES, STEPS = 12, 25
LANES = 2
STEPS_OF_A_COMMIT = ("_claim", "_kept.names", "_kept.lines")
runs = itertools.count()

ids = st.sampled_from([f"e{n}" for n in range(12)])
times = st.one_of(
    st.integers(-40 * DAY_US, 0).map(lambda age_us: NOW_US + age_us),
    st.sampled_from(INTERESTING_US).flatmap(lambda at_us: st.sampled_from((at_us - 1, at_us, at_us + 1))),
)
events = st.fixed_dictionaries(
    {
        "id": ids,
        "type": st.sampled_from(("job", "job", "job", "noise")),
        "time": times.map(instant_text),
        "data": job_data(),
    },
    optional={"source": st.sampled_from(("s1", "s2"))},
)
owners = st.sampled_from((0, 1))
sent = st.lists(st.tuples(owners, events), min_size=1, max_size=8)


class Life(RuleBasedStateMachine):
    """Two accounts of one ledger, and the books of a patient clerk."""

    url: str
    works: Works
    books: list[Book]
    history: list[tuple[int, EventBody]]

    @initialize()
    def open(self) -> None:
        """Open the ledger; the accounts are fresh ones."""
        number = next(runs)
        self.clock = FrozenClock(NOW_US)
        self.works = Works(self.url, self.clock, lanes=LANES)
        self.books = [Book(f"a-{number}"), Book(f"b-{number}")]
        self.history = []

    def teardown(self) -> None:
        """Close it, if it was opened."""
        if hasattr(self, "works"):
            self.works.close()

    @rule(batch=sent)
    def send(self, batch: list[tuple[int, EventBody]]) -> None:
        """Send events; some ids were used before."""
        self._send(batch)

    @rule(data=st.data())
    def send_again(self, data: st.DataObject) -> None:
        """Send some of what was sent before, shuffled, each up to three times."""
        if self.history:
            self._send(data.draw(st.lists(st.sampled_from(self.history), min_size=1, max_size=8)))

    @rule(data=st.data(), name=st.sampled_from(("cpu", "memory", "net")))
    def send_changed(self, data: st.DataObject, name: str) -> None:
        """Send an event of before with another amount."""
        if self.history:
            owner, event = deepcopy(data.draw(st.sampled_from(self.history)))
            assert isinstance(event["data"], dict)
            event["data"][name] = 123_456
            self._send([(owner, event)])

    @rule(batch=sent, step=st.sampled_from(STEPS_OF_A_COMMIT))
    def fail(self, batch: list[tuple[int, EventBody]], step: str) -> None:
        """Fail a commit halfway: the sender is told, and sends it all again."""
        *place, name = step.split(".")
        owners = [attrgetter(*place)(one) if place else one for one in self.works.committers]
        for owner in owners:
            setattr(owner, name, _fail)
        try:
            self.works.write(self._bodies(batch))
        except Unavailable:
            pass
        else:
            assert step != "_claim"  # the others are not reached by duplicates
        for owner in owners:
            delattr(owner, name)
        self._send(batch, lenient=True)

    @rule()
    def reopen(self) -> None:
        """Restart the process."""
        self.works.close()
        self.works = Works(self.url, self.clock, lanes=LANES)

    @rule(days=st.integers(1, 20))
    def wait(self, days: int) -> None:
        """Let time pass: identities do not run out."""
        self.clock.advance(days * DAY_US)

    @rule(
        meter=st.sampled_from(sorted(RULES)),
        cuts=st.lists(times, min_size=2, max_size=2, unique=True).map(sorted),
        granularity=st.sampled_from((Granularity.DAY, Granularity.WEEK, Granularity.MONTH, Granularity.TOTAL)),
        name=st.sampled_from(ZONES),
    )
    def ask(self, meter: str, cuts: list[int], granularity: Granularity, name: str) -> None:
        """Ask any meter of both accounts."""
        question = Question(meter, tile(Span(*cuts), granularity, zone(name)))
        for book in self.books:
            if book.known:
                (answer,) = self.works.ask(book.account_id, question)
                assert book.answer(question) == {key: list(values) for key, values in answer.groups.items()}

    @invariant()
    def totals_are_those_of_the_books(self) -> None:
        """Of counts, sums over both parts of a row, and last values."""
        span = [Span(0, NOW_US + 1_000 * DAY_US)]
        asked = [Question(meter, span) for meter in ("jobs", "job_all", "job_last", "job_codes")]
        for book in getattr(self, "books", ()):
            if book.known:
                answers = self.works.ask(book.account_id, *asked)
                assert [book.answer(question)[()] for question in asked] == [list(one.values) for one in answers]

    def _bodies(self, batch: list[tuple[int, EventBody]]) -> list[EventBody]:
        return [{**event, "subject": self.books[owner].account_id} for owner, event in batch]

    def _send(self, batch: list[tuple[int, EventBody]], *, lenient: bool = False) -> None:
        """Send to the ledger and to the books; *lenient* where part of it may have been written before."""
        receipt = self.works.write(self._bodies(batch))
        told = [self.books[owner].add(body) for (owner, _), body in zip(batch, self._bodies(batch), strict=True)]
        expected = {outcome: told.count(outcome) for outcome in ("accepted", "duplicate", "conflict")}
        found = {"accepted": receipt.accepted, "duplicate": receipt.duplicate, "conflict": receipt.conflict}
        if lenient:
            assert expected["conflict"] == found["conflict"]
            assert len(batch) == sum(found.values())
        else:
            assert expected == found
        self.history += batch


def _fail(*_: object) -> None:
    raise RuntimeError("a disk that fails")


@pytest.mark.slow
def test_a_ledger_says_what_the_books_say(ledger_url: str) -> None:
    """Whatever happens to it, in any order."""

    class Here(Life):
        url = ledger_url

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )
