"""Secrets at rest: opened with the key that sealed them and at their place only; the key's file is its owner's."""

import base64
import os
import stat
from concurrent.futures import ThreadPoolExecutor

import pytest

from tallybook.core.errors import StartRefused, Unavailable
from tallybook.ledger.vault import KEY_BYTES, Vault, key_name_of, keys_in_file, read_keys

OLD, NEW = b"o" * KEY_BYTES, b"n" * KEY_BYTES


def vault(*keys):
    return Vault(lambda: keys)


def text(*keys):
    return "\n".join(base64.b64encode(key).decode() for key in keys)


def test_what_was_sealed_is_opened():
    """
    It looks different each time, and nothing of the secret is in it.
    """
    sealed = [vault(OLD).seal(b"the secret", "here") for _ in range(2)]

    assert sealed[0] != sealed[1]
    assert "the secret" not in "".join(sealed)
    assert [b"the secret"] * 2 == [vault(OLD).open(one, "here") for one in sealed]


def test_a_sealed_secret_is_bound_to_its_place():
    """
    Moved to another row it does not open; neither does one that was changed.
    """
    sealed = vault(OLD).seal(b"x", "here")
    with pytest.raises(Unavailable, match=r"^a secret in the ledger is damaged: there$"):
        vault(OLD).open(sealed, "there")
    name, _, rest = sealed.partition(".")
    raw = bytearray(base64.b64decode(rest))
    raw[-1] ^= 1
    with pytest.raises(Unavailable, match="damaged"):
        vault(OLD).open(f"{name}.{base64.b64encode(raw).decode()}", "here")


def test_a_key_is_replaced_by_putting_the_new_one_in_front():
    """
    The first seals, all open; without the old one its secrets are lost.
    """
    sealed = vault(OLD).seal(b"x", "here")
    both = vault(NEW, OLD)

    assert b"x" == both.open(sealed, "here")
    assert key_name_of(both.seal(b"y", "here")) == both.key_name != key_name_of(sealed)
    assert (True, False) == (both.knows(key_name_of(sealed)), vault(NEW).knows(key_name_of(sealed)))
    with pytest.raises(Unavailable, match="which this server does not have"):
        vault(NEW).open(sealed, "here")


def test_the_keys_are_asked_for_once_and_only_when_needed():
    """
    A command that opens no secret makes no key.
    """
    asked = []
    lazy = Vault(lambda: asked.append(1) or (OLD,))
    assert [] == asked
    lazy.open(lazy.seal(b"x", "here"), "here")
    assert [1] == asked


@pytest.mark.parametrize("bad", ["", "  \n", "short", base64.b64encode(b"x" * 31).decode(), text(*[OLD] * 9), "ü" * 44])
def test_what_is_no_key_is_refused(bad):
    """
    Naming the place, never the text.
    """
    with pytest.raises(StartRefused, match=r"^the setting secrets_key must hold") as refused:
        read_keys(bad, "the setting secrets_key")
    assert not bad.strip() or bad.strip() not in refused.value.message


def test_keys_are_read_by_line_or_with_commas():
    """
    As a file and the environment have them.
    """
    assert [NEW, OLD] == read_keys(text(NEW, OLD), "x") == read_keys(text(NEW, OLD).replace("\n", ","), "x")


def test_the_file_is_made_once_and_is_its_owners(tmp_path):
    """
    Of many that make it at once, one key remains; nothing else is left behind.
    """
    file = tmp_path / "deep" / "secrets.key"
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: tuple(keys_in_file(file, make=True)), range(16)))

    assert 1 == len(set(found))
    assert [KEY_BYTES] == [len(key) for key in found[0]]
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)
    assert [file] == list(file.parent.iterdir())


def test_a_file_that_others_may_read_is_refused(tmp_path):
    """
    So is one that is not there, where none is to be made.
    """
    file = tmp_path / "secrets.key"
    with pytest.raises(StartRefused, match=r"secrets\.key: No such file"):
        keys_in_file(file, make=False)
    file.write_text(text(OLD))
    os.chmod(file, 0o640)  # noqa: PTH101 - the point is the mode
    with pytest.raises(StartRefused, match=r"chmod 600 it$"):
        keys_in_file(file, make=False)
