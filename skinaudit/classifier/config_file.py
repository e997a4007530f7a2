"""JSON and YAML files of a bundle, parsed as data: no tag, alias or constant can make them more than that."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TypeAlias

import yaml

from skinaudit.classifier.files import read_file
from skinaudit.classifier.refusal import ModelRefused

#: What a config file may hold.
Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | None"

MAX_BYTES = 2**20
#: The YAML parser is a thousand times slower than that of JSON.
MAX_YAML_BYTES = 2**18
MAX_DEPTH = 100
MAX_VALUES = 100_000
MAX_KEY = 1000
MAX_WHOLE = 2**63


def read_config(path: Path) -> dict[str, Value]:
    """Read one JSON or YAML file whose top level is an object.

    Raises:
        ModelRefused: The file is too large or too deep, is not valid, repeats a key, holds NaN, infinity or a huge
            number, uses YAML's anchors, tags or merge keys, or is not an object.
    """
    is_json = path.suffix == ".json"
    content = read_file(path, MAX_BYTES if is_json else MAX_YAML_BYTES)
    try:
        text = content.decode("utf-8")
        value = parse_json(text) if is_json else _parse_yaml(text)
    except RecursionError:
        raise ModelRefused(f"{path.name}: nested deeper than {MAX_DEPTH} levels.") from None
    except (ValueError, yaml.YAMLError) as error:
        raise ModelRefused(f"{path.name}: not readable as {path.suffix[1:].upper()}: {str(error)[:500]}") from error
    checked = _Check(path.name).value(value)
    if not isinstance(checked, dict):
        raise ModelRefused(f"{path.name}: the top level must be an object, got {type(checked).__name__}.")
    return checked


def canonical_json(value: Value) -> str:
    """Write a value the same way whatever the order of keys and the spacing of its file."""
    return json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False)


def parse_json(text: str) -> object:
    """Parse JSON in which no object repeats a key and every number is one.

    Raises:
        ValueError: The text is not valid, or one of these does not hold.
        RecursionError: It is nested too deep.
    """
    return json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_no_constant)


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result: dict[str, object] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f'the key "{key[:100]}" appears twice in one object; keep one of them')
        result[key] = value
    return result


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not a number that a config may hold")


class _PlainLoader(yaml.SafeLoader):
    """The safe loader without aliases (they can grow a small file without bound), tags and repeated keys."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose one node, refusing what is more than plain data."""
        if self.check_event(yaml.AliasEvent):
            raise ValueError("aliases (*name) are not accepted; write the value out")
        tag = getattr(self.current_event, "tag", None)
        if tag is not None:
            raise ValueError(f"tags ({tag[:100]}) are not accepted; write plain values")
        node = super().compose_node(parent, index)
        # The time that a number of base 60 takes grows with the square of its length.
        if isinstance(node, yaml.ScalarNode) and node.tag != _TEXT and len(node.value) > 100:
            raise ValueError(f"a number of {len(node.value)} characters is not accepted")
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        """Build one mapping, refusing merge keys and a key that appears twice."""
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag == _MERGE or not isinstance(key, yaml.ScalarNode):
                raise ValueError("a key must be text; merge keys (<<) are not accepted")
            if key.value in seen:
                raise ValueError(f'the key "{key.value[:100]}" appears twice in one object; keep one of them')
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


_TEXT, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"


def _parse_yaml(text: str) -> object:
    loader = _PlainLoader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


class _Check:
    """Narrows what a parser gave to plain data of bounded depth and amount."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._values = 0

    def value(self, value: object, depth: int = 0) -> Value:
        """Check one value and what is in it."""
        self._values += 1
        if depth > MAX_DEPTH:
            raise ModelRefused(f"{self.file}: nested deeper than {MAX_DEPTH} levels.")
        if self._values > MAX_VALUES:
            raise ModelRefused(f"{self.file}: more than {MAX_VALUES} values; no model needs so many.")
        if isinstance(value, float) and not math.isfinite(value):
            raise ModelRefused(f"{self.file}: {value} is not a number that a config may hold.")
        if isinstance(value, int) and abs(value) > MAX_WHOLE:
            raise ModelRefused(f"{self.file}: a whole number of {value.bit_length()} bits; at most 63 are accepted.")
        if value is None or isinstance(value, int | float | str):
            return value
        if isinstance(value, list):
            return [self.value(item, depth + 1) for item in value]
        if isinstance(value, dict):
            return {self._key(key): self.value(item, depth + 1) for key, item in value.items()}
        raise ModelRefused(
            f"{self.file}: a value of type {type(value).__name__} is not plain data; write it as text or number."
        )

    def _key(self, key: object) -> str:
        if not isinstance(key, str):
            raise ModelRefused(f'{self.file}: the key {key!r} is not text; put it in quotes: "{key}".')
        if len(key) > MAX_KEY:
            raise ModelRefused(f"{self.file}: a key of {len(key)} characters; at most {MAX_KEY} are accepted.")
        return key
