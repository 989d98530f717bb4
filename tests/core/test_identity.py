"""Identities and digests are what ledgers hold, for ever."""

from hashlib import blake2b

from hypothesis import given
from hypothesis import strategies as st

from tallybook.core.identity import identity, integers_of


def test_an_identity_is_what_it_was() -> None:
    """If this fails, events that were counted before would count again."""
    assert integers_of(identity("acme\0default\0e1", b'["message",null,{}]')) == (
        3965124825587129756,
        -3837081535933811283,
        5308464088757724746,
    )


@given(name=st.text(), payload=st.binary())
def test_an_identity_is_two_hashes(name: str, payload: bytes) -> None:
    """Of the name, and of what is said; neither depends on what was hashed before."""
    expected = blake2b(name.encode(), digest_size=16), blake2b(payload, digest_size=8)
    assert b"".join(part.digest() for part in expected) == identity(name, payload)
