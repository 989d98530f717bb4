"""What holds of every operation of every surface, whatever it does."""

import re

import pytest

from tallybook.core.key import SCOPES
from tallybook.web.endpoint import AccountOf
from tests.web.operations import KEYED, NATIVE, OF_ACCOUNTS, OPERATIONS, SCOPE_SETS, SURFACES

ids = str


@pytest.mark.parametrize("operation", OPERATIONS, ids=ids)
def test_the_example_of_every_operation_works(shared, operation):
    """
    What the reference shows can be sent as it stands, and is answered as it says; only what is not there is 404.
    """
    key = None if operation.endpoint.scope is None else shared.operator

    answer = operation.send(shared, key)

    named = ("key", "api", "reservation", "lease", "add_on", "endpoint", "delivery", "channel", "alert")
    absent = {o.endpoint.name for o in OPERATIONS if any(f"{{{name}_id}}" in o.endpoint.path for name in named)}
    assert (404 if operation.endpoint.name in absent else operation.endpoint.status) == answer.status_code, answer.text


@pytest.mark.parametrize("operation", KEYED, ids=ids)
def test_without_a_key_there_is_401_with_a_challenge(shared, operation):
    """
    No key, an unknown one, one of another scheme, two that differ: all 401 in the surface's own JSON.
    """
    path = operation.path()
    attempts = [
        {},
        {"Authorization": "Bearer tb_live_unknown_and_not_even_ours"},
        {"Authorization": "Basic YTpi"},
        {"Authorization": "Bearer"},
        {"Authorization": f"Bearer {shared.operator}", "X-API-Key": "an-other-key-0123456789"},
        {"X-API-Key": "\u00fc" * 20},
    ]
    for headers in attempts:
        raw = [(name, value.encode("latin-1")) for name, value in headers.items()]
        answer = shared.ask(operation.endpoint.method, path, headers=raw)

        assert 401 == answer.status_code, headers
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.json()


@pytest.mark.parametrize("operation", KEYED, ids=ids)
def test_either_header_carries_the_key(shared, operation):
    """
    X-API-Key works wherever a bearer token does, and both may stand if they are the same.
    """
    wanted = operation.send(shared, shared.operator).status_code
    query = operation.endpoint.query_example
    more = {} if operation.endpoint.body_example is None else {"json": operation.endpoint.body_example}
    account = operation.account_header(shared, shared.operator)
    for headers in (
        {"X-API-Key": shared.operator},
        {"Authorization": f"bearer {shared.operator}", "X-API-Key": shared.operator},
    ):
        address = operation.path() + (f"?{query}" if query else "")
        answer = shared.ask(operation.endpoint.method, address, headers={**headers, **account}, **more)

        assert wanted == answer.status_code, answer.text


@pytest.mark.parametrize("scopes", SCOPE_SETS, ids=lambda scopes: "+".join(sorted(scopes)))
@pytest.mark.parametrize("operation", KEYED, ids=ids)
def test_a_key_does_what_its_scope_says_and_nothing_else(shared, operation, scopes):
    """
    A known key without the scope is told which one it lacks; one with it, and no other, is served.
    """
    key = shared.house.access.create_key(None, scopes).token
    headers = {"Tallybook-Account": "acme"} if operation.endpoint.account is AccountOf.KEY else {}
    more = {} if operation.endpoint.body_example is None else {"json": operation.endpoint.body_example}
    query = operation.endpoint.query_example

    answer = shared.ask(
        operation.endpoint.method,
        operation.path() + (f"?{query}" if query else ""),
        key,
        headers=headers,
        **more,
    )

    if operation.endpoint.scope in scopes:
        assert answer.status_code in {operation.endpoint.status, 404}, answer.text
    else:
        assert 403 == answer.status_code
        assert operation.endpoint.scope in answer.text


@pytest.mark.parametrize("operation", [o for o in KEYED if o.endpoint.operator_only], ids=ids)
def test_what_is_the_operators_is_refused_to_every_account(shared, operation):
    """
    All scopes together do not make an account's key the operator's.
    """
    answer = operation.send(shared, shared.account("acme", scopes=SCOPES))

    assert 403 == answer.status_code
    assert "operator" in answer.text


@pytest.mark.parametrize("operation", OPERATIONS, ids=ids)
def test_a_wrong_method_is_405_and_says_which_are_right(shared, operation):
    """
    Also for methods that do not exist; OPTIONS lists them too, and neither needs a key.
    """
    known = {o.endpoint.method for o in OPERATIONS if o.surface is operation.surface and o.path() == operation.path()}
    for method in sorted({"PATCH", "TRACE", "BREW", "GET", "PUT", "POST", "DELETE"} - known):
        answer = shared.ask(method, operation.path())

        assert 405 == answer.status_code
        assert known <= set(answer.headers["allow"].split(", "))
    options = shared.ask("OPTIONS", operation.path())

    assert (204, b"") == (options.status_code, options.content)
    assert known <= set(options.headers["allow"].split(", "))


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.endpoint.method == "GET"], ids=ids)
def test_head_and_a_trailing_slash_work_where_get_does(shared, operation):
    """
    HEAD has the status and length of GET and no body; one trailing slash changes nothing.
    """
    key = None if operation.endpoint.scope is None else shared.operator
    query = f"?{operation.endpoint.query_example}" if operation.endpoint.query_example else ""
    headers = operation.account_header(shared, key)
    plain = shared.get(operation.path() + query, key, headers=headers)
    head = shared.ask("HEAD", operation.path() + query, key, headers=headers)
    slashed = shared.get(operation.path() + "/" + query, key, headers=headers)

    assert (plain.status_code, b"") == (head.status_code, head.content)
    assert plain.status_code == slashed.status_code
    if operation.endpoint.path != "/metrics":
        assert len(plain.content) == int(head.headers["content-length"])


@pytest.mark.parametrize("operation", [o for o in KEYED if o.endpoint.body is not None], ids=ids)
def test_another_media_type_is_415(shared, operation):
    """
    A form, a picture, another charset, nothing at all: the endpoint says what it reads.
    """
    for media in ("application/x-www-form-urlencoded", "image/png", "application/json; charset=utf-16", "", "json"):
        answer = shared.ask(
            operation.endpoint.method,
            operation.path(),
            shared.operator,
            content=b"{}",
            headers={"Content-Type": media} if media else {},
        )

        assert 415 == answer.status_code
        assert "application/json" in answer.text or "utf-8" in answer.text


@pytest.mark.parametrize("surface", SURFACES, ids=lambda surface: surface.name)
@pytest.mark.parametrize(
    "path", ["/nope", "/", "//", "/v1", "/v1/usage/a/b/c", "/%00", "/%ff", "/../etc/passwd", "/v2/%2e%2e"]
)
def test_an_unknown_path_is_404_in_the_surfaces_own_json(shared, surface, path):
    """
    Without asking for a key, and without a page of HTML.
    """
    answer = shared.get(surface.prefix + path)

    assert 404 == answer.status_code
    assert answer.json()
    assert "json" in answer.headers["content-type"]


@pytest.mark.parametrize("operation", OPERATIONS, ids=ids)
def test_every_answer_carries_a_request_id(shared, operation):
    """
    A sane one of the client is kept, anything else replaced; answers are not cached and not sniffed.
    """
    kept = shared.ask(operation.endpoint.method, operation.path(), headers={"X-Request-Id": "client-chose-1234"})
    assert "client-chose-1234" == kept.headers["x-request-id"]
    for bad in ("short", "x" * 200, "with space and more", "semi;colon;12345", "a\u00e4" * 8):
        answer = shared.ask(
            operation.endpoint.method, operation.path(), headers=[("X-Request-Id", bad.encode("latin-1"))]
        )

        assert re.fullmatch(r"req_[0-9a-f]{24}", answer.headers["x-request-id"])
        assert "nosniff" == answer.headers["x-content-type-options"]


@pytest.mark.parametrize("name", ["api_key", "key", "token", "access_token", "x-api-key", "API_KEY", "%6bey"])
@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.surface is NATIVE], ids=ids)
def test_a_key_in_the_query_string_is_refused_and_not_repeated(shared, operation, name):
    """
    Before anything else happens, and the answer does not show it again.
    """
    answer = shared.ask(
        operation.endpoint.method, f"{operation.path()}?{name}=sk_canary_0123456789abcdef", shared.operator
    )

    assert 400 == answer.status_code
    assert "key-in-query" == answer.json()["code"]
    assert "canary" not in answer.text + shared.log.getvalue()


@pytest.mark.parametrize("operation", [o for o in OF_ACCOUNTS if o.endpoint.account is AccountOf.KEY], ids=ids)
def test_a_dialect_refuses_a_key_in_the_query_string_where_none_is_in_a_header(shared, operation):
    """
    With a key in a header it is a parameter that the dialect does not know; without anything it is 401.
    """
    path, account = operation.path(), operation.account_header(shared, shared.operator)
    asked = f"{path}?{operation.endpoint.query_example}&api_key=sk_canary_0123456789abcdef"

    alone = shared.get(asked)

    assert 400 == alone.status_code
    assert "header" in alone.text
    assert "canary" not in alone.text + shared.log.getvalue()
    assert 401 == shared.get(path).status_code
    assert (
        operation.send(shared, shared.operator).status_code
        == shared.get(asked, shared.operator, headers=account).status_code
    )


@pytest.mark.parametrize("operation", [o for o in OF_ACCOUNTS if o.endpoint.account is AccountOf.KEY], ids=ids)
def test_an_operators_key_on_a_dialect_must_name_the_account(shared, operation):
    """
    Without the header there is a clear refusal, with an unknown account 404.
    """
    missing = shared.get(operation.path(), shared.operator)
    unknown = shared.get(operation.path(), shared.operator, headers={"Tallybook-Account": "nobody"})

    assert missing.status_code in {400, 403, 422}
    assert "Tallybook-Account" in missing.text
    assert 404 == unknown.status_code
