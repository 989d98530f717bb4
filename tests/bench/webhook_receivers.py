"""Receivers in a process of their own, for the bench of webhooks: run by it, which says why.

    python -m tests.bench.webhook_receivers

Prints its ports as JSON, ``{"plain": 1, "bad_tls": 2}``. For each line on standard input it prints how many messages
came at paths that begin with that line, and how late each was, and forgets them.
"""

import json
import sys

import trustme

from tests.support.receivers import Receivers
from tests.support.tls import server_context


def main() -> None:
    """Receive until standard input ends."""
    unknown = trustme.CA()  # nobody trusts it
    with Receivers() as plain, Receivers(tls=server_context(unknown, "127.0.0.1")) as bad_tls:
        print(json.dumps({"plain": plain.port, "bad_tls": bad_tls.port}), flush=True)  # noqa: T201 - a program
        for line in sys.stdin:
            told = [one for one in plain.received if one.path.startswith(line.strip())]
            lags_s = [one.at_s - json.loads(one.body)["data"]["sent_s"] for one in told]
            print(json.dumps({"count": len(told), "lags_s": lags_s}), flush=True)  # noqa: T201 - a program


if __name__ == "__main__":
    main()
