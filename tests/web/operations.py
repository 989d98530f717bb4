"""Every operation of every surface, as requests that a test can send: the matrices are made of the endpoint tables."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from tallybook.core.key import SCOPES
from tallybook.web.dialects import DIALECTS
from tallybook.web.endpoint import ACCOUNT_HEADER, AccountOf, Endpoint, Surface
from tallybook.web.native.surface import native_surface
from tallybook.web.observe import Observer
from tests.support.client import Desk

NATIVE = native_surface(Observer(), metrics_public=False, test_clock=True)
SURFACES = (NATIVE, *DIALECTS)

PATH_VALUES = {
    "alert_id": "alt_none",
    "channel_id": "chn_none",
    "account_id": "acme",
    "api_id": "api_1",
    "add_on_id": "add_0",
    "invoice_number": "INV-000001",
    "delivery_id": "dlv_0",
    "endpoint_id": "hook_0",
    "key_id": "key_none",
    "lease_id": "lse_0",
    "reservation_id": "rsv_0",
    "kind": "agent",
    "name": "default",
    "resource_id": "agent-7",
}


@dataclass(frozen=True, slots=True)
class Operation:
    """One endpoint of one surface."""

    surface: Surface
    endpoint: Endpoint

    def __str__(self) -> str:
        return f"{self.surface.name} {self.endpoint.name}"

    def path(self, **values: str) -> str:
        """Return the path with its parameters filled in."""
        known = {**PATH_VALUES, **values}
        return self.surface.prefix + re.sub(r"\{(\w+)\}", lambda found: known[found[1]], self.endpoint.path)

    def send(self, desk: Desk, key: str | None, *, query: str | None = None, **values: str) -> httpx.Response:
        """Send the example request of the operation."""
        query = self.endpoint.query_example if query is None else query
        more: dict[str, Any] = {}
        if self.endpoint.body_example is not None:
            more["json"] = self.endpoint.body_example
        address = self.path(**values) + (f"?{query}" if query else "")
        return desk.ask(self.endpoint.method, address, key, headers=self.account_header(desk, key), **more)

    def account_header(self, desk: Desk, key: str | None) -> Mapping[str, str]:
        """Return the header that an operator's key needs where the key itself names no account."""
        needed = self.endpoint.account is AccountOf.KEY and key == desk.operator
        return {ACCOUNT_HEADER: PATH_VALUES["account_id"]} if needed else {}


def standing(desk: Desk, operation: Operation) -> dict[str, str]:
    """Return values for a path whose thing has an id that the server gives: it is made for this."""
    if "{endpoint_id}" not in operation.endpoint.path:
        return {}
    made = desk.post("/v1/webhook-endpoints", desk.operator, json={"url": "https://example.com/hook"})
    return {"endpoint_id": made.json()["id"]}


OPERATIONS = [Operation(surface, endpoint) for surface in SURFACES for endpoint in surface.endpoints]
KEYED = [operation for operation in OPERATIONS if operation.endpoint.scope is not None]
OF_ACCOUNTS = [operation for operation in KEYED if not operation.endpoint.operator_only]

SCOPE_SETS = [frozenset({scope}) for scope in SCOPES]
