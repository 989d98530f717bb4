"""Checks and reservations: decisions as values, refusals as errors, and what happens when nobody answers."""

from decimal import Decimal

import pytest

from tallybook.client import (
    AccountSuspended,
    Conflict,
    EventInvalid,
    Forbidden,
    HoldState,
    Item,
    LimitReached,
    NotFound,
    QuantityInvalid,
    RateLimited,
    Refused,
    RequestInvalid,
    Unauthenticated,
    Unreachable,
)
from tests.client.times import Ceiling
from tests.client.toy import Fault, problem

AWAY = "http://127.0.0.1:9"


def refusal(status, code, **more):
    """Return the fault of a problem."""
    answer = problem(status, code, "no", **more)
    return Fault(status, answer.body, dict(answer.headers))


def test_a_check_says_yes_or_no(make):
    """With exact figures; a no is a value, and is false."""
    client = make()
    yes = client.check("credits", "2.5", account="acme")
    assert yes
    assert (True, (), False) == (yes.allowed, yes.violated, yes.assumed)
    assert (Decimal(0), Decimal(10)) == (yes.items[0].used, yes.items[0].remaining)
    no = client.check({"credits": 11}, account="acme")
    assert not no
    assert ("credits",) == no.violated


def test_what_is_asked_may_be_written_in_many_ways(make, toy):
    """All of them are items on the wire, their quantities decimal strings."""
    client = make()
    client.check("credits", account="acme")
    client.check("credits", 0.5, account="acme")
    client.check({"credits": 3, "concurrent_calls": Decimal("1.0")}, account="acme")
    client.check([Item("credits", 1, dimensions={"api_id": "a"})], account="a/b ü")
    assert [
        [{"limit": "credits", "quantity": "1"}],
        [{"limit": "credits", "quantity": "0.5"}],
        [{"limit": "credits", "quantity": "3"}, {"limit": "concurrent_calls", "quantity": "1"}],
        [{"limit": "credits", "quantity": "1", "dimensions": {"api_id": "a"}}],
    ] == [seen.json["items"] for seen in toy.seen("/checks")]


@pytest.mark.parametrize("nothing", [{}, []])
def test_asking_nothing_is_refused_before_it_is_sent(make, toy, nothing):
    """As is a quantity that is none, or no account."""
    client = make()
    with pytest.raises(RequestInvalid):
        client.check(nothing, account="acme")
    with pytest.raises(RequestInvalid):
        client.check("credits", account="")
    with pytest.raises(QuantityInvalid):
        client.reserve("credits", "many", account="acme")
    assert [] == toy.requests


def test_a_reservation_is_committed_with_what_was_used(make, toy):
    """The float is written as it prints."""
    client = make()
    with client.reserve("credits", 5, account="acme", ttl_s=60) as hold:
        settlement = hold.commit(3.2)
    assert not settlement.assumed
    assert HoldState.COMMITTED is hold.state
    assert {"items": [{"limit": "credits", "quantity": "5"}], "ttl_s": 60} == toy.seen("/reservations")[0].json
    assert {"credits": "3.2"} == toy.holds[hold.id]["settled"]
    assert [] == toy.seen("/release")


def test_without_a_quantity_what_was_reserved_is_committed(make, toy):
    """Of all limits."""
    client = make()
    with client.reserve({"credits": 5, "concurrent_calls": 1}, account="acme") as hold:
        hold.commit()
    assert {"credits": "5", "concurrent_calls": "1"} == toy.holds[hold.id]["settled"]


def test_several_limits_are_committed_by_name(make, toy):
    """One bare quantity would not say of which."""
    client = make()
    with client.reserve({"credits": 5, "concurrent_calls": 1}, account="acme") as hold:
        with pytest.raises(ValueError, match="2 limits"):
            hold.commit(1)
        hold.commit({"credits": 1, "concurrent_calls": "0.5"})
    assert {"credits": "1", "concurrent_calls": "0.5"} == toy.holds[hold.id]["settled"]


def test_leaving_without_a_commit_gives_back(make, toy):
    """So does an exception, which goes on its way."""
    client = make()
    with client.reserve("credits", 5, account="acme") as first:
        pass
    with pytest.raises(KeyError), client.reserve("credits", 5, account="acme") as second:
        raise KeyError
    assert ["released", "released"] == [toy.holds[hold.id]["state"] for hold in (first, second)]


def test_an_exception_after_the_commit_releases_nothing(make, toy):
    """It is settled already."""
    client = make()
    hold = client.reserve("credits", 5, account="acme")
    hold.commit(1)
    with pytest.raises(KeyError), hold:
        raise KeyError
    assert "committed" == toy.holds[hold.id]["state"]
    assert [] == toy.seen("/release")


def test_a_hold_is_settled_once(make, toy):
    """The second time is a mistake that is told; releasing twice is harmless."""
    client = make()
    hold = client.reserve("credits", 5, account="acme")
    hold.commit(1)
    for again in (hold.commit, hold.release):
        with pytest.raises(Conflict):
            again()
    hold = client.reserve("credits", 5, account="acme")
    hold.release()
    hold.release()
    assert 1 == len(toy.seen("/release"))


def test_a_limit_in_the_way_raises_with_the_decision(make):
    """Which limit, how it stands, and when to ask again."""
    client = make()
    with pytest.raises(LimitReached, match="credits") as refused, client.reserve("credits", 11, account="acme"):
        pass
    decision = refused.value.decision
    assert (False, ("credits",), False) == (decision.allowed, decision.violated, decision.assumed)
    assert Decimal(10) == decision.items[0].remaining
    assert 7.0 == refused.value.retry_after_s


def test_a_limit_that_frees_in_weeks_says_so(make, toy):
    """The bound on patience is on waiting, not on telling."""
    toy.fail(refusal(429, "quota-exceeded", headers={"Retry-After": "1209600"}))
    with pytest.raises(LimitReached) as refused:
        make().reserve("credits", 11, account="acme")
    assert 1_209_600.0 == refused.value.retry_after_s


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "invalid-parameter", RequestInvalid),
        (401, "unauthenticated", Unauthenticated),
        (403, "insufficient-scope", Forbidden),
        (403, "account-suspended", AccountSuspended),
        (404, "not-found", NotFound),
        (409, "conflict", Conflict),
        (413, "payload-too-large", RequestInvalid),
        (418, "teapot", Refused),
        (422, "invalid-amount", QuantityInvalid),
    ],
)
def test_a_refusal_has_the_class_of_its_code(make, toy, status, code, kind):
    """With all that the problem says; it is not tried again."""
    toy.fail(refusal(status, code, errors=[{"detail": "wrong", "pointer": "/items/0/limit"}]))
    with pytest.raises(kind, match=rf"{code}: no \(request req-1\)") as raised:
        make().check("credits", account="acme")
    error = raised.value
    assert (kind, status, code, "req-1") == (type(error), error.status, error.code, error.request_id)
    assert "/items/0/limit" == error.faults[0].pointer
    assert 1 == len(toy.requests)


# --- retries ----------------------------------------------------------------------------------------------------------


def test_retries_keep_the_idempotency_key(make, toy, clock):
    """So a reservation that was made although its answer was lost is the one that is returned."""
    toy.fail(Fault(503), Fault(502, after=True), Fault(504))
    hold = make().reserve("credits", 5, account="acme")
    assert 4 == len(toy.requests)
    assert 1 == len({seen.headers["idempotency-key"] for seen in toy.requests})
    assert [hold.id] == list(toy.holds)
    assert [0.25, 0.5, 1.0] == clock.slept_s


def test_every_operation_has_a_key_of_its_own(make, toy):
    """Reserve, commit, release; and again for the next."""
    client = make()
    for _ in range(2):
        with client.reserve("credits", 1, account="acme") as hold:
            hold.commit(1)
        client.reserve("credits", 1, account="acme").release()
    keys = [seen.headers["idempotency-key"] for seen in toy.requests]
    assert 8 == len(keys) == len(set(keys))


def test_retry_after_is_honoured_in_seconds_and_as_a_date(make, toy, clock):
    """Within a bound: no answer makes a caller wait for hours."""
    toy.fail(
        Fault(503, headers={"Retry-After": "3"}),
        Fault(503, headers={"Retry-After": "Sun, 15 Mar 2026 12:00:10 GMT"}),
        Fault(503, headers={"Retry-After": "86400"}),
        Fault(503, headers={"Retry-After": "soon"}),
    )
    assert make(retries=4).check("credits", account="acme").allowed
    assert [3.0, 7.0, 300.0, 2.0] == clock.slept_s


def test_too_many_requests_are_waited_for(make, toy, clock):
    """And told, when patience is over."""
    toy.fail(*[refusal(429, "rate-limited", headers={"Retry-After": "2"})] * 3)
    client = make(retries=1)
    with pytest.raises(RateLimited) as refused:
        client.check("credits", account="acme")
    assert 2.0 == refused.value.retry_after_s
    assert client.check("credits", account="acme")
    assert [2.0, 2.0] == clock.slept_s


def test_backoff_is_full_jitter_below_a_rising_bound(make, clock):
    """Drawn anew each time, from nothing up to the bound, which ends rising at half a minute."""
    drawn = []

    class Noting(Ceiling):
        def uniform(self, a, b, /):
            drawn.append((a, b))
            return 0.0

    with pytest.raises(Unreachable):
        make(AWAY, retries=9, random=Noting()).check("credits", account="acme")
    assert [(0.0, bound) for bound in (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0)] == drawn
    assert [0.0] * 9 == clock.slept_s


def test_no_retries_means_one_attempt(make, toy):
    """If that is the choice."""
    toy.fail(Fault(503))
    with pytest.raises(Unreachable) as away:
        make(retries=0).check("credits", account="acme")
    assert 503 == away.value.status
    assert 1 == len(toy.requests)


def test_an_answer_of_somebody_else_is_no_answer(make, toy):
    """A login page of a proxy decides nothing."""
    toy.fail(Fault(200, b"<html>"))
    with pytest.raises(Unreachable, match="base URL"):
        make().check("credits", account="acme")
    toy.fail(*[Fault(403, b"<html>")] * 4)
    with pytest.raises(Unreachable, match="no Tallybook"):
        make().check("credits", account="acme")


# --- nobody answers ---------------------------------------------------------------------------------------------------


def test_unreachable_is_raised_unless_one_chooses(make):
    """Neither open nor closed by accident."""
    client = make(AWAY)
    for ask in (client.check, client.reserve, client.lease):
        with pytest.raises(Unreachable):
            ask("credits", account="acme")


def test_failing_open_goes_on_and_says_so(make):
    """Every grant is marked as assumed."""
    client = make(AWAY, on_unreachable="allow")
    decision = client.check("credits", account="acme")
    assert (True, True) == (decision.allowed, decision.assumed)
    with client.reserve("credits", 5, account="acme") as hold:
        assert hold.assumed
    with client.lease("concurrent_calls", account="acme") as lease:
        assert lease.assumed
        lease.raise_if_lost()


def test_failing_closed_refuses_and_says_so(make):
    """A check is a no, the others raise as at a limit."""
    client = make(AWAY, on_unreachable="deny")
    decision = client.check("credits", account="acme")
    assert (False, True) == (decision.allowed, decision.assumed)
    for ask in (client.reserve, client.lease):
        with pytest.raises(LimitReached) as refused:
            ask("credits", account="acme")
        assert refused.value.decision.assumed


def test_the_choice_may_differ_for_one_call(make):
    """The caller knows best which calls may go on."""
    client = make(AWAY, on_unreachable="deny")
    assert client.check("credits", account="acme", on_unreachable="allow").assumed
    with pytest.raises(Unreachable):
        client.check("credits", account="acme", on_unreachable="raise")
    with pytest.raises(ValueError, match="choose"):
        client.check("credits", account="acme", on_unreachable="perhaps")


def test_refusals_are_not_assumed_away(make, toy):
    """An answer is an answer, also for those who fail open."""
    toy.fail(refusal(404, "not-found"))
    with pytest.raises(NotFound):
        make(on_unreachable="allow").check("credits", account="acme")


def test_the_event_of_an_assumed_hold_is_tracked(make, toy):
    """It is counted as soon as Tallybook is back."""
    client = make(on_unreachable="allow")
    toy.fail(*[Fault(503)] * 4)
    with client.reserve("credits", 5, account="acme") as hold:
        settlement = hold.commit(3, event={"type": "credit.spend", "data": {"amount": Decimal("3.0")}, "id": "e1"})
    assert settlement.assumed
    assert client.flush()
    assert ("acme", {"amount": 3.0}) == (toy.events["e1"]["subject"], toy.events["e1"]["data"])


# --- events in a commit -----------------------------------------------------------------------------------------------


def test_a_commit_carries_its_event(make, toy, clock):
    """In the same request, with an id and a time."""
    client = make()
    with client.reserve("credits", 5, account="acme") as hold:
        hold.commit(3, event={"type": "credit.spend", "data": {"amount": 3}})
    ((event_id, event),) = toy.events.items()
    assert {
        "id": event_id,
        "type": "credit.spend",
        "subject": "acme",
        "time": "2026-03-15T12:00:00Z",
        "data": {"amount": 3},
    } == event
    assert [] == toy.seen("/events")


@pytest.mark.parametrize("lost", [True, False])
def test_a_commit_without_an_answer_leaves_its_event_to_the_buffer(make, toy, clock, lost):
    """For those who fail open: whether the commit arrived or not, the event counts once."""
    client = make(on_unreachable="allow")
    hold = client.reserve("credits", 5, account="acme")
    toy.fail(*[Fault(502, after=not lost)] * 4)
    assert hold.commit(3, event={"type": "credit.spend", "data": {"amount": 3}}).assumed
    clock.advance(60)
    assert client.flush()
    assert 1 == len(toy.events)
    assert (1, 0) == (client.stats().accepted + client.stats().duplicates, client.stats().rejected)


def test_a_commit_without_an_answer_may_be_asked_for_again(make, toy, clock):
    """With the same key and the same event, so it happens once; leaving does not release what may be committed."""
    client = make(retries=0)
    event = {"type": "credit.spend", "data": {"amount": 3}}
    with client.reserve("credits", 5, account="acme") as hold:
        toy.fail(Fault(502, after=True))
        with pytest.raises(Unreachable):
            hold.commit(3, event=event)
        assert HoldState.UNKNOWN is hold.state
    clock.advance(60)
    hold.commit(3, event=event)
    first, second = toy.seen("/commit")
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.body == second.body
    assert 1 == len(toy.events)
    assert [] == toy.seen("/release")


def test_another_commit_has_another_key(make, toy):
    """A key stands for one request and no other."""
    client = make(retries=0)
    hold = client.reserve("credits", 5, account="acme")
    toy.fail(Fault(502))
    with pytest.raises(Unreachable):
        hold.commit(3)
    hold.commit(4)
    assert 2 == len({seen.headers["idempotency-key"] for seen in toy.seen("/commit")})
    assert {"credits": "4"} == toy.holds[hold.id]["settled"]


@pytest.mark.parametrize(
    "event", [{}, {"data": {}}, {"type": "a", "subject": "acme"}, {"type": "a", "time": "", "x": 1}]
)
def test_an_event_that_is_none_is_refused_before_the_commit(make, toy, event):
    """The hold stands as it was."""
    hold = make().reserve("credits", 5, account="acme")
    with pytest.raises(EventInvalid, match="has a type"):
        hold.commit(3, event=event)
    assert HoldState.HELD is hold.state
    assert [] == toy.seen("/commit")


def test_a_release_that_fails_is_logged_when_leaving(make, toy, caplog):
    """It must not hide what happened inside; the reservation expires by itself."""
    client = make(retries=0)
    hold = client.reserve("credits", 5, account="acme")
    toy.fail(Fault(503))
    with pytest.raises(KeyError), hold:
        raise KeyError
    assert "will expire" in caplog.text


def test_a_reservation_that_is_gone_is_released_already(make, toy):
    """404 on release is what was wanted."""
    client = make()
    hold = client.reserve("credits", 5, account="acme")
    toy.holds.clear()
    hold.release()
    assert HoldState.RELEASED is hold.state
