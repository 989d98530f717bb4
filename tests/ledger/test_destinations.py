"""Destinations and their secrets: sealed at rest, replaced with both valid for a time, never mixed up."""

import pytest
from sqlalchemy import select, text

from tallybook.core.delivery import Reason, Secret, State, Status
from tallybook.core.errors import Conflict, NotFound, Unavailable
from tallybook.ledger import destinations as kept
from tallybook.ledger.destinations import LedgerDestinations
from tallybook.ledger.vault import KEY_BYTES, Vault
from tallybook.ledger.webhook_tables import destination_secrets
from tests.support.messages import NOW_US, VAULT, Post

HMAC = "hmac-sha256"


@pytest.fixture
def post(ledger):
    """A post office with one account."""
    post = Post(ledger)
    post.account("acme")
    return post


def values(post, name, now_us=NOW_US):
    return [secret.value for secret in post.destinations.secrets_of(name, now_us)]


def test_a_destination_is_kept_as_it_was_given(post):
    """
    Its secrets come out only where they are asked for.
    """
    made = post.endpoint("one", "acme", "usage.*", "lease.terminated")
    found = post.destinations.get("one", "webhook")

    assert (made.destination_id, made.account_id, made.address, made.patterns, dict(made.options), State.ENABLED) == (
        found.destination_id,
        found.account_id,
        found.address,
        found.patterns,
        dict(found.options),
        found.state,
    )
    assert ((), [b"secret of one"]) == (found.secrets, values(post, "one"))
    assert None is post.destinations.get("one", "email")
    assert None is post.destinations.get("none", "webhook")
    assert [] == values(post, "none")


def test_pages_are_of_an_account_of_the_operator_or_of_all(post):
    """
    By id.
    """
    for name, account in (("c", "acme"), ("a", "acme"), ("b", None)):
        post.endpoint(name, account)

    def names(account, after="", limit=10, **more):
        return [one.destination_id for one in post.destinations.page("webhook", account, after, limit, **more)]

    assert (["a", "c"], ["a", "b", "c"], ["b"], ["b"]) == (
        names("acme"),
        names(None),
        names(None, operator_only=True),
        names(None, "a", 1),
    )


def test_an_unknown_account_has_none(post):
    """
    Nothing is written.
    """
    with pytest.raises(NotFound):
        post.endpoint("one", "nobody")
    assert None is post.destinations.get("one", "webhook")


def test_there_is_a_bound_for_each_account(post, monkeypatch):
    """
    And one for the operator.
    """
    monkeypatch.setattr(kept, "DESTINATIONS_MAX", 2)
    for owner in ("acme", None):
        for number in range(2):
            post.endpoint(f"{owner}{number}", owner)
        with pytest.raises(Conflict, match="delete some first"):
            post.endpoint(f"{owner}2", owner)


def test_secrets_overlap_while_one_is_replaced(post):
    """
    The newest first; the old one ends when it was told to, to the microsecond.
    """
    post.endpoint("one")
    post.destinations.rotate("one", HMAC, b"second", NOW_US, old_until_us=NOW_US + 10)

    assert [b"second", b"secret of one"] == values(post, "one", NOW_US + 9)
    assert [b"second"] == values(post, "one", NOW_US + 10)


def test_a_second_rotation_brings_no_secret_back_and_ends_none_later(post):
    """
    What was to end soon still does; with no overlap all end at once.
    """
    post.endpoint("one")
    post.destinations.rotate("one", HMAC, b"second", NOW_US, old_until_us=NOW_US + 10)
    post.destinations.rotate("one", HMAC, b"third", NOW_US + 1, old_until_us=NOW_US + 100)
    assert [b"third", b"second", b"secret of one"] == values(post, "one", NOW_US + 9)
    assert [b"third", b"second"] == values(post, "one", NOW_US + 50)

    post.destinations.rotate("one", HMAC, b"fourth", NOW_US + 60, old_until_us=NOW_US + 60)
    assert [b"fourth"] == values(post, "one", NOW_US + 60)
    assert [b"fourth"] == [one.value for one in post.destinations.secrets_of("one", NOW_US + 10**12)]


def test_so_many_secrets_are_valid_at_most(post):
    """
    One that ran out makes room.
    """
    post.endpoint("one")
    for number in range(9):
        post.destinations.rotate("one", HMAC, b"%d" % number, NOW_US, old_until_us=NOW_US + 100)
    with pytest.raises(Conflict, match="wait until one runs out"):
        post.destinations.rotate("one", HMAC, b"more", NOW_US, old_until_us=NOW_US + 100)
    post.destinations.rotate("one", HMAC, b"more", NOW_US + 100, old_until_us=NOW_US + 200)


def test_no_secret_stands_in_the_ledger(post):
    """
    Neither as it is nor in base64; a row that is moved to another endpoint does not open.
    """
    post.endpoint("one")
    post.endpoint("two")
    with post.ledger.reading() as connection:
        rows = connection.execute(select(destination_secrets)).all()
    assert "secret of" not in repr(rows)
    with post.ledger.writing() as connection:
        connection.execute(text("UPDATE destination_secrets SET sealed = :sealed"), {"sealed": rows[0].sealed})
    assert [b"secret of one"] == values(post, "one")
    with pytest.raises(Unavailable, match="damaged"):
        values(post, "two")


def test_secrets_are_sealed_again_with_a_new_key(post):
    """
    Once; then the old key is needed no more.
    """
    old, new = b"k" * KEY_BYTES, b"n" * KEY_BYTES
    post.endpoint("one")
    post.destinations.rotate("one", HMAC, b"second", NOW_US, old_until_us=NOW_US + 10)
    both = LedgerDestinations(post.ledger, Vault(lambda: [new, old]))
    alone = LedgerDestinations(post.ledger, Vault(lambda: [new]))
    with pytest.raises(Unavailable, match="does not have"):
        alone.reseal()

    assert (2, 0, 0) == (both.reseal(), both.reseal(), alone.reseal())
    assert [b"second", b"secret of one"] == [one.value for one in alone.secrets_of("one", NOW_US)]


def test_a_server_with_another_key_seals_nothing(post):
    """
    Or the servers of a ledger could not read each other's.
    """
    post.endpoint("one")
    other = LedgerDestinations(post.ledger, Vault(lambda: [b"x" * KEY_BYTES]))
    with pytest.raises(Unavailable, match="this server has another"):
        other.rotate("one", HMAC, b"second", NOW_US, old_until_us=NOW_US)
    assert [b"secret of one"] == values(post, "one")


def test_a_deleted_destination_leaves_nothing_to_the_next(post):
    """
    No number is given twice, so what is left of its log is nobody's.
    """
    post.endpoint("one")
    post.tell()
    post.queue.fan_out(NOW_US)
    delivery = post.deliveries("one")[0].delivery_id
    post.destinations.delete("one", NOW_US)
    post.destinations.delete("one", NOW_US)
    post.endpoint("two")

    assert (None, [], []) == (post.log.get(delivery), post.deliveries("two"), values(post, "one"))


def test_enabling_forgets_the_failures(post):
    """
    The five days begin anew.
    """
    post.endpoint("one")
    post.destinations.disable("one", Reason.FAILING, NOW_US)
    post.destinations.enable("one")
    found = post.destinations.get("one", "webhook")

    assert (State.ENABLED, None, None, None) == (
        found.state,
        found.reason,
        found.disabled_us,
        found.failing_since_us,
    )


def test_disabling_gives_up_what_waits(post):
    """
    Asked for, it is told to nobody.
    """
    post.endpoint("one")
    post.endpoint("operators", None, "endpoint.*")
    post.tell(count=2)
    post.queue.fan_out(NOW_US)
    post.destinations.disable("one", Reason.ASKED, NOW_US)

    assert [Status.FAILED] * 2 == post.statuses("one")
    assert 0 == post.queue.fan_out(NOW_US)


def test_secrets_of_another_vault_are_named_by_their_key(post):
    """
    So that an operator finds the right one.
    """
    post.endpoint("one")
    stranger = LedgerDestinations(post.ledger, Vault(lambda: [b"x" * KEY_BYTES]))
    with pytest.raises(Unavailable, match=VAULT.key_name):
        stranger.secrets_of("one", NOW_US)
    assert Secret(1, HMAC, b"secret of one") == post.destinations.secrets_of("one", NOW_US)[0]
