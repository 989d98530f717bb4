"""Mail over SMTP with TLS, to a real server: what arrives, and what each refusal means."""

import asyncio
import email
import email.policy
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from tallybook.core.delivery import Destination, Outcome
from tallybook.core.message import Message
from tallybook.outside.mail import MailSender, MailSettings, write_letter
from tests.support.tls import client_context, server_context

BODY = b'{"account":"acme","limit":"messages","threshold":80,"used":"8000","quantity":"10000"}'
NASTY = '{"account":"acme","limit":"<script>alert(1)</script>\\r\\nBcc: victim@example.com","threshold":80}'


class Inbox:
    """Takes letters; says no as it is told."""

    def __init__(self, answer: str = "250 OK") -> None:
        self.answer = answer
        self.letters: list[tuple[list[str], bytes, bool]] = []

    async def handle_DATA(self, server, _session, envelope):  # noqa: N802 - the library's name for it
        over_tls = server.transport.get_extra_info("ssl_object") is not None
        self.letters.append((envelope.rcpt_tos, envelope.content, over_tls))
        return self.answer


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Who signs certificates here."""
    return trustme.CA()


@contextmanager
def serving(inbox: Inbox, authority: trustme.CA, security: str = "starttls", name: str = "localhost") -> Iterator[int]:
    """Serve mail on a port of this machine, with a login."""

    def login(_server, _session, _envelope, _mechanism, data):
        known = (data.login, data.password) == (b"tally", b"secret")
        return AuthResult(success=known, handled=known)

    context = server_context(authority, name)
    more: dict[str, object] = {"authenticator": login, "auth_require_tls": True}
    if security == "tls":
        more |= {"ssl_context": context, "auth_require_tls": False}
    else:
        more |= {"tls_context": context, "require_starttls": security == "starttls"}
    controller = Controller(inbox, hostname="127.0.0.1", port=_free_port(), **more)
    controller.start()
    try:
        yield controller.port
    finally:
        controller.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def send(port: int, authority: trustme.CA, body: bytes = BODY, **more: object):
    """Send one letter."""
    said = {"user": "tally", "password": "secret", "security": "starttls", **more}
    settings = MailSettings("localhost", port, sender="tally@example.org", timeout_s=5, **said)  # type: ignore[arg-type]
    sender = MailSender(settings, tls=client_context(authority))
    destination = Destination("chn_1", None, "email", "ops@example.com", ("*",))
    return asyncio.run(sender.send(destination, message(body)))


def message(body: bytes = BODY) -> Message:
    """Return a warning."""
    return Message("msg_1", "usage.warning", "acme", body, 1_773_576_000_000_000)  # type: ignore[arg-type]


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_letter_arrives_over_tls_in_text_and_html(authority, security) -> None:
    """From our address to the one mailbox, under the message's own id."""
    inbox = Inbox()
    with serving(inbox, authority, security) as port:
        attempted = send(port, authority, security=security)
    assert (Outcome.DELIVERED, "", 250) == (attempted.outcome, attempted.error, attempted.status)
    ((to, raw, over_tls),) = inbox.letters
    letter = email.message_from_bytes(raw, policy=email.policy.default)
    assert (["ops@example.com"], True) == (to, over_tls)
    assert ("Usage is near a limit: messages (acme)", "<msg_1@example.org>") == (
        letter["Subject"],
        letter["Message-ID"],
    )
    assert ["text/plain", "text/html"] == [part.get_content_type() for part in letter.iter_parts()]
    assert "used: 8000" in letter.get_body(("plain",)).get_content()
    assert "<td>8000</td>" in letter.get_body(("html",)).get_content()
    assert "secret" not in repr(attempted)


def test_no_header_can_be_added_by_a_name(authority) -> None:
    """Line breaks become spaces, markup is escaped."""
    inbox = Inbox()
    with serving(inbox, authority) as port:
        assert send(port, authority, NASTY.encode()).outcome is Outcome.DELIVERED
    ((to, raw, _),) = inbox.letters
    letter = email.message_from_bytes(raw, policy=email.policy.default)
    assert (["ops@example.com"], None) == (to, letter["Bcc"])
    assert "<script>" not in letter.get_body(("html",)).get_content()


def test_the_same_letter_is_made_every_time() -> None:
    """So that a reader who gets it twice sees it once."""
    first, second = (write_letter("tally@example.org", "ops@example.com", message()) for _ in range(2))
    assert (first["Message-ID"], first["Date"]) == (second["Message-ID"], second["Date"])


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [("550 no such mailbox", Outcome.REJECTED), ("451 later", Outcome.FAILED)],
)
def test_what_the_server_refuses_for_good_is_not_tried_again(authority, answer, outcome) -> None:
    """What it puts off, is."""
    with serving(Inbox(answer), authority) as port:
        attempted = send(port, authority)
    assert (outcome, "mail-refused", int(answer[:3])) == (attempted.outcome, attempted.error, attempted.status)


def test_a_wrong_password_is_tried_again_later(authority) -> None:
    """It is ours to mend."""
    with serving(Inbox(), authority) as port:
        attempted = send(port, authority, password="wrong")
    assert (Outcome.FAILED, "mail-login-refused") == (attempted.outcome, attempted.error)


def test_nothing_is_sent_to_a_server_that_cannot_prove_who_it_is(authority) -> None:
    """Neither with another name in its certificate, nor signed by somebody else."""
    inbox = Inbox()
    with serving(inbox, authority, name="mail.example.org") as port:
        assert "tls-failed" == send(port, authority).error
    with serving(inbox, trustme.CA()) as port:
        assert "tls-failed" == send(port, authority).error
    assert [] == inbox.letters


def test_nothing_is_sent_in_the_clear_unless_it_was_asked_for(authority) -> None:
    """A server without TLS gets nothing."""
    inbox = Inbox()
    controller = Controller(inbox, hostname="127.0.0.1", port=_free_port())
    controller.start()
    try:
        assert Outcome.FAILED is send(controller.port, authority, user="").outcome
        assert [] == inbox.letters
        assert Outcome.DELIVERED is send(controller.port, authority, user="", security="none").outcome
    finally:
        controller.stop()


def test_nobody_there_is_a_failure_and_no_server_a_refusal(authority) -> None:
    """The first is tried again."""
    assert "connect-failed" == send(_free_port(), authority).error
    sender = MailSender(MailSettings())
    destination = Destination("chn_1", None, "email", "ops@example.com", ("*",))
    attempted = asyncio.run(sender.send(destination, message()))
    assert (Outcome.REJECTED, "mail-not-configured") == (attempted.outcome, attempted.error)
