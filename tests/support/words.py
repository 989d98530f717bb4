"""Random words about things, few enough of each for ties and clashes."""

import random

from tallybook.core.resource import Change, ResourceKey, ResourceWord, read_word


def told(dice: random.Random) -> tuple[ResourceKey, ResourceWord]:
    """What a random event says about one of a few things of one of two accounts, at one of a few instants."""
    data: dict[str, object] = {}
    if dice.random() < 0.5:
        data["name"] = dice.choice(["a", "B", "b", "é", "", "中"])
    if dice.random() < 0.5:
        data["shared"] = dice.random() < 0.5
    if dice.random() < 0.5:
        data["active"] = dice.random() < 0.5
    key = dice.randint(1, 2), dice.choice(["agent", "seat"]), dice.choice(["x", "y", "z"])
    return key, read_word(dice.choice(list(Change)), dice.randint(0, 5), data)
