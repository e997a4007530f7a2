from __future__ import annotations

from pathlib import Path

import pytest

from skinaudit.classifier.config_file import canonical_json, read_config
from skinaudit.classifier.refusal import ModelRefused


def test_json_and_yaml_give_the_same_data(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": [1, 2.5, "x", null, true], "b": {"c": "$import os"}}', encoding="utf-8")
    (tmp_path / "a.yaml").write_text("b: {c: $import os}\na: [1, 2.5, x, null, true]\n", encoding="utf-8")
    data = read_config(tmp_path / "a.json")
    assert data == {"a": [1, 2.5, "x", None, True], "b": {"c": "$import os"}}
    assert canonical_json(read_config(tmp_path / "a.yaml")) == canonical_json(data)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", '{"a": 1, "a": 2}', 'the key "a" appears twice'),
        ("a.json", '{"a": {"b": 1, "b": 1}}', 'the key "b" appears twice'),
        ("a.json", '{"a": NaN}', "NaN is not a number"),
        ("a.json", '{"a": -Infinity}', "-Infinity is not a number"),
        ("a.json", '{"a": 1e999}', "inf is not a number"),
        ("a.json", "[1]", "the top level must be an object, got list"),
        ("a.json", "{", "not readable as JSON"),
        ("a.json", '{"a": ' + "[" * 150 + "]" * 150 + "}", "nested deeper than 100"),
        ("a.json", '{"a": ' + "[" * 200_000 + "]" * 200_000 + "}", "nested deeper than 100"),
        ("a.yaml", "a: 1\na: 2\n", 'the key "a" appears twice'),
        ("a.yaml", "a: .nan\n", "nan is not a number"),
        ("a.yaml", "a: &x [1]\nb: *x\n", "aliases"),
        ("a.yaml", "a: !!python/object/apply:os.system [true]\n", "not readable as YAML"),
        ("a.yaml", "a: 2020-01-01\n", "a value of type date is not plain data"),
        ("a.yaml", "1: a\n", "the key 1 is not text"),
        ("a.yaml", "a: " + "[" * 5000 + "]" * 5000, "nested deeper than 100"),
        ("a.yaml", "? [a, b]\n: c\n", "not readable as YAML"),
    ],
)
def test_what_is_not_plain_data_is_refused(name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ModelRefused, match=message):
        read_config(tmp_path / name)


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ModelRefused, match="not readable as JSON"):
        read_config(tmp_path / "a.json")


def test_a_file_larger_than_the_cap_is_not_parsed(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"a": "' + "x" * (4 * 2**20) + '"}', encoding="utf-8")
    with pytest.raises(ModelRefused, match="may have at most"):
        read_config(tmp_path / "a.json")
