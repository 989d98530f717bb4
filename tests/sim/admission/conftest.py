"""These proofs run on every store; `floor` is one process's worth of admission over an empty ledger."""

from collections.abc import Iterator

import pytest

from tests.sim.admission.floor import Floor
from tests.support.stores import ledger_url, postgres_template, store_kind

__all__ = ["ledger_url", "postgres_template", "store_kind"]


@pytest.fixture
def floor(ledger_url: str) -> Iterator[Floor]:
    """Admission at 2026-03-01T12:00:00Z."""
    with Floor(ledger_url) as opened:
        yield opened
