"""Invoices: what the running period comes to, and closing a period for good, once, under a number of its own.

A closed invoice never changes: usage that comes late is a line on the next one. Not for the arithmetic (see
`core.bill`), nor for how a document looks on paper (see `web.paper`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol, TypeVar

import msgspec

from tallybook.core.bill import Calendar, Card, Part, Tab, parts_of
from tallybook.core.currency import places_of
from tallybook.core.errors import Conflict, NotFound
from tallybook.core.ids import AccountId
from tallybook.core.instant import HOUR_US, instant_text
from tallybook.core.invoice import Closing, Invoice, InvoiceLine, InvoiceStore, LineKind, StoredInvoice, total_of
from tallybook.core.invoice_lines import adjustments_of, lines_of
from tallybook.core.number import parse_nanos
from tallybook.core.plan import Account
from tallybook.core.ports import UsageSnapshot
from tallybook.core.reckon import Reckoning
from tallybook.core.window import Span, floor_minute

ADJUSTED_MAX = 12
"""How many of the newest closed periods are looked at for usage that came late."""

ATTEMPTS_MAX = 5
DUE_MAX = 50
"""Most accounts that one step of closing looks at."""

RETRY_US = HOUR_US
"""When a period that could not be closed is tried again."""

_T = TypeVar("_T")


class AccountSource(Protocol):
    """Finds accounts and their cards: `flows.subscribe`."""

    def get(self, account_id: AccountId) -> Account:
        """Return the account."""
        ...

    def cards(self, account: Account) -> Sequence[Card]:
        """Return the rate cards of the account's plans, ascending and tiling all time."""
        ...


class CostReader(Protocol):
    """Prices reckonings: `flows.cost`."""

    def reckoning(self, account: Account, parts: Sequence[Part], windows: Sequence[Span]) -> Reckoning:
        """Return what has to be asked to price *windows* of an account, of which *parts* are known."""
        ...

    def tabs(
        self, snapshot: UsageSnapshot, account: Account, reckoning: Reckoning, pace: tuple[int, int] | None = None
    ) -> list[Tab]:
        """Ask what a reckoning needs, and return what its charges have come to."""
        ...

    def unit_of(self, meter: str) -> str:
        """Return the unit of a meter."""
        ...

    def retried(self, read: Callable[[UsageSnapshot], _T]) -> _T:
        """Return what *read* makes of a snapshot."""
        ...


@dataclass(frozen=True, slots=True)
class Preview:
    """What the running period has come to, and what it will have come to at its end at the pace so far."""

    invoice: Invoice
    forecast: Invoice


class Invoices:
    """Draws up, closes and lists invoices."""

    def __init__(self, store: InvoiceStore, accounts: AccountSource, costs: CostReader, *, late_us: int = 0) -> None:
        self._store = store
        self._accounts = accounts
        self._costs = costs
        self._late_us = late_us

    def get(self, account: Account, number: str) -> StoredInvoice:
        """Return a closed invoice.

        Raises:
            NotFound: If the account has none of this number.
        """
        found = self._store.find(account.no, number)
        if found is None:
            raise NotFound("there is no such invoice")
        return found

    def page(self, account: Account, before_us: int | None, limit: int) -> list[StoredInvoice]:
        """Return up to *limit* invoices, the newest first, that begin before *before_us*."""
        return self._store.page(account.no, before_us, limit)

    def preview(self, account: Account, now_us: int) -> Preview:
        """Return what the next invoice of the running period says by now, and what it will say."""
        closed, cards = self._store.last(account.no, ADJUSTED_MAX), self._accounts.cards(account)
        span = _span_at(cards, calendar_of(account), now_us)
        if closed:
            start_us = max(span.start_us, closed[0].ends_us)
            span = Span(start_us, max(start_us, span.end_us))

        def read(snapshot: UsageSnapshot) -> Preview:
            late = self._late(snapshot, account, cards, closed, span)
            return Preview(
                self._draft(snapshot, account, cards, (span, min(now_us, span.end_us)), late),
                self._draft(snapshot, account, cards, (span, span.end_us), late, now_us=now_us),
            )

        return self._costs.retried(read)

    def close(self, account: Account, at_us: int | None, now_us: int) -> StoredInvoice:
        """Close the period that holds *at_us* (the one that ended last, unless said) and return its invoice.

        A period that is closed already is answered with the invoice it has.

        Raises:
            Conflict: If the period has not ended, or one before it has to be closed first.
        """
        for _ in range(ATTEMPTS_MAX):
            known = None if at_us is None else self._covering(account, at_us)
            if known is not None:
                return known
            closed, cards = self._store.last(account.no, ADJUSTED_MAX), self._accounts.cards(account)
            span = self._next(account, cards, closed, at_us, now_us=now_us)
            if isinstance(span, StoredInvoice):
                return span
            closing = self._drawn_up(account, cards, closed, span=span, now_us=now_us)
            added = self._store.add(account.no, closing)
            if added is not None:
                return added
        raise Conflict("the account's periods are being closed by somebody else; ask again")

    def _covering(self, account: Account, at_us: int) -> StoredInvoice | None:
        for stored in self._store.page(account.no, at_us + 1, 1):
            if stored.starts_us <= at_us < stored.ends_us:
                return stored
        return None

    def _next(
        self,
        account: Account,
        cards: Sequence[Card],
        closed: Sequence[StoredInvoice],
        at_us: int | None,
        *,
        now_us: int,
    ) -> Span | StoredInvoice:
        """Return the span to close, or the invoice that has it already."""
        calendar = calendar_of(account)
        if at_us is None:
            at_us = _span_at(cards, calendar, now_us).start_us - 1
            if closed and at_us < closed[0].ends_us:
                return closed[0]
            if at_us < account.created_us and not closed:
                raise Conflict("no billing period of the account has ended yet")
        span = _span_at(cards, calendar, at_us)
        if span.end_us > now_us:
            raise Conflict(f"the period ends at {instant_text(span.end_us)}; it can be closed from then on")
        if not closed:
            return span
        end_us = closed[0].ends_us
        if span.start_us > end_us:
            raise Conflict(f"the period that begins at {instant_text(end_us)} has to be closed first")
        if span.end_us <= end_us:
            raise Conflict("the period lies before the account's first invoice")
        return Span(end_us, span.end_us)

    def _drawn_up(
        self,
        account: Account,
        cards: Sequence[Card],
        closed: Sequence[StoredInvoice],
        *,
        span: Span,
        now_us: int,
    ) -> Closing:
        def read(snapshot: UsageSnapshot) -> Invoice:
            late = self._late(snapshot, account, cards, closed, span)
            return self._draft(snapshot, account, cards, (span, span.end_us), late)

        invoice = self._costs.retried(read)
        following = _span_at(cards, calendar_of(account), span.end_us)
        return Closing(
            msgspec.structs.replace(invoice, closed_at=instant_text(now_us)),
            span.start_us,
            span.end_us,
            now_us,
            closed[0].starts_us if closed else None,
            following.end_us + self._late_us,
        )

    def _draft(
        self,
        snapshot: UsageSnapshot,
        account: Account,
        cards: Sequence[Card],
        when: tuple[Span, int],
        late: Sequence[InvoiceLine],
        *,
        now_us: int | None = None,
    ) -> Invoice:
        """Return the invoice of a span as it is at an instant; with *now_us* as it will be then."""
        span, _ = when
        card = next(card for card in cards if span.start_us in card.span)
        lines = [*self._lines(snapshot, account, cards, when, now_us=now_us), *late]
        return Invoice(
            number=None,
            account=account.id,
            name=account.name,
            currency=card.currency,
            places=places_of(card.currency),
            start=instant_text(span.start_us),
            end=instant_text(span.end_us),
            timezone=account.timezone,
            anchor_day=account.anchor_day,
            closed_at=None,
            lines=lines,
            total=total_of(lines, places_of(card.currency)),
        )

    def _lines(
        self,
        snapshot: UsageSnapshot,
        account: Account,
        cards: Sequence[Card],
        when: tuple[Span, int],
        *,
        calendar: Calendar | None = None,
        now_us: int | None = None,
    ) -> list[InvoiceLine]:
        span, at_us = when
        if at_us <= span.start_us:
            return []
        parts = parts_of(cards, calendar or calendar_of(account), Span(span.start_us, at_us), floor_us=span.start_us)
        cut_us = at_us if now_us is None else min(max(now_us, span.start_us), at_us)
        begun_us = min(max(span.start_us, floor_minute(account.created_us)), cut_us)
        marks = (span.start_us, cut_us, at_us) if now_us is None else (span.start_us, begun_us, cut_us, at_us)
        windows = [Span(start, end) for start, end in pairwise(marks) if start < end]
        reckoning = self._costs.reckoning(account, parts, windows)
        pace = None if now_us is None else (begun_us, cut_us)
        return lines_of(self._costs.tabs(snapshot, account, reckoning, pace), at_us, self._costs.unit_of)

    def _late(
        self,
        snapshot: UsageSnapshot,
        account: Account,
        cards: Sequence[Card],
        closed: Sequence[StoredInvoice],
        span: Span,
    ) -> list[InvoiceLine]:
        """Return the lines for what came late to *closed* periods, where *span* is the one after them."""
        if not closed or closed[0].ends_us != span.start_us:
            return []
        currency = next(card.currency for card in cards if span.start_us in card.span)
        documents = [(stored, stored.invoice) for stored in closed]
        billed = billed_by_period([document for _, document in documents])
        found: list[InvoiceLine] = []
        for stored, document in reversed(documents):
            if document.currency != currency:
                continue
            calendar = Calendar(document.timezone, document.anchor_day, account.created_us)
            when = Span(stored.starts_us, stored.ends_us), stored.ends_us
            now = self._lines(snapshot, account, cards, when, calendar=calendar)
            found += adjustments_of(document, now, billed.get(document.start, {}), document.places)
        return found

    def close_due(self, now_us: int) -> int:
        """Close what is due by now, up to a bound; return how many accounts were looked at."""
        due = self._store.due(now_us, DUE_MAX)
        for account_id in due:
            self._close_due(self._accounts.get(account_id), now_us)
        return len(due)

    def _close_due(self, account: Account, now_us: int) -> None:
        closed = self._store.last(account.no, 1)
        calendar = calendar_of(account)
        start_us = closed[0].ends_us if closed else calendar.period(account.created_us).start_us
        due_us = _span_at(self._accounts.cards(account), calendar, start_us).end_us + self._late_us
        if due_us > now_us:
            self._store.put_due(account.no, due_us)
            return
        try:
            self.close(account, start_us, now_us)
        except Conflict:  # a meter is being filled, or somebody else closes it; the next round tries again
            self._store.put_due(account.no, now_us + RETRY_US)


def billed_by_period(documents: Sequence[Invoice]) -> dict[str, dict[str, int]]:
    """Return what was billed of each period (by its start) so far, line by line (by key), in nanos."""
    found: dict[str, dict[str, int]] = {}
    for document in documents:
        for line in document.lines:
            period = line.start if line.kind is LineKind.ADJUSTMENT else document.start
            lines = found.setdefault(period, {})
            lines[line.key] = lines.get(line.key, 0) + parse_nanos(line.amount)
    return found


def calendar_of(account: Account) -> Calendar:
    """Return how the account's time is cut; fees run from when it was created."""
    return Calendar(account.timezone, account.anchor_day, account.created_us)


def _span_at(cards: Sequence[Card], calendar: Calendar, at_us: int) -> Span:
    """Return the span of the invoice that holds an instant: its billing period, or what of it has one currency."""
    period = calendar.period(at_us)
    start_us, end_us = period.start_us, period.end_us
    for before, after in pairwise(cards):
        cut_us = after.span.start_us
        if before.currency != after.currency and start_us < cut_us < end_us:
            if cut_us <= at_us:
                start_us = cut_us
            else:
                end_us = cut_us
    return Span(start_us, end_us)
