"""Lists of prices: found by the model's name, valid from a day on, said where each comes from."""

import tomllib
from importlib.resources import files

import pytest

from tallybook.core.card import LISTED, LISTS
from tallybook.core.errors import StartRefused
from tallybook.core.instant import parse_instant
from tallybook.core.number import NANOS, parse_nanos
from tallybook.core.pricelist import known_as, load_price_list
from tallybook.core.rate import charge

PACKAGED = files("tallybook").joinpath("data", "llm_prices.toml").read_text("utf-8")
OWN = """
currency = "USD"
[[models]]
model = "House-Model"
input = "1"
output = "2"
[[models]]
model = "house-model"
from = 2026-05-01
input = "0.5"
"""


@pytest.mark.parametrize(
    ("model", "found"),
    [
        ("gpt-4o", "gpt-4o"),
        ("GPT-4o", "gpt-4o"),
        ("openai/gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-4o-latest", "gpt-4o"),
        ("claude-sonnet-4-5-20250929", "claude-sonnet-4-5"),
        ("claude-sonnet-4@20250514", "claude-sonnet-4"),
        ("gpt-4o-audio", None),
        ("gpt-4", None),
        ("", None),
    ],
)
def test_a_model_is_known_by_its_name_without_maker_and_date(model: str, found: str | None) -> None:
    """Nothing else is guessed: a name that begins alike is another model."""
    assert found == known_as(load_price_list("llm", PACKAGED).models, model)


def test_a_dated_name_of_the_list_itself_wins() -> None:
    """Makers sell old versions at old prices."""
    assert "m-2026-01-02" == known_as({"m": 1, "m-2026-01-02": 2}, "x/m-2026-01-02")


def test_every_packaged_price_says_where_it_is_from_and_when_it_was_read() -> None:
    """Three prices a model: what is cached costs less than what is not."""
    document = tomllib.loads(PACKAGED)
    assert LISTS["llm"] == document["currency"]
    for model in document["models"]:
        assert {"model", "source", "read", "input", "cached_input", "output"} <= model.keys()
        assert parse_nanos(model["cached_input"]) < parse_nanos(model["input"]) < parse_nanos(model["output"])


def test_a_price_counts_from_its_day_on_and_the_oldest_since_ever() -> None:
    """What a later price leaves out has none from then on; the operator's file speaks for its models."""
    prices = load_price_list("llm", PACKAGED, OWN, own_name="own.toml")
    cut = parse_instant("2026-05-01", "from")[0]
    assert [cut] == prices.cuts()
    before, after = (prices.rate("input_tokens", "house-model", at_us) for at_us in (0, cut))
    assert (before and charge(before, 10**6 * NANOS), after and charge(after, 10**6 * NANOS)) == (NANOS, NANOS // 2)
    assert None is prices.rate("output_tokens", "house-model", cut)
    assert prices.rate("input_tokens", "gpt-4o", 0)
    odd = prices.rate("input_tokens", "house-model", cut, multiplier=parse_nanos("0.333333333"))
    assert odd
    assert parse_nanos("0.166666666") <= charge(odd, 10**6 * NANOS) <= parse_nanos("0.166666667")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("currency = 5", "currency"),
        ('currency = "USD"\n[[models]]\ninput = "1"', "models/0/model"),
        ('currency = "USD"\n[[models]]\nmodel = "m"', "models/0"),
        ('currency = "USD"\n[[models]]\nmodel = "m"\ninput = 1.5', "models/0/input"),
        ('currency = "USD"\n[[models]]\nmodel = "m"\ninput = "-1"', "models/0/input"),
        ('currency = "USD"\n[[models]]\nmodel = "m"\ninput = "1"\nfrom = "soon"', "models/0/from"),
        ('currency = "USD"\n[[models]]\nmodel = "m"\ninput = "1"\n[[models]]\nmodel = "m"\ninput = "2"', "same day"),
        ('currency = "EUR"\n[[models]]\nmodel = "m"\ninput = "1"', "must be USD"),
        ("models = [", "own.toml"),
        ('currency = "USD"\nmodels = []\nextra = 1', "extra"),
    ],
)
def test_a_wrong_file_is_refused_at_the_start(text: str, told: str) -> None:
    """In one line that names the place."""
    with pytest.raises(StartRefused) as refused:
        load_price_list("llm", PACKAGED, text, own_name="own.toml")
    assert told in refused.value.message
    assert "own.toml" in refused.value.message


def test_the_listed_meters_are_in_the_catalogue() -> None:
    """Each with the dimension that lists go by."""
    catalogue = tomllib.loads(files("tallybook").joinpath("data", "catalogue.toml").read_text("utf-8"))
    assert all("model" in catalogue["meters"][name]["dimensions"] for name in LISTED)
