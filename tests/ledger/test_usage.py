"""Reading rollups: however a question is turned into statements, and whatever is remembered, the answer is the same."""

import itertools
import random
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tallybook.core.instant import DAY_US, HOUR_US, MINUTE_US, instant_text
from tallybook.core.meter import Question
from tallybook.core.number import NANOS, from_limbs
from tallybook.core.window import Granularity, Span, last_days, tile, zone
from tallybook.ledger import known, recent, usage, usage_groups
from tallybook.ledger.tables import SLOT, SLOTS, SUMS
from tallybook.ledger.usage import Snapshot
from tests.support.events import NOW_US, EventBody, jobs
from tests.support.model import Book
from tests.support.works import Works, job, named

accounts = itertools.count()


@pytest.fixture
def works(ledger_url: str) -> Iterator[Works]:
    """Ingest and measure over an empty ledger."""
    with Works(ledger_url) as opened:
        yield opened


def later(event: EventBody, by_us: int) -> EventBody:
    """The event at another time."""
    return {**event, "time": instant_text(NOW_US + by_us)}


# --- runs of buckets ----------------------------------------------------------------------------------------------


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    events=st.lists(jobs(st.integers(NOW_US - 40 * DAY_US, NOW_US)), min_size=1, max_size=30),
    granularity=st.sampled_from((Granularity.MINUTE, Granularity.HOUR, Granularity.DAY)),
    count=st.integers(1, 80),
    offset_us=st.sampled_from((0, 1, MINUTE_US, HOUR_US)),
    run=st.sampled_from((1, 2, 16, 10_000)),
    most=st.sampled_from((0, 30, 4_000)),
    bits=st.sampled_from((0, 2, 63)),
    is_fresh=st.booleans(),
)
def test_long_and_short_runs_of_windows_say_the_same(
    works: Works,
    events: list[EventBody],
    *,
    granularity: Granularity,
    count: int,
    offset_us: int,
    run: int,
    most: int,
    bits: int,
    is_fresh: bool,
) -> None:
    """Whether a run has its own statement, series are picked by bits, fractions were seen before, or none of that."""
    book = Book(f"acct-{next(accounts)}")
    bodies = named(events, book.account_id)
    works.write(bodies)
    for body in bodies:
        book.add(body)
    size_us = {"minute": MINUTE_US, "hour": HOUR_US, "day": DAY_US}[granularity]
    windows = tile(Span(NOW_US - count * size_us + offset_us, NOW_US + HOUR_US), granularity, zone("UTC"))
    asked = [Question("jobs", windows), Question("job_net", windows, ("region",)), Question("job_last", windows)]
    asked += [Question("job_codes", windows, (), {"region": ("eu",)}), Question("job_all", windows, ("ok",))]
    if is_fresh:
        works.measure._store._fractions.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(usage, "RUN_BUCKETS_MIN", run)
        patch.setattr(usage, "ROWS_READ_MAX", most)
        patch.setattr(usage_groups, "SERIES_BITS", bits)
        answers = works.ask(book.account_id, *asked)
    for question, answer in zip(asked, answers, strict=True):
        assert book.answer(question) == {key: list(values) for key, values in answer.groups.items()}


def test_windows_with_gaps_are_read_each_by_itself(works: Works) -> None:
    """Every second day of the last forty: what lies between them is not counted."""
    works.write([later(job(str(n)), -n * DAY_US) for n in range(40)])
    windows = last_days(NOW_US, 40)
    every, other = works.ask("acme", Question("jobs", windows), Question("jobs", windows[::2]))
    assert ([NANOS] * 40, [NANOS] * 20) == (list(every.values), list(other.values))


FULL = 2**63 - 1
LIMBS = [
    (0, 4 * 10**9, 4 * 10**18),
    (0, -4 * 10**9, -4 * 10**18),
    (0, 4 * 10**9 + 1, 0),
    (0, -4 * 10**9 - 1, 5),
    (0, 1, FULL),
    (0, 0, -FULL),
    (1, 0, 0),
    (-1, FULL, -FULL),
    (FULL, FULL, FULL),
    (0, 0, 0),
]
"""Limbs of sums that just fit into 64 bits together, or just do not, and the greatest that there are."""


@pytest.mark.parametrize("rows_max", [0, 1_000])
@pytest.mark.parametrize("days", [len(LIMBS), 20])
def test_sums_beyond_64_bits_are_exact(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch, rows_max: int, days: int
) -> None:
    """In rows as they are and in rows added up, of windows that are few and that make a run, `recent` or settled."""
    monkeypatch.setattr(recent, "ROWS_MAX", rows_max)
    with Works(ledger_url) as works:
        works.write([later(job(f"{n}"), -n * DAY_US) for n in range(len(LIMBS))])
        part, place = divmod(works.metering.scheme.serving["job"].shape.fields.index("cpu"), SLOTS)
        with works.ledger.writing() as connection:
            for n, limbs in enumerate(LIMBS):
                sets = ", ".join(f"{name}_{place + 1} = {limb}" for name, limb in zip(SLOT[1:], limbs, strict=True))
                for table, day in (("recent", f"minute / {DAY_US // MINUTE_US}"), ("rollups", "bucket")):
                    mine = f"{day} = {NOW_US // DAY_US - n} AND part = {part}"
                    connection.exec_driver_sql(f"UPDATE {table} SET {sets} WHERE {mine}")
        expected = [from_limbs(*limbs) for limbs in reversed(LIMBS)]
        windows = last_days(NOW_US, days)
        questions = [Question("job_cpu", windows), Question("job_cpu", windows, ("worker",))]
        for most in (0, 4_000):
            monkeypatch.setattr(usage, "ROWS_READ_MAX", most)
            total, by_worker = works.measure.ask(works.account("acme"), questions)
            assert expected == total.values[-len(LIMBS) :]
            assert [expected] == [values[-len(LIMBS) :] for values in by_worker.groups.values()]


def test_sums_are_whole_until_a_fraction_comes(works: Works) -> None:
    """In units as long as all are, in any of the accounts and windows, and exact before and after."""
    works.write([later(job(str(n), cpu=n), -n * DAY_US) for n in range(1, 40)])
    question = Question("job_cpu", last_days(NOW_US, 40), ("worker",))
    (before,) = works.ask("acme", question)
    works.write([later(job("half", cpu="0.5"), -3 * DAY_US), later(job("vast", cpu="7000000000"), -4 * DAY_US)])
    for _ in range(2):
        (after,) = works.ask("acme", question)
        ((key, values),) = after.groups.items()
        added = [now - then for now, then in zip(values, before.groups[key], strict=True)]
        assert [7 * NANOS * NANOS, NANOS // 2] == [one for one in added if one]


@pytest.mark.parametrize("apart", [1, 100])
def test_series_count_however_far_apart_their_numbers_are(works: Works, apart: int) -> None:
    """Those of one worker out of many, whose numbers fit into bits or do not, in two groups or more."""
    for n in range(3):
        others = [job(f"{n}-{other}", worker=f"other-{n}-{other}") for other in range(apart)]
        mine = job(f"mine-{n}", worker="ada", region=("eu", "us")[n % 2], ok=n > 1)
        works.write([*others, mine])
    windows = last_days(NOW_US, 20)
    filters = {"worker": ("ada",)}
    for by, groups in (((), 1), (("region",), 2), (("region", "ok"), 3)):
        (answer,) = works.ask("acme", Question("jobs", windows, by, filters))
        assert (groups, 3 * NANOS) == (len(answer.groups), sum(map(sum, answer.groups.values())))


# --- series remembered ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("series", "one"), [(50_000, 500), (10, 500), (50_000, 3), (1, 1), (0, 500)])
def test_new_series_are_seen_at_once_whatever_is_remembered(
    works: Works, ledger_url: str, monkeypatch: pytest.MonkeyPatch, series: int, one: int
) -> None:
    """Question after question, while series are added by this process and by another, with any room to remember."""
    monkeypatch.setattr(known, "SERIES_KEPT_MAX", series)
    monkeypatch.setattr(known, "LIST_KEPT_MAX", one)
    with Works(ledger_url) as other:
        for n in range(8):
            for account_id in ("acme", "evil"):
                (works, other)[n % 2].write([job(f"{n}", account_id, worker=f"w{n}", cpu=n)])
                assert {f"w{m}": m * NANOS for m in range(n + 1)} == works.groups(account_id, "job_cpu", "worker")
                assert n * NANOS == works.total(account_id, "job_cpu", worker=f"w{n}")


def test_the_lists_that_were_read_last_are_remembered(works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many as there is room for, of all accounts together; one that grew is counted once."""
    monkeypatch.setattr(known, "SERIES_KEPT_MAX", 4)
    remembered = works.measure._store._known  # type: ignore[attr-defined]
    for account_id, workers in (("acme", 1), ("evil", 2), ("acme", 2), ("late", 2)):
        works.write([job(f"{account_id}-{n}", account_id, worker=f"w{n}") for n in range(workers)])
        assert workers == len(works.groups(account_id, "jobs", "worker"))
    numbers = {account_id: works.account(account_id).no for account_id in ("acme", "late")}
    assert list(numbers.values()) == [account_no for account_no, _ in remembered._lists]
    assert 4 == remembered._series == sum(len(listed.dims) for listed in remembered._lists.values())


def test_inside_a_transaction_what_it_writes_is_seen(works: Works) -> None:
    """Also where the same was read before: a series, and a row before all that there were."""
    works.write([job("0", worker="w0"), later(job("1", worker="w0"), -80 * HOUR_US)])
    account, type_no = works.account("acme"), works.metering.scheme.serving["job"].type_no
    hours = tile(Span(NOW_US - 100 * HOUR_US, NOW_US + HOUR_US), Granularity.HOUR, zone("UTC"))
    questions = [Question("jobs", [*hours[place::2]], ("worker",)) for place in (0, 1)]
    with works.ledger.writing() as connection:
        snapshot = Snapshot(connection, sqlite=works.ledger.is_sqlite)

        def seen() -> Counter[object]:
            found: Counter[object] = Counter()
            for answer in works.measure.ask_in(snapshot, account, questions):
                found.update({key: sum(values) for key, values in answer.groups.items()})
            return found

        assert {("w0",): 2 * NANOS} == seen()
        made = f"{account.no}, 99, {type_no}, 'key', '{{\"worker\": \"w9\"}}', 0"
        mine = f"account_no = {account.no} AND type_no = {type_no}"
        columns = f"account_no, type_no, minute - 5400, 99, part, {', '.join(SUMS)}"
        connection.exec_driver_sql(f"INSERT INTO series VALUES ({made})")
        connection.exec_driver_sql(f"INSERT INTO recent SELECT {columns} FROM recent WHERE {mine} AND part = 0")
        assert {("w0",): 2 * NANOS, ("w9",): NANOS} == seen()
        connection.rollback()


def test_an_older_snapshot_does_not_spoil_what_is_remembered(works: Works) -> None:
    """Readers of different moments share one memory; each sees its own moment, and later ones see all."""
    works.write([job("0", worker="w0")])
    usages = works.measure._store
    account = works.account("acme")
    type_no = works.metering.scheme.serving["job"].type_no
    with usages.snapshot() as old:
        assert 1 == len(old.series(account.no, type_no))
        works.write([job("1", worker="w1")])

        def look_anew() -> int:
            with usages.snapshot() as new:
                return len(new.series(account.no, type_no))

        with ThreadPoolExecutor(1) as another:  # in one thread it would be the same snapshot
            assert 2 == another.submit(look_anew).result()
        assert {"w0"} <= {dims.get("worker") for dims in old.series(account.no, type_no).values()}
        (answer,) = works.measure.ask_in(old, account, [Question("jobs", [Span(0, NOW_US + 1)], ("worker",))])
        assert {("w0",): [NANOS]} == answer.groups
    assert {"w0": NANOS, "w1": NANOS} == works.groups("acme", "jobs", "worker")


def test_many_readers_and_a_writer_agree_on_series(works: Works) -> None:
    """While series come in, groups always add up to the total of the same answer."""
    works.write([job("0", worker="w0")])
    done = threading.Event()

    def write() -> None:
        for n in range(1, 40):
            works.write([job(f"{n}", worker=f"w{n}")])
        done.set()

    def read() -> None:
        while not done.is_set():
            whole, grouped = works.ask(
                "acme", *(Question("jobs", [Span(0, NOW_US + 1)], by) for by in ((), ("worker",)))
            )
            assert whole.value == sum(values[0] for values in grouped.groups.values())

    failed: list[BaseException] = []

    def watched() -> None:
        try:
            read()
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=write), *(threading.Thread(target=watched) for _ in range(4))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == failed
    assert 40 == len(works.groups("acme", "jobs", "worker"))


# --- raw events -------------------------------------------------------------------------------------------------------


def test_edges_are_read_from_the_raw_events_of_their_hours(works: Works) -> None:
    """Over the border of an hour and a day, from many commits, other accounts' events in the same batches."""
    midnight_us = NOW_US - NOW_US % DAY_US
    chance = random.Random(7)
    times = [midnight_us + chance.randint(-40_000_000, 40_000_000) for _ in range(60)]
    for start in range(0, 60, 7):
        batch = [
            {**job(f"{n}", owner, worker=f"w{n % 3}"), "time": instant_text(times[n])}
            for n in range(start, min(60, start + 7))
            for owner in ("acme", "evil")
        ]
        works.write(batch)
    for _ in range(20):
        low, high = sorted(chance.randint(-50_000_000, 50_000_000) for _ in range(2))
        span = Span(midnight_us + low, midnight_us + high)
        inside = [n for n, time_us in enumerate(times) if time_us in span]
        assert len(inside) * NANOS == works.total("acme", "jobs", span)
        assert len([n for n in inside if n % 3 == 1]) * NANOS == works.total("acme", "jobs", span, worker="w1")


def test_the_first_use_in_a_window_is_found_to_the_minute(works: Works) -> None:
    """Of all events, or of those that a filter lets pass; none, where there are none."""
    works.write([later(job(str(age), worker=f"w{age % 2}"), -age * HOUR_US - 30_000_000) for age in (1, 2, 5, 8)])
    account = works.account("acme")
    with works.measure._store.snapshot() as snapshot:
        for hours, worker, age in (
            (6, None, 5),
            (3, "w1", 1),
            (100, None, 8),
            (6, "w0", 2),
            (1, None, None),
            (9, "x", None),
        ):
            filters = {} if worker is None else {"worker": (worker,)}
            question = Question("jobs", [Span(NOW_US - hours * HOUR_US, NOW_US)], (), filters)
            expected = None if age is None else NOW_US - age * HOUR_US - MINUTE_US
            assert expected == works.measure.first_use_us(snapshot, account, question)
