"""The events that are measured with: a mix of a platform's usage, from a seed, in the shape that the catalogue reads.

`Mix` makes events of an account; `templates` makes request bodies in which only the ids and the second are open, so
that sending another batch costs the load generator two replacements and no JSON.
"""

import itertools
import json
from collections.abc import Iterator, Sequence
from random import Random

Event = dict[str, object]

SEED = 20_261_121
BATCH_MARK = "~batch~~"
SECOND_MARK = "~~~~~~~second~~~~~~"  # as long as 2026-03-01T12:00:00
LATE_SHARE = 0.01
"""Events that lie up to a month back."""
REPEATED_SHARE = 0.01
"""Events that were sent before: duplicates from the second time that a template is used."""

_TYPES = {
    "api.request": 45,
    "llm.completion": 20,
    "message": 15,
    "call": 8,
    "credit.spend": 5,
    "webhook.delivery": 4,
    "workflow.started": 1,
    "workflow.finished": 1,
    "storage.snapshot": 1,
}
_NAMES = tuple(_TYPES)
_SUMMED = tuple(itertools.accumulate(_TYPES.values()))
APIS = 3
_ENDPOINTS = ("/v1/embeddings", "/v1/rerank", "/v1/search", "/v1/documents", "/v1/files", "/v1/files/{id}")
_MODELS = ("atlas-large", "atlas-small")
_STATUSES = (200,) * 18 + (404, 500)


def account_ids(count: int) -> list[str]:
    """Return the names of the accounts."""
    return [f"acct-{number:05d}" for number in range(count)]


def zipf_sums(count: int, exponent: float = 1.0) -> list[float]:
    """Return cumulative weights of accounts of which a few do most."""
    return list(itertools.accumulate(1 / (rank + 1) ** exponent for rank in range(count)))


class Mix:
    """Makes the type and data of events, for any account the same mix with the account's own agents and APIs."""

    def __init__(self, seed: object) -> None:
        self._dice = Random(f"{SEED}/{seed}")

    @property
    def dice(self) -> Random:
        """What chance decides, for who needs more of it."""
        return self._dice

    def body(self, account_id: str) -> tuple[str, dict[str, object]]:
        """Return the type and the data of one event."""
        dice = self._dice
        kind = dice.choices(_NAMES, cum_weights=_SUMMED)[0]
        agent = f"agent-{account_id[-3:]}-{dice.randrange(3)}"
        named = {"agent_id": agent, "agent_name": f"Agent {agent[-1]}"}
        if kind == "api.request":
            api = dice.randrange(APIS)
            data: dict[str, object] = {
                "api_id": f"api-{api}",
                "endpoint": _ENDPOINTS[2 * api + dice.randrange(2)],
                "method": "POST",
                "status": dice.choice(_STATUSES),
                "latency_ms": dice.randrange(8, 900),
            }
        elif kind == "llm.completion":
            tokens = {"input_tokens": dice.randrange(20, 6_000), "output_tokens": dice.randrange(10, 900)}
            data = {"model": dice.choice(_MODELS), **tokens, **named}
        elif kind == "message":
            data = {"direction": dice.choice(("inbound", "outbound")), **named}
        elif kind == "call":
            number = f"number-{account_id[-3:]}-{dice.randrange(2)}"
            channel, direction = dice.choice(("voice", "voice", "chat")), dice.choice(("inbound", "outbound"))
            seconds = f"{dice.randrange(3, 1_800)}.{dice.randrange(1, 10)}"
            data = {"channel": channel, "direction": direction, "duration_s": seconds, "number_id": number, **named}
        elif kind == "credit.spend":
            data = {"amount": f"{dice.randrange(1, 40)}.{dice.randrange(1, 10)}", **named}
        elif kind == "storage.snapshot":
            data = {"megabytes": dice.randrange(100, 5_000)}
        elif kind == "webhook.delivery":
            data = {"status": dice.choice(("success",) * 9 + ("failed",))}
        else:
            data = {"workflow_id": f"flow-{dice.randrange(4)}"}
            if kind == "workflow.finished":
                data["status"] = dice.choice(("success",) * 9 + ("failed",))
        return kind, data


def events_of_ids(ids: Sequence[str], mix: Mix, account_of: Iterator[str], times: Iterator[str]) -> list[Event]:
    """Return one event for each of *ids*."""
    made: list[Event] = []
    for event_id, account_id, time in zip(ids, account_of, times, strict=False):
        kind, data = mix.body(account_id)
        envelope = {"specversion": "1.0", "id": event_id, "source": "bench", "type": kind, "subject": account_id}
        made.append({**envelope, "time": time, "data": data})
    return made


def templates(count: int, batch_events: int, accounts: int, late_times: Sequence[str]) -> list[bytes]:
    """Return request bodies of *batch_events* events with BATCH_MARK in ids and SECOND_MARK in times.

    Args:
        count: How many different bodies; a sender goes round.
        batch_events: Events in each.
        accounts: Zipf-distributed over this many accounts.
        late_times: Times that the few late and repeated events take.
    """
    ids, sums = account_ids(accounts), zipf_sums(accounts)
    bodies = []
    for number in range(count):
        mix = Mix(f"template {number}")
        dice = mix.dice
        event_ids, times = [], []
        for place in range(batch_events):
            drawn = dice.random()
            fixed = drawn < REPEATED_SHARE
            event_ids.append(f"evt-again-{number}-{place}" if fixed else f"evt-{BATCH_MARK}-{place:04d}")
            late = drawn < REPEATED_SHARE + LATE_SHARE
            times.append(dice.choice(late_times) if late else f"{SECOND_MARK}.{place % 1000:03d}Z")
        drawn_accounts = dice.choices(ids, cum_weights=sums, k=batch_events)
        events = events_of_ids(event_ids, mix, iter(drawn_accounts), iter(times))
        bodies.append(json.dumps(events, separators=(",", ":")).encode())
    return bodies


def fill(template: bytes, batch: str, second: str) -> bytes:
    """Return a body ready to send; *batch* is 8 characters that no other batch has."""
    return template.replace(BATCH_MARK.encode(), batch.encode()).replace(SECOND_MARK.encode(), second.encode())
