"""Names and units as people read them: limits, meters and dimensions in words, seconds as minutes.

Not for what a number is: that is asked of the flows, and stays exact in the page beside what is shown.
"""

from dataclasses import dataclass

from tallybook.core.limit import Limit, LimitKind
from tallybook.core.number import NANOS, ratio
from tallybook.web.numbers import MINUTE_NANOS

SECONDS = "s"
MINUTES = "min"
MINUTE_PLACES = 2
_PLACES: int = 10**MINUTE_PLACES

_KINDS = {
    LimitKind.PERIOD: "per billing period",
    LimitKind.ROLLING: "rolling window",
    LimitKind.LIFETIME: "ever, released ones included",
    LimitKind.STOCK: "at a time",
    LimitKind.CONCURRENT: "at the same time",
    LimitKind.DURATION: "longest single call",
}
_TITLES = {
    "voice_seconds": "Voice minutes",
    "call_duration": "Call duration",
    "concurrent_calls": "Concurrent calls",
    "storage_mb": "Storage",
    "api_calls": "API calls",
    "request_latency_ms": "Request latency",
    "request_latency_count": "Requests with a latency",
    "request_cost_usd": "Request cost",
    "events_unmetered": "Unmetered events",
    "api_id": "API",
    "agent_id": "Agent",
    "number_id": "Phone number",
    "workflow_id": "Workflow",
}


@dataclass(frozen=True, slots=True)
class Unit:
    """What a quantity counts, and whether seconds are shown as minutes."""

    name: str
    as_minutes: bool = False

    def nanos(self, nanos: int) -> int:
        """Return the quantity in the unit that is shown, in nanos."""
        if not self.as_minutes:
            return nanos
        cents = int(ratio(nanos, MINUTE_NANOS, MINUTE_PLACES).scaleb(MINUTE_PLACES))
        return cents * (NANOS // _PLACES)


def unit_of(name: str) -> Unit:
    """Return how quantities of a meter with this unit are shown."""
    return Unit(MINUTES, as_minutes=True) if name == SECONDS else Unit(name)


def title_of(name: str) -> str:
    """Return the name of a limit, meter or dimension as a title."""
    return _TITLES.get(name) or name.replace("_", " ").replace(".", " ").capitalize()


def kind_of(limit: Limit) -> str:
    """Return in words what a limit counts over."""
    if limit.kind is LimitKind.ROLLING and limit.window is not None:
        return f"in the last {window_words(limit.window)}"
    return _KINDS[limit.kind]


def window_words(window: str) -> str:
    """Return ``P30D`` as ``30 days``, ``PT24H`` as ``24 hours``."""
    number, noun = (window[2:-1], "hour") if window.startswith("PT") else (window[1:-1], "day")
    return f"{number} {noun}{'' if number == '1' else 's'}"
