"""What a surface shows of itself: its OpenAPI document, its reference page, and what the problem codes mean."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec

from tallybook.core.errors import NotFound
from tallybook.web.endpoint import JSON, Ask, Endpoint, Reply, Surface, to_json
from tallybook.web.openapi import document, operation_id
from tallybook.web.problem import PROBLEMS
from tallybook.web.reference import HTML, PAGE_HEADERS, STYLE_PATH, page, stylesheet

_CACHED = {"Cache-Control": "max-age=300"}


class ProblemPage(msgspec.Struct, frozen=True):
    """What a problem's code means."""

    code: str
    status: int
    title: str
    about: str


def with_documents(surface: Surface) -> Surface:
    """Return *surface* with ``/openapi.json`` and ``/docs``, made once and of its endpoints without these."""
    described = document(surface)
    samples = {operation_id(endpoint): endpoint.query_example for endpoint in surface.endpoints}
    shown = [
        _fixed("/openapi.json", Reply(200, to_json(described), JSON, _CACHED), "The OpenAPI document"),
        _fixed("/docs", Reply(200, page(described, samples), HTML, {**_CACHED, **PAGE_HEADERS}), "This reference"),
    ]
    if not surface.prefix:
        shown.append(_fixed(STYLE_PATH, Reply(200, stylesheet(), "text/css; charset=utf-8", _CACHED), "Its style"))
        shown.append(Endpoint("GET", "/problems/{code}", _problem, None, "What a problem's code means"))
    return replace(surface, endpoints=(*surface.endpoints, *shown))


def _fixed(path: str, reply: Reply, summary: str) -> Endpoint:
    return Endpoint("GET", path, _always(reply), None, summary)


def _always(reply: Reply) -> Callable[[Ask[Any, Any]], Reply]:
    return lambda _: reply


def _problem(ask: Ask[None, None]) -> ProblemPage:
    code = ask.path["code"]
    problem = PROBLEMS.get(code)
    if problem is None:
        raise NotFound("there is no such problem")
    return ProblemPage(code, problem.status, problem.title, problem.about)
