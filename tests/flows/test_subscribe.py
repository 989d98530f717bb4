"""Accounts and plans: put, found under their loose names, in force from an instant, and refused with every fault."""

import pytest

from tallybook.core.errors import FieldInvalid, NotFound
from tallybook.core.fields import errors_of
from tallybook.core.ids import AccountId
from tallybook.core.instant import DAY_US
from tallybook.core.meter import Question
from tallybook.core.number import NANOS, to_text
from tallybook.core.plan import DEFAULT_PLAN
from tallybook.core.window import Span, all_time
from tests.support.rooms import NOW_US, Flows

ACME = AccountId("acme")


def test_an_unknown_account_is_not_found(flows: Flows) -> None:
    """Neither before it was put, nor under an id that only looks alike."""
    flows.accounts.put(ACME)
    for wanted in ("nobody", "Acme", "acme ", "acme%", ""):
        with pytest.raises(NotFound):
            flows.accounts.get(AccountId(wanted))


def test_an_account_begins_plainly(flows: Flows) -> None:
    """UTC, the 1st, the newest default plan."""
    account = flows.accounts.put(ACME)
    assert account == flows.accounts.get(ACME)
    assert ("UTC", 1, DEFAULT_PLAN, 1) == (
        account.timezone,
        account.anchor_day,
        account.plan_name,
        account.plan_version,
    )
    assert () == flows.accounts.plan_of(account).limits


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("agentphone-pro", "agentphone-pro"),
        ("agentphone.pro", "agentphone-pro"),
        ("agentphone_pro", "agentphone-pro"),
        ("agentphone/pro", "agentphone-pro"),
        ("agentphone:pro", "agentphone-pro"),
        ("AgentPhone Pro", "agentphone-pro"),
        ("professional", "aurion-professional"),
        ("Free", "liberclaw-free"),
        ("guest", "liberclaw-guest"),
        ("default", "default"),
    ],
)
def test_plans_are_found_under_loose_names(flows: Flows, asked: str, found: str) -> None:
    """Any separator will do, and a tier that only one plan has."""
    assert found == flows.accounts.plan(asked).name
    assert found == flows.accounts.put(ACME, plan=asked).plan_name


def test_a_tier_of_several_plans_names_them(flows: Flows) -> None:
    """The refusal lists the candidates."""
    with pytest.raises(NotFound, match="agentphone-pro, liberclaw-pro, wontopos-pro"):
        flows.accounts.plan("pro")
    with pytest.raises(FieldInvalid, match="several plans") as caught:
        flows.accounts.put(ACME, plan="pro")
    assert "/plan" == caught.value.pointer


@pytest.mark.parametrize(
    ("account_id", "values", "pointers"),
    [
        ("a" * 257, {}, ["/id"]),
        ("ä" * 129, {}, ["/id"]),
        ("", {}, ["/id"]),
        ("a\x00b", {}, ["/id"]),
        ("a", {"timezone": "Mars/Olympus"}, ["/timezone"]),
        ("a", {"timezone": "../../etc/passwd"}, ["/timezone"]),
        ("a", {"timezone": "A" * 300}, ["/timezone"]),
        ("a", {"timezone": ""}, ["/timezone"]),
        ("a", {"anchor_day": 0}, ["/anchor_day"]),
        ("a", {"anchor_day": 32}, ["/anchor_day"]),
        ("a", {"anchor_day": True}, ["/anchor_day"]),
        ("a", {"plan": "no-such-plan"}, ["/plan"]),
        ("a", {"starts_us": 5}, ["/starts_at"]),
        ("a", {"plan": "default", "starts_us": -1}, ["/starts_at"]),
        (
            "a",
            {"plan": "x", "timezone": "x", "anchor_day": 99, "name": ""},
            ["/name", "/timezone", "/anchor_day", "/plan"],
        ),
    ],
)
def test_a_wrong_account_is_refused_with_all_its_faults(
    flows: Flows, account_id: str, values: dict[str, object], pointers: list[str]
) -> None:
    """And nothing of it is kept."""
    with pytest.raises(FieldInvalid) as caught:
        flows.accounts.put(AccountId(account_id), **values)  # type: ignore[arg-type]
    assert pointers == [pointer for pointer, _ in errors_of(caught.value)]
    assert [] == list(flows.accounts.list())


def test_the_longest_id_is_fine(flows: Flows) -> None:
    """256 bytes, not characters."""
    assert "ä" * 128 == flows.accounts.put(AccountId("ä" * 128)).id


def test_accounts_are_listed_by_page(flows: Flows) -> None:
    """Each once, in the order of their ids."""
    for name in ("c", "a", "b"):
        flows.accounts.put(AccountId(name))
    first = flows.accounts.list(limit=2)
    assert ["a", "b"] == [account.id for account in first]
    assert ["c"] == [account.id for account in flows.accounts.list(first[-1].id, 2)]


def test_a_new_version_leaves_its_subscribers_where_they_are(flows: Flows) -> None:
    """Until they are put on the plan again."""
    body = {"limits": [{"name": "m", "kind": "period", "meter": "messages", "quantity": "5"}]}
    flows.accounts.put_plan("acme-plan", body)
    flows.accounts.put(ACME, plan="acme-plan")
    body["limits"][0]["quantity"] = "7"
    assert 2 == flows.accounts.put_plan("acme-plan", body).version
    versions = [flows.accounts.plan_of(flows.accounts.get(ACME))]
    flows.clock.advance(1)
    versions.append(flows.accounts.plan_of(flows.accounts.put(ACME, plan="acme-plan")))
    assert [(1, 5 * NANOS), (2, 7 * NANOS)] == [(plan.version, plan.limits[0].quantity) for plan in versions]


def test_a_change_of_plan_keeps_history(flows: Flows) -> None:
    """Each instant has the plan that was in force then, also before and after any number of changes."""
    flows.accounts.put(ACME, plan="liberclaw-guest")
    flows.clock.advance(DAY_US)
    flows.accounts.put(ACME, plan="liberclaw-free")
    account = flows.accounts.put(ACME, plan="liberclaw-pro", starts_us=NOW_US + 3 * DAY_US)
    instants = [0, NOW_US, NOW_US + DAY_US - 1, NOW_US + DAY_US, NOW_US + 3 * DAY_US - 1, NOW_US + 3 * DAY_US]
    tiers = [flows.accounts.plan_of(account, at_us).tier for at_us in instants]
    assert ["guest", "guest", "guest", "free", "free", "pro"] == tiers
    assert "free" == flows.accounts.plan_of(account).tier


def test_prices_tile_all_time(flows: Flows) -> None:
    """Epochs touch each other, begin with the default plan where no other was in force, and end never."""
    flows.accounts.put(ACME)
    flows.accounts.put(ACME, plan="wontopos-basic")
    account = flows.accounts.put(ACME, plan="wontopos-pro", starts_us=NOW_US + DAY_US)
    ever = all_time()
    epochs = flows.accounts.price_epochs(account)
    assert [
        Span(ever.start_us, NOW_US),
        Span(NOW_US, NOW_US + DAY_US),
        Span(NOW_US + DAY_US, ever.end_us),
    ] == [span for span, _ in epochs]
    assert [0, 3, 3] == [len(prices) for _, prices in epochs]


def test_cost_follows_the_plan_in_force_at_the_time_of_the_event(flows: Flows) -> None:
    """The documents' own example, then a cheaper plan: what was used before keeps its price."""
    flows.accounts.put(ACME, plan="wontopos-basic")

    def request(time: str, **data: object) -> dict[str, object]:
        return {"type": "api.request", "subject": "acme", "time": time, "data": {"status": 200, **data}}

    flows.write(
        *(request("2026-02-20T10:00:00Z", api_id="api_1a2b3c4d") for _ in range(321)),
        *(request("2026-02-20T10:00:00Z", api_id="api_5e6f7g8h") for _ in range(161)),
    )
    flows.accounts.put(ACME, plan="wontopos-pro", starts_us=NOW_US)
    flows.write(
        request("2026-03-01T12:00:00Z", api_id="other"),
        request("2026-03-01T11:59:59.999999Z", api_id="other"),
        request("2026-03-01T12:00:00Z", api_id="other", cost_usd="1.5"),
    )
    account = flows.accounts.get(ACME)
    question = Question("request_cost_usd", (all_time(),), ("api_id",))
    (answer,) = flows.measure.ask(account, [question])
    costs = {group[0]: to_text(values[0]) for group, values in answer.groups.items()}
    assert {"api_1a2b3c4d": "0.0820155", "api_5e6f7g8h": "0.042504", "other": "1.50045"} == costs


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ([], [""]),
        ({"limits": {}}, ["/limits"]),
        ({"limits": [{"name": "m", "kind": "period", "meter": "nope", "quantity": "1"}]}, ["/limits/0/meter"]),
        (
            {
                "limits": [{"name": "a", "kind": "stock", "resource": "agents", "quantity": "1"}],
                "prices": [{"resource": "phone-number", "unit_price": "1"}, {"resource": "seat", "unit_price": "1"}],
            },
            ["/limits/0/resource", "/prices/0/resource"],
        ),
        (
            {
                "limits": [
                    {"name": "a", "kind": "period", "meter": "messages", "quantity": "1", "filter": {"model": "x"}},
                    {"name": "b", "kind": "period", "meter": "messages", "quantity": "1", "per": "model"},
                    {"name": "c", "kind": "stock", "meter": "messages", "quantity": "1"},
                ],
                "prices": [{"meter": "requests", "unit_price": "1", "filter": {"channel": "voice"}}],
            },
            ["/limits/0/filter/model", "/limits/1/per", "/limits/2/meter", "/prices/0/filter/channel"],
        ),
    ],
)
def test_a_plan_that_counts_what_nothing_measures_is_refused(flows: Flows, body: object, pointers: list[str]) -> None:
    """Each fault with its place, and no version is written."""
    with pytest.raises(FieldInvalid) as caught:
        flows.accounts.put_plan("acme-plan", body)
    assert pointers == [pointer for pointer, _ in errors_of(caught.value)]
    with pytest.raises(NotFound):
        flows.accounts.plan("acme-plan")


def test_the_billing_period_is_the_accounts_own(flows: Flows) -> None:
    """Anchored on its day, at midnight in its zone."""
    account = flows.accounts.put(ACME, timezone="America/New_York", anchor_day=31)
    period = flows.accounts.period(account, NOW_US)
    assert Span(1_772_254_800_000_000, 1_774_929_600_000_000) == period  # 2026-02-28 05:00Z to 2026-03-31 04:00Z
