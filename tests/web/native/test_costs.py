"""Costs, invoices and backtests over HTTP: exact strings, safe paper, nobody else's money."""

import csv
import io
import json
import re

import pytest

from tallybook.core.invoice import digest_of
from tallybook.core.number import parse_nanos
from tallybook.core.reckon import Grouping
from tallybook.web.paper.csv import safe_cell
from tests.support.client import Desk

NASTY = '=HYPERLINK("http://x","y")<img src=x onerror=alert(1)>'
NAMES = "Łódź مرحبا עברית ไทย हिन्दी 李小龍 日本語 한국어 ☃ 😀 \u202eevil"
TIERS = [{"upto": "2", "unit_price": "0.5"}, {"unit_price": "0.25"}]
CARD = {
    "prices": [
        {"meter": "requests", "graduated": TIERS, "name": NASTY},
        {"fee": "31"},
        {"meter": "messages", "unit_price": "0.01"},
    ]
}


def requests(count: int, account: str, at: str = "2026-03-15T08:00:00Z", **data: object) -> list[dict[str, object]]:
    """Requests to an API, some of which say what they cost."""
    told = {"api_id": "a", "status": 200, **data}
    return [
        {"id": f"{at}{n}{data}", "type": "api.request", "subject": account, "time": at, "data": told}
        for n in range(count)
    ]


@pytest.fixture
def acme(desk: Desk) -> str:
    """An account on a card, with usage, and its key."""
    desk.set_now("2026-03-01T00:00:00Z")
    assert 200 == desk.put("/v1/plans/team", desk.operator, json=CARD).status_code
    key = desk.account("acme", name=NAMES, plan="team")
    desk.set_now("2026-03-15T12:00:00Z")
    desk.send(*requests(4, "acme"), *requests(1, "acme", "2026-03-14T08:00:00Z", cost_usd="0.125"))
    return key


def test_costs_are_exact_strings_and_rows_add_up(desk: Desk, acme: str) -> None:
    """By day, by item, in a zone; the total is the sum of the rows."""
    base = "/v1/accounts/acme/cost?from=2026-03-14&to=2026-03-16"
    whole = desk.get(base, acme).json()
    assert ("USD", "3.625", "total") == (whole["currency"], whole["total"], whole["granularity"])
    for more in ("granularity=day", "granularity=hour&tz=Asia/Kathmandu", "granularity=day&group_by=item,api_id"):
        answer = desk.get(f"{base}&{more}&tz=UTC" if "tz" not in more else f"{base}&{more}", acme).json()
        assert parse_nanos(answer["total"]) == sum(parse_nanos(row["cost"]) for row in answer["rows"])
    grouped = desk.get(f"{base}&group_by=item,api_id", acme).json()["rows"]
    assert {(NASTY, "a"): "1.5", ("carried by events", "a"): "0.125", ("fee", None): "2"} == {
        (row["group"]["item"], row["group"]["api_id"]): row["cost"] for row in grouped
    }


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("group_by=nope", "invalid-parameter"),
        ("group_by=meter,meter", "invalid-parameter"),
        ("group_by=", "invalid-parameter"),
        ("granularity=minute&from=2026-01-01&to=2026-03-01", "range-too-large"),
        ("from=2026-03-02&to=2026-03-01", "invalid-range"),
        ("tz=Mars/Base", "unknown-timezone"),
    ],
)
def test_what_cannot_be_asked_is_refused(desk: Desk, acme: str, query: str, code: str) -> None:
    """With the code that says why."""
    answer = desk.get(f"/v1/accounts/acme/cost?{query}", acme)
    assert (400, code) == (answer.status_code, answer.json()["code"])


def test_no_usage_costs_nothing(desk: Desk) -> None:
    """An account without a card, an empty span."""
    key = desk.account("zero")
    assert "0" == desk.get("/v1/accounts/zero/cost", key).json()["total"]
    empty = desk.get("/v1/accounts/zero/cost?from=2026-03-01&to=2026-03-01&granularity=day", key).json()
    assert ("0", []) == (empty["total"], empty["rows"])
    assert [] == desk.get("/v1/accounts/zero/invoices/preview", key).json()["invoice"]["lines"]


def test_scopes_of_costs_and_invoices(desk: Desk, acme: str) -> None:
    """Costs are usage; invoices need billing; only the operator closes."""
    reader = desk.account("acme", scopes=["usage:read"])
    assert 200 == desk.get("/v1/accounts/acme/cost", reader).status_code
    assert 403 == desk.get("/v1/accounts/acme/invoices/preview", reader).status_code
    assert 200 == desk.get("/v1/accounts/acme/invoices/preview", acme).status_code
    refused = desk.post("/v1/accounts/acme/invoices", acme, json={"at": "2026-02-01"})
    assert (403, "operator-required") == (refused.status_code, refused.json()["code"])
    assert (
        403 == desk.post("/v1/plans/team/backtest", acme, json={"from": "2026-03-01", "to": "2026-03-16"}).status_code
    )


def close(desk: Desk) -> dict[str, object]:
    """Close March, with late usage before it."""
    desk.set_now("2026-04-02T00:00:00Z")
    answer = desk.post("/v1/accounts/acme/invoices", desk.operator, json={"at": "2026-03-05"})
    assert 201 == answer.status_code, answer.text
    return dict(answer.json())


def test_an_invoice_is_the_same_on_every_paper(desk: Desk, acme: str) -> None:
    """JSON whose digest can be checked, CSV that starts no formula, HTML that runs nothing, PDF with every name."""
    made = close(desk)
    answer = desk.get("/v1/accounts/acme/invoices/INV-000001", acme)
    assert made == answer.json()
    bytes_of_it = answer.content.split(b'"invoice":', 1)[1][:-1]
    assert made["digest"] == digest_of(bytes_of_it)
    assert "32.62" == answer.json()["invoice"]["total"]

    table = desk.get("/v1/accounts/acme/invoices/INV-000001.csv", acme)
    assert "text/csv; charset=utf-8" == table.headers["content-type"]
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert f"'{NASTY}" in {row["item"] for row in rows}
    assert not [cell for row in rows for cell in row.values() if cell.startswith(("=", "+", "@", "\t"))]
    assert "32.62" == rows[-1]["amount"]

    page = desk.get("/v1/accounts/acme/invoices/INV-000001.html", acme)
    assert "<img" not in page.text
    assert "&lt;img src=x" in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "<script" not in page.text

    printed = desk.get("/v1/accounts/acme/invoices/INV-000001.pdf", acme)
    assert ("application/pdf", b"%PDF-") == (printed.headers["content-type"], printed.content[:5])
    assert printed.content == desk.get("/v1/accounts/acme/invoices/INV-000001.pdf", acme).content
    assert 404 == desk.get("/v1/accounts/acme/invoices/INV-000001.xml", acme).status_code


def test_a_preview_comes_on_paper_too(desk: Desk, acme: str) -> None:
    """Without a number, and said to be open."""
    for suffix in ("csv", "html", "pdf", "json"):
        assert 200 == desk.get(f"/v1/accounts/acme/invoices/preview.{suffix}", acme).status_code
    assert "not closed yet" in desk.get("/v1/accounts/acme/invoices/preview.html", acme).text


def test_invoices_are_listed_in_pages_and_belong_to_their_account(desk: Desk, acme: str) -> None:
    """Another account's number is one that does not exist."""
    close(desk)
    desk.set_now("2026-06-02T00:00:00Z")
    for month in ("04", "05"):
        desk.post("/v1/accounts/acme/invoices", desk.operator, json={"at": f"2026-{month}-05"})
    first = desk.get("/v1/accounts/acme/invoices?limit=2", acme).json()
    second = desk.get(f"/v1/accounts/acme/invoices?limit=2&cursor={first['next_cursor']}", acme).json()
    numbers = [one["number"] for page in (first, second) for one in page["invoices"]]
    assert ["INV-000003", "INV-000002", "INV-000001"] == numbers
    other = desk.account("zeta")
    foreign = desk.get("/v1/accounts/zeta/invoices/INV-000001", other)
    absent = desk.get("/v1/accounts/zeta/invoices/INV-900001", other)
    assert 404 == foreign.status_code
    assert absent.content.replace(b"INV-900001", b"*") == foreign.content.replace(b"INV-000001", b"*")
    assert 404 == desk.get("/v1/accounts/acme/invoices/INV-000001", other).status_code


@pytest.mark.parametrize("body", [{"at": 5}, {"at": "soon"}, {"period": "2026-03"}, [], {"at": "2026-03-01T00:00:00"}])
def test_a_period_that_cannot_be_read_is_refused(desk: Desk, acme: str, body: object) -> None:
    """A field's error, never a 500."""
    assert 422 == desk.post("/v1/accounts/acme/invoices", desk.operator, json=body).status_code


def test_a_period_that_has_not_ended_is_a_conflict(desk: Desk, acme: str) -> None:
    """It says when it can be closed."""
    answer = desk.post("/v1/accounts/acme/invoices", desk.operator, json={"at": "2026-03-05"})
    assert (409, True) == (answer.status_code, "2026-04-01T00:00:00Z" in answer.json()["detail"])


# --- backtests -------------------------------------------------------------------------------------------------------


def test_a_backtest_compares_every_account_of_the_plan(desk: Desk, acme: str) -> None:
    """Page by page; nothing is changed; who is elsewhere is left out unless everybody is asked for."""
    for number in range(5):
        desk.account(f"b{number}", plan="team" if number % 2 else "default")
        desk.send(*requests(number, f"b{number}"))
    body = {"from": "2026-03-15", "to": "2026-03-16", "prices": [{"meter": "requests", "unit_price": "1"}], "limit": 2}
    plans = desk.get("/v1/plans/team", desk.operator).json()
    rows, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        answer = desk.post(
            "/v1/plans/team/backtest", desk.operator, json={**body, **({"cursor": cursor} if cursor else {})}
        )
        assert 200 == answer.status_code, answer.text
        page = answer.json()
        rows += page["rows"]
        assert parse_nanos(page["difference"]) == sum(parse_nanos(row["difference"]) for row in page["rows"])
        cursor, pages = page["next_cursor"], pages + 1
    assert ["acme", "b1", "b3"] == [row["account"] for row in rows]
    account = desk.house.accounts.get(desk.house.accounts.list()[0].id)
    assert "acme" == account.id
    assert ("2.5", "4", "1.5") == tuple(rows[0][name] for name in ("before", "after", "difference"))
    assert plans == desk.get("/v1/plans/team", desk.operator).json()
    everybody = desk.post(
        "/v1/plans/team/backtest", desk.operator, json={**body, "everybody": True, "limit": 50}
    ).json()
    assert 6 == len(everybody["rows"])
    assert None is everybody["next_cursor"]
    same = desk.post("/v1/plans/team/backtest", desk.operator, json={"from": "2026-03-15", "to": "2026-03-16"}).json()
    assert {"0"} == {row["difference"] for row in same["rows"]}


def test_a_backtest_says_where_it_cannot_tell(desk: Desk, acme: str) -> None:
    """Another currency is no difference in money."""
    body = {"from": "2026-03-15", "to": "2026-03-16", "prices": [], "currency": "EUR"}
    (row,) = desk.post("/v1/plans/team/backtest", desk.operator, json=body).json()["rows"]
    assert (None, True) == (row["difference"], "USD" in row["problem"])


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"from": "x"}, "/from"),
        ({"to": "2026-03-15"}, "/to"),
        ({"limit": 0}, "/limit"),
        ({"limit": 201}, "/limit"),
        ({"everybody": "yes"}, "/everybody"),
        ({"prices": [{"meter": "requests", "unit_price": 1}]}, "/prices/0/unit_price"),
        ({"prices": [{"meter": "nope", "unit_price": "1"}]}, "/prices/0/meter"),
        ({"currency": "XYZ"}, "/currency"),
        ({"card": []}, "/card"),
        ({"cursor": 5}, "/cursor"),
    ],
)
def test_a_wrong_backtest_is_refused_with_the_place(
    desk: Desk, acme: str, change: dict[str, object], pointer: str
) -> None:
    """As any body is."""
    body = {"from": "2026-03-15", "to": "2026-03-16", **change}
    answer = desk.post("/v1/plans/team/backtest", desk.operator, json=body)
    assert (422, pointer) == (answer.status_code, answer.json()["errors"][0]["pointer"])


def test_a_cursor_of_a_backtest_is_bound_to_its_question(desk: Desk, acme: str) -> None:
    """Made up, or of another span: refused."""
    body = {"from": "2026-03-15", "to": "2026-03-16", "cursor": "abcdef"}
    assert "invalid-cursor" == desk.post("/v1/plans/team/backtest", desk.operator, json=body).json()["code"]


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("=1+1", "'=1+1"),
        ("-5", "-5"),
        ("-5.25", "-5.25"),
        ("-a", "'-a"),
        ("@x", "'@x"),
        ("+1", "'+1"),
        ("a=1", "a=1"),
        ("", ""),
    ],
)
def test_a_cell_is_never_a_formula(text: str, safe: str) -> None:
    """But a number stays one."""
    assert safe == safe_cell(text)


def test_groups_of_costs_are_what_the_flow_says(desk: Desk, acme: str) -> None:
    """No arithmetic of its own."""
    account = desk.house.accounts.get("acme")  # type: ignore[arg-type]
    span = desk.house.accounts.period(account, desk.clock.now_us())
    spent = desk.house.costs.spending(account, [span], Grouping(("meter",)))
    rows = desk.get("/v1/accounts/acme/cost?from=2026-03-01&to=2026-04-01&group_by=meter", acme).json()["rows"]
    assert {key[0]: nanos for key, nanos in spent.rows[0].items()} == {
        r["group"]["meter"]: parse_nanos(r["cost"]) for r in rows
    }


def test_money_is_never_a_json_number(desk: Desk, acme: str) -> None:
    """Every amount of every answer is a string."""
    for path in ("cost?granularity=day&from=2026-03-01", "invoices/preview"):
        text = desk.get(f"/v1/accounts/acme/{path}", acme).text
        assert [] == re.findall(r'"(?:cost|total|amount|unit_price|flat|quantity)":[0-9]', text)
        assert json.loads(text)
