"""No account sees another: what is not yours looks exactly like what does not exist."""

import json

import pytest

from tests.support.client import message, open_desk
from tests.web.operations import OF_ACCOUNTS, OPERATIONS, Operation

MINE, OTHER, NOBODY = "acme", "zeta", "void"
"""Names of one length, so that answers may be compared byte by byte once the name is taken out."""

CANARY = "canary-7f3a"

AGENTS = [
    {"id": f"r{n}", "type": "resource.created", "subject": MINE, "data": {"kind": "agent", "resource_id": f"g{n}"}}
    for n in range(4)
]

WITH_ACCOUNT = [o for o in OF_ACCOUNTS if "{account_id}" in o.endpoint.path]


@pytest.fixture(scope="module")
def twins(tmp_path_factory):
    """Two accounts with the same names inside; one of them has a canary in every text."""
    with open_desk(tmp_path_factory.mktemp("twins")) as desk:
        tell_twins(desk)
        yield desk


@pytest.fixture
def fresh_twins(desk):
    """The same in a house of its own, for tests that count."""
    tell_twins(desk)
    return desk


def tell_twins(desk):
    keys = {MINE: desk.account(MINE, plan="agentphone-pro"), OTHER: desk.account(OTHER, name=CANARY)}
    for account in (MINE, OTHER):
        text = CANARY if account == OTHER else "plain"
        desk.send(
            message("e1", account, agent_id="a1", agent_name=text),
            message("e2", account, agent_id=text),
            {
                "id": "e3",
                "type": "api.request",
                "subject": account,
                "data": {"api_id": "api_1", "api_name": text, "status": 200, "endpoint": f"/{text}"},
            },
            {
                "id": "e4",
                "type": "resource.created",
                "subject": account,
                "data": {"kind": "agent", "resource_id": text, "name": text},
            },
        )
    desk.keys = keys


@pytest.mark.parametrize("operation", WITH_ACCOUNT, ids=str)
def test_anothers_account_is_answered_like_one_that_does_not_exist(twins, operation):
    """
    Status, headers and body are the same, byte by byte, but for the request id and the name asked for.
    """
    key = twins.keys[MINE]
    foreign = operation.send(twins, key, account_id=OTHER)
    absent = operation.send(twins, key, account_id=NOBODY)

    assert 404 == foreign.status_code == absent.status_code
    assert absent.content.replace(NOBODY.encode(), b"*") == foreign.content.replace(OTHER.encode(), b"*")
    told = [{k: v for k, v in a.headers.items() if k not in {"x-request-id", "date"}} for a in (foreign, absent)]
    assert told[0] == told[1]


@pytest.mark.parametrize("operation", WITH_ACCOUNT, ids=str)
def test_the_same_answer_before_and_after_the_account_exists(desk, operation):
    """
    Creating another account changes not one byte of what I am told about it.
    """
    key = desk.account(MINE)
    before = operation.send(desk, key, account_id=OTHER)
    desk.account(OTHER)
    after = operation.send(desk, key, account_id=OTHER)

    assert before.content == after.content


@pytest.mark.parametrize("operation", OF_ACCOUNTS, ids=str)
def test_nothing_of_another_account_is_in_any_answer(twins, operation):
    """
    Every operation with my key, also with the account header set to another: no canary comes out.
    """
    key = twins.keys[MINE]
    extra = {} if operation.endpoint.body_example is None else {"json": operation.endpoint.body_example}
    for header in ({}, {"Tallybook-Account": OTHER}):
        query = operation.endpoint.query_example
        address = operation.path() + (f"?{query}" if query else "")
        answer = twins.ask(operation.endpoint.method, address, key, headers=header, **extra)

        assert CANARY not in answer.text


@pytest.mark.parametrize("name", ["filter[agent_id]", "filter[direction]", "cursor", "tz", "group_by", "account"])
@pytest.mark.parametrize("operation", WITH_ACCOUNT, ids=str)
def test_no_parameter_leads_to_another_account(twins, operation, name):
    """
    Filters, cursors and parameters that are none take no other account's names.
    """
    query = "&".join(part for part in (operation.endpoint.query_example, f"{name}={OTHER}") if part)
    extra = {} if operation.endpoint.body_example is None else {"json": operation.endpoint.body_example}
    answer = twins.ask(operation.endpoint.method, f"{operation.path()}?{query}", twins.keys[MINE], **extra)

    assert CANARY not in answer.text
    assert 500 > answer.status_code


@pytest.mark.parametrize("bad", ["%00", "a%00b", "%ff", "x" * 300, "%F0%9F%92%A9" * 65, "...", "'--", "%0d%0a"])
@pytest.mark.parametrize("operation", WITH_ACCOUNT, ids=str)
def test_a_malformed_account_id_is_404(twins, operation, bad):
    """
    Whatever stands there, for the operator too: no such account, never a 500.
    """
    for key in (twins.keys[MINE], twins.operator):
        answer = operation.send(twins, key, account_id=bad)

        assert 404 == answer.status_code, answer.text


def test_an_account_cannot_write_into_another(fresh_twins):
    """
    The subject must be the key's account; the event counts nowhere.
    """
    twins = fresh_twins
    key = twins.keys[MINE]
    lone = twins.post("/v1/events", key, json=message("w1", OTHER))
    batch = twins.send(message("w2", OTHER), message("w3", MINE), key=key)

    assert (422, "subject-forbidden") == (lone.status_code, lone.json()["code"])
    assert (1, 1) == (batch["accepted"], batch["rejected"])
    usage = twins.get(f"/v1/accounts/{OTHER}/usage?meter=messages", twins.operator).json()
    assert "2" == usage["total"]


def test_the_same_event_id_counts_in_two_accounts(fresh_twins):
    """
    Identity is account, source and id.
    """
    totals = [
        fresh_twins.get(f"/v1/accounts/{account}/usage?meter=messages", fresh_twins.operator).json()["total"]
        for account in (MINE, OTHER)
    ]

    assert ["2", "2"] == totals


def test_no_body_field_makes_a_key_mightier(twins):
    """
    An account's admin key makes keys of its own account only, with no scope that it lacks itself.
    """
    admin = twins.account(MINE, scopes=["admin", "usage:read"])
    more = twins.post("/v1/keys", admin, json={"scopes": ["events:write"]})
    foreign = twins.post("/v1/keys", admin, json={"scopes": ["usage:read"], "account": OTHER})
    absent = twins.post("/v1/keys", admin, json={"scopes": ["usage:read"], "account": NOBODY})
    smuggled = twins.post("/v1/keys", admin, json={"scopes": ["usage:read"], "tenant_id": OTHER})
    own = twins.post("/v1/keys", admin, json={"scopes": ["usage:read"]})

    assert (403, "insufficient-scope") == (more.status_code, more.json()["code"])
    assert 404 == foreign.status_code == absent.status_code
    assert foreign.content == absent.content
    assert (422, "unknown-field", "/tenant_id") == (
        smuggled.status_code,
        smuggled.json()["code"],
        smuggled.json()["errors"][0]["pointer"],
    )
    assert (201, MINE) == (own.status_code, own.json()["account"])


def test_an_account_sees_and_revokes_its_own_keys_only(twins):
    """
    Another's key id is 404, byte for byte like one that never was.
    """
    admin = twins.account(MINE, scopes=["admin"])
    listed = twins.get("/v1/keys", admin).json()["keys"]
    theirs = twins.get(f"/v1/keys?account={OTHER}", twins.operator).json()["keys"][0]["id"]
    foreign = twins.ask("DELETE", f"/v1/keys/{theirs}", admin)
    absent = twins.ask("DELETE", f"/v1/keys/{'k' * len(theirs)}", admin)

    assert {MINE} == {key["account"] for key in listed}
    assert 404 == foreign.status_code
    assert absent.content.replace(b"k" * len(theirs), b"*") == foreign.content.replace(theirs.encode(), b"*")
    assert 200 == twins.get(f"/v1/accounts/{OTHER}", twins.keys[OTHER]).status_code


def test_a_revoked_key_is_unknown_at_once(twins):
    """
    The next request with it is 401; revoking again changes nothing.
    """
    made = twins.post("/v1/keys", twins.operator, json={"account": MINE, "scopes": ["usage:read"]}).json()
    assert 200 == twins.get(f"/v1/accounts/{MINE}", made["key"]).status_code

    assert 204 == twins.ask("DELETE", f"/v1/keys/{made['id']}", twins.operator).status_code
    assert 401 == twins.get(f"/v1/accounts/{MINE}", made["key"]).status_code
    assert 204 == twins.ask("DELETE", f"/v1/keys/{made['id']}", twins.operator).status_code


@pytest.mark.parametrize("path", ["/v1/accounts", "/v1/keys", f"/v1/accounts/{MINE}/resources"])
def test_a_cursor_is_bound_to_who_asked_for_what(twins, path):
    """
    Edited, cut, made up, of another list or of another tenant: 400 invalid-cursor, all alike.
    """
    twins.account("third")
    twins.send(
        *(
            {
                "id": f"r{n}",
                "type": "resource.created",
                "subject": MINE,
                "data": {"kind": "agent", "resource_id": f"g{n}"},
            }
            for n in range(4)
        )
    )
    first = twins.get(f"{path}?limit=2", twins.operator).json()
    cursor = first["next_cursor"]
    second = twins.get(f"{path}?limit=2&cursor={cursor}", twins.operator).json()
    shown = [
        json.dumps(item) for page in (first, second) for item in next(v for v in page.values() if isinstance(v, list))
    ]
    assert len(set(shown)) == len(shown) == 4 or path == "/v1/accounts"

    other_list = twins.get("/v1/accounts?limit=1", twins.operator).json()["next_cursor"]
    forged = [cursor[:-1], cursor + "A", cursor[::-1], "A" * 40, "%00", "x" * 1000]
    forged += [other_list] if path != "/v1/accounts" else []
    for bad in forged:
        answer = twins.get(f"{path}?limit=2&cursor={bad}", twins.operator)
        assert (400, "cursor") == (answer.status_code, answer.json()["errors"][0]["parameter"]), bad


def test_a_cursor_of_the_operator_does_not_work_for_an_account(twins):
    """
    Cursors belong to the tenant they were given to.
    """
    twins.send(
        *(
            {
                "id": f"r{n}",
                "type": "resource.created",
                "subject": MINE,
                "data": {"kind": "agent", "resource_id": f"g{n}"},
            }
            for n in range(4)
        )
    )
    path = f"/v1/accounts/{MINE}/resources"
    cursor = twins.get(f"{path}?limit=2", twins.operator).json()["next_cursor"]

    answer = twins.get(f"{path}?limit=2&cursor={cursor}", twins.keys[MINE])

    assert (400, "invalid-cursor") == (answer.status_code, answer.json()["code"])


def test_every_operation_is_in_a_matrix():
    """
    What asks for a key is either the operator's alone or stands in the matrices above.
    """
    covered = {str(o) for o in OF_ACCOUNTS} | {str(o) for o in OPERATIONS if o.endpoint.operator_only}
    keyed = {str(Operation(o.surface, o.endpoint)) for o in OPERATIONS if o.endpoint.scope is not None}

    assert keyed == covered
