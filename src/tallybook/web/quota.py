"""How limits look on the wire: a standing as JSON, a refusal as a problem, and the headers that say what is left.

The headers follow the IETF draft "RateLimit header fields for HTTP", which may still change: only this file knows them.
"""

from collections.abc import Mapping

import msgspec

from tallybook.core.clock import US_PER_S
from tallybook.core.hold import QuotaExceeded, Standing
from tallybook.core.instant import instant_text
from tallybook.core.limit import LimitKind
from tallybook.core.number import QUANTITY_MAX, to_text, whole


class StandingAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A limit as it stands; quantities are decimal strings, `quantity` and `remaining` null where there is no limit.

    `asked` is what the request asks of it, other items that count against it included. `dimensions` is there for a
    limit by dimension. `frees_at` is when the next unit comes free, null if nothing known will free one.
    """

    limit: str
    kind: str
    mode: str
    used: str
    held: str
    quantity: str | None
    remaining: str | None
    asked: str
    frees_at: str | None
    dimensions: dict[str, str] | None = None


def write_standing(standing: Standing) -> StandingAnswer:
    """Return the standing as JSON has it."""
    state = standing.state
    limit = state.limit
    return StandingAnswer(
        limit=limit.name,
        kind=limit.kind.value,
        mode=limit.mode.value,
        used=to_text(state.used),
        held=to_text(state.held),
        quantity=None if state.quantity is None else to_text(state.quantity),
        remaining=None if state.remaining is None else to_text(state.remaining),
        asked=to_text(standing.wanted),
        frees_at=None if standing.frees_at_us is None else instant_text(standing.frees_at_us),
        dimensions=None if limit.per is None or state.value is None else {limit.per: state.value},
    )


def quota_headers(error: QuotaExceeded) -> Mapping[str, str]:
    """Return Retry-After, where it is known when trying again makes sense, and the state of each violated limit."""
    refusing = [standing for standing in error.decision.standings if not standing.fits]
    headers = {
        "RateLimit-Policy": ", ".join(_policy(standing) for standing in refusing),
        "RateLimit": ", ".join(_left(standing, error.now_us) for standing in refusing),
    }
    frees_at_us = error.decision.frees_at_us
    if frees_at_us is not None:
        headers["Retry-After"] = str(seconds_until(frees_at_us, error.now_us))
    return headers


def seconds_until(at_us: int, now_us: int) -> int:
    """Return the whole seconds after which *at_us* has surely come; at least 1."""
    return max(1, -((now_us - at_us) // US_PER_S))


def _policy(standing: Standing) -> str:
    state = standing.state
    window_s: int | None = None
    if state.limit.kind is LimitKind.ROLLING:
        window_s = state.limit.window_us // US_PER_S
    elif state.period is not None:
        window_s = (state.period.end_us - state.period.start_us) // US_PER_S
    window = "" if window_s is None else f";w={window_s}"
    return f'"{state.limit.name}";q={_integer(state.quantity or 0)}{window}'


def _left(standing: Standing, now_us: int) -> str:
    state = standing.state
    wait = "" if standing.frees_at_us is None else f";t={seconds_until(standing.frees_at_us, now_us)}"
    return f'"{state.limit.name}";r={_integer(state.remaining or 0)}{wait}'


def _integer(nanos: int) -> int:
    """Return whole units, within what an integer of a structured header may be."""
    return min(whole(nanos), QUANTITY_MAX - 1)
