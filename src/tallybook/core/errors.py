"""Every refusal that Tallybook expects, as one tree; what is not in it is a bug.

    TallybookError
    ├── Invalid                 the request can never succeed as it stands
    │   ├── ParameterInvalid    a query parameter or setting of the caller
    │   ├── FieldInvalid        a field of a JSON body
    │   │   └── QuantityInvalid
    │   ├── JsonMalformed
    │   └── RangeInvalid        a span that is empty, inverted or too long
    ├── Unauthenticated, Forbidden
    ├── NotFound                accounts, plans, meters, keys, resources
    ├── Conflict                the state of the ledger says no
    ├── TooLarge, EncodingUnsupported
    ├── Unavailable             try again later: queue full, disk full, store away
    └── StartRefused            the process must not start like this

HTTP statuses are not known here; the web room maps codes.
"""

from typing import ClassVar


class TallybookError(Exception):
    """An expected refusal.

    *code* is stable and clients branch on it; *message* is safe to show (no secrets, no SQL); *detail* is for
    our logs only, except *pointer* (JSON pointer into the body) and *parameter* (name of a query parameter),
    which the web room shows.
    """

    code: ClassVar[str] = "internal"

    def __init__(self, message: str, **detail: object) -> None:
        super().__init__(message)
        self.message = message
        self.detail = detail

    @property
    def pointer(self) -> str | None:
        """JSON pointer to the place in the body, where there is one."""
        value = self.detail.get("pointer")
        return value if isinstance(value, str) else None

    @property
    def parameter(self) -> str | None:
        """Name of the offending query parameter, where there is one."""
        value = self.detail.get("parameter")
        return value if isinstance(value, str) else None


class Invalid(TallybookError):
    """The request can never succeed as it stands."""

    code = "invalid"


class ParameterInvalid(Invalid):
    """A query parameter is missing, empty, repeated, unparsable or out of range."""

    code = "invalid-parameter"


class FieldInvalid(Invalid):
    """A field of a JSON body is missing, of the wrong type or out of range."""

    code = "invalid-field"


class QuantityInvalid(FieldInvalid):
    """A quantity is not a plain decimal of at most 9 places and 10^15 in size."""

    code = "invalid-amount"


class JsonMalformed(Invalid):
    """The body is not JSON, or says one thing twice (duplicate keys)."""

    code = "malformed-json"


class RangeInvalid(ParameterInvalid):
    """A span ends before it starts, leaves the calendar, or is cut into too many windows."""

    code = "invalid-range"


class RangeTooLarge(RangeInvalid):
    """A span is longer, or cut finer, than the named maximum."""

    code = "range-too-large"


class ZoneUnknown(ParameterInvalid):
    """The time zone is not an IANA name."""

    code = "unknown-timezone"


class Unauthenticated(TallybookError):
    """No key, or none that we know."""

    code = "unauthenticated"


class Forbidden(TallybookError):
    """The key is known and lacks the scope named in *message*."""

    code = "insufficient-scope"


class NotFound(TallybookError):
    """The thing does not exist for this caller."""

    code = "not-found"


class Conflict(TallybookError):
    """The state of the ledger says no."""

    code = "conflict"


class TooLarge(TallybookError):
    """A named bound on size was passed."""

    code = "payload-too-large"


class EncodingUnsupported(TallybookError):
    """The media type or content encoding is not one of ours."""

    code = "unsupported-encoding"


class Unavailable(TallybookError):
    """Nothing was written; the same request may succeed after *retry_after_s*."""

    code = "temporarily-unavailable"

    def __init__(self, message: str, *, retry_after_s: int = 1, **detail: object) -> None:
        super().__init__(message, **detail)
        self.retry_after_s = retry_after_s


class StartRefused(TallybookError):
    """The process must not start like this; *message* is one line that says what to do."""

    code = "start-refused"
