"""What a client of each published API may rely on in an error body: these fields, no more and no less."""

from collections.abc import Callable
from typing import Any

PARAMETER_STATUS = {"agentphone": 422, "aurion": 422, "anyreach": 422, "wontopos": 400, "liberclaw": 422}
"""How each dialect answers a parameter that cannot be meant."""


def _agentphone(body: Any, status: int) -> None:
    assert {"error", "detail"} == body.keys()
    error = body["error"]
    assert {"message", "code", "type", "details"} == error.keys()
    assert all(isinstance(error[name], str) and error[name] for name in ("message", "code", "type"))
    assert all({"field", "message", "type"} == detail.keys() for detail in error["details"])
    if status == 422:
        assert ("VALIDATION_ERROR", "validation_error") == (error["code"], error["type"])
        assert error["details"]
        assert all({"loc", "msg", "type"} == detail.keys() for detail in body["detail"])
        assert [["query", one["field"]] for one in error["details"]] == [one["loc"] for one in body["detail"]]
    else:
        assert error["message"] == body["detail"]


def _aurion(body: Any, status: int) -> None:
    assert {"error", "message", "detail", "details"} == body.keys()
    words = {401: "unauthorized", 403: "forbidden", 422: "validation_error"}
    assert words.get(status, body["error"]) == body["error"]
    assert isinstance(body["error"], str)
    assert body["message"]
    assert body["message"] == body["detail"]
    assert all({"field", "message"} == detail.keys() for detail in body["details"])
    assert bool(body["details"]) is (status == 422)


def _anyreach(body: Any, status: int) -> None:
    assert status
    assert {"detail"} == body.keys()
    assert isinstance(body["detail"], str)
    assert body["detail"]


def _wontopos(body: Any, status: int) -> None:
    assert {"error"} == body.keys()
    error = body["error"]
    required = {"required_scope"} if status == 403 and error["code"] == "insufficient_scope" else set()
    assert {"code", "type", "message", "status", "request_id"} | required == error.keys()
    codes = {
        400: "invalid_parameter",
        401: "authentication_failed",
        403: "insufficient_scope",
        404: "not_found",
        429: "rate_limit_exceeded",
    }
    assert codes.get(status, error["code"]) == error["code"]
    assert status == error["status"]
    assert error["message"]
    assert error["request_id"]


def _liberclaw(body: Any, status: int) -> None:
    assert {"error", "detail"} == body.keys()
    error = body["error"]
    assert {"code", "message", "status", "details"} == error.keys()
    codes = {401: "UNAUTHORIZED", 403: "FORBIDDEN", 422: "VALIDATION_ERROR"}
    assert codes.get(status, error["code"]) == error["code"]
    assert status == error["status"]
    assert error["message"] == body["detail"]
    if status == 422:
        assert all({"field", "message", "type"} == detail.keys() for detail in error["details"])
        assert error["details"]
    else:
        assert error["details"] is None


ERROR_SHAPES: dict[str, Callable[[Any, int], None]] = {
    "agentphone": _agentphone,
    "aurion": _aurion,
    "anyreach": _anyreach,
    "wontopos": _wontopos,
    "liberclaw": _liberclaw,
}
