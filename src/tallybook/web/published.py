"""What a surface shows of itself: its OpenAPI document, its reference page, and what the problem codes mean."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
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
    """Return *surface* with ``/openapi.json`` and ``/docs``, made of its endpoints without these when first asked for.

    Not at start: nobody asks most of them for it, and opening a house would take several times as long.
    """
    described = cache(partial(document, surface))

    def reference() -> Reply:
        samples = {operation_id(endpoint): endpoint.query_example for endpoint in surface.endpoints}
        return Reply(200, page(described(), samples), HTML, {**_CACHED, **PAGE_HEADERS})

    shown = [
        _fixed("/openapi.json", lambda: Reply(200, to_json(described()), JSON, _CACHED), "The OpenAPI document"),
        _fixed("/docs", reference, "This reference"),
    ]
    if not surface.prefix:
        style = Reply(200, stylesheet(), "text/css; charset=utf-8", _CACHED)
        shown.append(_fixed(STYLE_PATH, lambda: style, "Its style"))
        shown.append(Endpoint("GET", "/problems/{code}", _problem, None, "What a problem's code means"))
    return replace(surface, endpoints=(*surface.endpoints, *shown))


def _fixed(path: str, make: Callable[[], Reply], summary: str) -> Endpoint:
    made = cache(make)

    def always(_ask: Ask[Any, Any]) -> Reply:
        return made()

    return Endpoint("GET", path, always, None, summary)


def _problem(ask: Ask[None, None]) -> ProblemPage:
    code = ask.path["code"]
    problem = PROBLEMS.get(code)
    if problem is None:
        raise NotFound("there is no such problem")
    return ProblemPage(code, problem.status, problem.title, problem.about)
