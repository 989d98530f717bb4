"""Rows on their way to the rollups: whatever moves when, everything counts once, and few lie waiting."""

import itertools
import random
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from tallybook.core.aggregate import Placed, Tally
from tallybook.core.errors import Unavailable
from tallybook.core.event import Admission, read_event
from tallybook.core.instant import DAY_US, HOUR_US, MINUTE_US, instant_text
from tallybook.core.meter import Question
from tallybook.core.number import NANOS
from tallybook.core.window import Granularity, Span, all_time, month_bucket, tile, zone
from tallybook.ledger import recent
from tallybook.ledger.tables import SUMS
from tests.support.events import NOW_US, EventBody, jobs
from tests.support.model import Book
from tests.support.works import OPERATOR, Works, in_parallel, job, named

accounts = itertools.count()
ROOMY, NONE = (10**6, 10**6), (0, 0)
ROOMS = (ROOMY, NONE, (3, 10**6), (10**6, 4), (25, 6))
"""Bounds on rows of all and of one account: nothing moves, everything does at once, and what lies between."""
METERS = ("jobs", "job_nets", "job_cpu", "job_all", "job_last", "job_codes", "jobs_failed", "job_gpu_usd")


@contextmanager
def room(bounds: tuple[int, int]) -> Iterator[None]:
    """Let writers that are made meanwhile leave so many rows."""
    with pytest.MonkeyPatch.context() as patch:
        for name, bound in zip(("ROWS_MAX", "ACCOUNT_ROWS_MAX"), bounds, strict=True):
            patch.setattr(recent, name, bound)
        yield


@pytest.fixture
def roomy(ledger_url: str) -> Iterator[Works]:
    """Ingest and measure over an empty ledger, where nothing moves."""
    with room(ROOMY), Works(ledger_url) as opened:
        yield opened


def rows(works: Works, table: str, columns: str = "count(*)") -> list[tuple[int, ...]]:
    """Return some columns of every row of a table."""
    with works.ledger.reading() as connection:
        return [tuple(map(int, row)) for row in connection.execute(text(f"SELECT {columns} FROM {table}"))]


def agree(works: Works) -> dict[tuple[int, ...], list[int]]:
    """Return what the rollups say by account, type, series, part and month, after every level was seen to say it."""
    found = levels(works)
    assert found[0] == found[1] == found[2] == found[3]
    numbers = {(account, series): summary for account, series, summary in rows(works, "summaries", SUMMARY)}
    expected: dict[tuple[int, ...], list[int]] = {}
    for (account, type_no, series, *rest), added in found[0].items():
        if (account, series) in numbers:
            sums = expected.setdefault((account, type_no, numbers[account, series], *rest), [0, 0])
            sums[0] += added[0]
            sums[1] += added[1]
    assert expected == found[4] == found[5]
    return found[0]


SUMMARY = "account_no, series_no, summary_no"


def levels(works: Works) -> list[dict[tuple[int, ...], list[int]]]:
    """Return what the rollups of each level say, by account, type, series, part and month."""
    places = "account_no, type_no, series_no, part, level, bucket"
    months = (
        lambda bucket: month_bucket(bucket * MINUTE_US),
        lambda bucket: month_bucket(bucket * HOUR_US),
        lambda bucket: month_bucket(bucket * DAY_US),
        lambda bucket: bucket,
    )
    months += months[2:]
    found: list[dict[tuple[int, ...], list[int]]] = [{} for _ in months]
    for *place, level, bucket, first, second in rows(works, "rollups", f"{places}, events, unit_1"):
        sums = found[level].setdefault((*place, months[level](bucket)), [0, 0])
        sums[0] += first
        sums[1] += second
    return found


def scattered(count: int, seed: int, account_ids: Sequence[str] = ("acme",)) -> list[EventBody]:
    """Return jobs of a year, some of them side by side in one minute."""
    dice = random.Random(seed)
    times = [NOW_US - dice.randrange(400 * DAY_US) for _ in range(count // 2)]
    times += [time_us + dice.randrange(30_000_000) for time_us in times]
    return [
        {**job(f"{seed}-{n}", dice.choice(account_ids), worker=f"w{dice.randrange(3)}", cpu=1), "time": told}
        for n, told in enumerate(map(instant_text, times))
    ]


# --- what is asked ------------------------------------------------------------------------------------------------


@pytest.mark.slow
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    batches=st.lists(
        st.tuples(st.sampled_from(ROOMS), st.lists(jobs(st.integers(NOW_US - 70 * DAY_US, NOW_US)), max_size=12)),
        min_size=1,
        max_size=4,
    ),
    granularity=st.sampled_from(Granularity),
    zone_name=st.sampled_from(("UTC", "Europe/Paris", "Asia/Kathmandu")),
    back_us=st.integers(1, 3 * DAY_US),
)
def test_whatever_moves_the_answers_stay_the_same(
    ledger_url: str,
    batches: list[tuple[tuple[int, int], list[EventBody]]],
    *,
    granularity: Granularity,
    zone_name: str,
    back_us: int,
) -> None:
    """Batch after batch by writers with any room, each a process of its own: for every meter, filter and zone."""
    book = Book(f"acct-{next(accounts)}")
    long = granularity not in {Granularity.MINUTE, Granularity.HOUR}
    windows = tile(Span(NOW_US - back_us * (20 if long else 1), NOW_US + 1), granularity, zone(zone_name))
    asked = [Question(meter, windows) for meter in METERS]
    asked += [Question("jobs", windows, ("region", "worker")), Question("job_cpu", windows, (), {"region": ("eu",)})]
    asked += [Question("jobs", windows, ("ok", "region")), Question("jobs_failed", windows, ("worker",))]
    for number, (bounds, events) in enumerate(batches):
        bodies = named([*events, {"type": "job", "time": instant_text(NOW_US)}], book.account_id, 100 * number)
        with room(bounds), Works(ledger_url) as works:
            works.write(bodies)
            for body in bodies:
                book.add(body)
            for question, answer in zip(asked, works.ask(book.account_id, *asked), strict=True):
                expected = book.answer(question)
                assert expected == {key: list(values) for key, values in answer.groups.items()}, question.meter
            ranked = dict(works.measure.ranking("job_cpu", Span(0, NOW_US - NOW_US % MINUTE_US + MINUTE_US), 1_000))
            total = book.answer(Question("job_cpu", [all_time()]))[()][0]
            assert total == ranked.get(book.account_id, 0)  # type: ignore[call-overload]


@pytest.mark.parametrize("bounds", ROOMS)
def test_every_level_of_the_rollups_says_the_same(ledger_url: str, bounds: tuple[int, int]) -> None:
    """Minutes, hours, days and months, month by month and series by series; with `recent` they are all there is."""
    with room(bounds), Works(ledger_url) as works:
        for seed in range(6):
            works.write(scattered(20, seed, ("acme", "evil")))
        works.write([job("last")])
        found = agree(works)
        events = sum(sums[0] for sums in found.values()) + sum(n for (n,) in rows(works, "recent", "events"))
        assert 121 == events
        assert (bounds == ROOMY) == (not found)
        assert (bounds == NONE) == (rows(works, "recent") == [(0,)])


def test_all_columns_move(ledger_url: str) -> None:
    """Sums of every size and sign, in both parts of a row: what came in is what lies in the rollups."""
    data = {"cpu": -3, "disk": "0.000000001", "gpu": 123_456_789_012, "memory": "-1.5", "net": 7}
    with room(ROOMY), Works(ledger_url) as works:
        works.write([job("a", **data), job("b", **data)])
        before = sorted(rows(works, "recent", f"series_no, part, {', '.join(SUMS)}"))
    with room(NONE), Works(ledger_url) as works:
        works.write([job("c", worker="another")])
        after = sorted(rows(works, "rollups WHERE level = 3", f"series_no, part, {', '.join(SUMS)}"))
        assert [(0,)] == rows(works, "recent")
        assert before == [row for row in after if row in before]
        assert 2 == len(before)


def test_use_that_was_taken_back_is_no_first_use(roomy: Works) -> None:
    """The event in the rollups, what takes it back in `recent`, or the other way round."""
    for account, (first, then) in enumerate(((NONE, ROOMY), (ROOMY, NONE))):
        body = {"source": "test", **job("1", f"acct-{account}", cpu=2)}
        later = {**job("2", f"acct-{account}"), "time": instant_text(NOW_US + 3 * MINUTE_US)}
        roomy.write([body, later])
        event = read_event(0, body, Admission(OPERATOR, NOW_US, backfill=True), any_time=True)
        reader = roomy.metering.scheme.readers["job"]
        tally = Tally()
        for reading in reader.readings(event, reader.check(event)):
            tally.take(event.account_id, event.time_us, reading)
        committer = roomy.committers[0]
        known = roomy.account(f"acct-{account}")
        for bounds, tallied in ((first, Tally(rows=dict.fromkeys(tally.rows, [0] * 11))), (then, tally)):
            with room(bounds):
                add_up = type(committer._add_up)(sqlite=roomy.ledger.is_sqlite)
            with roomy.ledger.writing() as connection:
                placed = Placed()
                placed.add_tally(tallied, {known.id: known.no}, committer._numbers)
                add_up.write(connection, placed)
        assert [(0,)] != rows(roomy, "recent") or then == NONE
        with roomy.measure._store.snapshot() as snapshot:
            question = Question("jobs", [Span(0, NOW_US + DAY_US)])
            found = roomy.measure.first_use_us(snapshot, known, question)
        assert NOW_US + 3 * MINUTE_US - (NOW_US % MINUTE_US) == found
        assert NANOS == roomy.total(known.id, "jobs")


# --- how much lies waiting ------------------------------------------------------------------------------------------


def test_no_account_has_more_rows_waiting_than_may_be(ledger_url: str) -> None:
    """Whatever a commit brings, and after a restart that remembers nothing."""
    for start in range(3):
        with room((10**6, 7)), Works(ledger_url) as works:
            for seed in range(8):
                works.write(scattered(10 - seed, 100 * start + seed, ("acme", "evil", "other")))
                counts = rows(works, "recent GROUP BY account_no", "count(*)")
                assert all(count <= 7 for (count,) in counts)
            assert counts


def test_all_accounts_together_have_not_more_rows_waiting_than_may_be(ledger_url: str) -> None:
    """Each commit adds a few to many accounts; what passes the bound moves, account after account, in any order."""
    names = [f"acct-{n}" for n in range(40)]
    with room((60, 10**6)), Works(ledger_url) as works:
        for seed in range(30):
            works.write(scattered(10, seed, names))
            assert rows(works, "recent") <= [(60 + 20,)]  # parts and all: two rows an event
        assert rows(works, "recent") >= [(30,)]  # it is not emptied
        assert 300 * NANOS == sum(works.total(name, "jobs") for name in names if _is_known(works, name))


def _is_known(works: Works, account_id: str) -> bool:
    return bool(rows(works, f"accounts WHERE account_id = '{account_id}'", "account_no"))


def test_events_of_one_minute_do_not_move(ledger_url: str) -> None:
    """They become one row, however many there are, and what only seems much is counted before anything moves."""
    with room((50, 20)), Works(ledger_url) as works:
        for batch in range(30):
            works.write([job(f"{batch}-{n}", worker=f"w{n % 3}") for n in range(10)])
        assert [(0,)] == rows(works, "rollups")
        assert 300 * NANOS == works.total("acme", "jobs")


# --- what goes wrong, and who is there at once ------------------------------------------------------------------------


def test_a_move_that_fails_takes_the_commit_with_it(ledger_url: str) -> None:
    """Nothing of it counts, nothing was lost of what lay there before, and sent again it counts once."""
    with room((10**6, 3)), Works(ledger_url) as works:
        works.write([job("0", cpu=1)])
        refuse, allow = _refusal(works)
        with works.ledger.writing() as connection:
            for sql in refuse:
                connection.execute(text(sql))
        batch = scattered(10, 1)
        with pytest.raises(Unavailable):
            works.write(batch)
        assert NANOS == works.total("acme", "jobs")
        with works.ledger.writing() as connection:
            connection.execute(text(allow))
        assert 10 == works.write(batch).accepted
        assert 11 * NANOS == works.total("acme", "jobs")
        assert rows(works, "recent") <= [(3,)]


def _refusal(works: Works) -> tuple[list[str], str]:
    if works.ledger.is_sqlite:
        body = "BEGIN SELECT RAISE(ABORT, 'disk I/O error'); END"
        return [f"CREATE TRIGGER refuse BEFORE INSERT ON rollups {body}"], "DROP TRIGGER refuse"
    function = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no space''; END'"
    return [function, "CREATE TRIGGER refuse BEFORE INSERT ON rollups EXECUTE FUNCTION refuse()"], (
        "DROP TRIGGER refuse ON rollups"
    )


@pytest.mark.parametrize("lanes", [1, 3])
def test_processes_that_write_and_move_at_once_lose_nothing(ledger_url: str, lanes: int) -> None:
    """Two processes with all their lanes write the same accounts while both move; a reader never sees less."""
    names = [f"acct-{n}" for n in range(6)]
    done = threading.Event()
    seen: list[int] = []
    with room((30, 5)), Works(ledger_url, lanes=lanes) as one, Works(ledger_url, lanes=lanes) as two:
        one.write([job("first", name) for name in names])
        account = one.account(names[0])

        def write(works: Works, seed: int) -> None:
            for batch in range(12):
                works.write(scattered(12, 1_000 * seed + batch, names))

        def read() -> None:
            while not done.is_set():
                questions = [Question("jobs", [all_time()], by) for by in ((), ("worker",))]
                whole, grouped = two.measure.ask(account, questions)
                assert whole.value == sum(values[0] for values in grouped.groups.values())
                seen.append(whole.value)

        def work(number: int) -> None:
            if number == 2:
                read()
                return
            try:
                write((one, two)[number], number)
            finally:
                if number == 0:
                    done.set()

        in_parallel(3, work)
        assert seen == sorted(seen)
        assert (6 + 2 * 144) * NANOS == sum(one.total(name, "jobs") for name in names)
        assert agree(one)


def test_rows_of_a_generation_that_is_no_more_go_with_it(roomy: Works) -> None:
    """They lay in `recent`, and nothing of them is left when the new generation serves."""
    roomy.write(scattered(20, 1))
    roomy.write([{"id": "u", "type": "never.heard", "subject": "acme", "time": instant_text(NOW_US), "data": {}}])
    roomy.metering.rebuild("jobs")
    roomy.fill.run()
    serving = {generation.type_no for generation in roomy.metering.refresh().serving.values()}
    assert {type_no for (type_no,) in rows(roomy, "recent", "type_no")} <= serving
    assert set(rows(roomy, "summaries", "account_no, series_no")) <= set(rows(roomy, "series", "account_no, series_no"))
    assert 20 * NANOS == roomy.total("acme", "jobs")
    body = {"event": "never.heard", "aggregation": "count"}
    roomy.metering.put("heard", body)
    roomy.fill.run()
    assert (NANOS, 0) == (roomy.total("acme", "heard"), roomy.total("acme", "events_unmetered"))
