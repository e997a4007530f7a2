from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from skinaudit.report.document import SCHEMA_VERSION, Report
from skinaudit.report.findings import summarise
from skinaudit.report.twin import read_json, write_json
from tests.report.synthetic import synthetic_run


def test_twin_reads_back_as_the_same_report(tmp_path: Path) -> None:
    view = synthetic_run(tmp_path, 14, pictures_of=2)
    write_json(view, tmp_path / "report.json")
    assert read_json(tmp_path / "report.json") == summarise(view)


def test_twin_follows_its_own_schema(tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    write_json(synthetic_run(tmp_path, 3), tmp_path / "report.json")
    content = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    jsonschema.validate(content, Report.model_json_schema(mode="serialization"))
    assert content["schema_version"] == SCHEMA_VERSION == "1.0"


def test_twin_of_another_version_is_refused(tmp_path: Path) -> None:
    write_json(synthetic_run(tmp_path, 3), tmp_path / "report.json")
    text = (tmp_path / "report.json").read_text(encoding="utf-8")
    (tmp_path / "report.json").write_text(
        text.replace('"schema_version": "1.0"', '"schema_version": "9.0"'), encoding="utf-8"
    )
    with pytest.raises(ValidationError):
        read_json(tmp_path / "report.json")


def test_same_records_give_the_same_bytes(tmp_path: Path) -> None:
    view = synthetic_run(tmp_path, 14, pictures_of=2)
    write_json(view, tmp_path / "one.json")
    write_json(view, tmp_path / "two.json")
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
