"""OpenAPI 3.1 from an endpoint table: parameters and bodies from the structs, error answers by asking `refuse` itself.

So the document cannot say anything else than the server does. Not for showing it to people (see `reference`).
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from tallybook import __version__
from tallybook.core.errors import (
    EncodingUnsupported,
    FieldInvalid,
    Forbidden,
    JsonMalformed,
    NotFound,
    ParameterInvalid,
    TallybookError,
    TooLarge,
    Unauthenticated,
    Unavailable,
)
from tallybook.core.ids import ID_BYTES_MAX
from tallybook.web.endpoint import (
    ACCOUNT_HEADER,
    IDEMPOTENCY_HEADER,
    IDEMPOTENCY_KEY_BYTES_MAX,
    JSON,
    AccountOf,
    Endpoint,
    Fault,
    Refusal,
    Reply,
    Surface,
)
from tallybook.web.errors import (
    AccountHeaderMissing,
    IdempotencyKeyInvalid,
    MediaUnsupported,
    ParametersInvalid,
    RateLimited,
)
from tallybook.web.openapi_messages import webhooks
from tallybook.web.problem import faults_of, status_of

REF_TEMPLATE = "#/components/schemas/{name}"

Json = dict[str, Any]


def document(surface: Surface) -> Json:
    """Return the OpenAPI document of *surface*."""
    schemas = _Schemas(surface)
    paths: dict[str, Json] = {}
    for endpoint in surface.endpoints:
        paths.setdefault(surface.prefix + endpoint.path, {})[endpoint.method.lower()] = _operation(
            surface, endpoint, schemas
        )
    told = {"webhooks": webhooks(surface.messages, schemas.of)} if surface.messages else {}
    return {
        "openapi": "3.1.0",
        "info": {"title": surface.title, "version": __version__, "description": surface.description},
        "paths": paths,
        **told,
        "components": {
            "schemas": schemas.components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


class _Schemas:
    """The schemas of all structs of a surface, each named once."""

    def __init__(self, surface: Surface) -> None:
        types = []
        for endpoint in surface.endpoints:
            types += [endpoint.answer, endpoint.body_schema]
        types += [message.data for message in surface.messages]
        wanted = [item for item in dict.fromkeys([*types, surface.error]) if item is not None]
        found, components = msgspec.json.schema_components(wanted, ref_template=REF_TEMPLATE)
        self.components: Json = _with_numbers(components)
        self._of = dict(zip(wanted, map(_with_numbers, found), strict=True))

    def of(self, kind: Any) -> Json:
        """Return the schema, or the reference to it, of a type that the surface uses."""
        schema: Json = self._of[kind]
        return schema


def _with_numbers(schema: Any) -> Any:
    """Return *schema* with Decimals as the JSON numbers that `to_json` writes."""
    if isinstance(schema, dict):
        if schema.get("format") == "decimal":
            return {**{key: value for key, value in schema.items() if key != "format"}, "type": "number"}
        return {key: _with_numbers(value) for key, value in schema.items()}
    return [_with_numbers(item) for item in schema] if isinstance(schema, list | tuple) else schema


def _operation(surface: Surface, endpoint: Endpoint, schemas: _Schemas) -> Json:
    operation: Json = {
        "operationId": operation_id(endpoint),
        "summary": endpoint.summary,
        "description": _description(endpoint),
        "parameters": [*_path_parameters(endpoint), *_header_parameters(endpoint), *_query_parameters(endpoint)],
        "responses": {
            str(endpoint.status): _success(endpoint, schemas),
            **_refusals(surface, endpoint, schemas),
        },
        "security": [] if endpoint.scope is None else [{"bearer": []}, {"apiKey": []}],
    }
    if endpoint.body_schema is not None:
        example = {} if endpoint.body_example is None else {"example": endpoint.body_example}
        content = {media: {"schema": schemas.of(endpoint.body_schema), **example} for media in endpoint.body_media}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def operation_id(endpoint: Endpoint) -> str:
    """Return the name of the operation: ``get_v1_accounts_account_id``."""
    words = endpoint.path.replace("{", "").replace("}", "").replace("-", "_").replace(".", "_").split("/")
    return "_".join([endpoint.method.lower(), *(word for word in words if word)])


def _description(endpoint: Endpoint) -> str:
    parts = [endpoint.description] if endpoint.description else []
    if endpoint.scope is not None:
        parts.append(f"Needs a key with the scope `{endpoint.scope}`.")
    if endpoint.operator_only:
        parts.append("The key must be the operator's.")
    return " ".join(parts)


# --- parameters --------------------------------------------------------------------------------------------------


def _path_parameters(endpoint: Endpoint) -> list[Json]:
    names = [part[1:-1] for part in endpoint.path.split("/") if part.startswith("{")]
    schema = {"type": "string", "minLength": 1, "maxLength": ID_BYTES_MAX}
    return [{"name": name, "in": "path", "required": True, "schema": schema} for name in names]


def _header_parameters(endpoint: Endpoint) -> list[Json]:
    headers = []
    if endpoint.account is AccountOf.KEY:
        about = "With an operator's key: the account that is meant. An account's key needs it not."
        headers.append(_header(ACCOUNT_HEADER, about, ID_BYTES_MAX))
    if endpoint.idempotent:
        about = "Any text that is new for this request: sent again with it, the request is answered as before."
        headers.append(_header(IDEMPOTENCY_HEADER, about, IDEMPOTENCY_KEY_BYTES_MAX))
    return headers


def _header(name: str, about: str, length_max: int) -> Json:
    schema = {"type": "string", "minLength": 1, "maxLength": length_max}
    return {"name": name, "in": "header", "required": False, "description": about, "schema": schema}


def _query_parameters(endpoint: Endpoint) -> list[Json]:
    if endpoint.query is None:
        return []
    schema = msgspec.json.schema(endpoint.query, ref_template="#/$defs/{name}")
    definitions = schema["$defs"]
    described = definitions[endpoint.query.__name__]
    required = described.get("required", [])
    return [
        _query_parameter(name, _inline(value, definitions), required=name in required)
        for name, value in described["properties"].items()
    ]


def _query_parameter(name: str, schema: Json, *, required: bool) -> Json:
    schema = dict(schema)
    about = schema.pop("description", "")
    parameter: Json = {"name": name, "in": "query", "required": required, "schema": schema}
    if about:
        parameter["description"] = about
    if schema.get("type") == "object":
        parameter |= {"style": "deepObject", "explode": True}
    elif schema.get("type") == "array":
        parameter |= {"style": "form", "explode": True}
    if schema.get("default") in (None, [], {}):
        schema.pop("default", None)
    return parameter


def _inline(schema: Json, definitions: Mapping[str, Json]) -> Json:
    """Return the schema of a query parameter without references, and without null: absent is not null in a query."""
    if "$ref" in schema:
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        return {**_inline(definitions[schema["$ref"].rsplit("/", 1)[1]], definitions), **rest}
    if "anyOf" in schema:
        (only,) = (member for member in schema["anyOf"] if member.get("type") != "null")
        rest = {key: value for key, value in schema.items() if key != "anyOf"}
        return {**_inline(only, definitions), **rest}
    inlined = dict(schema)
    for key in ("items", "additionalProperties"):
        if isinstance(inlined.get(key), dict):
            inlined[key] = _inline(inlined[key], definitions)
    if inlined.get("type") == "string" and "enum" not in inlined:
        inlined.setdefault("minLength", 1)
    return inlined


# --- answers -----------------------------------------------------------------------------------------------------


def _success(endpoint: Endpoint, schemas: _Schemas) -> Json:
    if endpoint.answer is None:
        return {"description": "Done." if endpoint.status == 204 else endpoint.summary}
    content: Json = {"schema": schemas.of(endpoint.answer)}
    if endpoint.example is not None:
        content["example"] = msgspec.to_builtins(endpoint.example, str_keys=True)
    return {"description": endpoint.summary, "content": {JSON: content}}


def _refusals(surface: Surface, endpoint: Endpoint, schemas: _Schemas) -> Json:
    answers: Json = {}
    for error in _errors(surface, endpoint):
        reply = _refused(surface, error)
        status = str(reply.status)
        about = f"`{error.code}`: {error.message}"
        if status in answers:
            answers[status]["description"] += f"; {about}"
            continue
        schema = {} if surface.error is None else {"schema": schemas.of(surface.error)}
        example = msgspec.json.decode(reply.body)
        answers[status] = {"description": about, "content": {reply.media: {**schema, "example": example}}}
    return answers


def _refused(surface: Surface, error: TallybookError) -> Reply:
    return surface.refuse(Refusal(error, status_of(error), "/", "req_example0", faults_of(error)))


def _errors(surface: Surface, endpoint: Endpoint) -> Iterable[TallybookError]:
    """Return one example of each refusal that the endpoint may give."""
    kinds: list[TallybookError] = []
    if endpoint.scope is not None:
        kinds.append(Unauthenticated("no key, or none that is known"))
        kinds.append(Forbidden(f"the key lacks the scope {endpoint.scope}", required_scope=endpoint.scope))
        kinds.append(Unavailable("the ledger cannot be reached just now"))
    if endpoint.query is not None:
        name = msgspec.structs.fields(endpoint.query)[0].encode_name
        kinds.append(ParametersInvalid([Fault("query", name, f"{name} must not be empty", "empty")]))
    if endpoint.account is not AccountOf.NOBODY:
        kinds.append(NotFound("there is no such account"))
    if endpoint.account is AccountOf.KEY:
        kinds.append(AccountHeaderMissing(f"an operator's key must name the account in the header {ACCOUNT_HEADER}"))
    if endpoint.idempotent:
        kinds.append(IdempotencyKeyInvalid(f"{IDEMPOTENCY_HEADER} must be given once"))
    if surface.requests_per_minute_max is not None:
        kinds.append(RateLimited("too many requests in this minute", retry_after_s=1))
    if endpoint.body_schema is not None:
        kinds += [
            JsonMalformed("the body is not JSON"),
            TooLarge("the body is too large"),
            MediaUnsupported("the Content-Type is not read here"),
            EncodingUnsupported("the Content-Encoding must be gzip, zstd or identity"),
            FieldInvalid("must be given", pointer="/name"),
        ]
    kinds += [_example(kind) if isinstance(kind, type) else kind for kind in endpoint.errors]
    return kinds


def _example(kind: type[TallybookError]) -> TallybookError:
    """Return an example of *kind*; its text is the first sentence of its docstring."""
    about = (kind.__doc__ or kind.code).strip().split("\n")[0].rstrip(".")
    if issubclass(kind, ParameterInvalid):
        return kind(about, parameter="from")
    return kind(about)
