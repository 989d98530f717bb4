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
    "nothing": f"{ACCOUNT}/nowhere",
}
"""Name -> path below /dashboard. A new page adds its line."""
