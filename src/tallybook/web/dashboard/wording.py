"""What a refusal says to people: what happened, and what they can do about it."""

from dataclasses import dataclass

from tallybook.core.errors import Forbidden, Invalid, NotFound, TallybookError, Unavailable
from tallybook.core.session import Session

_SCOPES = {
    "billing:manage": "usage and billing",
    "usage:read": "usage",
    "admin": "keys and settings",
    "events:write": "sending events",
    "limits:write": "changing limits",
}


@dataclass(frozen=True, slots=True)
class Wording:
    """A title, what it is about, and what to do."""

    title: str
    about: str
    advice: str
    icon: str = "alert"


def wording_of(error: TallybookError, session: Session | None = None) -> Wording:
    """Return how *error* is told."""
    scope = error.detail.get("required_scope")
    if isinstance(error, Forbidden) and isinstance(scope, str):
        way = "link" if session is not None and session.is_portal else "key"
        return Wording(
            "You do not have access to this page",
            f"This page shows {_SCOPES.get(scope, scope)} and needs the scope {scope}, "
            f"which the {way} you came in with does not carry.",
            f"Ask whoever manages your account for a {way} with the scope {scope}, then log in with it.",
            "lock",
        )
    match error:
        case Forbidden():
            return Wording(
                "This was not done",
                _sentence(error.message),
                "Open the dashboard from its own address and try again.",
                "lock",
            )
        case NotFound():
            return Wording(
                "There is nothing here",
                "It does not exist, or it is not yours to see.",
                "Check the address, or choose a page from the navigation.",
                "search",
            )
        case Unavailable():
            return Wording(
                "Not just now", "Tallybook cannot answer at the moment. Nothing was changed.", "Try again in a moment."
            )
        case Invalid():
            return Wording(
                "This cannot be shown", _sentence(error.message), "Change what you asked for, or begin again."
            )
        case _:
            return Wording(
                "This did not work",
                _sentence(error.message),
                "Try again; if it stays like this, tell the operator the request id.",
            )


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")
