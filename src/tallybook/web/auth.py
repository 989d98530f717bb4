"""Who asks: the key from the request's headers, its scope, and the account it may speak of.

Decided per endpoint, from the endpoint's table, never from the path's text. Looking keys up is `flows.access`.
"""

from collections.abc import Mapping

from starlette.datastructures import Headers

from tallybook.core.errors import NotFound, Unauthenticated
from tallybook.core.ids import ID_BYTES_MAX, AccountId
from tallybook.core.key import Caller
from tallybook.web.endpoint import ACCOUNT_HEADER, AccountOf, Endpoint
from tallybook.web.errors import AccountHeaderMissing, KeyInQuery, OperatorRequired
from tallybook.web.query import Pairs

KEY_HEADER = "X-API-Key"
KEY_PARAMETERS = frozenset(
    {
        "access_token",
        "api-key",
        "api_key",
        "apikey",
        "authorization",
        "bearer",
        "key",
        "token",
        "x-api-key",
        "x_api_key",
    }
)
"""Names, in lower case, under which people send keys in a query string."""

ANONYMOUS = Caller("anonymous", AccountId(""), frozenset())
"""The caller of an endpoint that asks for no key."""


def refuse_key_in_query(pairs: Pairs) -> None:
    """Refuse a query string with a key in it, so that nobody gets used to leaving keys in logs.

    Raises:
        KeyInQuery: Naming the parameter, not its value.
    """
    for name, _ in pairs:
        if name.lower() in KEY_PARAMETERS:
            raise KeyInQuery(
                f"send the key as a header, never as the parameter {name}; and replace it, as it may be in logs by now",
                parameter=name,
            )


def token_of(headers: Headers) -> str:
    """Return the key that the request carries.

    Raises:
        Unauthenticated: If there is none, or there are two different ones.
    """
    tokens = {value.strip() for value in headers.getlist(KEY_HEADER)}
    for value in headers.getlist("Authorization"):
        scheme, _, rest = value.strip().partition(" ")
        if scheme.lower() == "bearer":
            tokens.add(rest.strip())
    tokens.discard("")
    if not tokens:
        raise Unauthenticated(f"send a key as 'Authorization: Bearer KEY' or '{KEY_HEADER}: KEY'")
    if len(tokens) > 1:
        raise Unauthenticated("two different keys were sent; send one")
    return tokens.pop()


def check_caller(endpoint: Endpoint, caller: Caller) -> Caller:
    """Return *caller* if the key may use *endpoint*.

    Raises:
        Forbidden: A known key without the endpoint's scope.
        OperatorRequired: An account's key where only the operator's will do.
    """
    assert endpoint.scope is not None  # or nobody would have been asked who they are
    caller.require(endpoint.scope)
    if endpoint.operator_only and not caller.is_operator:
        raise OperatorRequired("only an operator's key may do this")
    return caller


def account_meant(endpoint: Endpoint, caller: Caller, path: Mapping[str, str], headers: Headers) -> AccountId | None:
    """Return the id of the account that the request is about, as the endpoint says; None where it is about none.

    Raises:
        NotFound: If the caller may not see it, as if it did not exist.
        AccountHeaderMissing: If an operator's key does not say which.
    """
    if endpoint.account is AccountOf.NOBODY:
        return None
    if endpoint.account is AccountOf.PATH:
        wanted = path["account_id"]
    else:
        named = headers.get(ACCOUNT_HEADER)
        wanted = named if named is not None else caller.account_id or ""
        if not wanted:
            raise AccountHeaderMissing(
                f"the key belongs to the operator: name the account in the header {ACCOUNT_HEADER}"
            )
    if (caller.account_id is not None and wanted != caller.account_id) or not _is_possible(wanted):
        raise account_unknown()
    return AccountId(wanted)


def account_unknown() -> NotFound:
    """Return the refusal for an account that does not exist or is not the caller's."""
    return NotFound("there is no such account")


def _is_possible(account_id: str) -> bool:
    return 0 < len(account_id.encode("utf-8", "surrogateescape")) <= ID_BYTES_MAX and "\x00" not in account_id
