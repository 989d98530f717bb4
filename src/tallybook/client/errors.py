"""Everything that the client raises, as one tree that mirrors the server's problem codes.

    TallybookError
    ├── Unreachable             no usable answer, however often asked: no connection, no reply in time, a failing server
    ├── Refused                 the server answered, and the answer is no
    │   ├── RequestInvalid      400, 413, 415, 422: the request can never succeed as it stands
    │   │   └── QuantityInvalid
    │   ├── Unauthenticated     401
    │   ├── Forbidden           403
    │   │   └── AccountSuspended
    │   ├── NotFound            404
    │   ├── Conflict            409
    │   │   └── EventIdReused
    │   └── RateLimited         429, the key asked too often
    ├── LimitReached            429, a limit says no: carries the decision
    ├── LeaseLost               the slot is no longer ours
    ├── EventInvalid            an event that could never be sent
    ├── BufferFull              the buffer is full and the caller chose to be told
    ├── ClientClosed
    └── SpoolUnusable           the folder of the spool cannot be used
        └── SpoolLocked         another process uses it

Where the server has a code of its own for a refusal, `Refused.code` has it.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tallybook.client.answers import Decision, Fault


class TallybookError(Exception):
    """The root: catch it to catch all that this client raises on purpose.

    Example:
        >>> from tallybook.client import LimitReached, TallybookError
        >>> issubclass(LimitReached, TallybookError)
        True
    """


class Unreachable(TallybookError):
    """Tallybook gave no usable answer. What was asked may or may not have happened; asking again is safe.

    Attributes:
        status: The HTTP status of the last answer, None where there was none.

    Example:
        >>> from tallybook.client import Unreachable
        >>> Unreachable("connection refused").status is None
        True
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class Refused(TallybookError):
    """The server answered with a problem (RFC 9457).

    Attributes:
        status: The HTTP status.
        code: Stable; branch on it. See docs/errors.md of the server.
        detail: One sentence for people.
        faults: What is wrong where, with JSON pointers or names of parameters.
        request_id: Finds the request in the server's log.

    Example:
        >>> from tallybook.client import Refused
        >>> Refused("there is no such account", status=404, code="not-found").code
        'not-found'
    """

    def __init__(
        self,
        detail: str,
        *,
        status: int,
        code: str,
        faults: "Sequence[Fault]" = (),
        request_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        asked = f" (request {request_id})" if request_id else ""
        super().__init__(f"{code}: {detail}{asked}")
        self.status = status
        self.code = code
        self.detail = detail
        self.faults = tuple(faults)
        self.request_id = request_id
        self.retry_after_s = retry_after_s


class RequestInvalid(Refused):
    """The request can never succeed as it stands.

    Example:
        >>> from tallybook.client import RequestInvalid
        >>> RequestInvalid("must be given", status=422, code="invalid-field").status
        422
    """


class QuantityInvalid(RequestInvalid):
    """A quantity is not a plain decimal of at most 9 places and 10^15 in size; told before anything is sent, too.

    Example:
        >>> from tallybook.client import quantity_text
        >>> quantity_text("1_000")
        Traceback (most recent call last):
        ...
        tallybook.client.errors.QuantityInvalid: invalid-amount: '1_000' is not a plain decimal number
    """


class Unauthenticated(Refused):
    """No key, or none that the server knows.

    Example:
        >>> from tallybook.client import Unauthenticated
        >>> Unauthenticated("unknown key", status=401, code="unauthenticated").status
        401
    """


class Forbidden(Refused):
    """The key lacks the scope that the detail names.

    Example:
        >>> from tallybook.client import Forbidden
        >>> Forbidden("needs limits:write", status=403, code="insufficient-scope").detail
        'needs limits:write'
    """


class AccountSuspended(Forbidden):
    """An invoice of the account is unpaid and the grace is over: nothing is granted. Its events still count.

    Example:
        >>> from tallybook.client import AccountSuspended, Forbidden
        >>> issubclass(AccountSuspended, Forbidden)
        True
    """


class NotFound(Refused):
    """It does not exist, or it is not for this key to see.

    Example:
        >>> from tallybook.client import NotFound
        >>> NotFound("no such account", status=404, code="not-found").status
        404
    """


class Conflict(Refused):
    """What is recorded already does not allow it: a reservation that is settled, a key used for something else.

    Example:
        >>> from tallybook.client import Conflict
        >>> Conflict("the reservation is committed already", status=409, code="conflict").code
        'conflict'
    """


class EventIdReused(Conflict):
    """An event with this source and id is recorded with another payload, which still stands.

    Example:
        >>> from tallybook.client import Conflict, EventIdReused
        >>> issubclass(EventIdReused, Conflict)
        True
    """


class RateLimited(Refused):
    """The key asked too often; *retry_after_s* says when to ask again. Not a limit of the account.

    Example:
        >>> from tallybook.client import RateLimited
        >>> RateLimited("slow down", status=429, code="rate-limited", retry_after_s=2.0).retry_after_s
        2.0
    """


class LimitReached(TallybookError):
    """A limit of the account refuses a reservation or a lease.

    Attributes:
        decision: Which limits, how much was used, held, left; *decision.assumed* where nobody could be asked.
        retry_after_s: When something comes free, as far as that is known.

    Example:
        >>> from tallybook.client import LimitReached
        >>> try:
        ...     with client.reserve("messages", 1_000_000, account="acme"):
        ...         pass
        ... except LimitReached as refusal:
        ...     print(refusal.decision.violated)
        ('messages',)
    """

    def __init__(self, decision: "Decision", *, retry_after_s: float | None = None) -> None:
        named = ", ".join(decision.violated) or decision.reason or "nobody could be asked"
        super().__init__(f"limit reached: {named}")
        self.decision = decision
        self.retry_after_s = retry_after_s


class LeaseLost(TallybookError):
    """The slot is no longer ours: it expired, was taken, or its hard deadline passed.

    Attributes:
        reason: ``refused`` (the server said so), ``expired`` (no heartbeat came through in time) or ``deadline``.

    Example:
        >>> from tallybook.client import LeaseLost
        >>> LeaseLost("deadline").reason
        'deadline'
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"the lease is lost: {reason}")
        self.reason = reason


class EventInvalid(TallybookError):
    """The event could never be accepted: no JSON, not finite, a time without offset, too large. Nothing was kept.

    Example:
        >>> client.track("message", {"cost": float("nan")}, account="acme")
        Traceback (most recent call last):
        ...
        tallybook.client.errors.EventInvalid: /data/cost is not a finite number
    """


class BufferFull(TallybookError):
    """The buffer is full and ``on_full="raise"`` was chosen. The event was not kept.

    Example:
        >>> from tallybook.client import BufferFull, TallybookError
        >>> issubclass(BufferFull, TallybookError)
        True
    """


class ClientClosed(TallybookError):
    """The client was closed before.

    Example:
        >>> from tallybook.client import Client
        >>> gone = Client("http://127.0.0.1:8080", "tb_live_...")
        >>> nothing_left = gone.close()
        >>> gone.track("message")
        Traceback (most recent call last):
        ...
        tallybook.client.errors.ClientClosed: the client is closed
    """

    def __init__(self) -> None:
        super().__init__("the client is closed")


class SpoolUnusable(TallybookError):
    """The folder of the spool cannot be used; the message says why.

    Example:
        >>> from tallybook.client import SpoolLocked, SpoolUnusable
        >>> issubclass(SpoolLocked, SpoolUnusable)
        True
    """


class SpoolLocked(SpoolUnusable):
    """Another process, or another client of this one, uses the spool. Give each its own folder.

    Example:
        >>> from tallybook.client import SpoolLocked
        >>> str(SpoolLocked("/var/spool/book is in use"))
        '/var/spool/book is in use'
    """


BY_CODE: Mapping[str, type[Refused]] = {
    "account-suspended": AccountSuspended,
    "invalid-amount": QuantityInvalid,
    "event-id-reused": EventIdReused,
    "rate-limited": RateLimited,
}
"""Codes with a class of their own; all others have that of their status."""

BY_STATUS: Mapping[int, type[Refused]] = {
    400: RequestInvalid,
    401: Unauthenticated,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: RequestInvalid,
    415: RequestInvalid,
    422: RequestInvalid,
    429: RateLimited,
}
