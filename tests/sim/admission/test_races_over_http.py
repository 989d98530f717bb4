"""Three server processes on one PostgreSQL race for a limit, and one of them may be killed on the way."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest

from tallybook.core.clock import SystemClock
from tallybook.core.ids import AccountId
from tallybook.core.key import SCOPES
from tallybook.house import House
from tallybook.settings import Settings
from tests.sim.admission.race import LIMIT, THREADS, rounds_of, sizes
from tests.sim.admission.servers import Client, Server, serving
from tests.sim.scale import scaled
from tests.support.postgres import PostgresServer

pytestmark = pytest.mark.slow

SERVERS = 3
ROUNDS, CALLS = scaled((2, 8), (200, 200))
PLAN = {"limits": [{"name": "credits", "kind": "period", "meter": "credits", "quantity": str(LIMIT)}]}


@dataclass(frozen=True, slots=True)
class Asked:
    """A reservation that was asked for over HTTP; *status* is 0 where the server died before it answered."""

    units: int
    status: int
    hold_id: str = ""


@dataclass(slots=True)
class Arena:
    """The servers, and a house on the same ledger through which accounts are made."""

    servers: list[Server]
    house: House
    key: str

    def open_account(self, account: str) -> None:
        """Make an account with 100 units."""
        self.house.accounts.put(AccountId(account), plan="hundred")

    def taken(self, account: str) -> int:
        """Return how many units are held now, as the last server says."""
        client = Client(self.servers[-1], self.key)
        (limit,) = client.get(f"/v1/accounts/{account}/limits")["limits"]
        client.close()
        return int(Decimal(limit["held"]))


@pytest.fixture
def arena(postgres_server: PostgresServer, postgres_template: str, tmp_path: Path) -> Iterator[Arena]:
    """Three servers on a fresh ledger."""
    name = postgres_server.create_database(postgres_template)
    url = postgres_server.url(name)
    with House.open(Settings(ledger_url=url), SystemClock()) as house:
        house.accounts.put_plan("hundred", PLAN)
        key = house.access.create_key(None, SCOPES).token
        with serving(url, tmp_path, SERVERS) as servers:
            yield Arena(servers, house, key)
    postgres_server.drop_database(name)


def ask(client: Client, account: str, units: int) -> Asked:
    """Ask for a reservation."""
    body = {"items": [{"limit": "credits", "quantity": str(units)}], "ttl_s": 3600}
    status, answer = client.post(f"/v1/accounts/{account}/reservations", body)
    assert status in {201, 429}, answer
    return Asked(units, status, str(answer.get("id", "")))


def crowd(arena: Arena, account: str, calls: int, *, single: bool, after: threading.Event | None = None) -> list[Asked]:
    """All threads reserve, each over a connection to one of the servers; *after* is set once one is admitted."""
    barrier = threading.Barrier(THREADS)

    def run(number: int) -> list[Asked]:
        client = Client(arena.servers[number % SERVERS], arena.key)
        seen: list[Asked] = []
        barrier.wait()
        for units in sizes(f"{account} {number}", calls):
            try:
                seen.append(ask(client, account, 1 if single else units))
            except OSError:
                seen.append(Asked(1 if single else units, 0))
                break
            if after is not None and seen[-1].status == 201:
                after.set()
        client.close()
        return seen

    with ThreadPoolExecutor(THREADS) as pool:
        return [one for many in pool.map(run, range(THREADS)) for one in many]


def test_three_servers_never_pass_a_limit(arena: Arena) -> None:
    """64 connections take exactly the 100 units there are, whatever the sizes; who would have fitted was admitted."""
    for account, single in rounds_of(ROUNDS):
        arena.open_account(account)
        seen = crowd(arena, account, CALLS, single=single)
        admitted = sum(one.units for one in seen if one.status == 201)
        assert THREADS * CALLS == len(seen)
        assert admitted == arena.taken(account)
        assert admitted <= LIMIT
        assert all(one.units > LIMIT - admitted for one in seen if one.status == 429)
        assert not single or LIMIT == admitted


def test_a_server_is_killed_on_the_way(arena: Arena) -> None:
    """Nothing that was answered is lost, nothing is held twice, and the others go on to exactly the limit."""
    arena.open_account("acme")
    some = threading.Event()

    def kill() -> None:
        some.wait()
        arena.servers[0].kill()

    killer = threading.Thread(target=kill)
    killer.start()
    seen = crowd(arena, "acme", CALLS * 2, single=True, after=some)
    killer.join()
    lost = [one for one in seen if one.status == 0]
    admitted = [one for one in seen if one.status == 201]
    assert lost
    assert LIMIT == arena.taken("acme")
    assert LIMIT - len(lost) <= len(admitted) <= LIMIT
    client = Client(arena.servers[1], arena.key)
    for one in Random("settle").sample(admitted, len(admitted)):
        path = f"/v1/accounts/acme/reservations/{one.hold_id}/commit"
        assert 200 == client.post(path, {"items": [{"limit": "credits", "quantity": "1"}]})[0]
    client.close()
    assert LIMIT - len(admitted) == arena.taken("acme")
