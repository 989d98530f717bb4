"""`tallybook get` answers one request without a port."""

import json

import pytest


def test_get_prints_the_body_of_the_answer(run, tmp_path, operator_key):
    """
    The body goes to stdout, byte for byte what a server would send, and success is exit code 0.
    """
    ended = run("get", "/v1/meters", "--data", tmp_path / "data", "--key", operator_key)
    assert 0 == ended.code
    assert "messages" in {meter["name"] for meter in ended.json["meters"]}
    assert "" == ended.err


def test_get_takes_the_key_from_the_environment(run, tmp_path, operator_key, monkeypatch):
    """
    So that a key need not stand on the command line, where others can see it.
    """
    monkeypatch.setenv("TALLYBOOK_KEY", operator_key)
    assert 0 == run("get", "/v1/keys?limit=1", "--data", tmp_path / "data").code


def test_a_refusal_is_exit_code_1_with_its_body(run, tmp_path, operator_key):
    """
    The problem document is still printed, because a program may want it.
    """
    ended = run("get", "/v1/meters", "--data", tmp_path / "data")
    assert 1 == ended.code
    assert 401 == json.loads(ended.out)["status"]
    assert "401" in ended.error


def test_a_path_without_a_slash_is_refused(run, tmp_path):
    """
    Before anything is opened or made.
    """
    ended = run("get", "v1/meters", "--data", tmp_path / "data")
    assert 1 == ended.code
    assert "slash" in ended.error
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("path", ["/\x00", "/" + "x" * 70_000, "//", "/v1/../%zz", "/é?ü=\ud800"])
def test_odd_paths_are_answered_or_refused(run, tmp_path, operator_key, path):
    """
    Whatever it is, it ends in one line and an exit code.
    """
    ended = run("get", path, "--data", tmp_path / "data", "--key", operator_key)
    assert 1 == ended.code
    assert ended.error


def test_a_directory_without_a_ledger_is_a_mistake(run, tmp_path):
    """
    A command that only reads makes nothing.
    """
    for command in (("get", "/healthz"), ("keys", "list"), ("accounts", "list"), ("meters", "rebuild", "messages")):
        ended = run(*command, "--data", tmp_path / "dta")
        assert 1 == ended.code
        assert "no ledger in" in ended.error
    assert not (tmp_path / "dta").exists()


def test_health_needs_no_key(run, tmp_path, operator_key):
    """
    As on a server.
    """
    assert 0 == run("get", "/healthz", "--data", tmp_path / "data").code
