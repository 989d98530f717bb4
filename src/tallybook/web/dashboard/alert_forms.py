"""The forms of Billing > Alerts, read into the JSON that the API takes: what is wrong is said by the same rules.

Not for doing what they ask (see `alerts` and `channels`).
"""

from collections.abc import Mapping, Sequence

from tallybook.core.errors import FieldInvalid
from tallybook.web.dashboard.page import first

Fields = Mapping[str, Sequence[str]]
_DIGITS_MAX = 6


def read_rules_form(fields: Fields) -> dict[str, object]:
    """Return the body of alert rules; rows without a percent are let go, the others are put in order."""
    rows = zip(fields.get("percent", ()), fields.get("event", ()), fields.get("limit", ()), strict=False)
    thresholds = [
        {"percent": _whole(percent, "/thresholds"), "event": event or None, "limit": limit or None}
        for percent, event, limit in ((a.strip(), b.strip(), c.strip()) for a, b, c in rows)
        if percent
    ]
    thresholds.sort(key=lambda one: (str(one["limit"] or ""), one["percent"]))
    return {
        "thresholds": thresholds,
        "hysteresis": _whole(first(fields, "hysteresis"), "/hysteresis"),
        "forecast": first(fields, "forecast") == "1",
    }


def read_budget_form(fields: Fields) -> tuple[str, dict[str, object]]:
    """Return the name and the body of a budget."""
    percents = [part for part in first(fields, "thresholds").replace("%", " ").replace(",", " ").split() if part]
    body: dict[str, object] = {"amount": first(fields, "amount").replace(",", "") or None}
    if percents:
        body["thresholds"] = sorted(_whole(part, "/thresholds") for part in percents)
    return first(fields, "name"), body


def read_pace_form(fields: Fields) -> dict[str, object]:
    """Return the body of a pace."""
    digest, gap = first(fields, "digest"), first(fields, "gap")
    begins, ends = first(fields, "quiet_from"), first(fields, "quiet_until")
    return {
        "digest": int(digest) if _is_number(digest) else digest or None,
        "quiet_hours": f"{begins}-{ends}" if begins or ends else None,
        "minimum_gap_minutes": _whole(gap, "/minimum_gap_minutes") if gap else 0,
    }


def _whole(text: str, pointer: str) -> int:
    if not _is_number(text):
        raise FieldInvalid("must be whole numbers", pointer=pointer)
    return int(text)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS_MAX
