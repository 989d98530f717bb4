"""Series are bounded by folding, and folding never loses or moves a unit of usage."""

import json
import random

import pytest
from sqlalchemy import text

from tallybook.core.clock import FrozenClock
from tallybook.core.event import Outcome
from tallybook.core.instant import HOUR_US
from tallybook.core.number import NANOS
from tallybook.ledger import series
from tallybook.ledger.series import FOLDED
from tests.support.events import NOW_US, EventBody
from tests.support.works import Works, job, outcomes

CAP = 10


def spread(count: int, account_id: str = "acme", first: int = 0) -> list[EventBody]:
    """Events that each want a series of their own, by worker; regions and outcomes take turns."""
    return [
        job(f"{n}", account_id, worker=f"w{n}", region=("eu", "us")[n % 2], ok=n % 3 == 0, cpu=n, net=1, code=400 + n)
        for n in range(first, first + count)
    ]


def series_of(works: Works, account_id: str = "acme") -> list[dict[str, str]]:
    """The dimensions of every series of an account, in the order in which they were numbered."""
    query = (
        "SELECT dims FROM series s JOIN accounts a ON a.account_no = s.account_no"
        " WHERE a.account_id = :id ORDER BY series_no"
    )
    with works.ledger.reading() as connection:
        return [json.loads(dims) for dims in connection.scalars(text(query), {"id": account_id})]


def check_totals(works: Works, events: list[EventBody], account_id: str = "acme") -> None:
    """Whatever was folded: totals, closed dimensions, and meters with conditions on free text are exact."""
    data = [event["data"] for event in events]
    assert len(data) * NANOS == works.total(account_id, "jobs") == works.total(account_id, "job_nets")
    assert sum(one["cpu"] for one in data) * NANOS == works.total(account_id, "job_cpu")
    by_region = {key: value // NANOS for key, value in works.groups(account_id, "jobs", "region").items()}
    assert {region: sum(one["region"] == region for one in data) for region in by_region} == by_region
    by_ok = {key: value // NANOS for key, value in works.groups(account_id, "jobs", "ok").items()}
    assert {ok: sum(str(one["ok"]).lower() == ok for one in data) for ok in by_ok} == by_ok
    eu = sum(one["cpu"] for one in data if one["region"] == "eu")
    assert eu * NANOS == works.total(account_id, "job_cpu_eu")
    failed = sum(not one["ok"] and 400 <= one["code"] < 600 for one in data)
    assert failed * NANOS == works.total(account_id, "jobs_failed")
    by_worker = works.groups(account_id, "jobs", "worker")
    assert len(data) * NANOS == sum(by_worker.values())


@pytest.mark.parametrize("batches", [1, 7])
def test_beyond_the_cap_free_text_is_folded_and_totals_stay_exact(ledger_url: str, batches: int) -> None:
    """CAP new series an hour keep their own place; what comes after shares a few, and the receipt says which events."""
    with Works(ledger_url, series_an_hour_max=CAP) as works:
        events = spread(63)
        receipts = [works.write(events[n::batches]) for n in range(batches)]
        notices = [error for receipt in receipts for error in receipt.errors]
        assert 63 == sum(receipt.accepted for receipt in receipts)
        assert [("series-limit", Outcome.ACCEPTED)] * (63 - CAP) == [(one.code, one.outcome) for one in notices]
        assert all(one.pointer.endswith("/data") for one in notices)
        check_totals(works, events)
        groups = works.groups("acme", "jobs", "worker")
        assert CAP + 1 == len(groups)
        assert (63 - CAP) * NANOS == groups[FOLDED]
        named = {event["id"] for event in events} - {one.id for one in notices}
        assert {f"w{event_id}" for event_id in named} == groups.keys() - {FOLDED}


def test_closed_dimensions_are_never_folded(ledger_url: str) -> None:
    """Also when the account's hour is full already: limits on them stay exact."""
    with Works(ledger_url, series_an_hour_max=1) as works:
        events = spread(12)
        works.write(events)
        check_totals(works, events)
        assert {FOLDED} < {dims.get("worker") for dims in series_of(works)}
        assert {("eu", "true"), ("us", "true"), ("eu", "false"), ("us", "false")} == {
            (dims["region"], dims["ok"]) for dims in series_of(works)
        }


def test_a_condition_on_folded_text_still_counts(ledger_url: str) -> None:
    """A meter that counts two workers by name counts them when their names are folded away."""
    with Works(ledger_url, series_an_hour_max=2) as works:
        works.write(spread(5))
        works.write([job("a", worker="ada"), job("b", worker="bob"), job("c", worker="eve", region="eu")])
        assert 2 * NANOS == works.total("acme", "jobs_of_ada")
        assert {None: NANOS, "eu": NANOS} == works.groups("acme", "jobs_of_ada", "region")


def test_the_cap_is_for_each_account_and_hour(ledger_url: str) -> None:
    """Others are not hit, what had its place keeps it, and an hour later there is room again."""
    clock = FrozenClock(NOW_US)
    with Works(ledger_url, clock, series_an_hour_max=CAP) as works:
        assert CAP == len(works.write(spread(2 * CAP)).errors)
        assert () == works.write(spread(CAP, "other")).errors
        known = [{**event, "id": f"again-{event['id']}"} for event in spread(CAP)]
        told = works.groups("acme", "jobs", "worker")
        receipt = works.write([event for event in known if event["data"]["worker"] in told])  # type: ignore[index]
        assert () == receipt.errors
        clock.advance(HOUR_US)
        assert CAP == len(works.write(spread(2 * CAP, first=100)).errors)
        fresh = {f"w{n}" for n in range(100, 100 + 2 * CAP)} & works.groups("acme", "jobs", "worker").keys()
        assert CAP == len(fresh)


def test_the_cap_holds_across_restarts_and_processes(ledger_url: str) -> None:
    """It is counted in the ledger, not in a process."""
    with Works(ledger_url, series_an_hour_max=CAP) as one, Works(ledger_url, series_an_hour_max=CAP) as two:
        assert () == one.write(spread(CAP - 1)).errors
        assert 4 == len(two.write(spread(5, first=50)).errors)
    with Works(ledger_url, series_an_hour_max=CAP) as works:
        assert 5 == len(works.write(spread(5, first=80)).errors)
        assert CAP + 1 == len(works.groups("acme", "jobs", "worker"))


def test_a_failed_commit_gives_no_number_away(ledger_url: str) -> None:
    """Numbers taken by a transaction that was rolled back are given again, to whoever comes."""
    with Works(ledger_url) as works:
        works.write(spread(3))
        add_up, works.committers[0]._add_up.write = works.committers[0]._add_up.write, _fail  # type: ignore[method-assign]
        with pytest.raises(Exception, match="could not be written"):
            works.write(spread(3, first=3))
        works.committers[0]._add_up.write = add_up  # type: ignore[method-assign]
        works.write(spread(3, first=10))
        works.write(spread(3, first=3))
        events = [*spread(6), *spread(3, first=10)]
        check_totals(works, events)
        assert {f"w{event['id']}": NANOS for event in events} == works.groups("acme", "jobs", "worker")
        assert 9 == len(series_of(works))


def _fail(*_: object) -> None:
    raise RuntimeError("a bug in a commit")


def test_forgetting_known_numbers_changes_nothing(ledger_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a cache that holds five series, sixty keep their numbers over many commits."""
    monkeypatch.setattr(series, "CACHED_MAX", 5)
    events = spread(60)
    with Works(ledger_url) as works:
        for start in range(0, 60, 6):
            works.write(events[start : start + 6])
        again = [{**event, "id": f"again-{event['id']}"} for event in random.Random(1).sample(events, 60)]
        for start in range(0, 60, 15):
            assert (15, 0, 0, 0) == outcomes(works.write(again[start : start + 15]))
        check_totals(works, [*events, *again])
        assert 60 == len(series_of(works))


def test_odd_dimension_values_are_series_of_their_own(ledger_url: str) -> None:
    """Quotes, backslashes, scripts, line separators, null-like and number-like texts come back as they went in."""
    values = [
        '"',
        "\\",
        "'",
        "é",
        "e\u0301",
        "\u2028",
        "\u202e",
        "null",
        "1",
        "1.0",
        "true",
        "[]",
        "😀",
        " ",
        "\n",
        "\x1f",
        "%s",
        ":x",
    ]
    with Works(ledger_url) as works:
        works.write([job(str(n), worker=value, cpu=1) for n, value in enumerate(values)])
        assert dict.fromkeys(values, NANOS) == works.groups("acme", "jobs", "worker")
        for value in values:
            assert NANOS == works.total("acme", "job_cpu", worker=value)


def test_absent_and_empty_values_are_one(ledger_url: str) -> None:
    """Null, the empty text and nothing at all are the group None."""
    with Works(ledger_url) as works:
        works.write([job("1"), job("2", worker=None), job("3", worker=""), job("4", worker="None")])
        assert {None: 3 * NANOS, "None": NANOS} == works.groups("acme", "jobs", "worker")
