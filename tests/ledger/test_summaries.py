"""Summaries of days and months: they say what their series say, and appear nowhere but in sums."""

from collections import Counter
from collections.abc import Iterator

import msgspec
import pytest
from sqlalchemy import text

from tallybook.core.cover import Segment, cover
from tallybook.core.instant import DAY_US, MINUTE_US, instant_text
from tallybook.core.meter import Question
from tallybook.core.number import NANOS
from tallybook.core.shape import Shape
from tallybook.core.sums import Place, Wanted
from tallybook.core.window import Span, last_days, last_months
from tallybook.ledger import recent
from tallybook.ledger.migrate import migrate
from tallybook.ledger.open import Ledger
from tests.support.events import NOW_US, EventBody
from tests.support.older import list_keys_as_json
from tests.support.works import Works, job

DAYS = last_days(NOW_US, 60)
COLUMNS = "account_no, series_no, summary_no, summary_key"
LEVELS = "account_no, type_no, level, bucket, series_no, part, events, count_1, unit_1 FROM rollups WHERE level > 3"


@pytest.fixture
def works(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Works]:
    """Ingest and measure where every row moves at once."""
    monkeypatch.setattr(recent, "ACCOUNT_ROWS_MAX", 0)
    with Works(ledger_url) as opened:
        yield opened


def varied(account_id: str = "acme") -> list[EventBody]:
    """Return jobs of 50 days and many workers, in two regions or none, some of which failed."""
    return [
        {
            **job(
                str(n),
                account_id,
                worker=f"w{n % 17}",
                cpu=n,
                **({} if n % 3 == 2 else {"region": ("eu", "us")[n % 3]}),
                ok=bool(n % 5),
                code=200 + 300 * (n % 2),
            ),
            "time": instant_text(NOW_US - n * 7 * 3_600_000_000),
        }
        for n in range(170)
    ]


def read(works: Works, sql: str) -> list[tuple[object, ...]]:
    """Return rows in order."""
    with works.ledger.reading() as connection:
        return sorted((tuple(row) for row in connection.execute(text(f"SELECT {sql}"))), key=repr)


def segments(windows: object = DAYS) -> tuple[Segment, ...]:
    """Return the days of DAYS as the rollups have them."""
    return cover(windows).segments  # type: ignore[arg-type]


@pytest.mark.parametrize("windows", [DAYS, last_months(NOW_US, 4), (Span(NOW_US - 40 * DAY_US, NOW_US),)])
@pytest.mark.parametrize("filters", [{}, {"region": ("eu",)}, {"region": ("eu", "us"), "ok": ("true",)}])
def test_a_summary_says_what_its_series_say(
    works: Works, windows: tuple[Span, ...], filters: dict[str, tuple[str, ...]]
) -> None:
    """Read from the one or from the others, by days, months and across their borders, grouped or not."""
    works.write(varied())
    account, type_no = works.account("acme"), works.metering.scheme.serving["job"].type_no
    minutes = tuple(Span(w.start_us - w.start_us % MINUTE_US, w.end_us - w.end_us % MINUTE_US) for w in windows)
    with works.measure._store.snapshot() as snapshot:
        series = snapshot.series(account.no, type_no)
        taken = {no: 0 for no, dims in series.items() if all(dims.get(n) in v for n, v in filters.items())}
        for groups in (taken, None) if not filters else (taken,):
            told = []
            for summary in (False, True):
                sums: Counter[tuple[int, str]] = Counter()
                wanted = Wanted(events=True, counts=(0, 3), sums=(0, 3))
                place = Place(account.no, type_no, wanted, summary=summary)
                for rows in snapshot.sums(place, segments(minutes), groups):
                    assert rows.groups is None
                    columns = {"events": rows.events or [0] * len(rows.windows)}
                    columns |= {f"count {slot}": column for slot, column in rows.counts.items()}
                    columns |= {f"sum {slot}": column for slot, column in rows.sums.items()}
                    columns |= {f"sum {slot}": [n * NANOS for n in column] for slot, column in rows.wholes.items()}
                    for name, column in columns.items():
                        for window, value in zip(rows.windows, column, strict=True):
                            sums[window, name] += value
                told.append({key: value for key, value in sums.items() if value})
            assert told[0] == told[1]
            assert told[0]


def test_a_summary_is_far_fewer_rows(works: Works) -> None:
    """One for each combination of what has few values, not of all; and no list of values knows of it."""
    works.write(varied())
    assert 170 == len(read(works, "account_no, bucket FROM rollups WHERE level = 2 AND part = 0"))
    numbers = read(works, "DISTINCT summary_no FROM summaries")
    assert len(numbers) < 30 < len(read(works, "series_no FROM series"))
    assert {f"w{n}" for n in range(17)} == set(works.groups("acme", "jobs", "worker"))
    assert 170 * NANOS == sum(works.groups("acme", "jobs", "worker").values()) == works.total("acme", "jobs")


def test_events_that_no_meter_reads_have_no_summary(works: Works) -> None:
    """They stop counting as such when a meter comes, one type after the other."""
    sent = [
        {"id": str(n), "type": f"new.{n % 2}", "subject": "acme", "time": instant_text(NOW_US), "data": {}}
        for n in range(5)
    ]
    works.write(sent)
    assert [] == read(works, COLUMNS + " FROM summaries")
    works.metering.put("news", {"event": "new.0", "aggregation": "count"})
    works.fill.run()
    (answer, rest) = works.ask("acme", Question("news", DAYS), Question("events_unmetered", DAYS))
    assert (3 * NANOS, 2 * NANOS) == (sum(answer.values), sum(rest.values))


@pytest.mark.parametrize("closed", [True, False])
def test_a_ledger_from_before_is_summarised_as_one_of_today(ledger_url: str, *, closed: bool) -> None:
    """With the same numbers, hashes and sums; where closed lists were not written down, by conditions alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recent, "ACCOUNT_ROWS_MAX", 0)
        with Works(ledger_url) as works:
            if not closed:
                _forget_closed(works.ledger)
        with Works(ledger_url) as works:
            for account_id in ("acme", "evil"):
                works.write(varied(account_id))
            told = [read(works, COLUMNS + " FROM summaries"), read(works, LEVELS)]
            asked = [
                Question("jobs", DAYS, ("region",)),
                Question("job_cpu", DAYS, (), {"region": ("us",)}),
                Question("jobs_failed", DAYS),
            ]
            answers = [answer.groups for answer in works.ask("acme", *asked)]
        ledger = Ledger(ledger_url)
        list_keys_as_json(ledger)
        with ledger.writing() as connection:
            for sql in ("DROP TABLE summaries", "DELETE FROM rollups WHERE level > 3"):
                connection.execute(text(sql))
            connection.execute(text("UPDATE alembic_version SET version_num = '0008'"))
        assert migrate(ledger)
        ledger.close()
        with Works(ledger_url) as works:
            assert told == [read(works, COLUMNS + " FROM summaries"), read(works, LEVELS)]
            assert all(told)
            assert answers == [answer.groups for answer in works.ask("acme", *asked)]
            works.write([job("new", worker="w1", ok=True, code=200), job("newer", worker="w99", ok=True, code=200)])
            assert 172 * NANOS == sum(works.ask("acme", Question("jobs", DAYS))[0].values)
            assert len(told[0]) < len(read(works, COLUMNS + " FROM summaries"))


def _forget_closed(ledger: Ledger) -> None:
    with ledger.writing() as connection:
        for type_no, body in connection.execute(text("SELECT type_no, shape FROM event_types")).all():
            shape = msgspec.structs.replace(msgspec.json.decode(body, type=Shape), closed=())
            row = {"type_no": type_no, "shape": msgspec.json.encode(shape).decode()}
            connection.execute(text("UPDATE event_types SET shape = :shape WHERE type_no = :type_no"), row)
