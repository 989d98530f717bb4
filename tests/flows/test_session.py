"""Sessions and portal links over a real ledger: found by a hash, ended with their key, used once whoever races."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tallybook.core.clock import US_PER_S
from tallybook.core.errors import FieldInvalid, Forbidden, NotFound, Unauthenticated
from tallybook.core.key import ADMIN, BILLING_MANAGE, SCOPES, USAGE_READ, Caller
from tallybook.core.session import HARD_US, IDLE_US, LINK_TTL_S_MAX, TOUCH_US
from tallybook.flows.session import Sessions
from tallybook.ledger.sessions import LedgerSessions


@pytest.fixture
def sessions(flows):
    """The sessions of a ledger with an account."""
    flows.accounts.put("acme")
    return Sessions(LedgerSessions(flows.ledger), flows.access, flows.clock)


@pytest.fixture
def admin(flows, sessions):
    """A key of the account that may do everything, and who holds it."""
    made = flows.access.create_key("acme", SCOPES)
    return made, Caller(made.key_id, "acme", frozenset(SCOPES))


def test_a_session_is_its_keys(sessions, admin):
    """
    Account and scopes are those of the key.
    """
    entered = sessions.log_in(admin[0].token)

    assert ("acme", frozenset(SCOPES), False) == (
        sessions.find(entered.secret).account_id,
        sessions.find(entered.secret).scopes,
        entered.session.is_portal,
    )


@pytest.mark.parametrize("secret", ["", "x", "é" * 600, "0" * 43])
def test_what_is_no_session_is_none(sessions, secret):
    """
    Whatever a cookie holds.
    """
    with pytest.raises(Unauthenticated):
        sessions.find(secret)


def test_use_is_noted_about_once_a_minute(flows, sessions, admin):
    """
    Not at every request: a page that asks every five seconds writes once a minute.
    """
    entered = sessions.log_in(admin[0].token)
    for _ in range(3):
        flows.clock.advance(TOUCH_US // 3)
        seen_us = sessions.find(entered.secret).seen_us
    assert entered.session.seen_us == seen_us

    assert flows.clock.now_us() == sessions.find(entered.secret).seen_us


def test_what_ended_is_forgotten(flows, sessions, admin):
    """
    Sessions and links that nobody can use any more leave the ledger.
    """
    sessions.log_in(admin[0].token)
    sessions.make_link(admin[1], "acme", ttl_s=60)
    assert 0 == sessions.step()
    flows.clock.advance(IDLE_US)

    assert (2, 0) == (sessions.step(), sessions.step())
    assert HARD_US > IDLE_US


def test_a_link_is_used_by_one_of_many(sessions, admin):
    """
    Of eight who come at the same time one gets in.
    """
    made = sessions.make_link(admin[1], "acme")

    def use(_):
        try:
            return sessions.exchange(made.link.link_id, made.secret)
        except Unauthenticated:
            return None

    with ThreadPoolExecutor(8) as crowd:
        entered = [one for one in crowd.map(use, range(8)) if one is not None]
    assert 1 == len(entered)
    assert (frozenset({USAGE_READ}), True) == (entered[0].session.scopes, entered[0].session.is_portal)


def test_a_link_ends_with_its_key_and_by_itself(flows, sessions, admin):
    """
    Whichever comes first; a link of a revoked key is not even shown.
    """
    short, long = (sessions.make_link(admin[1], "acme", ttl_s=ttl_s) for ttl_s in (1, LINK_TTL_S_MAX))
    assert sessions.look(short.link.link_id) is not None
    flows.clock.advance(US_PER_S)
    assert sessions.look(short.link.link_id) is None
    flows.access.revoke_key(admin[0].key_id)

    assert sessions.look(long.link.link_id) is None
    for made in (short, long):
        with pytest.raises(Unauthenticated):
            sessions.exchange(made.link.link_id, made.secret)


def test_what_a_link_may_be_is_bounded(sessions, admin):
    """
    Scopes the key has, a day at most, origins for ancestors, an account that exists.
    """
    weak = Caller(admin[0].key_id, "acme", frozenset({ADMIN}))
    with pytest.raises(Forbidden):
        sessions.make_link(weak, "acme", scopes=[BILLING_MANAGE])
    for wrong in ({"ttl_s": 0}, {"ttl_s": LINK_TTL_S_MAX + 1}, {"scopes": []}, {"ancestors": ["x"]}):
        with pytest.raises(FieldInvalid):
            sessions.make_link(admin[1], "acme", **wrong)
    with pytest.raises(FieldInvalid):
        sessions.make_link(admin[1], "acme", ancestors=[f"https://a{n}.example" for n in range(9)])
    with pytest.raises(NotFound):
        sessions.make_link(admin[1], "void")
