"""The sender of mail: one message over SMTP with TLS, in plain text and HTML.

Headers are made by the library's own policy of values that hold no line break, so nobody can add any. Not for what is
said (see `core.channel`).
"""

import asyncio
import smtplib
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate

from tallybook.core.channel import EMAIL, line, say
from tallybook.core.clock import US_PER_S
from tallybook.core.delivery import Attempted, Destination, Outcome
from tallybook.core.message import Message

KIND = EMAIL
TIMEOUT_S = 10.0
STARTTLS, TLS, PLAINTEXT = "starttls", "tls", "none"
_REFUSED_FOR_GOOD = 500


@dataclass(frozen=True, slots=True)
class MailSettings:
    """How mail leaves.

    Attributes:
        host: Of the SMTP server; "" where no mail is sent.
        security: ``starttls``, ``tls`` from the first byte, or ``none``, which is for a relay on the same machine.
        sender: The address that mail comes from.
    """

    host: str = ""
    port: int = 587
    security: str = STARTTLS
    user: str = ""
    password: str = field(default="", repr=False)
    sender: str = ""
    timeout_s: float = TIMEOUT_S


class MailSender:
    """Sends messages to mailboxes."""

    def __init__(self, settings: MailSettings, *, tls: ssl.SSLContext | None = None) -> None:
        self._settings = settings
        self._tls = tls

    async def send(self, destination: Destination, message: Message) -> Attempted:
        """Try once: what the server refuses for good is not tried again."""
        if not self._settings.host:
            return Attempted(Outcome.REJECTED, 0, "mail-not-configured")
        letter = write_letter(self._settings.sender, destination.address, message)
        headers = {"To": destination.address, "Message-ID": str(letter["Message-ID"])}
        return await asyncio.to_thread(self._post, letter, destination.address, headers)

    async def close(self) -> None:
        """Nothing is kept open."""

    def _post(self, letter: EmailMessage, to: str, headers: Mapping[str, str]) -> Attempted:
        settings = self._settings
        try:
            with self._connect() as server:
                if settings.user:
                    server.login(settings.user, settings.password)
                server.send_message(letter, from_addr=settings.sender, to_addrs=[to])
        except smtplib.SMTPRecipientsRefused as refused:
            status = next((code for code, _ in refused.recipients.values()), 0)
            return _refused(status, headers)
        except smtplib.SMTPAuthenticationError as refused:
            return Attempted(Outcome.FAILED, 0, "mail-login-refused", status=refused.smtp_code, request_headers=headers)
        except smtplib.SMTPResponseException as refused:
            return _refused(refused.smtp_code, headers)
        except ssl.SSLError:
            return Attempted(Outcome.FAILED, 0, "tls-failed", request_headers=headers)
        except TimeoutError:
            return Attempted(Outcome.FAILED, 0, "timeout", request_headers=headers)
        except (smtplib.SMTPException, OSError):
            return Attempted(Outcome.FAILED, 0, "connect-failed", request_headers=headers)
        return Attempted(Outcome.DELIVERED, 0, status=250, request_headers=headers)

    def _connect(self) -> smtplib.SMTP:
        settings = self._settings
        tls = self._tls or ssl.create_default_context()
        if settings.security == TLS:
            return smtplib.SMTP_SSL(settings.host, settings.port, timeout=settings.timeout_s, context=tls)
        server = smtplib.SMTP(settings.host, settings.port, timeout=settings.timeout_s)
        try:
            if settings.security == STARTTLS:
                server.starttls(context=tls)
        except BaseException:
            server.close()
            raise
        return server


def write_letter(sender: str, to: str, message: Message) -> EmailMessage:
    """Return the letter: the same message id every time it is tried, so that readers see it once."""
    said = say(message)
    letter = EmailMessage(policy=SMTP)
    letter["Subject"] = line(said.title)
    letter["From"] = Address("Tallybook", addr_spec=sender)
    letter["To"] = Address(addr_spec=to)
    letter["Date"] = formatdate(message.time_us / US_PER_S)
    letter["Message-ID"] = f"<{message.message_id}@{sender.rpartition('@')[2]}>"
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(said.plain())
    letter.add_alternative(said.html(), subtype="html")
    return letter


def _refused(status: int, headers: Mapping[str, str]) -> Attempted:
    for_good = status >= _REFUSED_FOR_GOOD
    outcome = Outcome.REJECTED if for_good else Outcome.FAILED
    return Attempted(outcome, 0, "mail-refused", status=status or None, request_headers=headers)
