"""Webhooks: endpoints, their secrets and deliveries."""

from collections.abc import Sequence

revision = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    pass
