"""What a user would run instead: one PostgreSQL table, written the obvious way, behind the same HTTP server.

The table and its indexes are those that Lago keeps events in (columns and index keys as published; the code is ours):
unique identities, and the indexes its questions need. Each request is one INSERT of many rows with ON CONFLICT DO
NOTHING in a transaction of its own, which is durable when it is answered. It counts nothing up and checks no payload,
so it does less than what it is compared with.
"""

import os
import threading
import uuid
from datetime import datetime

import msgspec
import psycopg
from psycopg.types.json import Jsonb
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

URL_VARIABLE = "BENCH_PEER_URL"
ORGANIZATION = uuid.UUID(int=1)

SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    organization_id uuid NOT NULL,
    customer_id uuid,
    transaction_id varchar NOT NULL,
    code varchar NOT NULL,
    properties jsonb NOT NULL DEFAULT '{}',
    "timestamp" timestamp,
    created_at timestamp NOT NULL,
    updated_at timestamp NOT NULL,
    metadata jsonb NOT NULL DEFAULT '{}',
    subscription_id uuid,
    deleted_at timestamp,
    external_customer_id varchar,
    external_subscription_id varchar,
    precise_total_amount_cents numeric(40, 15)
);
CREATE UNIQUE INDEX IF NOT EXISTS events_unique
    ON events (organization_id, external_subscription_id, transaction_id);
CREATE INDEX IF NOT EXISTS events_covering
    ON events (external_subscription_id, organization_id, code, "timestamp") INCLUDE (properties)
    WHERE deleted_at IS NULL;
CREATE INDEX IF NOT EXISTS events_by_subscription
    ON events (external_subscription_id, organization_id, "timestamp") INCLUDE (code);
CREATE INDEX IF NOT EXISTS events_by_creation ON events (created_at);
CREATE INDEX IF NOT EXISTS events_by_code ON events (organization_id, code);
CREATE INDEX IF NOT EXISTS events_of_organization_by_creation ON events (organization_id, created_at DESC);
CREATE INDEX IF NOT EXISTS events_of_organization_by_time ON events (organization_id, "timestamp" DESC);
CREATE INDEX IF NOT EXISTS events_by_transaction ON events (organization_id, transaction_id);
ALTER TABLE events SET (autovacuum_vacuum_scale_factor = 0.005);
"""

_ROW = "(%s,%s,%s,%s,%s,%s,%s,%s)"
_INSERT = (
    "INSERT INTO events (organization_id, transaction_id, code, properties, timestamp, created_at, updated_at,"
    " external_subscription_id) VALUES {} ON CONFLICT DO NOTHING"
)
_own = threading.local()


def create_table(url: str) -> None:
    """Make the table, empty."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS events")
        connection.execute(SCHEMA)


def _connection() -> psycopg.Connection:
    """Return the thread's own connection."""
    if not hasattr(_own, "connection"):
        _own.connection = psycopg.connect(os.environ[URL_VARIABLE])
    connection: psycopg.Connection = _own.connection
    return connection


def _insert(body: bytes) -> tuple[int, int]:
    """Insert a batch; return how many rows are new and how many were there."""
    events = msgspec.json.decode(body)
    now = datetime.now()  # noqa: DTZ005 - as the columns are
    values: list[object] = []
    for event in events:
        time = datetime.fromisoformat(event["time"]).replace(tzinfo=None)
        values += (ORGANIZATION, event["id"], event["type"], Jsonb(event["data"], dumps=msgspec.json.encode))
        values += (time, now, now, event["subject"])
    statement = _INSERT.format(",".join([_ROW] * len(events)))
    connection = _connection()
    with connection.transaction():
        inserted = connection.execute(statement, values).rowcount
    return inserted, len(events) - inserted


async def post_events(request: Request) -> JSONResponse:
    """Answer ``POST /v1/events``."""
    body = await request.body()
    accepted, duplicate = await run_in_threadpool(_insert, body)
    return JSONResponse({"accepted": accepted, "duplicate": duplicate, "conflict": 0, "rejected": 0})


async def ready(_request: Request) -> JSONResponse:
    """Answer ``GET /readyz``."""
    return JSONResponse({"status": "ready"})


app = Starlette(routes=[Route("/v1/events", post_events, methods=["POST"]), Route("/readyz", ready)])
