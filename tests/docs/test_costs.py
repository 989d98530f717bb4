"""docs/costs.md calculates right: every card on it is read, every row of its tables is what the code makes of it."""

import json
import re
from importlib.resources import files

import pytest

from tallybook.core.card import read_price
from tallybook.core.number import parse_nanos, to_text
from tallybook.core.price import cost_of
from tallybook.core.pricelist import load_price_list
from tests.docs.pages import blocks, headings, read, section
from tests.support.client import Desk, open_desk

PAGE = read("docs/costs.md")
WORKED = [
    name for name in headings(PAGE, 3) if re.search(r"^\| (used|calls) \| costs \|$", section(PAGE, name), re.MULTILINE)
]
LIST = load_price_list("llm", files("tallybook").joinpath("data", "llm_prices.toml").read_text("utf-8"))


def rows(text: str, columns: int) -> list[list[str]]:
    """The cells of the table in *text*, without its head."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")][:columns] for line in lines[2:]]


def test_every_form_of_a_price_has_its_example() -> None:
    """As many as there are ways to make a cost of a quantity."""
    assert len(WORKED) == 7


@pytest.mark.parametrize("name", WORKED)
def test_the_table_of_a_card_is_what_the_card_costs(name: str) -> None:
    """To the nano."""
    told = section(PAGE, name)
    (block,) = blocks(told, "json")
    price = read_price(json.loads(block.text), "")
    table = rows(told, 2)
    assert len(table) >= 1
    for used, costs in table:
        parts = [parse_nanos(part) for part in used.split(", ")]
        if price.rounding is not None:
            parts = [price.rounding.rounded(part) for part in parts]
        rule = price.meter and LIST.rate(price.meter, price.filter.get("model", ""), 0, price.multiplier)
        assert costs == to_text(cost_of(price, sum(parts), rule if price.price_list and rule else None)), used


@pytest.fixture
def desk(tmp_path) -> Desk:
    with open_desk(tmp_path, now="2026-03-01T00:00:00Z") as opened:
        yield opened


def test_the_invoice_of_the_example_says_what_the_page_says(desk: Desk) -> None:
    """Put the card, use it, close the month."""
    told = section(PAGE, "An example")
    (block,) = blocks(told, "json")
    assert 200 == desk.put("/v1/plans/example", desk.operator, json=json.loads(block.text)).status_code
    desk.account("acme", plan="example")
    (requests,) = re.findall(r"([0-9,]+) requests and", told)
    (calls,) = re.findall(r"calls of ([0-9]+), ([0-9]+) and ([0-9]+) seconds", told)
    body = {"api_id": "a", "status": 200}
    for first in range(0, int(requests.replace(",", "")), 500):
        desk.send(
            *({"id": f"r{first + n}", "type": "api.request", "subject": "acme", "data": body} for n in range(500))
        )
    voice = {"channel": "voice", "direction": "inbound"}
    desk.send(
        *(
            {"id": f"c{n}", "type": "call", "subject": "acme", "data": {**voice, "duration_s": int(s)}}
            for n, s in enumerate(calls)
        )
    )
    desk.set_now("2026-04-01T00:00:00Z")
    invoice = desk.post("/v1/accounts/acme/invoices", desk.operator, json={}).json()["invoice"]
    table = rows(told, 3)
    assert table[-1][:2] == ["total", invoice["total"]]
    assert table[:-1] == [[line["item"], line["amount"], line["how"]] for line in invoice["lines"]]
