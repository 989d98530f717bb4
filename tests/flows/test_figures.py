"""Figures that move with events: whatever is counted, the one that is remembered is the one that is read."""

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tallybook.core.figures import rule_of
from tallybook.core.ids import AccountId
from tallybook.core.instant import DAY_US, HOUR_US, MINUTE_US, instant_text
from tallybook.core.meter import Question
from tallybook.core.window import Span, all_time
from tallybook.ledger.migrate import migrate
from tallybook.ledger.open import Ledger, sqlite_url
from tests.support.events import NOW_US
from tests.support.works import Works, named

HOUR = Span(NOW_US - HOUR_US, NOW_US)
QUESTIONS = {
    "a sum": Question("credits", (all_time(),)),
    "a sum in an hour": Question("credits", (HOUR,)),
    "a count": Question("messages", (all_time(),)),
    "a count of some": Question("messages", (HOUR,), filters={"direction": ("inbound",), "agent_id": ("a", "b")}),
    "a count under a condition": Question("request_errors", (all_time(),)),
    "two fields": Question("tokens", (all_time(),), filters={"model": ("m",)}),
}
STILL = {
    "a last value": Question("storage_mb", (all_time(),)),
    "money": Question("request_cost_usd", (all_time(),)),
    "a span that is cut inside a minute": Question("credits", (Span(NOW_US - 1, NOW_US),)),
}


@pytest.fixture
def works(tmp_path: Path) -> Iterator[Works]:
    """Ingest and measure over an empty ledger that nobody else writes."""
    url = sqlite_url(tmp_path)
    ledger = Ledger(url)
    migrate(ledger)
    ledger.close()
    with Works(url) as opened:
        yield opened


def events(random: Random, count: int) -> list[dict[str, object]]:
    """Events of five types, in the hour or not."""
    made: list[dict[str, object]] = []
    for _ in range(count):
        data: tuple[str, dict[str, object]] = random.choice(
            [
                ("credit.spend", {"amount": random.randint(0, 10**6)}),
                ("message", {"direction": random.choice(["inbound", "outbound"]), "agent_id": random.choice("abc")}),
                ("api.request", {"api_id": "x", "status": random.choice([200, 404, 500])}),
                ("llm.completion", {"input_tokens": 7, "output_tokens": 5, "model": random.choice("mn")}),
                ("storage.snapshot", {"megabytes": random.randint(0, 9)}),
            ]
        )
        time_us = NOW_US + random.choice([0, -1, -MINUTE_US, -HOUR_US, -HOUR_US - 1, -DAY_US])
        made.append({"type": data[0], "data": data[1], "time": instant_text(time_us)})
    return made


@pytest.mark.parametrize("seed", range(4))
def test_a_figure_that_moved_is_the_one_that_is_read(works: Works, seed: int) -> None:
    """Batch after batch, and of one account only."""
    random, first = Random(seed), 0
    works.write([*named(events(random, 5), "acme"), *named(events(random, 5), "other")])
    acme, figures = works.account("acme"), works.ledger.figures
    for name, question in QUESTIONS.items():
        (answer,) = works.ask("acme", question)
        figures.keep(acme.id, name, figures.count(acme.id), (answer.value, rule_of(works.metering.scheme, question)))
    for _ in range(12):
        first += 10
        works.write([*named(events(random, 6), "acme", first), *named(events(random, 3), "other", first)])
        count = figures.count(acme.id)
        for name, question in QUESTIONS.items():
            assert (works.ask("acme", question)[0].value,) == figures.find(acme.id, name, count), name


@pytest.mark.parametrize("name", STILL)
def test_others_do_not_move(works: Works, name: str) -> None:
    """They are read again."""
    assert rule_of(works.metering.scheme, STILL[name]) is None


def test_the_first_minute_moves_back_with_late_events(works: Works) -> None:
    """And nothing else moves it."""
    works.write(named([{"type": "credit.spend", "data": {"amount": 1}, "time": instant_text(NOW_US)}], "acme"))
    acme, figures = works.account("acme"), works.ledger.figures
    rule = rule_of(works.metering.scheme, QUESTIONS["a sum"], is_first=True)
    figures.keep(acme.id, "first", figures.count(acme.id), (None, rule))
    for number, (offset_us, expected_us) in enumerate([(0, 0), (-HOUR_US, -HOUR_US), (-MINUTE_US, -HOUR_US)], 1):
        time = instant_text(NOW_US + offset_us)
        works.write(named([{"type": "credit.spend", "data": {"amount": 1}, "time": time}], "acme", number))
        assert ((NOW_US + expected_us) // MINUTE_US * MINUTE_US,) == figures.find(
            acme.id, "first", figures.count(AccountId("acme"))
        )


def test_a_figure_that_nobody_asks_for_is_let_go(works: Works, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that what was asked once does not cost each commit something for ever."""
    monkeypatch.setattr("tallybook.core.figures.UNASKED_MAX", 2)
    spend = {"type": "credit.spend", "data": {"amount": 1}}
    works.write(named([spend], "acme"))
    acme, figures = works.account("acme"), works.ledger.figures
    figures.keep(acme.id, "sum", figures.count(acme.id), (0, rule_of(works.metering.scheme, QUESTIONS["a sum"])))
    for number in range(1, 4):
        works.write(named([spend], "acme", number))
    assert figures.find(acme.id, "sum", figures.count(acme.id)) is None
