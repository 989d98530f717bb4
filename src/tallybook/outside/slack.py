"""The sender of chat messages: one POST to a URL that takes what Slack's incoming webhooks take.

The URL is the secret itself: it is kept sealed and never shown, and the guard judges it like any other. Not for what is
said (see `core.channel`).
"""

import json

from tallybook import __version__
from tallybook.core.channel import SLACK, lines_for_chat, say
from tallybook.core.delivery import Attempted, Destination, Outcome
from tallybook.core.message import Message
from tallybook.outside.guard import CallFailed, GuardedClient

KIND = SLACK
TEXT_CHARS_MAX = 30_000
"""What such URLs take of a text, with some room."""
_GONE = frozenset({404, 410})
_NEVER = frozenset({400, 403, 413})


class SlackSender:
    """Sends messages to channels of a chat."""

    def __init__(self, client: GuardedClient) -> None:
        self._client = client

    async def send(self, destination: Destination, message: Message) -> Attempted:
        """Try once: a URL that is no more wants nothing more."""
        if not destination.secrets:
            return Attempted(Outcome.REJECTED, 0, "secret-missing")
        text = "\n".join(lines_for_chat(say(message)))
        body = json.dumps({"text": text[:TEXT_CHARS_MAX]}).encode()
        headers = {"Content-Type": "application/json", "User-Agent": f"Tallybook/{__version__}"}
        try:
            answered = await self._client.post(destination.secrets[0].value.decode(), body, headers)
        except CallFailed as failed:
            return Attempted(Outcome.FAILED, 0, failed.code, request_headers=headers)
        outcome, error = _judge(answered.status)
        retry_after = answered.headers.get("retry-after", "")
        return Attempted(
            outcome,
            0,
            error,
            status=answered.status,
            request_headers=headers,
            response_headers=answered.headers,
            response_body=answered.body,
            retry_after_s=int(retry_after[:9]) if retry_after.isascii() and retry_after.isdigit() else None,
        )

    async def close(self) -> None:
        """The client is closed by whom it belongs to."""


def _judge(status: int) -> tuple[Outcome, str]:
    if 200 <= status < 300:
        return Outcome.DELIVERED, ""
    if status in _GONE:
        return Outcome.GONE, "gone"
    return (Outcome.REJECTED if status in _NEVER else Outcome.FAILED), "unexpected-status"
