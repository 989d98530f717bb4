"""Refusals that only HTTP knows: routes, methods, media types, several faults at once. The rest are core's."""

from collections.abc import Sequence

from tallybook.core.errors import FieldInvalid, Forbidden, Invalid, NotFound, ParameterInvalid, TallybookError, TooLarge
from tallybook.web.endpoint import IDEMPOTENCY_HEADER, Fault


class ParametersInvalid(ParameterInvalid):
    """One or more query parameters are wrong; *faults* has them all."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        first = faults[0]
        super().__init__(first.message, parameter=first.name)
        self.faults = tuple(faults)


class BodyInvalid(FieldInvalid):
    """A field of the JSON body is wrong; *faults* says which and how."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message, pointer=fault.name)
        self.faults = (fault,)


class UnknownField(BodyInvalid):
    """The body has a field that nothing reads, most likely a typing mistake."""

    code = "unknown-field"


class KeyInQuery(Invalid):
    """A key stands in the query string, where logs and caches would keep it."""

    code = "key-in-query"


class CursorInvalid(ParameterInvalid):
    """The cursor is not one that this endpoint gave out."""

    code = "invalid-cursor"


class RouteUnknown(NotFound):
    """No endpoint has this path."""


class MethodNotAllowed(TallybookError):
    """The path exists and does not know this method; *allow* lists those it knows."""

    code = "method-not-allowed"

    def __init__(self, allow: Sequence[str]) -> None:
        super().__init__(f"this path takes {', '.join(allow)}", allow=tuple(allow))
        self.allow = tuple(allow)


class AddressTooLong(TooLarge):
    """The path and query together are longer than the named bound."""

    code = "uri-too-long"


class HttpMalformed(Invalid):
    """What came is not HTTP/1.1, or its body is sent in a way that we do not read."""

    code = "malformed-http"


class MediaUnsupported(TallybookError):
    """The Content-Type is not one that this endpoint reads."""

    code = "unsupported-media-type"


class BodyMalformed(Invalid):
    """The body does not decode as its Content-Encoding or length says."""

    code = "malformed-body"


class OperatorRequired(Forbidden):
    """The endpoint is the operator's, and the key belongs to an account."""

    code = "operator-required"


class AccountHeaderMissing(Invalid):
    """An operator's key asked an endpoint that is about one account, and did not name it."""

    code = "account-required"


class IdempotencyKeyInvalid(Invalid):
    """The header Idempotency-Key is empty, too long, not printable, or there twice."""

    code = "invalid-idempotency-key"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.faults = (Fault("header", IDEMPOTENCY_HEADER, message, self.code),)


class RateLimited(TallybookError):
    """The key asked more often than the surface allows in a minute."""

    code = "rate-limited"

    def __init__(self, message: str, *, retry_after_s: int) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.retry_after_s = retry_after_s


class InternalError(TallybookError):
    """What is shown for any bug: a constant text, with nothing of the cause."""

    code = "internal"

    def __init__(self) -> None:
        super().__init__("something went wrong on our side; the request id will help us find it")


class EventRefused(TallybookError):
    """A lone event was not counted; *code* and *status* are those of its outcome."""

    code = "event-id-reused"

    def __init__(self, code: str, status: int, fault: Fault) -> None:
        super().__init__(fault.message, pointer=fault.name)
        self.code = code  # type: ignore[misc]  # the one error whose code is that of an event's outcome
        self.status = status
        self.faults = (fault,)
