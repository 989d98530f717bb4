"""Channels put together: how mail leaves, and who sends what kind."""

from tallybook.core.channel import check_address
from tallybook.core.delivery import Sender
from tallybook.core.errors import FieldInvalid, StartRefused
from tallybook.house.start import own_text
from tallybook.outside import mail, slack
from tallybook.outside.guard import GuardedClient
from tallybook.outside.mail import MailSender, MailSettings
from tallybook.outside.paced import PacedSender, Shelf
from tallybook.outside.slack import SlackSender
from tallybook.settings import Settings


def mail_settings(settings: Settings) -> MailSettings:
    """Return how mail leaves.

    Raises:
        StartRefused: If the settings do not fit together, or the password cannot be read.
    """
    if not settings.smtp_host:
        return MailSettings()
    try:
        sender = check_address(settings.mail_from, "mail_from")
    except FieldInvalid as error:
        raise StartRefused(f"the setting mail_from {error.message}, as smtp_host is set") from None
    password = settings.smtp_password
    if not password and settings.smtp_password_file is not None:
        password = (own_text(settings.smtp_password_file)[0] or "").strip()
    return MailSettings(
        settings.smtp_host, settings.smtp_port, settings.smtp_security, settings.smtp_user, password, sender
    )


def channel_senders(client: GuardedClient, shelf: Shelf, settings: MailSettings) -> dict[str, Sender]:
    """Return the sender of each kind of channel."""
    return {
        mail.KIND: PacedSender(MailSender(settings), shelf),
        slack.KIND: PacedSender(SlackSender(client), shelf),
    }
