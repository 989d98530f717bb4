"""Every page of the dashboard, for the tests that look at all of them."""

from tests.support.browser_data import BUSY, QUIET

ACCOUNT = f"/accounts/{BUSY}"
PATHS = {
    "login": "/login",
    "accounts": "/accounts",
    "usage": f"{ACCOUNT}/usage",
    "usage of nobody": f"/accounts/{QUIET}/usage",
    "limits": f"{ACCOUNT}/limits",
    "limits of nobody": f"/accounts/{QUIET}/limits",
    "explore": f"{ACCOUNT}/explore?meter=call_seconds&group_by=agent_id&compare=1",
    "explore of nobody": f"/accounts/{QUIET}/explore",
    "events": f"{ACCOUNT}/events",
    "events of nobody": f"/accounts/{QUIET}/events",
    "story": f"{ACCOUNT}/events/story?source=default&id=call-49-0",
    "keys": f"{ACCOUNT}/keys",
    "apis": f"{ACCOUNT}/apis",
    "apis of nobody": f"/accounts/{QUIET}/apis",
    "api": f"{ACCOUNT}/apis/one?api=api_1",
    "agents": f"{ACCOUNT}/agents",
    "agents of nobody": f"/accounts/{QUIET}/agents",
    "cost": f"{ACCOUNT}/cost",
    "cost of nobody": f"/accounts/{QUIET}/cost",
    "alerts": f"{ACCOUNT}/billing/alerts",
    "alerts of nobody": f"/accounts/{QUIET}/billing/alerts",
    "webhooks": f"{ACCOUNT}/webhooks",
    "webhooks of nobody": f"/accounts/{QUIET}/webhooks",
    "ranking": "/accounts?meter=calls",
    "overview": "/overview",
    "plans": "/plans",
    "webhooks of all": "/webhooks",
    "nothing": f"{ACCOUNT}/nowhere",
}
"""Name -> path below /dashboard. A new page adds its line."""
