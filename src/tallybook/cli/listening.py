"""Whether an address can be listened on, asked before anything is opened or loaded."""

import errno
import os
import socket

from tallybook.core.errors import StartRefused


def check_address(host: str, port: int) -> int:
    """Return the port that a server on *host* can take: *port* itself, a free one for 0.

    Raises:
        StartRefused: Saying what is in the way and what to do.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family) as listener:
            found: int = listener.getsockname()[1]
            return found
    except (OSError, UnicodeError) as error:
        number = error.errno if isinstance(error, OSError) else None
        if number == errno.EADDRINUSE:
            raise StartRefused(f"port {port} of {host} is in use; choose another with --port") from None
        reason = os.strerror(number) if number is not None and number > 0 else "this is no address of this machine"
        raise StartRefused(
            f"cannot listen on {host} port {port}: {reason}; choose others with --host, --port"
        ) from None
