"""A Tallybook server as the command line sees it: one JSON request at a time, refusals as `ServerRefused`.

Requests that may be sent twice are tried again, a bounded number of times, when the server is busy or out of reach.
"""

import time
from collections.abc import Callable, Mapping
from typing import cast

import httpx

from tallybook.core.errors import TallybookError

TRIES_MAX = 8
BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 30.0
TIMEOUT_S = 60.0
_BUSY = {429, 502, 503, 504}


class ServerRefused(TallybookError):
    """The server said no; *status* is what it answered."""

    code = "server-refused"

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message, status=status)
        self.status = status


class ServerAway(TallybookError):
    """The server did not answer, however often it was asked."""

    code = "server-away"


class Server:
    """A server at *url*, asked with *key*."""

    def __init__(
        self, url: str, key: str | None, *, pause: Callable[[float], None] = time.sleep, timeout_s: float = TIMEOUT_S
    ) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        try:
            self._http = httpx.Client(base_url=url.rstrip("/"), headers=headers, timeout=timeout_s)
        except (httpx.InvalidURL, UnicodeEncodeError):
            raise ServerAway(f"{url!r} is no URL, or the key holds characters that no key has") from None
        self._url = url
        self._pause = pause

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def ask(self, method: str, path: str, body: object = None, query: Mapping[str, str] | None = None) -> object:
        """Send one request and return the JSON of the answer, None where it has none.

        Raises:
            ServerRefused: With what the server says is wrong.
            ServerAway: If it cannot be reached.
        """
        try:
            answer = self._http.request(method, path, json=body, params=query)
        except httpx.HTTPError as error:
            raise self._away(error) from None
        except httpx.InvalidURL:
            raise ServerAway(f"{self._url!r} is no URL such as http://127.0.0.1:8080") from None
        return read_answer(answer)

    def send(self, path: str, body: bytes, headers: Mapping[str, str]) -> object:
        """Post *body*, which may be sent twice, and return the JSON of the answer, whatever its status says of it.

        Raises:
            ServerRefused, ServerAway: As `ask`; busy and unreachable servers are tried TRIES_MAX times.
        """
        failure: TallybookError = ServerAway(f"{self._url} did not answer")
        for attempt in range(TRIES_MAX):
            wait_s = min(BACKOFF_FIRST_S * 2**attempt, BACKOFF_MAX_S)
            try:
                answer = self._http.post(path, content=body, headers=dict(headers))
            except httpx.InvalidURL:
                raise ServerAway(f"{self._url!r} is no URL such as http://127.0.0.1:8080") from None
            except httpx.HTTPError as error:
                failure = self._away(error)
            else:
                if answer.status_code not in _BUSY:
                    return read_answer(answer)
                failure = ServerRefused(_reason(answer), status=answer.status_code)
                wait_s = max(wait_s, _retry_after_s(answer))
            if attempt + 1 < TRIES_MAX:
                self._pause(wait_s)
        raise failure

    def _away(self, error: httpx.HTTPError) -> ServerAway:
        reason = str(error) or type(error).__name__
        return ServerAway(f"{self._url} cannot be reached ({reason}); is the server running, and the URL right?")


def read_answer(answer: httpx.Response) -> object:
    """Return the JSON of an answer, None where it has none.

    Raises:
        ServerRefused: If the answer is a refusal, or no JSON.
    """
    if answer.status_code >= 400:
        raise ServerRefused(_reason(answer), status=answer.status_code)
    if not answer.content:
        return None
    try:
        return cast("object", answer.json())
    except ValueError:
        raise ServerRefused("the answer is not JSON; is this a Tallybook server?", status=answer.status_code) from None


def _reason(answer: httpx.Response) -> str:
    try:
        problem = answer.json()
        detail = problem.get("detail") or problem.get("title") or "no reason given"
    except (ValueError, AttributeError):
        detail = "the answer is no problem document; is this a Tallybook server?"
    return f"the server answered {answer.status_code}: {detail}"


def _retry_after_s(answer: httpx.Response) -> float:
    written = answer.headers.get("retry-after", "")
    return min(float(written), BACKOFF_MAX_S) if written.isascii() and written.isdigit() else 0.0
