"""All things of one kind that an account has or had, for answers that need every one of them."""

from typing import TYPE_CHECKING

from tallybook.core.resource import Resource

if TYPE_CHECKING:
    from tallybook.core.plan import Account
    from tallybook.flows.inventory import Inventory

THINGS_MAX = 100_000
PAGE = 1_000


def all_things(inventory: "Inventory", account: "Account", kind: str) -> list[Resource]:
    """Return the account's things of *kind*, released ones included; the first THINGS_MAX by id if there are more."""
    things: list[Resource] = []
    after = (kind, "")
    while len(things) < THINGS_MAX:
        page = inventory.resources(account, kind, after=after, limit=PAGE, released=True)
        things += page
        if len(page) < PAGE:
            break
        after = (kind, page[-1].resource_id)
    return things
