"""Tokens of API keys: recognisable, checkable without a look-up, and never kept."""

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tallybook.core.errors import FieldInvalid, Forbidden
from tallybook.core.ids import AccountId
from tallybook.core.key import (
    ADMIN,
    EVENTS_WRITE,
    IMPORTED_CHARS_MAX,
    IMPORTED_CHARS_MIN,
    PREFIX,
    SCOPES,
    Caller,
    check_scopes,
    is_plausible,
    new_token,
    token_hash,
    token_hint,
)

TOKEN = "tb_live_8aspm4G7VmSUfOoD6V1vrORcmn0iSHkp41xtGK"


def test_a_new_token_has_the_published_form_and_is_never_repeated() -> None:
    """Prefix, 32 + 6 characters of base 62; a thousand tokens are a thousand different ones."""
    tokens = {new_token() for _ in range(1_000)}
    assert 1_000 == len(tokens)
    assert all(re.fullmatch(rf"{PREFIX}[0-9A-Za-z]{{38}}", token) and is_plausible(token) for token in tokens)


@given(place=st.integers(len(PREFIX), len(TOKEN) - 1), other=st.sampled_from("0123456789ABCXYZabcxyz-é"))
def test_one_wrong_character_makes_a_token_of_ours_implausible(place: int, other: str) -> None:
    """A mistyped token is known as such without asking the ledger."""
    mistyped = TOKEN[:place] + other + TOKEN[place + 1 :]
    assert (mistyped == TOKEN) is is_plausible(mistyped)


@pytest.mark.parametrize("mistyped", [TOKEN[:-1], f"{TOKEN}0", PREFIX, f" {TOKEN}"[:-1], PREFIX + "0" * 38])
def test_a_token_of_ours_with_another_length_or_check_is_implausible(mistyped: str) -> None:
    """So is one that lost its end, or never was ours."""
    assert not (is_plausible(mistyped) and mistyped.startswith(PREFIX))


@pytest.mark.parametrize(
    ("length", "plausible"),
    [
        (0, False),
        (IMPORTED_CHARS_MIN - 1, False),
        (IMPORTED_CHARS_MIN, True),
        (IMPORTED_CHARS_MAX, True),
        (IMPORTED_CHARS_MAX + 1, False),
    ],
)
def test_an_imported_token_only_needs_a_sound_length(length: int, plausible: bool) -> None:
    """Clients may keep the key they have."""
    assert plausible is is_plausible("k" * length)


def test_what_is_kept_and_shown_is_not_the_token() -> None:
    """The hash is SHA-256 in hex; the hint shows twelve characters at most."""
    token = new_token()
    assert hashlib.sha256(token.encode()).hexdigest() == token_hash(token)
    assert f"{token[:8]}…{token[-4:]}" == token_hint(token)


def test_a_caller_without_the_scope_is_told_which() -> None:
    """The refusal names the scope, in words and in its detail."""
    caller = Caller("key_1", AccountId("acme"), frozenset({EVENTS_WRITE}))
    caller.require(EVENTS_WRITE)
    with pytest.raises(Forbidden, match=ADMIN) as refused:
        caller.require(ADMIN)
    assert ADMIN == refused.value.detail["required_scope"]
    assert (False, True) == (caller.is_operator, Caller("key_2", None, frozenset()).is_operator)


def test_scopes_are_checked_one_by_one() -> None:
    """Known ones are taken, an unknown one is named by its place, none at all is refused."""
    assert frozenset(SCOPES) == check_scopes([*SCOPES, ADMIN])
    for scopes, pointer in (
        ([ADMIN, "root"], "/scopes/1"),
        ([None], "/scopes/0"),
        ([["admin"]], "/scopes/0"),
        ([], "/scopes"),
    ):
        with pytest.raises(FieldInvalid) as refused:
            check_scopes(scopes)
        assert pointer == refused.value.pointer
