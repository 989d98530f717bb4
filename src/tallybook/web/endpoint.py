"""An API surface as data: its endpoints, what a handler is given, what it gives back, how it says no.

From these tables come routing, the checks of key and scope, strict query reading, OpenAPI and the generated test
matrices. Running them is `app`; this file does nothing by itself.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import msgspec
from starlette.datastructures import Headers

from tallybook.core.errors import TallybookError
from tallybook.core.key import Caller
from tallybook.core.message import MessageType
from tallybook.core.plan import Account
from tallybook.web.rooms import Rooms

JSON = "application/json"
ACCOUNT_HEADER = "Tallybook-Account"
"""With an operator's key on a dialect: the account that is meant."""

IDEMPOTENCY_HEADER = "Idempotency-Key"
IDEMPOTENCY_KEY_BYTES_MAX = 255

_NONE: Mapping[str, Any] = MappingProxyType({})

Query_co = TypeVar("Query_co", covariant=True)
Body_co = TypeVar("Body_co", covariant=True)


class AccountOf(StrEnum):
    """Where the account of a request comes from."""

    NOBODY = "nobody"
    """The endpoint is about no single account."""
    KEY = "key"
    """The key's own; with an operator's key the one named by the header Tallybook-Account."""
    PATH = "path"
    """The path parameter ``account_id``; any but the key's own is answered as if it did not exist."""


AT_ONCE_BYTES_MAX = 16 * 1024
"""Most bytes of a body that is read on the event loop, where an endpoint does not say fewer."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A finished answer; handlers return one only where a struct and the endpoint's status say too little."""

    status: int
    body: bytes
    media: str = JSON
    headers: Mapping[str, str] = field(default_factory=lambda: _NONE)


@dataclass(frozen=True, slots=True)
class Ask(Generic[Query_co, Body_co]):
    """What a handler is given: who asks for what, of which account, when.

    Attributes:
        query, body: Instances of the endpoint's structs, None where it has none.
        path: The path's parameters, percent-decoded.
        now_us: The instant of the request; a handler asks no clock of its own, so that one answer has one now.
    """

    rooms: Rooms
    caller: Caller
    query: Query_co
    body: Body_co
    path: Mapping[str, str]
    now_us: int
    request_id: str
    found: Account | None = None

    @property
    def account(self) -> Account:
        """The account of the request, where the endpoint says `AccountOf.KEY` or `PATH`."""
        assert self.found is not None  # the app looked it up, or refused
        return self.found


@dataclass(frozen=True, slots=True)
class RawBody:
    """The body as sent, for an endpoint that says ``body=RawBody``: it decodes it itself."""

    data: bytes
    headers: Headers


@dataclass(frozen=True, slots=True)
class JsonBody:
    """A decoded JSON body, for an endpoint that says ``body=JsonBody``: core reads its fields."""

    value: object


@dataclass(frozen=True, slots=True)
class Pending:
    """An answer that waits for somebody else's work, without holding a worker thread meanwhile."""

    future: Future[Any]
    then: Callable[[Any], object]
    """Makes the answer of the future's result; quick, as it runs on the event loop."""


@dataclass(frozen=True, slots=True)
class Later:
    """What a handler that runs on the event loop leaves to a worker thread, because it has to be looked up."""

    work: Callable[[], object]
    """Makes the answer, as a handler does."""


Handler = Callable[[Ask[Any, Any]], object]
"""Runs in a worker thread and refuses by raising a TallybookError.

It returns the answer's struct, None for 204, a `Reply`, or a `Pending`; or a `Later` if the endpoint *never_waits*.
"""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One operation of a surface.

    Attributes:
        path: Below the surface's prefix, with ``{name}`` segments.
        scope: What the key must carry; None = no key is asked for.
        query: Struct of the query's parameters: ``int`` with Meta(ge, le), ``str``, ``bool``, a StrEnum, each
            ``| None`` if optional without default; ``tuple[str, ...]`` may be repeated; ``dict[str, tuple[str, ...]]``
            reads ``name[key]=value``. Fields are renamed with ``msgspec.field(name=...)``.
        body: Struct of the JSON body, declared with ``forbid_unknown_fields=True``; or `JsonBody`, or `RawBody`.
        body_documented: What OpenAPI says of a `JsonBody` or `RawBody`.
        answer: The type the handler returns, None for an empty 204.
        operator_only: Whether an account's key is refused whatever its scopes.
        idempotent: Whether it honours the header Idempotency-Key.
        is_quick: Whether its work is always small, so that it need not wait behind what is not.
        never_waits: Whether its handler never waits, so that it need not leave the event loop while its account is
            remembered; what it would have to wait for it returns as `Later`.
        at_once_bytes_max: Most bytes of a body that is read on the event loop then.
        in_lane: Whether all is decided in the account's lane, so that it is enough to have met the account before.
        errors: What it may refuse with, besides what every endpoint may: classes, or examples where a class says too
            little.
        example: An answer as it may look; *query_example* and *body_example* lead to it.
    """

    method: str
    path: str
    handler: Handler
    scope: str | None
    summary: str
    answer: Any = None
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct | RawBody | JsonBody] | None = None
    body_media: Sequence[str] = (JSON,)
    body_documented: Any = None
    account: AccountOf = AccountOf.NOBODY
    operator_only: bool = False
    idempotent: bool = False
    is_quick: bool = False
    never_waits: bool = False
    at_once_bytes_max: int = AT_ONCE_BYTES_MAX
    in_lane: bool = False
    status: int = 200
    errors: Sequence[type[TallybookError] | TallybookError] = ()
    description: str = ""
    example: object = None
    query_example: str = ""
    body_example: object = None

    @property
    def body_schema(self) -> Any:
        """The type that describes the body, None where there is no body."""
        return self.body_documented if self.body in (RawBody, JsonBody) else self.body

    @property
    def name(self) -> str:
        """A stable name for metrics and OpenAPI: ``GET /v1/usage``."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong with a request.

    Attributes:
        place: ``query``, ``body``, ``path``, ``header`` or ``request``.
        name: The parameter's name, a JSON pointer into the body, or the part of the request.
        kind: missing, empty, repeated, too_many, not_an_integer, too_small, too_large, too_long, not_one_of, not_text,
            unknown_field, or the error's own code.
        bound: The bound that was passed or the values allowed, where there are any.
    """

    place: str
    name: str
    message: str
    kind: str
    bound: object = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """What a surface's `refuse` is given; *status* is the native one and may be replaced."""

    error: TallybookError
    status: int
    path: str
    request_id: str
    faults: tuple[Fault, ...] = ()

    @property
    def code(self) -> str:
        """The stable code of the error."""
        return self.error.code

    @property
    def message(self) -> str:
        """What is safe to show."""
        return self.error.message

    @property
    def required_scope(self) -> str | None:
        """The scope that the key lacks, for ``insufficient-scope``."""
        scope = self.error.detail.get("required_scope")
        return scope if isinstance(scope, str) else None


@dataclass(frozen=True, slots=True)
class Surface:
    """One published API.

    Attributes:
        prefix: Where it stands below every host, "" for the native one; never ends in a slash.
        refuse: Shapes each refusal; headers that HTTP asks for (WWW-Authenticate, Allow, Retry-After) and the
            request id are added after it.
        error: The struct of its error bodies, for OpenAPI; *error_media* their media type.
        messages: What it sends to webhooks.
        key_in_query_refused: Whether a key in the query string is an error rather than an unknown parameter.
        requests_per_minute_max: Per key; if set, X-RateLimit headers stand on every answer.
    """

    name: str
    prefix: str
    title: str
    endpoints: Sequence[Endpoint]
    refuse: Callable[[Refusal], Reply]
    description: str = ""
    error: Any = None
    error_media: str = JSON
    messages: Sequence[MessageType] = ()
    key_in_query_refused: bool = False
    requests_per_minute_max: int | None = None


_encoder = msgspec.json.Encoder(decimal_format="number")


def to_json(value: object) -> bytes:
    """Encode an answer: structs in the order of their fields, Decimals as exact JSON numbers."""
    return _encoder.encode(value)


def json_reply(status: int, value: object, headers: Mapping[str, str] = _NONE) -> Reply:
    """Return *value* as a JSON answer."""
    return Reply(status, to_json(value), JSON, headers)
