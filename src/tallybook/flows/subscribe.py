"""Accounts and the plans they are on: who is a customer, since when on which version, at which prices.

Not for what is used of a plan's limits (see `admit`).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from tallybook.core.allowance import OwnLimitSource, limits_in_force
from tallybook.core.bill import Card
from tallybook.core.catalogue import Catalogue
from tallybook.core.changes import Changes, Memory
from tallybook.core.clock import Clock
from tallybook.core.errors import FieldInvalid, NotFound
from tallybook.core.fields import Problems
from tallybook.core.ids import NAME_BYTES_MAX, AccountId, check_text
from tallybook.core.instant import INSTANT_MAX_US
from tallybook.core.limit import Limit, LimitKind
from tallybook.core.meter import Aggregation, Meter
from tallybook.core.period import billing_period
from tallybook.core.plan import ANCHOR_DAY_MAX, DEFAULT_PLAN, Account, Plan, find_plan, plan_in_force, read_plan
from tallybook.core.ports import AccountChange, AccountStore, PlanStore
from tallybook.core.price import Price, can_be_rounded
from tallybook.core.resource import Change
from tallybook.core.scheme import Scheme
from tallybook.core.window import Span, all_time, read_zone, zone

PAGE_MAX = 1_000
ACCOUNTS_KNOWN_MAX = 20_000
"""Most accounts remembered while nothing changes them."""
VERSIONS_CACHED_MAX = 1_000
"""Most plan versions remembered at once; a version never changes."""


class SchemeSource(Protocol):
    """Where the scheme in force comes from: it says which meters and dimensions a plan may name."""

    @property
    def scheme(self) -> Scheme:
        """The scheme in force."""
        ...


class Accounts:
    """Reads and changes accounts and plans, for every surface.

    *on_plan* is called with a plan that is sound, before it is written.
    """

    def __init__(
        self,
        accounts: AccountStore,
        plans: PlanStore,
        own_limits: OwnLimitSource,
        *,
        schemes: SchemeSource,
        clock: Clock,
        changes: Changes | None = None,
    ) -> None:
        self._known: Memory[Account] = Memory(None if changes is None else changes.terms, ACCOUNTS_KNOWN_MAX)
        self._met: dict[AccountId, Account] = {}
        self._accounts = accounts
        self._plans = plans
        self._own_limits = own_limits
        self._schemes = schemes
        self._clock = clock
        self._versions: dict[tuple[str, int], Plan] = {}
        self.on_plan: Callable[[Plan], object] = _nothing

    # --- accounts ----------------------------------------------------------------------------------------------

    def get(self, account_id: AccountId) -> Account:
        """Return the account with the plan in force now.

        Raises:
            NotFound: If there is none.
        """
        count, now_us = self._known.count(account_id), self._clock.now_us()
        account = self._known.find(account_id, count, now_us)
        if account is not None:
            return account
        account = self._accounts.get(account_id, now_us)
        if account is None:
            raise NotFound("there is no such account")
        self._known.keep(account_id, count, (now_us, account.same_until_us(now_us)), account)
        if len(self._met) >= ACCOUNTS_KNOWN_MAX:
            self._met.clear()
        self._met[account_id] = account
        return account

    def met(self, account_id: AccountId) -> Account | None:
        """Return the account as it was some time ago, None if it was not asked for yet; never waits.

        Accounts are never deleted and keep their number. For decisions in its lane, which reads it again.
        """
        return self._met.get(account_id)

    def remembered(self, account_id: AccountId) -> Account | None:
        """Return the account if that is known without asking the store, None otherwise; never waits."""
        return self._known.find(account_id, self._known.count(account_id), self._clock.now_us())

    def put(
        self,
        account_id: AccountId,
        *,
        name: str | None = None,
        plan: str | None = None,
        timezone: str | None = None,
        anchor_day: int | None = None,
        starts_us: int | None = None,
    ) -> Account:
        """Create the account or change what is named; the rest stays, or begins as UTC, day 1, default plan.

        Args:
            account_id: At most 256 bytes.
            name: What people call it.
            plan: A plan's name, also loosely written (see `core.plan.find_plan`); its newest version counts.
            timezone: An IANA name; billing periods begin at midnight there.
            anchor_day: 1 to 31; a month that is shorter begins its period on its last day.
            starts_us: When the plan begins: now unless said; for an account that is new since ever, because it
                never was on another.

        Raises:
            FieldInvalid: Telling all that is wrong, in *errors*.
        """
        problems = Problems()
        problems.take(check_text, account_id, "/id", "")
        if name is not None:
            problems.take(_check_name, name, "/name", "")
        if timezone is not None:
            problems.take(read_zone, timezone, "/timezone", "")
        if anchor_day is not None:
            problems.take(_check_anchor_day, anchor_day, "/anchor_day", 1)
        if starts_us is not None and (plan is None or not 0 <= starts_us < INSTANT_MAX_US):
            problems.add("/starts_at", "must lie between 1970 and 2200 and stand beside a plan")
        chosen = None if plan is None else problems.take(self._choose, plan, "/plan", None)
        problems.finish()
        change = AccountChange(
            account_id,
            name=name,
            timezone=timezone,
            anchor_day=anchor_day,
            plan_name=None if chosen is None else chosen.name,
            plan_version=None if chosen is None else chosen.version,
            starts_us=starts_us,
        )
        return self._accounts.put(change, self._clock.now_us())

    def _choose(self, asked: object, pointer: str) -> Plan | None:
        if not isinstance(asked, str):
            raise FieldInvalid("must be the name of a plan", pointer=pointer)
        try:
            return self.plan(asked)
        except NotFound as error:
            raise FieldInvalid(error.message, pointer=pointer) from None

    def period(self, account: Account, at_us: int) -> Span:
        """Return the account's billing period that holds *at_us*."""
        return billing_period(at_us, account.anchor_day, zone(account.timezone))

    # --- plans -------------------------------------------------------------------------------------------------

    def plans(self) -> Sequence[Plan]:
        """Return the newest version of every plan, by name."""
        return self._plans.newest()

    def plan(self, asked: str) -> Plan:
        """Return the newest version of the plan that *asked* means (see `core.plan.find_plan`).

        Raises:
            NotFound: If there is none, or several that a bare tier could mean.
        """
        plans = {plan.name: plan for plan in self._plans.newest()}
        return find_plan(plans, {name: plan.tier for name, plan in plans.items()}, asked)

    def put_plan(self, name: str, body: object) -> Plan:
        """Make *body* the newest version of the plan; accounts that are on it stay on theirs.

        Raises:
            FieldInvalid: Telling all that is wrong, in *errors*.
            Conflict: If there are too many plans.
        """
        plan = self.checked_plan(name, body)
        (written,) = self._plans.put([plan], self._clock.now_us())
        return written

    def checked_plan(self, name: str, body: object) -> Plan:
        """Return the plan that *body* says, without keeping it.

        Raises:
            FieldInvalid: Telling all that is wrong, in *errors*.
        """
        plan = read_plan(name, body)
        self._check_meters(plan)
        self.on_plan(plan)
        return plan

    def plan_of(self, account: Account, at_us: int | None = None) -> Plan:
        """Return the account's plan as it was when *account* was asked for, or as it is in force at *at_us*."""
        if at_us is None:
            return self._version(account.plan_name, account.plan_version)
        subscription = plan_in_force(self._accounts.subscriptions(account.no), at_us)
        if subscription is None:
            return self._default()
        return self._version(subscription.plan_name, subscription.plan_version)

    def limits_of(self, account: Account, now_us: int, source: OwnLimitSource | None = None) -> tuple[Limit, ...]:
        """Return the limits in force for the account: those of its plan, with its own exceptions and add-ons.

        The plan in force, and whether there are exceptions, was found with the account. Inside a lane, *source* is
        the desk: what it wrote counts.
        """
        planned = self.plan_of(account).limits
        if not account.has_own_limits:
            return planned
        own = (self._own_limits if source is None else source).own_limits(account.no)
        return limits_in_force(planned, own, now_us)

    def cards(self, account: Account) -> Sequence[Card]:
        """Return the rate cards of the account's plans, ascending and tiling all time."""
        ever = all_time()
        epochs = [
            (subscription.starts_us, self._version(subscription.plan_name, subscription.plan_version))
            for subscription in self._accounts.subscriptions(account.no)
        ]
        if not epochs or epochs[0][0] > ever.start_us:
            epochs.insert(0, (ever.start_us, self._default()))
        ends = [start for start, _ in epochs[1:]] + [ever.end_us]
        return [
            Card(Span(start, end), plan.prices, plan.currency, plan.name, plan.version)
            for (start, plan), end in zip(epochs, ends, strict=True)
        ]

    def price_epochs(self, account: Account) -> Sequence[tuple[Span, tuple[Price, ...]]]:
        """Return the spans of the account's plans, ascending and tiling all time, with the prices of each."""
        return [(card.span, card.prices) for card in self.cards(account)]

    def _version(self, name: str, version: int) -> Plan:
        found = self._versions.get((name, version))
        if found is None:
            found = self._plans.get(name, version)
            if found is None:  # only before the built-in plans were registered
                return Plan(name, version, name, name)
            if len(self._versions) >= VERSIONS_CACHED_MAX:
                self._versions.clear()
            self._versions[name, version] = found
        return found

    def _default(self) -> Plan:
        return self._plans.get(DEFAULT_PLAN) or Plan(DEFAULT_PLAN, 0, DEFAULT_PLAN, DEFAULT_PLAN)

    def check_limit(self, limit: Limit) -> None:
        """Refuse a limit that counts what no meter measures, or things of no kind there is.

        Raises:
            FieldInvalid: Telling all that is wrong.
        """
        problems = Problems()
        _check_limit(limit, self._schemes.scheme.catalogue, "", problems)
        problems.finish()

    def _check_meters(self, plan: Plan) -> None:
        """Refuse a plan that counts or prices what no meter measures, or things of no kind there is."""
        problems, catalogue = Problems(), self._schemes.scheme.catalogue
        meters = catalogue.meters
        for index, limit in enumerate(plan.limits):
            _check_limit(limit, catalogue, f"/limits/{index}", problems)
        for index, price in enumerate(plan.prices):
            pointer = f"/prices/{index}"
            _check_meter(price.meter, price.filter, price.per, meters, pointer=pointer, problems=problems)
            _check_kind(price.resource, catalogue, pointer, problems)
            meter = meters.get(price.meter or "")
            if price.rounding is not None and meter is not None and not can_be_rounded(meter):
                problems.add(f"{pointer}/rounding", "is for meters that add up the seconds of one field")
        problems.finish()

    def list(self, after: str = "", limit: int = PAGE_MAX) -> Sequence[Account]:
        """Return up to *limit* accounts, by the bytes of their ids, beginning after *after*."""
        return self._accounts.page(after, min(limit, PAGE_MAX), self._clock.now_us())

    def search(self, part: str, limit: int = PAGE_MAX) -> Sequence[Account]:
        """Return up to *limit* accounts with *part* in their id or name, in any case, by the bytes of their ids."""
        if "\x00" in part:
            return ()
        return self._accounts.search(part, min(limit, PAGE_MAX), self._clock.now_us())


def _nothing(plan: Plan) -> None:
    """Let a plan be as it is."""
    del plan


def _check_limit(limit: Limit, catalogue: Catalogue, pointer: str, problems: Problems) -> None:
    _check_meter(limit.meter, limit.filter, limit.per, catalogue.meters, pointer=pointer, problems=problems)
    _check_kind(limit.resource, catalogue, pointer, problems)
    meter = catalogue.meters.get(limit.meter or "")
    if limit.kind is LimitKind.STOCK and meter and meter.aggregation is not Aggregation.LAST:
        problems.add(f"{pointer}/meter", "a stock is of a resource, or of a meter that keeps the last value")


def _check_kind(kind: str | None, catalogue: Catalogue, pointer: str, problems: Problems) -> None:
    """Refuse a kind of thing that no event could create: a limit on it would count nothing for ever."""
    created = catalogue.events.get(Change.CREATED)
    field = created and created.fields.get("kind")
    if kind is not None and field and field.values and kind not in field.values:
        problems.add(f"{pointer}/resource", f"there is no such kind of thing; there are {', '.join(field.values)}")


def _check_meter(
    name: str | None,
    dimensions: Mapping[str, str],
    per: str | None,
    meters: Mapping[str, Meter],
    *,
    pointer: str,
    problems: Problems,
) -> None:
    if name is None:
        return
    meter = meters.get(name)
    if meter is None:
        problems.add(f"{pointer}/meter", "there is no such meter")
        return
    for dimension in sorted(set(dimensions) - set(meter.dimensions)):
        problems.add(f"{pointer}/filter/{dimension}", f"the meter {name} has no such dimension")
    if per is not None and per not in meter.dimensions:
        problems.add(f"{pointer}/per", f"the meter {name} has no such dimension")


def _check_name(value: object, pointer: str) -> str:
    return check_text(value, pointer, bytes_max=NAME_BYTES_MAX)


def _check_anchor_day(value: object, pointer: str) -> int:
    if type(value) is not int or not 1 <= value <= ANCHOR_DAY_MAX:
        raise FieldInvalid(f"must be a whole number from 1 to {ANCHOR_DAY_MAX}", pointer=pointer)
    return value
