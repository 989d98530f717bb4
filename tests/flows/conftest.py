"""These tests run on every store; `flows` are all flows over an empty ledger that has the built-in plans."""

from collections.abc import Iterator

import pytest

from tallybook.ledger.open import Ledger
from tests.support.rooms import Flows, open_flows
from tests.support.stores import ledger, ledger_url, new_store, postgres_template, store_kind

__all__ = ["ledger", "ledger_url", "new_store", "postgres_template", "store_kind"]


@pytest.fixture
def flows(ledger: Ledger) -> Iterator[Flows]:
    """The flows at 2026-03-01T12:00:00Z."""
    with open_flows(ledger) as opened:
        yield opened
