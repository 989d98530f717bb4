"""The dashboard's part of the house: sessions over the ledger, and the surface as the operator's settings brand it."""

from pathlib import Path

from tallybook.core.clock import Clock
from tallybook.core.errors import StartRefused
from tallybook.flows.access import Access
from tallybook.flows.metering import Metering
from tallybook.flows.session import Sessions
from tallybook.flows.story import Stories
from tallybook.flows.subscribe import Accounts
from tallybook.flows.sweep import Job
from tallybook.ledger.open import Ledger
from tallybook.ledger.sessions import LedgerSessions
from tallybook.ledger.stories import LedgerStories
from tallybook.settings import Settings
from tallybook.web.dashboard.brand import LOGO_BYTES_MAX, LOGO_MEDIA, Brand, Logo, check_color
from tallybook.web.dashboard.surface import dashboard_surface
from tallybook.web.endpoint import Surface

ENDED_EVERY = 120
"""Sweeps between two looks for sessions and links that ended."""


def open_sessions(settings: Settings, ledger: Ledger, access: Access, clock: Clock) -> tuple[Sessions, Job]:
    """Return who is logged in, and the job that forgets who was."""
    sessions = Sessions(LedgerSessions(ledger), access, clock, public_url=settings.public_url)
    return sessions, Job("sessions", sessions.step, every=ENDED_EVERY)


def open_stories(ledger: Ledger, metering: Metering, accounts: Accounts, clock: Clock) -> tuple[Stories, list[Job]]:
    """Return who tells of single events, and the jobs that write and forget notes on those that did not count."""
    stories = Stories(LedgerStories(ledger), metering, accounts)
    return stories, [
        Job("notes", stories.step),
        Job("old notes", lambda: stories.forget(clock.now_us()), every=ENDED_EVERY),
    ]


def open_dashboard(settings: Settings) -> Surface:
    """Return the dashboard in the operator's name, colour and logo.

    Raises:
        StartRefused: If the colour is none, or the logo cannot be read.
    """
    logo = None if settings.brand_logo_file is None else _logo(settings.brand_logo_file)
    return dashboard_surface(Brand(settings.brand_name, check_color(settings.brand_color), logo))


def _logo(file: Path) -> Logo:
    media = LOGO_MEDIA.get(file.suffix.lower())
    if media is None:
        raise StartRefused(f"brand_logo_file: {file} must be one of {', '.join(LOGO_MEDIA)}")
    try:
        content = file.read_bytes()
    except OSError as error:
        raise StartRefused(f"brand_logo_file: {file}: {error.strerror}") from None
    if len(content) > LOGO_BYTES_MAX:
        raise StartRefused(f"brand_logo_file: {file} has more than {LOGO_BYTES_MAX} bytes")
    return Logo(content, media)
