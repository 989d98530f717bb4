"""The dashboard as a surface: all its pages as one table, and how it says no to those who are not logged in."""

from dataclasses import replace
from urllib.parse import quote

from tallybook.core.errors import NotFound
from tallybook.web.dashboard import (
    agents,
    alerts,
    apis,
    channels,
    cost,
    deliveries,
    events,
    explore,
    keys,
    limits,
    operator,
    operator_accounts,
    usage,
    webhooks,
)
from tallybook.web.dashboard.assets import Assets
from tallybook.web.dashboard.brand import Brand
from tallybook.web.dashboard.entry import entry_endpoints
from tallybook.web.dashboard.page import API_PREFIX, LoginNeeded, endpoint_of, redirect, status_of_page
from tallybook.web.dashboard.render import PREFIX, Look, Templates
from tallybook.web.dashboard.wording import wording_of
from tallybook.web.endpoint import Ask, Endpoint, RawBody, Refusal, Reply, Surface
from tallybook.web.problem import refuse_as_problem

PAGES = (
    *operator_accounts.PAGES,
    *operator.PAGES,
    *usage.PAGES,
    *limits.PAGES,
    *apis.PAGES,
    *agents.PAGES,
    *cost.PAGES,
    *alerts.PAGES,
    *channels.PAGES,
    *webhooks.PAGES,
    *deliveries.PAGES,
    *events.PAGES,
    *explore.PAGES,
    *keys.PAGES,
)
"""Every page and every thing that can be done on one."""


def dashboard_surface(brand: Brand) -> Surface:
    """Return the surface."""
    assets = Assets(brand)
    templates = Templates(brand, assets)

    def refuse(refusal: Refusal) -> Reply:
        return _refuse(templates, refusal)

    def static(ask: Ask[None, RawBody]) -> Reply:
        found = assets.reply(ask.path["name"], ask.body.headers.get("accept-encoding", ""))
        if found is None:
            raise NotFound("there is no such file")
        return found

    return Surface(
        name="dashboard",
        prefix=PREFIX,
        title="Dashboard",
        refuse=refuse,
        key_in_query_refused=True,
        endpoints=(
            Endpoint("GET", "/static/{version}/{name}", static, None, "static", body=RawBody),
            *entry_endpoints(templates),
            *(endpoint_of(page, templates) for page in PAGES),
        ),
    )


def _refuse(templates: Templates, refusal: Refusal) -> Reply:
    """Lead to the login, or say what is wrong: to a script as a problem, to people as a page."""
    if refusal.path.startswith(API_PREFIX):
        return refuse_as_problem(replace(refusal, status=status_of_page(refusal.error)))
    if isinstance(refusal.error, LoginNeeded):
        return redirect(f"{PREFIX}/login?next={quote(refusal.path, safe='')}")
    wording, status = wording_of(refusal.error), status_of_page(refusal.error)
    return templates.reply(
        "alone.html", Look(), status=status, wording=wording, error=refusal.error, request_id=refusal.request_id
    )
