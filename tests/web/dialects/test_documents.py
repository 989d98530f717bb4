"""What is published about a dialect is true: its OpenAPI document fits its answers, its page names all there is."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tallybook.settings import Settings
from tallybook.web.dialects import DIALECTS
from tests.web.dialects.desk import Desk, open_desk
from tests.web.dialects.stories import AURION_NOW, Story

DOCS = Path(__file__).parents[3] / "docs" / "dialects"
ENDPOINTS = [(surface, endpoint) for surface in DIALECTS for endpoint in surface.endpoints]
NAMES = [f"{surface.name} {endpoint.path}" for surface, endpoint in ENDPOINTS]


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A house with a little of everything in account a."""
    story = Story("a")
    story.tell("call", AURION_NOW, {"channel": "voice", "direction": "inbound", "duration_s": "100"})
    story.tell("message", AURION_NOW, {"direction": "inbound"})
    story.tell("message", AURION_NOW, {"direction": "inbound", "agent_id": "a"})
    story.tell("storage.snapshot", AURION_NOW, {"megabytes": "1.5"})
    story.tell("api.request", AURION_NOW, {"api_id": "api_a", "status": 200, "latency_ms": 5, "cost_usd": "0.129"})
    with open_desk(Settings(data_dir=tmp_path_factory.mktemp("data")), AURION_NOW) as desk:
        desk.account("a", now=AURION_NOW)
        desk.tell(story)
        yield desk


def schema_of(front: Desk, surface: Any, path: str, status: int) -> dict[str, Any]:
    """Return the published schema of an answer, with the components it refers to."""
    document = front.get(f"{surface.prefix}/openapi.json", None).json
    content = document["paths"][surface.prefix + path]["get"]["responses"][str(status)]["content"]
    return {**content["application/json"]["schema"], "components": document["components"]}


@pytest.mark.parametrize(("surface", "endpoint"), ENDPOINTS, ids=NAMES)
def test_answers_and_refusals_fit_the_published_schema(front, surface, endpoint):
    """
    Of an account with usage, of one without, and of a caller without a key.
    """
    front.account("b")
    address = surface.prefix + endpoint.path.replace("{api_id}", "api_a")
    for account_id in ("a", "b"):
        answer = front.get(address, front.key(account_id, [endpoint.scope]))
        if account_id == "a" or "{" not in endpoint.path:
            assert 200 == answer.status
        jsonschema.validate(answer.json, schema_of(front, surface, endpoint.path, answer.status))
    refusal = front.get(address, None)
    jsonschema.validate(refusal.json, schema_of(front, surface, endpoint.path, 401))


@pytest.mark.parametrize(("surface", "endpoint"), ENDPOINTS, ids=NAMES)
def test_the_page_of_the_dialect_names_each_endpoint_and_parameter(surface, endpoint):
    """
    Path, parameters and scope stand on docs/dialects/<name>.md.
    """
    text = (DOCS / f"{surface.name}.md").read_text(encoding="utf-8")
    path = endpoint.path.removeprefix("/api/v1") if surface.name == "liberclaw" else endpoint.path

    assert f"`GET {path}`" in text
    assert f"`{endpoint.scope}`" in text
    for parameter in endpoint.query.__struct_encode_fields__ if endpoint.query else ():
        assert f"`{parameter}`" in text


def test_there_is_one_page_for_each_dialect_and_no_other():
    """
    A dialect that is deleted takes its page with it.
    """
    assert sorted(surface.name for surface in DIALECTS) == sorted(page.stem for page in DOCS.glob("*.md"))
