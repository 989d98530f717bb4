"""The customers of the demo: who they are, what they own, and what they do on an ordinary weekday.

Only data; how days turn out is in `demo_data`.
"""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Thing:
    """A resource that exists from day *first* of the demo until day *last* (None: it still does).

    *weight* is its share of the account's traffic, beside the others of its kind.
    """

    kind: str
    id: str
    name: str
    weight: int = 1
    first: int = 0
    last: int | None = None
    shared: bool | None = None
    active: bool | None = None


@dataclass(frozen=True, slots=True)
class Api:
    """An API that an account calls: requests on a weekday, usual latency, errors in a thousand, endpoints."""

    id: str
    name: str
    per_day: int
    latency_ms: int
    errors_permille: int
    endpoints: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Customer:
    """One account and what it does on a weekday at full growth.

    Attributes:
        dialect: The published API that the account's usage is made for, None for those that only fill the house.
        voice_s, chat_s: Usual length of a call, in seconds.
        credit: Usual size of one spending of credits.
        storage_mb: What is stored at the end of the demo.
    """

    account: str
    name: str
    plan: str
    dialect: str | None
    things: tuple[Thing, ...]
    messages: int = 0
    deliveries: bool = False
    voice_calls: int = 0
    voice_s: int = 0
    chat_calls: int = 0
    chat_s: int = 0
    completions: int = 0
    credits: int = 0
    credit: Decimal = Decimal(0)
    workflow_runs: int = 0
    storage_mb: int = 0
    apis: tuple[Api, ...] = ()


def _things(kind: str, prefix: str, count: int) -> tuple[Thing, ...]:
    return tuple(Thing(kind, f"{prefix}-{n:02d}", f"{prefix} {n}", first=n * 9 % 120) for n in range(1, count + 1))


_REST = (("GET", "/v1/contacts"), ("POST", "/v1/contacts"), ("GET", "/v1/calls"), ("POST", "/v1/messages"))

CUSTOMERS: tuple[Customer, ...] = (
    Customer(
        account="brightline",
        name="Brightline Reception",
        plan="agentphone-pro",
        dialect="agentphone",
        things=(
            Thing("agent", "agt_frontdesk", "Front desk", weight=6),
            Thing("agent", "agt_booking", "Booking", weight=4),
            Thing("agent", "agt_afterhours", "After hours", weight=2, first=90),
            Thing("agent", "agt_pilot", "Pilot", first=5, last=160),
            Thing("phone_number", "num_12025550101", "+1 202-555-0101", weight=5),
            Thing("phone_number", "num_12025550102", "+1 202-555-0102", weight=3),
            Thing("phone_number", "num_12025550117", "+1 202-555-0117", weight=2, first=120),
            Thing("phone_number", "num_12025550123", "+1 202-555-0123", first=30, last=210),
            Thing("phone_number", "num_12025550144", "+1 202-555-0144", first=200, last=330),
        ),
        messages=190,
        deliveries=True,
        voice_calls=7,
        voice_s=95,
        chat_calls=3,
        chat_s=160,
    ),
    Customer(
        account="harbor-clinics",
        name="Harbor Clinics",
        plan="aurion-professional",
        dialect="aurion",
        things=(
            Thing("agent", "agt_triage", "Triage", weight=3),
            Thing("agent", "agt_recall", "Recall", weight=2, first=60),
            *_things("seat", "seat", 17),
        ),
        voice_calls=9,
        voice_s=140,
        completions=38,
        storage_mb=3_140,
        apis=(Api("core", "Core API", 170, 64, 12, _REST),),
    ),
    Customer(
        account="cafe-lumiere",
        name="Café Lumière",
        plan="anyreach-standard",
        dialect="anyreach",
        things=(
            Thing("agent", "agt_reservations", "Réservations", weight=5),
            Thing("agent", "agt_catering", "Traiteur", weight=2, first=45),
            Thing("agent", "agt_noel", "Noël", first=100, last=190),
            Thing("phone_number", "num_33199000011", "+33 1 99 00 00 11", weight=4, shared=False),
            Thing("phone_number", "num_33199000012", "+33 1 99 00 00 12", weight=2, shared=True),
            Thing("phone_number", "num_33199000013", "+33 1 99 00 00 13", first=150, shared=True),
            Thing("web_widget", "wgt_menu", "Menu"),
            Thing("web_widget", "wgt_table", "Table", first=70),
            Thing("dataset", "dst_carte", "La carte", active=True),
            Thing("dataset", "dst_vins", "Les vins", active=True, first=12),
            Thing("dataset", "dst_2023", "Archives 2023", active=False),
        ),
        voice_calls=24,
        voice_s=125,
        chat_calls=16,
        chat_s=240,
        workflow_runs=28,
    ),
    Customer(
        account="papaya-pay",
        name="Papaya Pay",
        plan="wontopos-basic",
        dialect="wontopos",
        things=(
            Thing("api_subscription", "api_1a2b3c4d", "Global Payments API"),
            Thing("api_subscription", "api_5e6f7g8h", "Geocoding API"),
            Thing("api_subscription", "api_9c0d1e2f", "Document Scan API", first=140),
            Thing("api_subscription", "api_3a4b5c6d", "Weather API", first=300),
        ),
        apis=(
            Api(
                "api_1a2b3c4d",
                "Global Payments API",
                130,
                43,
                4,
                (("POST", "/payments"), ("GET", "/payments"), ("POST", "/refunds"), ("GET", "/balance")),
            ),
            Api("api_5e6f7g8h", "Geocoding API", 80, 120, 14, (("GET", "/geocode"), ("GET", "/reverse"))),
            Api("api_9c0d1e2f", "Document Scan API", 35, 640, 25, (("POST", "/scans"), ("GET", "/scans"))),
        ),
    ),
    Customer(
        account="atelier-sued",
        name="Atelier Süd",
        plan="liberclaw-free",
        dialect="liberclaw",
        things=(
            Thing("agent", "550e8400-e29b-41d4-a716-446655440000", "Research Assistant", weight=6),
            Thing("agent", "660e8400-e29b-41d4-a716-446655440001", "Code Helper", weight=4),
            Thing("agent", "770e8400-e29b-41d4-a716-446655440002", "Übersetzerin", weight=2, first=130),
            Thing("agent", "880e8400-e29b-41d4-a716-446655440003", "Marktbeobachter", weight=2, last=386),
            Thing("agent", "990e8400-e29b-41d4-a716-446655440004", "Probelauf", first=20, last=240),
        ),
        messages=60,
        completions=42,
        credits=46,
        credit=Decimal("3.42"),
    ),
    Customer(
        account="kumo-travel",
        name="雲トラベル",
        plan="agentphone-starter",
        dialect=None,
        things=(
            Thing("agent", "agt_kumo", "旅行案内", weight=2),
            Thing("phone_number", "num_815055500123", "+81 50-5550-0123"),
        ),
        messages=20,
        deliveries=True,
        voice_calls=1,
        voice_s=100,
    ),
    Customer(
        account="fjordkraft-verksted",
        name="Fjordkraft Verksted ÆØÅ",
        plan="aurion-starter",
        dialect=None,
        things=(Thing("agent", "agt_verksted", "Verksted"), *_things("seat", "sete", 3)),
        completions=9,
        storage_mb=610,
        apis=(Api("core", "Core API", 34, 71, 20, _REST),),
    ),
    Customer(
        account="mercado-azul",
        name="Mercado Azul",
        plan="anyreach-standard",
        dialect=None,
        things=(
            Thing("agent", "agt_pedidos", "Pedidos"),
            Thing("phone_number", "num_34910000020", "+34 910 00 00 20", shared=True),
        ),
        voice_calls=7,
        voice_s=110,
        workflow_runs=9,
    ),
    Customer(
        account="lone-llama",
        name="Lone Llama Labs",
        plan="default",
        dialect=None,
        things=(Thing("agent", "agt_llama", "Llama <b>one</b>"),),
        messages=11,
        completions=14,
    ),
)
