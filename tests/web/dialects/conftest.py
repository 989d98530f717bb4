"""Every dialect is asked over HTTP, on each store."""

from collections.abc import Iterator

import pytest

from tallybook.settings import Settings
from tests.support.stores import ledger_url, postgres_template, store_kind
from tests.web.dialects.desk import Desk, open_desk
from tests.web.dialects.stories import at

__all__ = ["desk", "ledger_url", "postgres_template", "store_kind"]


@pytest.fixture
def desk(ledger_url: str) -> Iterator[Desk]:
    """A house on an empty ledger."""
    with open_desk(Settings(ledger_url=ledger_url), at("2026-03-01T12:00:00")) as opened:
        yield opened
