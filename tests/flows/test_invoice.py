"""Invoices on both stores: closed once, numbered without a gap, never changed; what comes late is on the next one."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tallybook.core.errors import Conflict, NotFound
from tallybook.core.ids import AccountId
from tallybook.core.instant import DAY_US, HOUR_US, instant_text, parse_instant
from tallybook.core.invoice import Invoice, InvoiceLine, LineKind, amount_text, digest_of, to_pay
from tallybook.core.number import NANOS, parse_nanos
from tallybook.core.plan import Account
from tallybook.flows.invoice import Invoices
from tallybook.ledger.invoices import LedgerInvoices
from tests.support.rooms import OPERATOR, Flows

ACME = AccountId("acme")
TIERS = [{"upto": "10", "unit_price": "1"}, {"unit_price": "0.5"}]
CARD: list[dict[str, object]] = [
    {"meter": "requests", "graduated": TIERS, "per": "api_id"},
    {"meter": "call_seconds", "unit_price": "0.005", "units": "60"},
    {"fee": "31", "name": "Base fee"},
]


def us(text: str) -> int:
    return parse_instant(text, "at")[0]


def open_account(flows: Flows, prices: list[dict[str, object]] | None = None, **more: object) -> Account:
    """Put acme on a card, created as March begins."""
    flows.clock.set(us("2026-03-01T00:00:00Z"))
    currency = str(more.pop("currency", "USD"))
    flows.accounts.put_plan("card", {"currency": currency, "prices": CARD if prices is None else prices})
    return flows.accounts.put(ACME, plan="card", name="Acme", **more)  # type: ignore[arg-type]


def use(flows: Flows, first: int, count: int, at: str, *, seconds: int = 0) -> None:
    """Count requests, or calls."""
    body: dict[str, object] = {"api_id": "a", "status": 200}
    kind = "api.request"
    if seconds:
        kind, body = "call", {"channel": "voice", "direction": "inbound", "duration_s": seconds}
    events: list[object] = [
        {"id": f"{kind}{first + n}", "type": kind, "subject": ACME, "time": at, "data": body} for n in range(count)
    ]
    assert count == flows.ingest.write(events, OPERATOR, backfill=True).accepted


def amounts(invoice: Invoice, *kinds: LineKind) -> dict[str, str]:
    """Item -> amount of the lines of some kinds."""
    return {line.item: line.amount for line in invoice.lines if not kinds or line.kind in kinds}


def check(invoice: Invoice) -> None:
    """Every line is rounded once, and the total is their sum."""
    for line in invoice.lines:
        assert to_pay(parse_nanos(line.cost), invoice.places) == parse_nanos(line.amount)
        assert line.how.endswith((line.amount, "was billed"))
        exact = sum(parse_nanos(step.amount) for step in line.steps)
        assert not line.steps or abs(exact - parse_nanos(line.cost)) <= len(line.steps)
    assert sum(parse_nanos(line.amount) for line in invoice.lines) == parse_nanos(invoice.total)


def test_a_period_is_closed_once_and_for_good(flows: Flows) -> None:
    """The same invoice comes back, byte by byte, whatever is asked; its digest is that of its bytes."""
    account = open_account(flows)
    use(flows, 0, 14, "2026-03-01T00:00:00Z")
    flows.clock.set(us("2026-03-31T23:59:59Z"))
    with pytest.raises(Conflict, match="ends at 2026-04-01"):
        flows.invoices.close(account, us("2026-03-15T00:00:00Z"), flows.clock.now_us())
    with pytest.raises(Conflict, match="no billing period"):
        flows.invoices.close(account, None, flows.clock.now_us())
    flows.clock.set(us("2026-04-01T00:00:00Z"))
    closed = flows.invoices.close(account, None, flows.clock.now_us())
    check(closed.invoice)
    assert {"requests": "12.00", "Base fee": "31.00"} == amounts(closed.invoice)
    assert ("INV-000001", "43.00") == (closed.invoice.number, closed.invoice.total)
    flows.clock.advance(5 * DAY_US)
    again = flows.invoices.close(account, us("2026-03-20T00:00:00Z"), flows.clock.now_us())
    assert closed == again == flows.invoices.close(account, None, flows.clock.now_us())
    assert digest_of(closed.body) == closed.digest
    assert closed == flows.invoices.get(account, "INV-000001")


def test_late_usage_is_a_line_on_the_next_invoice(flows: Flows) -> None:
    """The closed one stays; the next ones bring the period to what it costs by now, whatever was billed meanwhile."""
    account = open_account(flows, [CARD[0], {"minimum": "20"}])
    use(flows, 0, 9, "2026-03-01T00:00:00Z")
    flows.clock.set(us("2026-04-02T00:00:00Z"))
    march = flows.invoices.close(account, None, flows.clock.now_us())
    assert {"requests": "9.00", "minimum": "11.00"} == amounts(march.invoice)
    use(flows, 100, 4, "2026-03-31T00:00:00Z")  # one of them within the first tier
    preview = flows.invoices.preview(account, flows.clock.now_us()).invoice
    late = [line for line in preview.lines if line.kind is LineKind.ADJUSTMENT]
    assert {"requests": "2.50", "minimum": "-2.50"} == {line.item: line.amount for line in late}
    assert all("INV-000001" in line.how for line in late)
    assert march == flows.invoices.get(account, "INV-000001")
    flows.clock.set(us("2026-05-01T00:00:00Z"))
    april = flows.invoices.close(account, None, flows.clock.now_us())
    check(april.invoice)
    assert "20.00" == april.invoice.total
    assert [] == [
        x for x in flows.invoices.preview(account, flows.clock.now_us()).invoice.lines if x.kind is LineKind.ADJUSTMENT
    ]
    use(flows, 200, 30, "2026-03-31T00:00:00Z")
    flows.clock.set(us("2026-06-01T00:00:00Z"))
    may = flows.invoices.close(account, None, flows.clock.now_us())
    assert {"requests": "15.00", "minimum": "-8.50"} == amounts(may.invoice, LineKind.ADJUSTMENT)
    billed = sum(parse_nanos(x.amount) for i in (march, april, may) for x in i.invoice.lines if x.start < "2026-04")
    assert parse_nanos("26.50") == billed


def test_periods_are_closed_in_their_order(flows: Flows) -> None:
    """The first may be any that ended; after it none is left out, and numbers have no gap over all accounts."""
    account = open_account(flows)
    other = flows.accounts.put(AccountId("other"), plan="card")
    flows.clock.set(us("2026-07-10T00:00:00Z"))
    now_us = flows.clock.now_us()
    assert "INV-000001" == flows.invoices.close(account, us("2026-04-10T00:00:00Z"), now_us).invoice.number
    with pytest.raises(Conflict, match="2026-05-01T00:00:00Z has to be closed first"):
        flows.invoices.close(account, None, now_us)
    with pytest.raises(Conflict, match="before the account's first invoice"):
        flows.invoices.close(account, us("2026-03-10T00:00:00Z"), now_us)
    numbers = [
        flows.invoices.close(a, us(f"2026-0{m}-01T00:00:00Z"), now_us).invoice.number
        for a, m in ((account, 5), (other, 6), (account, 6))
    ]
    assert ["INV-000002", "INV-000003", "INV-000004"] == numbers
    page = flows.invoices.page(account, None, 2)
    assert ["INV-000004", "INV-000002"] == [stored.invoice.number for stored in page]
    assert ["INV-000001"] == [stored.invoice.number for stored in flows.invoices.page(account, page[-1].starts_us, 2)]
    with pytest.raises(NotFound):
        flows.invoices.get(account, "INV-000003")
    for nonsense in ("INV-1", "", "INV-\u0660\u0660\u0660\u0660\u0660\u0661", "inv-000001", "INV-999999999999999"):
        with pytest.raises(NotFound):
            flows.invoices.get(account, nonsense)


def test_many_who_close_the_same_period_get_one_invoice(flows: Flows) -> None:
    """Whoever comes first; a number that was taken for nothing is given back."""
    account = open_account(flows)
    flows.clock.set(us("2026-04-02T00:00:00Z"))
    now_us = flows.clock.now_us()
    with ThreadPoolExecutor(6) as pool:
        got = list(pool.map(lambda _: flows.invoices.close(account, None, now_us), range(6)))
    assert 1 == len({stored.body for stored in got})
    following = flows.accounts.put(AccountId("second"), plan="card")
    assert "INV-000002" == flows.invoices.close(following, us("2026-03-05T00:00:00Z"), now_us).invoice.number


def test_what_is_due_is_closed_by_itself_after_the_late_window(flows: Flows) -> None:
    """Not before, every period once, however seldom somebody looks."""
    account = open_account(flows)
    invoices = Invoices(LedgerInvoices(flows.ledger), flows.accounts, flows.costs, late_us=72 * HOUR_US)

    def numbers() -> list[str | None]:
        while invoices.close_due(flows.clock.now_us()):
            pass
        return [stored.invoice.start[:7] for stored in invoices.page(account, None, 10)]

    assert [] == numbers()
    flows.clock.set(us("2026-04-03T23:59:59Z"))
    assert [] == numbers()
    flows.clock.set(us("2026-04-04T00:00:00Z"))
    assert ["2026-03"] == numbers() == numbers()
    flows.clock.set(us("2026-07-01T00:00:00Z"))
    assert ["2026-05", "2026-04", "2026-03"] == numbers()


def test_a_forecast_goes_on_at_the_pace_so_far(flows: Flows) -> None:
    """Usage in proportion to time, fees in full, tiers of what it will be."""
    account = open_account(flows, [CARD[0], {"fee": "31"}, {"resource": "agent", "unit_price": "3"}])
    thing = {"kind": "agent", "resource_id": "a1"}
    created = {"id": "t", "type": "resource.created", "subject": ACME, "time": "2026-03-01T00:00:00Z", "data": thing}
    flows.ingest.write([created], OPERATOR)
    use(flows, 0, 10, "2026-03-01T00:00:00Z")
    flows.clock.set(us("2026-03-11T00:00:00Z"))
    preview = flows.invoices.preview(account, flows.clock.now_us())
    assert {"requests": "10.00", "fee": "10.00", "agent": "0.97"} == amounts(preview.invoice)
    assert {"requests": "20.50", "fee": "31.00", "agent": "3.00"} == amounts(preview.forecast)
    check(preview.forecast)


def test_an_invoice_has_one_currency_and_its_coins(flows: Flows) -> None:
    """A change of currency inside a period cuts it; yen have no decimals, dinars three."""
    account = open_account(flows, [{"meter": "requests", "unit_price": "0.3337"}, {"fee": "31"}], currency="KWD")
    flows.accounts.put_plan("yen", {"currency": "JPY", "prices": [{"meter": "requests", "unit_price": "0.5"}]})
    flows.accounts.put(ACME, plan="yen", starts_us=us("2026-03-11T00:00:00Z"))
    use(flows, 0, 5, "2026-03-01T00:00:00Z")
    flows.clock.set(us("2026-04-01T00:00:00Z"))
    use(flows, 50, 5, "2026-03-21T00:00:00Z")
    now_us = flows.clock.now_us()
    first = flows.invoices.close(account, us("2026-03-05T00:00:00Z"), now_us).invoice
    second = flows.invoices.close(account, us("2026-03-25T00:00:00Z"), now_us).invoice
    assert ("KWD", "11.668", "2026-03-11T00:00:00Z") == (first.currency, first.total, first.end)
    assert ("JPY", "2", "2026-03-11T00:00:00Z", "2026-04-01T00:00:00Z") == (
        second.currency,
        second.total,
        second.start,
        second.end,
    )


def test_moving_the_anchor_leaves_no_gap_and_bills_nothing_twice(flows: Flows) -> None:
    """The next invoice begins where the last ended."""
    open_account(flows)
    flows.clock.set(us("2026-04-10T00:00:00Z"))
    flows.invoices.close(flows.accounts.get(ACME), None, flows.clock.now_us())
    account = flows.accounts.put(ACME, anchor_day=15, timezone="Asia/Kolkata")
    use(flows, 0, 1, "2026-04-05T00:00:00Z")
    flows.clock.set(us("2026-04-20T00:00:00Z"))
    invoice = flows.invoices.close(account, None, flows.clock.now_us()).invoice
    assert ("2026-04-01T00:00:00Z", "2026-04-14T18:30:00Z") == (invoice.start, invoice.end)
    assert "1.00" == amounts(invoice)["requests"]
    assert [] == [line for line in invoice.lines if line.kind is LineKind.ADJUSTMENT]


@pytest.mark.parametrize(
    ("nanos", "places", "paid"),
    [
        (5_000_000, 2, "0.00"),
        (15_000_000, 2, "0.02"),
        (-15_000_000, 2, "-0.02"),
        (NANOS // 2, 0, "0"),
        (3 * NANOS // 2, 0, "2"),
        (1_234_567_890, 3, "1.235"),
        (8_200_000_000, 2, "8.20"),
    ],
)
def test_a_line_is_rounded_half_even_to_the_coins_of_its_currency(nanos: int, places: int, paid: str) -> None:
    """Once."""
    assert paid == amount_text(to_pay(nanos, places), places)


def test_many_small_lines_are_each_rounded_and_the_total_is_their_sum(flows: Flows) -> None:
    """Ten lines of a third of a cent cost nothing; the rule is on the invoice."""
    prices = [{"meter": "requests", "unit_price": "0.0033", "filter": {"api_id": f"a{n}"}} for n in range(10)]
    account = open_account(flows, [*prices])
    events: list[object] = [
        {
            "id": f"x{n}",
            "type": "api.request",
            "subject": ACME,
            "time": instant_text(flows.clock.now_us()),
            "data": {"api_id": f"a{n}", "status": 200},
        }
        for n in range(10)
    ]
    assert 10 == flows.ingest.write(events, OPERATOR).accepted
    flows.clock.set(us("2026-04-01T00:00:00Z"))
    invoice = flows.invoices.close(account, None, flows.clock.now_us()).invoice
    lines: list[InvoiceLine] = invoice.lines
    assert (10, "0.00", "each line once, half to even; the total is the sum of the lines") == (
        len(lines),
        invoice.total,
        invoice.rounding,
    )
    assert parse_nanos("0.033") == flows.costs.spent(
        account, flows.accounts.period(account, us("2026-03-05T00:00:00Z"))
    )
