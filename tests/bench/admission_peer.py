"""What a user would run instead: a counter in PostgreSQL, taken with one UPDATE, behind the same HTTP server.

It knows one limit per account and no window, no hold that comes back, no event and no repeated request, so it does much
less than what it is compared with. It is durable when it answers.
"""

import os
import threading

import msgspec
import psycopg
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

URL_VARIABLE = "BENCH_PEER_URL"
TAKE = "UPDATE counters SET used = used + %s WHERE account = %s AND used + %s <= quantity RETURNING used"
LOOK = "SELECT used + %s <= quantity FROM counters WHERE account = %s"
_own = threading.local()


def create_counters(url: str, accounts: list[str], quantity: int) -> None:
    """Make the counters, at 0."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE counters (account text PRIMARY KEY, used numeric, quantity numeric)")
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO counters VALUES (%s, 0, %s)", [(name, quantity) for name in accounts])


def _connection() -> psycopg.Connection:
    """Return the thread's own connection."""
    if not hasattr(_own, "connection"):
        _own.connection = psycopg.connect(os.environ[URL_VARIABLE], autocommit=True)
    connection: psycopg.Connection = _own.connection
    return connection


def _quantity(body: bytes) -> str:
    (item,) = msgspec.json.decode(body)["items"]
    return str(item["quantity"])


def _take(account: str, body: bytes) -> bool:
    quantity = _quantity(body)
    return _connection().execute(TAKE, (quantity, account, quantity)).fetchone() is not None


def _look(account: str, body: bytes) -> bool:
    row = _connection().execute(LOOK, (_quantity(body), account)).fetchone()
    return row is not None and bool(row[0])


async def reserve(request: Request) -> JSONResponse:
    """Answer ``POST /v1/accounts/{account}/reservations``."""
    taken = await run_in_threadpool(_take, request.path_params["account"], await request.body())
    return JSONResponse({"allowed": taken}, status_code=201 if taken else 429)


async def check(request: Request) -> JSONResponse:
    """Answer ``POST /v1/accounts/{account}/checks``."""
    return JSONResponse(
        {"allowed": await run_in_threadpool(_look, request.path_params["account"], await request.body())}
    )


async def ready(_request: Request) -> JSONResponse:
    """Answer ``GET /readyz``."""
    return JSONResponse({"status": "ready"})


app = Starlette(
    routes=[
        Route("/v1/accounts/{account}/reservations", reserve, methods=["POST"]),
        Route("/v1/accounts/{account}/checks", check, methods=["POST"]),
        Route("/readyz", ready),
    ]
)
