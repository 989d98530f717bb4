"""The lines of an invoice: what charges have come to, each rounded once, and how every number was made in words.

Not for what a charge comes to (see `bill`), nor for the document (see `invoice`).
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from tallybook.core.bill import Charge, Tab, is_minimum
from tallybook.core.currency import places_of
from tallybook.core.instant import instant_text
from tallybook.core.invoice import Invoice, InvoiceLine, LineKind, LineStep, amount_text, to_pay
from tallybook.core.number import NANOS, parse_nanos, to_text
from tallybook.core.price import Price, billable
from tallybook.core.rate import Model, half_even, steps
from tallybook.core.reckon import CARRIED
from tallybook.core.window import Span


def lines_of(tabs: Sequence[Tab], at_us: int, units: Callable[[str], str]) -> list[InvoiceLine]:
    """Return what *tabs* have come to at an instant, line by line.

    Args:
        tabs: The parts of the invoice's span, all in one currency.
        at_us: The end of the invoice; for a preview, now.
        units: Gives the unit of a meter.
    """
    found: list[InvoiceLine] = []
    for tab in tabs:
        came_to = tab.came_to(at_us)
        found += [_charge_line(tab, charge, at_us, units) for charge in tab.charges if _is_used(tab, charge, at_us)]
        for number, price in enumerate(tab.part.card.prices):
            due = came_to.get((number, None), 0)
            if due:
                found.append(_due_line(tab, number, price, due, at_us))
    return found


def _is_used(tab: Tab, charge: Charge, at_us: int) -> bool:
    return any(tab.quantities(charge, at_us).values())


def _charge_line(tab: Tab, charge: Charge, at_us: int, units: Callable[[str], str]) -> InvoiceLine:
    price, rule = charge.price, charge.rule
    quantity = sum(tab.quantities(charge, at_us).values())
    cost, places = tab.cost(charge, at_us), places_of(tab.part.card.currency)
    made = [
        LineStep(
            step.tier,
            to_text(step.start),
            to_text(step.quantity),
            to_text(step.unit_price),
            to_text(NANOS if rule.model is Model.PACKAGE else rule.size),
            to_text(step.flat),
            to_text(half_even(step.scaled, rule.size)),
        )
        for step in steps(rule, billable(price, quantity))
    ]
    kind = LineKind.CARRIED if price.name == CARRIED and price.meter else LineKind.USAGE
    kind = LineKind.THINGS if price.resource is not None else kind
    unit = units(price.meter) if price.meter else "things"
    if kind is LineKind.CARRIED:
        unit, made = tab.part.card.currency, []
    line = _line(tab, kind, price, (charge.span, at_us), cost, key=_key(tab, charge.number, charge))
    return msgspec.structs.replace(
        line,
        value=charge.value,
        quantity=to_text(quantity),
        unit=unit,
        included=to_text(price.included) if price.included else None,
        steps=made,
        how=_how(price, quantity, unit, made, cost=to_text(cost), amount=line.amount, places=places),
    )


def _due_line(tab: Tab, number: int, price: Price, due: int, at_us: int) -> InvoiceLine:
    kind = LineKind.FEE if price.fee is not None else LineKind.MINIMUM
    line = _line(tab, kind, price, (tab.part.span, at_us), due, key=_key(tab, number))
    whole = price.minimum if price.fee is None else price.fee
    told = f"{to_text(whole)} for a billing period"
    if tab.accrued(whole, at_us) != whole:
        told += f", by time {to_text(tab.accrued(whole, at_us))} of it"
    if kind is LineKind.MINIMUM:
        of = "the plan" if is_minimum(price) else price.label
        told = f"what {of} lacks of a minimum of {told}"
    return msgspec.structs.replace(line, how=f"{told}: {to_text(due)}, rounded half-even {line.amount}")


def _line(tab: Tab, kind: LineKind, price: Price, when: tuple[Span, int], cost: int, *, key: str) -> InvoiceLine:
    card = tab.part.card
    places, (span, at_us) = places_of(card.currency), when
    return InvoiceLine(
        kind=kind,
        item=price.label,
        meter=price.meter,
        value=None,
        plan=card.plan,
        plan_version=card.version,
        start=instant_text(span.start_us),
        end=instant_text(min(span.end_us, at_us)),
        quantity=None,
        unit="",
        included=None,
        steps=[],
        cost=to_text(cost),
        amount=amount_text(to_pay(cost, places), places),
        how="",
        key=key,
    )


def _key(tab: Tab, number: int, charge: Charge | None = None) -> str:
    """Return what names a line of a period for good, so that what comes late finds what was billed."""
    card, span = tab.part.card, tab.part.span
    words = [instant_text(span.start_us), card.plan, str(card.version), str(number)]
    if charge is not None:
        words += [instant_text(charge.span.start_us), charge.value or ""]
    return " ".join(words)


def _how(
    price: Price, quantity: int, unit: str, made: Sequence[LineStep], *, cost: str, amount: str, places: int
) -> str:
    """Say in words how a line's number was made."""
    told = f"{to_text(quantity)} {unit}".rstrip()
    if price.included:
        told += f", {to_text(price.included)} included"
    if not made:
        return f"{told}: {cost}, rounded {amount}"
    terms = []
    for step in made:
        each = step.unit_price if step.units == "1" else f"{step.unit_price} / {step.units}"
        packages = " packages" if price.rate is not None and price.rate.model is Model.PACKAGE else ""
        flat = f" + {step.flat}" if step.flat != "0" else ""
        terms.append(f"{step.quantity}{packages} x {each}{flat}")
    return f"{told}: {' + '.join(terms)} = {cost}, rounded half-even to {places} places {amount}"


# --- what came late ---------------------------------------------------------------------------------------------------


def adjustments_of(
    closed: Invoice, now: Sequence[InvoiceLine], billed: Mapping[str, int], places: int
) -> list[InvoiceLine]:
    """Return the lines that bring a closed period to what it costs by now.

    Args:
        closed: The period's own invoice.
        now: The period's lines, made again.
        billed: Key -> what was billed for it so far, on its invoice and by adjustments, in nanos.
        places: Of the currency.
    """
    known = {line.key: line for line in now if line.kind in _ADJUSTED}
    before = {line.key: line for line in closed.lines if line.kind in _ADJUSTED}
    found = []
    for key in sorted({*known, *before, *(billed.keys() & {*known, *before})}):
        line = known.get(key) or before[key]
        costs = parse_nanos(line.cost) if key in known else 0
        paid = billed.get(key, 0)
        missing = to_pay(costs, places) - paid
        if missing:
            found.append(_adjustment(line, closed, (costs, paid, missing), places))
    return found


_ADJUSTED = frozenset({LineKind.USAGE, LineKind.CARRIED, LineKind.MINIMUM})
"""What late events change. Fees follow from the calendar, and of things only how they stand now is known."""


def _adjustment(line: InvoiceLine, closed: Invoice, sums: tuple[int, int, int], places: int) -> InvoiceLine:
    costs, paid, missing = sums
    told = f"late usage of {closed.start} to {closed.end}, invoice {closed.number}: comes to {to_text(costs)} by now"
    return msgspec.structs.replace(
        line,
        kind=LineKind.ADJUSTMENT,
        start=closed.start,
        end=closed.end,
        steps=[],
        cost=to_text(missing),
        amount=amount_text(missing, places),
        how=f"{told}, {amount_text(paid, places)} was billed",
    )
