"""Settings are read strictly, from a file and the environment, and each is on its page."""

import re
from dataclasses import fields
from pathlib import Path

import pytest

from tallybook.core.errors import StartRefused
from tallybook.settings import Settings, load_settings

DOC = (Path(__file__).resolve().parents[1] / "docs" / "settings.md").read_text(encoding="utf-8")
KEYS = [field.name for field in fields(Settings)]


def write(tmp_path, text):
    file = tmp_path / "tallybook.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_docs_have_a_heading_for_every_setting_and_no_other():
    """
    And each begins with its default.
    """
    assert set(KEYS) == set(re.findall(r"^## (.+)$", DOC, re.MULTILINE))
    for name, default in ((field.name, field.default) for field in fields(Settings)):
        if isinstance(default, int):
            shown = str(default).lower()
            assert f"## {name}\nDefault `{shown}`" in DOC, name


def test_without_anything_there_are_the_defaults():
    """
    An empty environment and no file.
    """
    assert Settings() == load_settings(None, {})


def test_the_environment_stands_over_the_file(tmp_path):
    """
    Each key by its name in capitals.
    """
    file = write(tmp_path, 'port = 1\nhost = "::"\n[dialect_hosts]\n"API.example.com" = "agentphone"\n')
    read = load_settings(file, {"TALLYBOOK_PORT": "2", "PORT": "3", "TALLYBOOK_KEY": "k", "TALLYBOOK_CONFIG": "x"})

    assert (2, "::", {"api.example.com": "agentphone"}) == (read.port, read.host, dict(read.dialect_hosts))


def test_every_key_can_be_set_by_the_environment(tmp_path):
    """
    Tables and files as one line of text.
    """
    read = load_settings(
        None,
        {
            "TALLYBOOK_DATA_DIR": str(tmp_path),
            "TALLYBOOK_DIALECT_HOSTS": "a.test=aurion, b.test=wontopos",
            "TALLYBOOK_METRICS_PUBLIC": "true",
            "TALLYBOOK_TEST_CLOCK_START": "2026-03-01T00:00:00Z",
            "TALLYBOOK_CATALOGUE_FILE": "",
        },
    )

    assert (tmp_path, {"a.test": "aurion", "b.test": "wontopos"}) == (read.data_dir, dict(read.dialect_hosts))
    assert (True, None, "2026-03-01T00:00:00Z") == (read.metrics_public, read.catalogue_file, read.test_clock_start)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("prot = 1", "prot is no setting; did you mean port?"),
        ("dialect_host = {}", "did you mean dialect_hosts?"),
        ("port = 65536", "port must be a whole number from 0 to 65535"),
        ("port = true", "port must be a whole number"),
        ("port = 1.0", "port must be a whole number"),
        ('port = "\u0661"', "port must be a whole number"),
        ("metrics_public = 1", "metrics_public must be true or false"),
        ('log_format = "xml"', "log_format must be one of auto, json, console"),
        ('data_dir = ""', "data_dir must be the path of a directory"),
        ('dialect_hosts = { "https://a.test" = "aurion" }', "is no host name"),
        ('dialect_hosts = { "a.test" = 1 }', "dialect_hosts must map host names to dialects"),
        ('test_clock_start = "yesterday"', "test_clock_start must be an RFC 3339 instant"),
        ("port = = 1", "line 1"),
    ],
)
def test_what_is_wrong_in_the_file_is_one_line_that_names_it(tmp_path, text, told):
    """
    The file, the key, and how; a mistyped key names the nearest.
    """
    file = write(tmp_path, text)

    with pytest.raises(StartRefused) as refused:
        load_settings(file, {})

    assert str(file) in refused.value.message
    assert told in refused.value.message
    assert "\n" not in refused.value.message


def test_what_is_wrong_in_the_environment_names_the_variable():
    """
    Unknown ones with our prefix too.
    """
    for name, value in (("TALLYBOOK_PORT", "x"), ("TALLYBOOK_PRT", "1"), ("TALLYBOOK_DIALECT_HOSTS", "a.test")):
        with pytest.raises(StartRefused, match=name):
            load_settings(None, {name: value})


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    """
    Missing, or no text.
    """
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    for file in (tmp_path / "absent.toml", binary, tmp_path):
        with pytest.raises(StartRefused, match=re.escape(str(file))):
            load_settings(file, {})
