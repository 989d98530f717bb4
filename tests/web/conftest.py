"""What every test of the web room may ask for: a client on a house of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.client import Desk, open_desk

UNBOUNDED = {"kind": "concurrent", "quantity": "unlimited"}
"""So that the example of a lease can be sent as often as a module likes."""


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A house that a module's tests share, with the account and the invoice of the reference's examples in it."""
    with open_desk(tmp_path_factory.mktemp("shared")) as opened:
        opened.account("acme", plan="agentphone-pro")
        opened.put("/v1/accounts/acme/limits/concurrent_calls", opened.operator, json=UNBOUNDED)
        opened.post("/v1/accounts/acme/invoices", opened.operator, json={"at": "2026-02-01"})
        yield opened


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A house at 2026-03-15T12:00:00Z without accounts, and its operator's key."""
    with open_desk(tmp_path) as opened:
        yield opened
