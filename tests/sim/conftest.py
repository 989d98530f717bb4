"""These tests run on every store."""

from tests.support.stores import ledger, ledger_url, new_store, postgres_template, store_kind

__all__ = ["ledger", "ledger_url", "new_store", "postgres_template", "store_kind"]
