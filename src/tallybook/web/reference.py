"""The API reference as one HTML page, made from an OpenAPI document on this server: no script, nothing from elsewhere.

Not for pages that show usage.
"""

import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from importlib.resources import files
from typing import Any

HTML = "text/html; charset=utf-8"
CSP = (
    "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGE_HEADERS: Mapping[str, str] = {"Content-Security-Policy": CSP, "Referrer-Policy": "no-referrer"}
STYLE_PATH = "/static/reference.css"
SAMPLE_HOST = "http://localhost:8080"

Json = Mapping[str, Any]


def stylesheet() -> bytes:
    """Return the page's style."""
    return files("tallybook.web").joinpath("static/reference.css").read_bytes()


def page(described: Json, samples: Mapping[str, str]) -> bytes:
    """Return the page of an OpenAPI document.

    Args:
        described: The document.
        samples: Query strings that show an operation at work, by operation id.
    """
    info = described["info"]
    operations = [
        (method.upper(), path, operation)
        for path, item in described["paths"].items()
        for method, operation in item.items()
    ]
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<title>{escape(info["title"])}</title><link rel="stylesheet" href="{STYLE_PATH}"></head><body>',
        f"<h1>{escape(info['title'])}</h1><p>{escape(info['description'])}</p>",
        "<nav><ul>",
        *(_entry(method, path, operation) for method, path, operation in operations),
        "</ul></nav>",
        *(part for each in operations for part in _section(*each, samples)),
        *(part for name, item in described.get("webhooks", {}).items() for part in _message(name, item["post"])),
        "</body></html>",
    ]
    return "\n".join(parts).encode()


def _entry(method: str, path: str, operation: Json) -> str:
    link = f'<a href="#{escape(operation["operationId"])}"><code>{escape(path)}</code></a>'
    return f'<li><code class="method">{method}</code> {link}</li>'


def _message(name: str, operation: Json) -> Iterator[str]:
    content = operation["requestBody"]["content"]
    yield f'<section id="{escape(operation["operationId"])}"><h2>Webhook <code>{escape(name)}</code></h2>'
    yield f"<p>{escape(operation['summary'])}</p>"
    yield f"<pre><code>{escape(json.dumps(_example(content), indent=2, ensure_ascii=False))}</code></pre></section>"


def _section(method: str, path: str, operation: Json, samples: Mapping[str, str]) -> Iterator[str]:
    name = operation["operationId"]
    yield f'<section id="{escape(name)}"><h2><code class="method">{method}</code> <code>{escape(path)}</code></h2>'
    yield f"<p>{escape(operation['summary'])}. {_prose(operation['description'])}</p>"
    if operation["parameters"]:
        yield "<h3>Parameters</h3><table><tr><th>Name</th><th>In</th><th>Takes</th><th>Meaning</th></tr>"
        yield from map(_parameter, operation["parameters"])
        yield "</table>"
    command = _curl(method, path, operation, samples.get(name, ""))
    yield f"<h3>Try it</h3><pre><code>{escape(command)}</code></pre>"
    for status, answer in operation["responses"].items():
        if status.startswith("2"):
            yield f"<h3>Answer {status}</h3>"
            example = _example(answer.get("content", {}))
            if example is not None:
                yield f"<pre><code>{escape(json.dumps(example, indent=2, ensure_ascii=False))}</code></pre>"
    yield "<h3>Errors</h3><table>"
    for status, answer in operation["responses"].items():
        if not status.startswith("2"):
            yield f"<tr><th>{status}</th><td>{_prose(answer['description'])}</td></tr>"
    yield "</table></section>"


def _parameter(parameter: Json) -> str:
    needed = "" if parameter["required"] else ' <span class="soft">optional</span>'
    about = escape(parameter.get("description", ""))
    takes = escape(_takes(parameter["schema"]))
    name = f"<code>{escape(parameter['name'])}</code>{needed}"
    return f"<tr><td>{name}</td><td>{parameter['in']}</td><td>{takes}</td><td>{about}</td></tr>"


def _takes(schema: Json) -> str:
    """Say in words which values a parameter takes."""
    if "enum" in schema:
        words = " | ".join(map(str, schema["enum"]))
    elif schema.get("type") == "array":
        words = f"{_takes(schema['items'])}, may be repeated"
    elif schema.get("type") == "object":
        words = "name[key]=value, may be repeated"
    else:
        words = str(schema.get("type", "string"))
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        words += f" from {low} to {high}"
    return words + (f", default {schema['default']}" if "default" in schema else "")


def _curl(method: str, path: str, operation: Json, query: str) -> str:
    body = _example(operation.get("requestBody", {}).get("content", {}))
    address = re.sub(r"\{(\w+)\}", lambda match: _SAMPLES.get(match[1], "example"), path)
    lines = [f"curl '{SAMPLE_HOST}{address}{'?' + query if query else ''}'"]
    if method != "GET":
        lines[0] = lines[0].replace("curl", f"curl -X {method}", 1)
    if operation["security"]:
        lines.append('-H "Authorization: Bearer $TALLYBOOK_KEY"')
    if body is not None:
        lines.append("-H 'Content-Type: application/json'")
        lines.append(f"-d '{json.dumps(body, ensure_ascii=False)}'")
    return " \\\n  ".join(lines)


_SAMPLES = {"account_id": "acme", "name": "messages", "key_id": "key_1", "kind": "agent", "resource_id": "agent-7"}


def _example(content: Json) -> object:
    return next((media["example"] for media in content.values() if "example" in media), None)


def _prose(text: str) -> str:
    """Escape *text*, with what stands in backticks as code."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))
