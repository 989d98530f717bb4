"""Backtests over the native API: a rate card tried on past usage, account by account."""

from typing import Any

import msgspec

from tallybook.core.errors import FieldInvalid, NotFound
from tallybook.core.fields import Problems, read_object
from tallybook.core.instant import instant_text, parse_event_time
from tallybook.core.key import ADMIN
from tallybook.core.number import to_text
from tallybook.core.window import Span
from tallybook.flows.backtest import Compared
from tallybook.web.cursor import open_cursor, seal_cursor
from tallybook.web.endpoint import Ask, Endpoint, JsonBody
from tallybook.web.errors import CursorInvalid

ROWS_DEFAULT, ROWS_MAX = 50, 200
_FIELDS = {"from", "to", "prices", "currency", "everybody", "cursor", "limit"}


class BacktestBody(msgspec.Struct, frozen=True):
    """Which usage, and the prices to be tried: those of the plan's newest version, unless they are given."""

    from_: str = msgspec.field(name="from")
    to: str
    prices: list[dict[str, Any]] | None = None
    currency: str | None = None
    everybody: bool = False
    cursor: str | None = None
    limit: int = ROWS_DEFAULT


class BacktestRow(msgspec.Struct, frozen=True):
    """What an account paid, and would have paid; `problem` says why that cannot be told."""

    account: str
    before: str | None
    after: str | None
    difference: str | None
    problem: str | None


class BacktestAnswer(msgspec.Struct, frozen=True):
    """One page; `before`, `after` and `difference` are its sums. Go on with `next_cursor` until it is null."""

    plan: str
    currency: str
    from_: str = msgspec.field(name="from")
    to: str
    accounts_looked_at: int
    before: str
    after: str
    difference: str
    rows: list[BacktestRow]
    next_cursor: str | None


def post_backtest(ask: Ask[None, JsonBody]) -> BacktestAnswer:
    """Try a card on past usage."""
    body, problems, rooms = read_object(ask.body.value, ""), Problems(), ask.rooms
    problems.only(body, _FIELDS, "", "this request")
    start_us, end_us = (problems.take(_read_instant, body.get(name), f"/{name}", 0) for name in ("from", "to"))
    limit, everybody = body.get("limit", ROWS_DEFAULT), body.get("everybody", False)
    if type(limit) is not int or not 1 <= limit <= ROWS_MAX:
        problems.add("/limit", f"must be a whole number from 1 to {ROWS_MAX}")
    if not isinstance(everybody, bool):
        problems.add("/everybody", "must be true or false")
    if not problems and end_us <= start_us:
        problems.add("/to", "must be after from")
    problems.finish()
    known = rooms.accounts.plan(ask.path["name"])
    plan = known
    if "prices" in body or "currency" in body:
        told = {"prices": body.get("prices", []), "currency": body.get("currency", known.currency)}
        plan = rooms.accounts.checked_plan(known.name, told)
    words = ("backtest", known.name, instant_text(start_us), instant_text(end_us), str(everybody))
    after = _read_cursor(ask, body.get("cursor"), words)
    assert isinstance(limit, int)
    assert isinstance(everybody, bool)
    page = rooms.backtests.page(plan, Span(start_us, end_us), after, limit, everybody=everybody)
    sums = [sum(row.before for row in page.rows), sum(row.after for row in page.rows)]
    return BacktestAnswer(
        known.name,
        plan.currency,
        instant_text(start_us),
        instant_text(end_us),
        page.scanned,
        to_text(sums[0]),
        to_text(sums[1]),
        to_text(sums[1] - sums[0]),
        [write_row(row) for row in page.rows],
        None if page.done else seal_cursor(rooms.cursor_secret, words, (page.reached,)),
    )


def write_row(row: Compared) -> BacktestRow:
    """Return the row as JSON has it."""
    if row.problem is not None:
        return BacktestRow(row.account_id, None, None, None, row.problem)
    amounts = to_text(row.before), to_text(row.after), to_text(row.after - row.before)
    return BacktestRow(row.account_id, *amounts, None)


def _read_cursor(ask: Ask[None, JsonBody], value: object, words: tuple[str, ...]) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise FieldInvalid("must be the next_cursor of the page before", pointer="/cursor")
    (after,) = open_cursor(ask.rooms.cursor_secret, words, value)
    return after


def _read_instant(value: object, pointer: str) -> int:
    if isinstance(value, str) and len(value) == len("2026-03-01"):
        value = f"{value}T00:00:00Z"
    return parse_event_time(value, pointer)


_BODY = {"from": "2026-02-01", "to": "2026-03-01", "prices": [{"meter": "requests", "unit_price": "0.0003"}]}

ENDPOINTS = (
    Endpoint(
        "POST",
        "/v1/plans/{name}/backtest",
        post_backtest,
        ADMIN,
        "Try a rate card on past usage",
        answer=BacktestAnswer,
        body=JsonBody,
        body_documented=BacktestBody,
        operator_only=True,
        errors=(
            NotFound("there is no plan of this name"),
            FieldInvalid("must be a decimal string", pointer="/prices/0/unit_price"),
            CursorInvalid,
        ),
        description=(
            "Nothing is changed. Accounts that are on the plan now, or `everybody`, are compared page by page: what "
            "they paid under their own plans, and what they would have paid if this card had been in force for ever."
        ),
        body_example=_BODY,
        example=BacktestAnswer(
            "team",
            "USD",
            "2026-02-01T00:00:00Z",
            "2026-03-01T00:00:00Z",
            1,
            "12.5",
            "13.75",
            "1.25",
            [BacktestRow("acme", "12.5", "13.75", "1.25", None)],
            None,
        ),
    ),
)
