"""Signatures and the sender: the reference library accepts them, and answers mean what Standard Webhooks says."""

import asyncio
import base64
import json
from ipaddress import ip_network

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from standardwebhooks import Webhook, WebhookVerificationError

from tallybook.core.clock import FrozenClock, SystemClock
from tallybook.core.delivery import Destination, Outcome, Secret
from tallybook.core.egress import Egress
from tallybook.core.message import Message
from tallybook.outside.guard import GuardedClient
from tallybook.outside.resolver import SystemResolver
from tallybook.outside.signing import Scheme, new_secret, shown_secret, sign
from tallybook.outside.webhook import WebhookSender
from tests.support.receivers import Receivers

MESSAGE = Message("msg_1", "lease.terminated", None, b'{"name":"\xc3\xbc"}', 1_773_577_800_000_000)
NOW_US = 1_773_577_800_000_000


def key(number, scheme=Scheme.HMAC, expires_us=None):
    return Secret(number, scheme, new_secret(scheme), expires_us)


def shown(secret):
    return shown_secret(secret.scheme, secret.value)


def send(path, *secrets, clock=None, host="127.0.0.1", message=MESSAGE, receivers=None):
    """Send one message to a receiver; return the attempt and what was received."""

    async def call(url):
        client = GuardedClient(Egress([ip_network("127.0.0.0/8")]), SystemResolver(), timeout_s=5)
        sender = WebhookSender(client, clock or SystemClock())
        try:
            destination = Destination("hook_1", None, "webhook", url, ("*",), secrets=secrets)
            return await sender.send(destination, message)
        finally:
            await sender.close()

    with Receivers() as opened:
        attempted = asyncio.run(call(opened.url(path)))
        return attempted, opened.received


def test_the_reference_library_accepts_what_arrives():
    """
    By each of two secrets while one is replaced, and by no other.
    """
    old, new, other = key(1), key(2), key(3)
    attempted, (one,) = send("ok", new, old)

    assert Outcome.DELIVERED is attempted.outcome
    for secret in (old, new):
        assert json.loads(MESSAGE.envelope()) == Webhook(shown(secret)).verify(one.body, one.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(shown(other)).verify(one.body, one.headers)


def test_an_ed25519_signature_is_verified_with_the_public_key():
    """
    As `v1a`, over the same text.
    """
    secret = key(1, Scheme.ED25519)
    _, (one,) = send("ok", secret)
    version, _, signature = one.headers["webhook-signature"].partition(",")
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(shown(secret).removeprefix("whpk_")))
    text = f"msg_1.{one.headers['webhook-timestamp']}.".encode()

    assert "v1a" == version
    public.verify(base64.b64decode(signature), text + one.body)
    with pytest.raises(InvalidSignature):
        public.verify(base64.b64decode(signature), text + one.body + b" ")


def test_a_secret_that_ran_out_signs_no_more():
    """
    To the microsecond.
    """
    new, old = key(2), key(1, expires_us=NOW_US)
    _, (late,) = send("ok", new, old, clock=FrozenClock(NOW_US))
    _, (early,) = send("ok", new, old, clock=FrozenClock(NOW_US - 1))

    assert (1, 2) == (len(late.headers["webhook-signature"].split()), len(early.headers["webhook-signature"].split()))


def test_secrets_have_256_bits_and_are_never_the_same():
    """
    Standard Webhooks asks for 24 to 64 bytes.
    """
    values = {new_secret(scheme) for scheme in Scheme for _ in range(50)}

    assert (100, {32}) == (len(values), set(map(len, values)))


def test_each_attempt_has_the_same_id_and_body_and_a_new_time():
    """
    So receivers know it again, and old signatures are of no use.
    """
    secret = key(1)
    clock = FrozenClock(NOW_US)
    _, (first,) = send("500", secret, clock=clock)
    clock.advance(5_000_000)
    _, (second,) = send("ok", secret, clock=clock)

    assert (first.message_id, first.body) == (second.message_id, second.body) == ("msg_1", MESSAGE.envelope())
    assert 5 == int(second.headers["webhook-timestamp"]) - int(first.headers["webhook-timestamp"])
    assert sign([secret], "msg_1", NOW_US // 1_000_000, first.body) == first.headers["webhook-signature"]


@pytest.mark.parametrize(
    ("path", "outcome", "error", "status", "retry_after_s"),
    [
        ("ok", Outcome.DELIVERED, "", 200, None),
        ("huge", Outcome.DELIVERED, "", 200, None),
        ("500", Outcome.FAILED, "unexpected-status", 500, None),
        ("429", Outcome.FAILED, "unexpected-status", 429, 3600),
        ("410", Outcome.GONE, "gone", 410, None),
        ("redirect", Outcome.FAILED, "redirect-not-followed", 302, None),
        ("reset", Outcome.FAILED, "connection-broken", None, None),
    ],
)
def test_what_an_answer_means(path, outcome, error, status, retry_after_s):
    """
    2xx is taken, 410 wants no more, everything else is tried again.
    """
    attempted, _ = send(path, key(1))

    assert (outcome, error, status, retry_after_s) == (
        attempted.outcome,
        attempted.error,
        attempted.status,
        attempted.retry_after_s,
    )


def test_no_secret_is_in_what_is_logged():
    """
    Of all that was sent, only signatures.
    """
    secret = key(1)
    attempted, _ = send("500", secret)
    logged = repr(attempted)

    assert "webhook-signature" in logged
    assert shown(secret).removeprefix("whsec_") not in logged
