"""The sender of webhooks: one signed POST an attempt, and what its answer means.

Not for when it is tried (see `core.delivery`), nor for where it may go (see `guard`).
"""

import email.utils

from tallybook import __version__
from tallybook.core.clock import US_PER_S, Clock
from tallybook.core.delivery import Attempted, Destination, Outcome
from tallybook.core.message import Message
from tallybook.outside.guard import Answered, CallFailed, GuardedClient
from tallybook.outside.signing import sign

KIND = "webhook"
_GONE = 410


class WebhookSender:
    """Sends messages to webhook endpoints."""

    def __init__(self, client: GuardedClient, clock: Clock) -> None:
        self._client = client
        self._clock = clock

    async def send(self, destination: Destination, message: Message) -> Attempted:
        """Try once: 2xx is delivered, 410 wants no more, all else is tried again."""
        now_us = self._clock.now_us()
        body = message.envelope()
        headers = _headers(destination, message, body, now_us)
        try:
            answered = await self._client.post(destination.address, body, headers)
        except CallFailed as failed:
            return Attempted(Outcome.FAILED, 0, failed.code, request_headers=headers)
        outcome, error = _judge(answered.status)
        return Attempted(
            outcome,
            0,
            error,
            status=answered.status,
            request_headers=headers,
            response_headers=answered.headers,
            response_body=answered.body,
            retry_after_s=_retry_after_s(answered, now_us),
        )

    async def close(self) -> None:
        """Close the connections that are kept."""
        await self._client.close()


def _headers(destination: Destination, message: Message, body: bytes, now_us: int) -> dict[str, str]:
    timestamp_s = now_us // US_PER_S
    valid = [key for key in destination.secrets if key.expires_us is None or now_us < key.expires_us]
    return {
        "Content-Type": "application/json",
        "User-Agent": f"Tallybook/{__version__}",
        "webhook-id": message.message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": sign(valid, message.message_id, timestamp_s, body),
    }


def _judge(status: int) -> tuple[Outcome, str]:
    if 200 <= status < 300:
        return Outcome.DELIVERED, ""
    if status == _GONE:
        return Outcome.GONE, "gone"
    return Outcome.FAILED, "redirect-not-followed" if 300 <= status < 400 else "unexpected-status"


def _retry_after_s(answered: Answered, now_us: int) -> int | None:
    """Return how long the receiver asks to be left alone, in either form that HTTP knows."""
    text = answered.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return int(text[:9])
    try:
        until_us = int(email.utils.parsedate_to_datetime(text).timestamp()) * US_PER_S
    except (ValueError, OverflowError):
        return None
    return max(0, until_us - now_us) // US_PER_S
