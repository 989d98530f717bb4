"""Problems: one table of codes, each with its page, its heading in the docs and a status that fits."""

import re
from pathlib import Path

import pytest

from tallybook.core import errors as core_errors
from tallybook.core.errors import TallybookError
from tallybook.web import errors as web_errors
from tallybook.web.problem import PROBLEMS

ROOT = Path(__file__).resolve().parents[2]
DOC = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
NOT_SHOWN = {"start-refused"}
"""Codes that only a command line meets."""


def classes():
    found = [
        value for module in (core_errors, web_errors) for value in vars(module).values() if isinstance(value, type)
    ]
    return {value.code for value in found if issubclass(value, TallybookError)} - NOT_SHOWN


def test_every_code_of_an_error_is_in_the_table():
    """
    A refusal without an entry would have neither title nor page.
    """
    reasons = set()
    for source in (ROOT / "src" / "tallybook").rglob("*.py"):
        if "cli" not in source.parts:
            reasons |= set(re.findall(r'reason="([a-z-]+)"', source.read_text(encoding="utf-8")))

    assert set() == (classes() | reasons) - PROBLEMS.keys()


def test_docs_have_a_heading_for_every_code_and_no_other():
    """
    docs/errors.md is complete and has nothing that is gone.
    """
    assert list(PROBLEMS) == re.findall(r"^## (.+)$", DOC, re.MULTILINE)
    for code, problem in PROBLEMS.items():
        assert f"## {code}\nStatus {problem.status}. " in DOC


@pytest.mark.parametrize("code", PROBLEMS)
def test_the_type_of_a_problem_can_be_looked_up(shared, code):
    """
    /problems/<code> says what it means, without a key.
    """
    shown = shared.get(f"/problems/{code}")

    assert (200, code) == (shown.status_code, shown.json()["code"])
    assert PROBLEMS[code].status == shown.json()["status"]


def test_a_problem_has_the_members_of_the_rfc(shared):
    """
    type, title, status, detail, instance; and ours: code, errors.
    """
    answer = shared.get("/v1/accounts?limit=0&cursor=", shared.operator)

    assert "application/problem+json" == answer.headers["content-type"]
    assert {
        "type": "/problems/invalid-parameter",
        "title": "Invalid query parameter",
        "status": 400,
        "detail": "cursor must not be empty",
        "instance": "/v1/accounts",
        "code": "invalid-parameter",
        "errors": [
            {"detail": "cursor must not be empty", "parameter": "cursor"},
            {"detail": "limit must be at least 1", "parameter": "limit"},
        ],
    } == answer.json()


def test_all_that_is_wrong_with_a_body_is_told_at_once(shared):
    """
    With a pointer each.
    """
    answer = shared.put(
        "/v1/plans/bad",
        shared.operator,
        json={
            "limits": [{"name": "a", "kind": "period", "meter": "nope", "quantity": 0.1, "colour": 1}],
            "alerts": [0],
        },
    )

    pointers = {error["pointer"] for error in answer.json()["errors"]}
    assert 422 == answer.status_code
    assert {"/limits/0/colour", "/alerts/0"} <= pointers
