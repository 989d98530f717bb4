"""Somebody at the dashboard without a browser: cookies are kept, and requests carry what a browser would add."""

import re
from html import unescape
from typing import Any

import httpx

from tests.support.client import Desk

SAME = {"Sec-Fetch-Site": "same-origin"}


class Guest:
    """One browser's worth of cookies on a desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.cookies: dict[str, str] = {}

    def ask(self, method: str, path: str, headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        """Send one request below /dashboard; redirects are not followed."""
        sent = {**(headers or {})}
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = self._desk.ask(method, f"/dashboard{path}", headers=sent, **more)
        for line in answer.headers.get_list("set-cookie"):
            name, _, rest = line.partition("=")
            value = rest.partition(";")[0]
            if value:
                self.cookies[name] = value
            else:
                self.cookies.pop(name, None)
        return answer

    def get(self, path: str, **more: Any) -> httpx.Response:
        """Open a page."""
        return self.ask("GET", path, **more)

    def post(self, path: str, form: dict[str, Any] | None = None, **more: Any) -> httpx.Response:
        """Send a form from a page of our own."""
        return self.ask("POST", path, more.pop("headers", SAME), data=form or {}, **more)

    def log_in(self, key: str) -> httpx.Response:
        """Log in by the form."""
        return self.post("/login", {"key": key})


def words(answer: httpx.Response) -> str:
    """Return the text of a page, without its tags."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", answer.text)).split())
