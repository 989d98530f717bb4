"""Meters, limits and prices over fields that senders named as they like."""

from urllib.parse import quote

import pytest

NAMES = ["totalAmount", "_id", "1st", "größe", "a b", "a.b/c~d", "x" * 128]


@pytest.mark.parametrize("name", NAMES)
def test_a_dimension_of_any_name_is_grouped_filtered_limited_and_priced(desk, name):
    """
    What a meter takes as a dimension, limits, prices and questions take, too.
    """
    meter = {"event": "order", "aggregation": "sum", "field": "theSum", "dimensions": [name], "unit": "EUR"}
    made = desk.put("/v1/meters/orderTotal", desk.operator, json=meter)
    limits = [
        {"name": "perPart", "kind": "period", "meter": "orderTotal", "per": name, "quantity": "10"},
        {"name": "onePart", "kind": "period", "meter": "orderTotal", "filter": {name: "one"}, "quantity": "5"},
    ]
    prices = [
        {"meter": "orderTotal", "unit_price": "1"},
        {"meter": "orderTotal", "filter": {name: "one"}, "unit_price": "2"},
    ]
    plan = desk.put("/v1/plans/Orders", desk.operator, json={"title": "Orders", "limits": limits, "prices": prices})
    key = desk.account("acme", plan="Orders")
    parts = {"e1": "one", "e2": "two"}
    desk.send(*({"id": i, "type": "order", "data": {"theSum": "3", name: part}} for i, part in parts.items()), key=key)

    assert (200, 200) == (made.status_code, plan.status_code), made.text + plan.text
    usage = f"/v1/accounts/acme/usage?meter=orderTotal&filter[{quote(name)}]=one"
    assert "3" == desk.get(usage, key).json()["total"]
    grouped = desk.get(f"/v1/accounts/acme/usage?meter=orderTotal&group_by={quote(name)}", key).json()["rows"]
    assert [{name: "one"}, {name: "two"}] == [row["group"] for row in grouped]
    assert "9" == desk.get("/v1/accounts/acme/cost", key).json()["total"]
    asked = {"items": [{"limit": "perPart", "quantity": "2.5", "dimensions": {name: "two"}}]}
    assert desk.post("/v1/accounts/acme/checks", key, json=asked).json()["allowed"]
    asked = {"items": [{"limit": "onePart", "quantity": "2.5"}]}
    assert ["onePart"] == desk.post("/v1/accounts/acme/checks", key, json=asked).json()["violated"]


def test_a_meter_that_cannot_be_read_is_refused_and_everything_goes_on(desk):
    """
    Nothing of it is kept: events count as before, and the next meter is added.
    """
    for name in ('a"b', "a\\b", "a\nb"):
        body = {"event": "order", "aggregation": "count", "dimensions": [name]}
        refused = desk.put("/v1/meters/orders", desk.operator, json=body)

        assert (422, "invalid-field") == (refused.status_code, refused.json()["code"])
        event = {"id": f"e{name!a}", "type": "order", "subject": "acme", "data": {name: "x"}}
        assert 1 == desk.send(event)["accepted"]
    added = desk.put("/v1/meters/orders", desk.operator, json={"event": "order", "aggregation": "count"})
    assert 200 == added.status_code
