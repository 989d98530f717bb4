"""The published usage APIs that Tallybook speaks; one file each, and each can be deleted with its line here."""

from tallybook.web.dialects import agentphone, anyreach, aurion, liberclaw, wontopos
from tallybook.web.endpoint import Surface

DIALECTS: tuple[Surface, ...] = (
    agentphone.SURFACE,
    anyreach.SURFACE,
    aurion.SURFACE,
    liberclaw.SURFACE,
    wontopos.SURFACE,
)
