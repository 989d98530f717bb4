"""The OpenAPI documents: valid, complete, and true."""

import json
import re

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from tallybook.web.openapi import document
from tests.web.operations import OPERATIONS, SURFACES, standing

DOCUMENTS = {surface.name: document(surface) for surface in SURFACES}
names = pytest.mark.parametrize("name", DOCUMENTS)


def described(operation):
    path = operation.surface.prefix + operation.endpoint.path
    return DOCUMENTS[operation.surface.name]["paths"][path][operation.endpoint.method.lower()]


@names
def test_the_document_is_valid_openapi(name):
    """
    By a validator that we did not write.
    """
    OpenAPIV31SpecValidator(DOCUMENTS[name]).validate()


@names
def test_the_document_is_served_where_the_surface_stands(shared, name):
    """
    Without a key, with a page for people beside it that needs nothing from elsewhere.
    """
    (surface,) = (surface for surface in SURFACES if surface.name == name)
    served = shared.get(f"{surface.prefix}/openapi.json")
    page = shared.get(f"{surface.prefix}/docs")

    assert set(DOCUMENTS[name]["paths"]) == set(served.json()["paths"])
    assert (200, "text/html; charset=utf-8") == (page.status_code, page.headers["content-type"])
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert [] == re.findall(r'(?:src|href)="(?!#|/static/)', page.text)
    assert "<script" not in page.text
    for path in DOCUMENTS[name]["paths"]:
        assert path in page.text
    assert 200 == shared.get("/static/reference.css").status_code


@names
def test_operation_ids_are_unique(name):
    """
    Generators of clients name their methods after them.
    """
    ids = [operation["operationId"] for item in DOCUMENTS[name]["paths"].values() for operation in item.values()]

    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("operation", OPERATIONS, ids=str)
def test_every_operation_says_what_it_needs_and_how_it_refuses(operation):
    """
    Its scope, its refusals with an example in the surface's own shape, and its answer.
    """
    told, scope = described(operation), operation.endpoint.scope
    if scope is None:
        assert [] == told["security"]
    else:
        assert scope in told["description"]
        assert {"401", "403", "503"} <= set(told["responses"])
    assert str(operation.endpoint.status) in told["responses"]
    if operation.endpoint.query is not None:
        assert {"400", "422"} & set(told["responses"])


def integers():
    return [
        pytest.param(operation, parameter, id=f"{operation} {parameter['name']}")
        for operation in OPERATIONS
        for parameter in described(operation)["parameters"]
        if parameter["schema"].get("type") == "integer"
    ]


@pytest.mark.parametrize(("operation", "parameter"), integers())
def test_the_bounds_in_the_document_are_the_bounds_of_the_server(shared, operation, parameter):
    """
    The least and the greatest pass, one beyond either is refused.
    """
    name, schema = parameter["name"], parameter["schema"]
    others = "&".join(
        part for part in operation.endpoint.query_example.split("&") if part and not part.startswith(name)
    )

    values = standing(shared, operation)

    def status(value):
        query = f"{others}&{name}={value}".lstrip("&")
        return operation.send(shared, shared.operator, query=query, **values).status_code

    assert [200, 200] == [status(schema["minimum"]), status(schema["maximum"])]
    for beyond in (schema["minimum"] - 1, schema["maximum"] + 1):
        assert status(beyond) in {400, 422}


def schemas(name):
    components = DOCUMENTS[name]["components"]["schemas"]
    return {"$defs": components}


@pytest.mark.parametrize("operation", [o for o in OPERATIONS if o.endpoint.answer is not None], ids=str)
def test_the_answer_to_the_example_fits_the_document(shared, operation):
    """
    What is really answered has the shape that was promised.
    """
    key = None if operation.endpoint.scope is None else shared.operator
    answer = operation.send(shared, key)
    if answer.status_code == 404:
        told = described(operation)["responses"]["404"]
    else:
        told = described(operation)["responses"][str(answer.status_code)]
    (content,) = told["content"].values()
    schema = {**schemas(operation.surface.name), **content["schema"]}
    local = json.loads(json.dumps(schema).replace("#/components/schemas/", "#/$defs/"))

    Draft202012Validator(local).validate(answer.json())


@names
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_generated_requests_never_break_the_server(shared, name, data):
    """
    Requests that schemathesis makes of the document: every answer is one that the document knows, none is a 500.
    """
    schema = schemathesis.openapi.from_dict(DOCUMENTS[name])
    operations = [result.ok() for result in schema.get_all_operations()]
    operation = data.draw(st.sampled_from(operations))
    case = data.draw(operation.as_strategy())
    sent = case.as_transport_kwargs(base_url="http://tallybook.test")
    headers = {k: v for k, v in (sent.get("headers") or {}).items() if k.lower() not in {"authorization", "x-api-key"}}
    body = {"json": sent["json"]} if sent.get("json") is not None else {"content": sent.get("data")}
    if body.get("content") is not None and not isinstance(body["content"], bytes | str):
        body["content"] = str(body["content"])
    answer = shared.ask(
        sent["method"], sent["url"], shared.operator, params=sent.get("params"), headers=encoded(headers), **body
    )

    assert answer.status_code < 500, answer.text
    known = set(operation.definition.raw["responses"])
    assert str(answer.status_code) in known | {"404", "405", "414"}, (answer.status_code, answer.text)


def encoded(headers):
    return [(name, value.encode("utf-8", "surrogatepass")) for name, value in headers.items() if value.strip()]
