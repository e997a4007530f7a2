"""JSON and YAML files of a bundle, parsed as data: no tag, alias or constant can make them more than that."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TypeAlias

import yaml

from skinaudit.classifier.refusal import ModelRefused

#: What a config file may hold.
Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | None"

MAX_BYTES = 4 * 2**20
MAX_DEPTH = 100


def read_config(path: Path) -> dict[str, Value]:
    """Read one JSON or YAML file whose top level is an object.

    Raises:
        ModelRefused: The file is too large or too deep, is not valid, repeats a key, holds NaN or infinity, uses YAML
            anchors or tags, or is not an object.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ModelRefused(f"{path.name}: {size} bytes; a config file may have at most {MAX_BYTES}.")
    try:
        text = path.read_text(encoding="utf-8")
        value = _parse_json(text) if path.suffix == ".json" else _parse_yaml(text)
    except RecursionError:
        raise ModelRefused(f"{path.name}: nested deeper than {MAX_DEPTH} levels.") from None
    except (ValueError, yaml.YAMLError) as error:
        raise ModelRefused(f"{path.name}: not readable as {path.suffix[1:].upper()}: {error}") from error
    checked = _checked(value, path.name)
    if not isinstance(checked, dict):
        raise ModelRefused(f"{path.name}: the top level must be an object, got {type(checked).__name__}.")
    return checked


def canonical_json(value: Value) -> str:
    """Write a value the same way whatever the order of keys and the spacing of its file."""
    return json.dumps(value, sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False)


def _parse_json(text: str) -> object:
    return json.loads(text, object_pairs_hook=_unique_keys, parse_constant=_no_constant)


def _unique_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result: dict[str, object] = {}
    for key, value in pairs:
        if key in result:
            raise ValueError(f'the key "{key}" appears twice in one object; keep one of them')
        result[key] = value
    return result


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not a number that a config may hold")


class _PlainLoader(yaml.SafeLoader):
    """The safe loader without aliases (they can grow a small file without bound) and without repeated keys."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose one node, refusing an alias."""
        if self.check_event(yaml.AliasEvent):
            raise ValueError("aliases (*name) are not accepted; write the value out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        """Build one mapping, refusing a key that appears twice."""
        keys = [str(key.value) for key, _ in node.value]
        repeated = sorted({key for key in keys if keys.count(key) > 1}) if len(set(keys)) < len(keys) else []
        if repeated:
            raise ValueError(f'the key "{repeated[0]}" appears twice in one object; keep one of them')
        return super().construct_mapping(node, deep=deep)


def _parse_yaml(text: str) -> object:
    loader = _PlainLoader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


def _checked(value: object, name: str, depth: int = 0) -> Value:
    """Narrow what the parser gave to plain data of bounded depth."""
    if depth > MAX_DEPTH:
        raise ModelRefused(f"{name}: nested deeper than {MAX_DEPTH} levels.")
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ModelRefused(f"{name}: {value} is not a number that a config may hold.")
        return value
    if isinstance(value, list):
        return [_checked(item, name, depth + 1) for item in value]
    if isinstance(value, dict):
        result: dict[str, Value] = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise ModelRefused(f'{name}: the key {key!r} is not text; put it in quotes: "{key}".')
            result[key] = _checked(item, name, depth + 1)
        return result
    raise ModelRefused(f"{name}: a value of type {type(value).__name__} is not plain data; write it as text or number.")
