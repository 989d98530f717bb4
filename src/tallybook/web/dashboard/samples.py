"""Commands to copy: what to send so that an empty page has something to show.

Whatever an id holds, a shell reads it as one text. Not for the first event of an account (see `render.sample_curl`).
"""

import json
import shlex
from collections.abc import Mapping


def event_curl(account_id: str, event_type: str, data: Mapping[str, object]) -> str:
    """Return a command that sends one event."""
    event = {
        "id": f"first-{event_type.replace('.', '-')}",
        "type": event_type,
        "subject": account_id,
        "data": dict(data),
    }
    return request_curl("POST", "/v1/events", event)


def request_curl(method: str, path: str, body: Mapping[str, object]) -> str:
    """Return a command that sends one request of the native API."""
    return (
        f'curl -X {method} "$TALLYBOOK_URL"{shlex.quote(path)} \\\n'
        '  -H "Authorization: Bearer $TALLYBOOK_KEY" \\\n'
        "  -H 'Content-Type: application/json' \\\n"
        f"  -d {shlex.quote(json.dumps(body, ensure_ascii=False))}"
    )
