"""Exceptions for single accounts: limits in place of or beside those of the plan, and add-ons for a time.

They are written in the account's lane, so that whatever is decided after their answer knows them. Not for what they
mean (see `core.allowance`).
"""

from collections.abc import Callable
from typing import Protocol

from tallybook.core.allowance import (
    ADD_ONS_MAX,
    OVERRIDES_MAX,
    AddOn,
    OwnLimits,
    OwnLimitSource,
    read_add_on,
)
from tallybook.core.desk import Desk
from tallybook.core.errors import Conflict, FieldInvalid, NotFound
from tallybook.core.fields import read_object
from tallybook.core.ids import new_id
from tallybook.core.limit import Limit, LimitKind, read_limit
from tallybook.core.plan import Account


class Plans(Protocol):
    """What limits may say, and which are in force: `flows.subscribe`."""

    def check_limit(self, limit: Limit) -> None:
        """Refuse a limit that counts what no meter measures."""
        ...

    def limits_of(self, account: Account, now_us: int, source: OwnLimitSource | None = None) -> tuple[Limit, ...]:
        """Return the limits in force."""
        ...


class Exceptions:
    """Reads and changes what accounts have besides their plans."""

    def __init__(self, plans: Plans, source: OwnLimitSource) -> None:
        self._plans = plans
        self._source = source

    def of(self, account: Account) -> OwnLimits:
        """Return the account's own limits and add-ons, ended ones too."""
        return self._source.own_limits(account.no)

    def put_limit(self, account: Account, name: str, body: object) -> Callable[[Desk], Limit]:
        """Return the action that gives the account a limit of its own, in place of the one of that name.

        Raises:
            FieldInvalid: Telling all that is wrong with the limit.
        """
        said = read_object(body, "")
        if "name" in said:
            raise FieldInvalid("stands in the path", pointer="/name")
        limit = read_limit({**said, "name": name}, "")
        self._plans.check_limit(limit)

        def action(desk: Desk) -> Limit:
            own = desk.own_limits(account.no)
            others = [known for known in own.overrides if known.name != name]
            if len(others) >= OVERRIDES_MAX:
                raise Conflict(f"an account has at most {OVERRIDES_MAX} limits of its own")
            desk.put_override(account.no, limit)
            return limit

        return action

    def drop_limit(self, account: Account, name: str) -> Callable[[Desk], None]:
        """Return the action after which the plan's limit of that name counts again, or none."""

        def action(desk: Desk) -> None:
            desk.drop_override(account.no, name)

        return action

    def put_add_on(self, account: Account, body: object, now_us: int) -> Callable[[Desk], AddOn]:
        """Return the action that adds a quantity to a limit.

        Raises:
            FieldInvalid: Telling all that is wrong with it.
        """
        add_on = read_add_on(body, new_id("add"), now_us)

        def action(desk: Desk) -> AddOn:
            limits = self._plans.limits_of(desk.account(account, now_us), now_us, desk)
            limit = next((limit for limit in limits if limit.name == add_on.limit), None)
            if limit is None:
                raise NotFound(f"the account has no limit called {add_on.limit!r}", pointer="/limit")
            if limit.kind is LimitKind.DURATION:
                raise FieldInvalid("is a duration limit, to which nothing can be added", pointer="/limit")
            known = desk.own_limits(account.no).add_ons
            if sum(one.ends_us is None or one.ends_us > now_us for one in known) >= ADD_ONS_MAX:
                raise Conflict(f"an account has at most {ADD_ONS_MAX} add-ons that have not ended")
            desk.put_add_on(account.no, add_on)
            return add_on

        return action

    def drop_add_on(self, account: Account, add_on_id: str) -> Callable[[Desk], None]:
        """Return the action that takes an add-on back at once; it raises NotFound for none."""

        def action(desk: Desk) -> None:
            if not desk.drop_add_on(account.no, add_on_id):
                raise NotFound("there is no such add-on")

        return action
