"""What docs/consistency.md says of servers, stores and sending again, tried on real ones."""

import pytest

from tallybook.flows.access import CACHE_S
from tests.support.client import message, open_desk
from tests.support.postgres import PostgresServer

USAGE = "/v1/accounts/acme/usage?meter={}&from=2026-03-01&to=2026-04-01"


def total(desk, meter="messages"):
    """Return a meter's value for acme in March."""
    answer = desk.get(USAGE.format(meter), desk.operator)
    assert 200 == answer.status_code, answer.text
    return answer.json()["total"]


@pytest.fixture
def two(tmp_path, postgres_url):
    """Two servers of one PostgreSQL."""
    with (
        open_desk(tmp_path / "one", ledger_url=postgres_url) as one,
        open_desk(tmp_path / "other", ledger_url=postgres_url) as other,
    ):
        yield one, other


# --- who may be stale -------------------------------------------------------------------------------------------------


def test_what_one_server_acknowledged_every_server_shows(two):
    """
    Totals at once, and the identity too: sent to the other server it is a duplicate.
    """
    one, other = two
    for number, server in enumerate([one, other, one, other], start=1):
        assert 1 == server.send(message(f"m{number}", "acme"))["accepted"]
        assert [str(number), str(number)] == [total(one), total(other)]
    assert 4 == other.send(*(message(f"m{number}", "acme") for number in range(1, 5)))["duplicate"]
    assert "4" == total(one)


def test_a_revoked_key_is_believed_elsewhere_for_half_a_second_at_most(two):
    """
    On the server that was told it ends at once; on another when what it remembers has aged.
    """
    one, other = two
    now_s = [0.0]
    other.house.access._elapsed_s = lambda: now_s[0]
    key = one.account("acme")
    assert [200, 200] == [server.get("/v1/accounts/acme", key).status_code for server in two]
    found = one.get("/v1/keys?account=acme", one.operator).json()["keys"]
    assert 204 == one.ask("DELETE", f"/v1/keys/{found[0]['id']}", one.operator).status_code
    assert 401 == one.get("/v1/accounts/acme", key).status_code
    now_s[0] = CACHE_S
    assert 401 == other.get("/v1/accounts/acme", key).status_code


def test_a_server_that_missed_a_new_meter_still_counts_for_it(two):
    """
    Its commit is refused by the ledger, and the events are read again, however old its scheme is.
    """
    one, other = two
    other.house.metering._looked_s = float("inf")
    meter = {"event": "fax", "aggregation": "sum", "field": "pages", "unit": "pages"}
    assert 200 == one.put("/v1/meters/fax_pages", one.operator, json=meter).status_code
    fax = {"id": "f1", "type": "fax", "subject": "acme", "data": {"pages": 3}}
    assert 1 == other.send(fax)["accepted"]
    assert ["3", "3"] == [total(one, "fax_pages"), total(other, "fax_pages")]
    assert "0" == total(one, "events_unmetered")


# --- sending again ----------------------------------------------------------------------------------------------------


def test_an_event_that_is_sent_again_keeps_its_time(tmp_path):
    """
    Left out both times it is a duplicate and the first receipt stands; another time is a conflict.
    """
    with open_desk(tmp_path, now="2026-03-15T12:00:00Z") as desk:
        assert 1 == desk.send(message("m1", "acme"))["accepted"]
        desk.set_now("2026-04-02T12:00:00Z")
        assert 1 == desk.send(message("m1", "acme"))["duplicate"]
        assert "1" == total(desk)
        assert 1 == desk.send(message("m1", "acme", time="2026-04-02T12:00:00Z"))["conflict"]
        assert 1 == desk.send({**message("m1", "acme"), "traceparent": "00-ab-cd-01"})["duplicate"]
        assert "1" == total(desk)


# --- what survives what -----------------------------------------------------------------------------------------------


def test_on_a_full_disk_writes_are_refused_and_reads_go_on(tmp_path):
    """
    503 with Retry-After, nothing counted; when there is space again the same server goes on.
    """
    with open_desk(tmp_path) as desk:
        desk.send(message("m0", "acme"))
        with desk.house.ledger.writing() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        events = [message(f"m{number}", "acme", agent_id=f"agent-{number}") for number in range(2_000)]
        answer = desk.post("/v1/events", desk.operator, json=events)
        assert 503 == answer.status_code
        assert "1" == answer.headers["retry-after"]
        assert "1" == total(desk)
        with desk.house.ledger.writing() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1073741823")
        assert (1_999, 1) == tuple(desk.send(*events)[outcome] for outcome in ("accepted", "conflict"))
        assert "2000" == total(desk)


@pytest.mark.postgres
def test_while_the_database_is_away_the_answer_is_503_and_then_all_goes_on(tmp_path):
    """
    What was acknowledged before the crash is there after it, and no server has to be restarted.
    """
    with PostgresServer() as database:
        url = database.url(database.create_database())
        with open_desk(tmp_path, ledger_url=url) as desk:
            desk.send(message("m1", "acme"))
            database.stop(immediately=True)
            assert 503 == desk.post("/v1/events", desk.operator, json=message("m2", "acme")).status_code
            assert 503 == desk.get(USAGE.format("messages"), desk.operator).status_code
            assert 503 == desk.get("/readyz").status_code
            database.start()
            assert "1" == total(desk)
            assert 1 == desk.send(message("m2", "acme"))["accepted"]
            assert "2" == total(desk)
