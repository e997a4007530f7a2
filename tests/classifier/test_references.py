from __future__ import annotations

import pytest

from skinaudit.classifier.config_file import Value
from skinaudit.classifier.references import Resolver
from skinaudit.classifier.refusal import ModelRefused


def entry(config: dict[str, Value], key: str = "needed") -> Value:
    return Resolver("inference.json", config).entry(key)


def test_references_lead_to_literals() -> None:
    config: dict[str, Value] = {
        "needed": {"a": "@number", "b": ["@table::list::1", "@table#list#0"], "c": "@link::list"},
        "number": 3,
        "table": {"list": ["x", "@number"]},
        "link": "@table",
    }
    resolver = Resolver("inference.json", config)
    assert resolver.entry("needed") == {"a": 3, "b": [3, "x"], "c": ["x", 3]}
    assert resolver.used == {"needed", "number", "table", "link"}


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"needed": "$import os"}, 'inference.json: needed asks for "\\$import os"; a bundle is read as data'),
        ({"needed": {"a": ["$1 + 1"]}}, "needed::a::0 asks for"),
        ({"needed": "@a", "a": {"b": "$1"}}, "a::b asks for"),
        ({"needed": "%other.json::a"}, "is not a literal"),
        ({"needed": "@nothing"}, 'refers to "@nothing", which is not in this file'),
        ({"needed": "@a::2", "a": [1, 2]}, "which is not in this file"),
        ({"needed": "@a::-1", "a": [1, 2]}, "which is not in this file"),
        ({"needed": "@needed"}, "leads back to itself"),
        ({"needed": "@a", "a": "@b", "b": {"c": "@a"}}, "leads back to itself"),
        ({"needed": "@a::x", "a": "@b", "b": "@a::x"}, "leads back to itself"),
    ],
)
def test_what_is_not_a_literal_is_refused(config: dict[str, Value], message: str) -> None:
    with pytest.raises(ModelRefused, match=message):
        entry(config)


def test_a_chain_of_ten_is_followed_and_one_of_eleven_refused() -> None:
    chain: dict[str, Value] = {f"k{index}": f"@k{index + 1}" for index in range(11)}
    chain["k11"] = 7
    assert entry(chain, "k1") == 7
    with pytest.raises(ModelRefused, match="more than 10 references"):
        entry(chain, "k0")


def test_a_config_that_grows_without_bound_is_refused() -> None:
    config: dict[str, Value] = {f"k{index}": [f"@k{index + 1}"] * 20 for index in range(8)}
    config["k8"] = 1
    with pytest.raises(ModelRefused, match="grows beyond"):
        entry(config, "k0")
