"""Answering questions about usage: from rollups, exactly, in one snapshot for all questions of a request.

Windows are covered by rollup buckets; what is shorter than a minute at their edges is read from the raw events. How
one question is planned and added up is `core.view`.
"""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from tallybook.core.bill import Calendar, Card, parts_of
from tallybook.core.catalogue import Catalogue
from tallybook.core.cover import Segment, cover
from tallybook.core.errors import ParameterInvalid
from tallybook.core.event import Admission, Event, read_event
from tallybook.core.ids import AccountId
from tallybook.core.instant import MINUTE_US
from tallybook.core.key import Caller
from tallybook.core.meter import Answer, Question, Share
from tallybook.core.plan import Account
from tallybook.core.ports import MetersChanged, UsageSnapshot, UsageStore
from tallybook.core.reckon import Grouping, Reckoning
from tallybook.core.scheme import Scheme
from tallybook.core.sums import Place, Wanted, join_wanted
from tallybook.core.tasks import Covers, Epochs, Task, alike_of, owners_of, readings, share_out, tasks_of
from tallybook.core.view import Sums, join_groups, make_view
from tallybook.core.window import Span

RANKED_MAX = 1_000
_READER = Caller("measure", None, frozenset())


class SchemeSource(Protocol):
    """Where the scheme in force comes from."""

    @property
    def scheme(self) -> Scheme:
        """The scheme in force."""
        ...

    def refresh(self) -> Scheme:
        """Read it again from the ledger."""
        ...


class PriceSource(Protocol):
    """Which prices an account had when."""

    def price_epochs(self, account: Account) -> Epochs:
        """Return the spans of the account's plans, ascending and tiling all time, with their prices."""
        ...


class Measure:
    """Reads usage for every surface."""

    def __init__(self, store: UsageStore, schemes: SchemeSource, prices: PriceSource) -> None:
        self._store = store
        self._schemes = schemes
        self._prices = prices

    @property
    def scheme(self) -> Scheme:
        """The scheme in force, with the catalogue of meters."""
        return self._schemes.scheme

    def ask(self, account: Account, questions: Sequence[Question]) -> list[Answer]:
        """Answer *questions* in their order, all from one snapshot.

        Raises:
            NotFound: For a meter that does not exist.
            ParameterInvalid: For a dimension that the meter does not have.
            Conflict: For a meter that is still being filled.
        """
        while True:
            with self._store.snapshot() as snapshot:
                scheme = self.scheme
                if snapshot.scheme_version() == scheme.version:
                    return self._answers(snapshot, scheme, account, questions)
            self._schemes.refresh()

    def ask_in(self, snapshot: UsageSnapshot, account: Account, questions: Sequence[Question]) -> list[Answer]:
        """Answer *questions* as `ask` does, from a snapshot that is open already.

        Raises:
            MetersChanged: If a meter was added by another process a moment ago; the next snapshot will do.
        """
        scheme = self.scheme
        if snapshot.scheme_version() != scheme.version:
            self._schemes.refresh()
            raise MetersChanged("the meters were changed just now; ask again")
        return self._answers(snapshot, scheme, account, questions)

    def _answers(
        self, snapshot: UsageSnapshot, scheme: Scheme, account: Account, questions: Sequence[Question]
    ) -> list[Answer]:
        """Read by *scheme*, which is in force in the snapshot: another might count in rollups that are gone by now."""
        epochs = self._epochs(scheme, account, questions)
        reckoned = {place: r for place, q in enumerate(questions) if (r := _reckoning(scheme, account, q, epochs))}
        if reckoned:
            return self._priced(snapshot, scheme, account, questions, reckoned)
        views = [make_view(scheme, question) for question in questions]
        covers = Covers()
        tasks = [task for view in views for task in tasks_of(view, epochs, covers)]
        reading = _Reading(snapshot, scheme, account)
        reading.add_rollups(tasks)
        reading.add_edges(tasks)
        return [view.answer() for view in views]

    def _epochs(self, scheme: Scheme, account: Account, questions: Sequence[Question]) -> Epochs:
        """Return the account's prices over time, if any of the questions is about money."""
        meters = scheme.catalogue.meters
        asked = any(q.share is Share.ALL and q.meter in meters and meters[q.meter].priced_by for q in questions)
        return self._prices.price_epochs(account) if asked else ()

    def _priced(
        self,
        snapshot: UsageSnapshot,
        scheme: Scheme,
        account: Account,
        questions: Sequence[Question],
        reckoned: Mapping[int, Reckoning],
    ) -> list[Answer]:
        """Answer where money is made by more than a price a unit: what it is made of is asked with all the rest."""
        plain = [question for place, question in enumerate(questions) if place not in reckoned]
        parts = [question for reckoning in reckoned.values() for question in reckoning.questions]
        answers = iter(self._answers(snapshot, scheme, account, [*plain, *parts]))
        found = {place: next(answers) for place in range(len(questions)) if place not in reckoned}
        for place, reckoning in reckoned.items():
            tabs = reckoning.tabs([next(answers) for _ in reckoning.questions])
            groups = reckoning.groups(tabs)
            if not questions[place].group_by:
                groups.setdefault((), [0] * len(questions[place].windows))
            found[place] = Answer(questions[place], groups)
        return [found[place] for place in range(len(questions))]

    def first_use_us(self, snapshot: UsageSnapshot, account: Account, question: Question) -> int | None:
        """Return the start of the first minute with usage in the question's only window; None where there is none."""
        view = make_view(self.scheme, question)
        groups = None
        if not view.takes_all:
            groups = view.number_groups(snapshot.series(account.no, view.generation.type_no), ())
        (window,) = question.windows
        return snapshot.first_minute(Place(account.no, view.generation.type_no), window, groups)

    def names(self, account: Account, dimension: str, values: Iterable[str] | None = None) -> Mapping[str, str]:
        """Return the latest seen display name of each of *values* (or of all) that has one."""
        with self._store.snapshot() as snapshot:
            return snapshot.names(account.no, dimension, values)

    def ranking(self, meter_name: str, span: Span, limit: int) -> list[tuple[AccountId, int]]:
        """Return the accounts with the most of a summed or counted meter in *span*, in nanos, most first.

        Raises:
            NotFound: For a meter that does not exist.
            ParameterInvalid: For a meter that cannot be added up, or a span that is not cut at minutes.
        """
        scheme = self.scheme
        view = make_view(scheme, Question(meter_name, (span,)))
        view.refuse_ranking()
        covered = cover((span,))
        if covered.edges:
            parameter = "from" if span.start_us % MINUTE_US else "to"
            raise ParameterInvalid("accounts are ranked over whole minutes", parameter=parameter)
        place = Place(0, view.generation.type_no, Wanted(sums=view.slots), summary=view.is_coarse(()))
        totals: dict[AccountId, int] = {}
        for account_id, dims, events, slots in self._store.ranking(
            place, covered.segments, by_series=bool(view.filters)
        ):
            if view.matches(dims):
                totals[account_id] = totals.get(account_id, 0) + view.value(Sums(events, slots), 0)
        with self._store.snapshot() as snapshot:
            is_in_force = snapshot.scheme_version() == scheme.version
        if not is_in_force:
            self._schemes.refresh()
            return self.ranking(meter_name, span, limit)
        ranked = heapq.nlargest(min(limit, RANKED_MAX), totals.items(), key=lambda item: (item[1], item[0]))
        return [(account_id, nanos) for account_id, nanos in ranked if nanos]


def _reckoning(scheme: Scheme, account: Account, question: Question, epochs: Epochs) -> Reckoning | None:
    """Return how a money meter is priced where cards say more than a price a unit; None where they do not."""
    meter = scheme.catalogue.meters.get(question.meter)
    base = None if meter is None or question.share is not Share.ALL else meter.priced_by
    if meter is None or base is None:
        return None
    priced = [(span, [price for price in prices if price.meter == base]) for span, prices in epochs]
    if all(price.is_linear for _, prices in priced for price in prices):
        return None
    make_view(scheme, question)  # which refuses what the meter does not have
    cards = [Card(span, tuple(replace(p, minimum=0) for p in prices), meter.unit) for span, prices in priced]
    windows = question.windows
    span = Span(windows[0].start_us, windows[-1].end_us) if windows else Span(0, 0)
    known = {name: scheme.catalogue.meters[name] for name in (base, meter.name)}
    return Reckoning(
        Catalogue(scheme.catalogue.events, known),
        parts_of(cards, Calendar(account.timezone, account.anchor_day), span),
        windows,
        grouping=Grouping(question.group_by, question.filters or None),
    )


class _Reading:
    """Fetches what tasks need from one snapshot, sharing statements between those that look at the same series."""

    def __init__(self, snapshot: UsageSnapshot, scheme: Scheme, account: Account) -> None:
        self._snapshot = snapshot
        self._scheme = scheme
        self._account = account

    def add_rollups(self, tasks: Sequence[Task]) -> None:
        for together in readings(tasks):
            groups = self._groups([alike[0] for alike in together])
            for alike in together:
                for task in alike:
                    task.view.share_groups(alike[0].view)
            if groups is None or groups:
                self._read([task for alike in together for task in alike], groups)

    def _groups(self, tasks: Sequence[Task]) -> Mapping[int, int] | None:
        """Return series -> group number, telling the views what the numbers mean; None when all is one group."""
        views = [task.view for task in tasks]
        if len(views) == 1 and views[0].takes_all:
            return None
        series = self._snapshot.series(self._account.no, views[0].generation.type_no)
        found = [task.view.number_groups(series, task.prices) for task in tasks]
        return found[0] if len(found) == 1 else join_groups(views, found)

    def _read(self, together: Sequence[Task], groups: Mapping[int, int] | None) -> None:
        """Read some series for several tasks at once; their windows are numbered one after another."""
        first = together[0].view
        segments: list[Segment] = []
        blocks = alike_of(together)
        total = 0
        for alike in blocks:
            covered = alike[0].covered.segments
            segments += (
                [Segment(s.level, s.low, s.high, s.window + total, s.stride) for s in covered] if total else covered
            )
            total += len(alike[0].places)
        if not segments:
            return
        wanted = join_wanted([task.view.wanted for task in together])
        coarse = all(task.view.is_coarse(task.prices) for task in together)
        summaries = self._scheme.summaries(first.generation) if coarse else 0
        fields, type_no = len(first.generation.shape.fields), first.generation.type_no
        place = Place(self._account.no, type_no, wanted, first.place, coarse, summaries, fields)
        owners = owners_of(blocks) if first.is_mark or first.is_unique else []
        if first.is_mark:
            for window, group, mark in self._snapshot.marks(place, segments, groups):
                tasks, at = owners[window]
                for task in tasks:
                    task.view.add_mark(task.places[at], group, mark)
        elif first.is_unique:
            for window, group, high, low in self._snapshot.uniques(place, segments, groups):
                tasks, at = owners[window]
                for task in tasks:
                    task.view.add_unique(task.places[at], group, (high, low))
        else:
            for sums in self._snapshot.sums(place, segments, groups):
                share_out(sums, blocks)

    def add_edges(self, tasks: Sequence[Task]) -> None:
        """Count the events of sub-minute edges one by one."""
        for task in tasks:
            for window, span in task.covered.edges:
                for event in self._events(span):
                    task.view.add_event(task.places[window], event, self._scheme, task.prices)

    def _events(self, span: Span) -> Iterator[Event]:
        admission = Admission(_READER, 0, backfill=True)
        voided = self._snapshot.voided(self._account.no)
        for body in self._snapshot.events(self._account.no, self._account.id, span):
            event = read_event(0, body, admission, any_time=True)
            if event.time_us in span and (event.key_hi, event.key_lo) not in voided:
                yield event
