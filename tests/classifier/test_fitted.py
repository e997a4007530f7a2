from __future__ import annotations

import dataclasses
import json
from pathlib import Path

from skinaudit.classifier.bundle import read_bundle
from skinaudit.classifier.fitted import name_fitted
from tests.bundles import make_bundle


def test_a_named_interpreter_is_read_again_and_changes_the_configuration(tmp_path: Path) -> None:
    before = read_bundle(make_bundle(tmp_path / "tiny"))
    assert before.fitted == {}
    name_fitted(before, "rts", "ab" * 32)
    name_fitted(read_bundle(before.path), "other", "cd" * 32)
    after = read_bundle(before.path)
    assert after.fitted == {"rts": "ab" * 32, "other": "cd" * 32}
    assert after.config_digest != before.config_digest
    assert after.titles == before.titles


def test_nothing_else_in_the_metadata_changes(tmp_path: Path) -> None:
    bundle = read_bundle(make_bundle(tmp_path / "tiny"))
    file = bundle.path / "configs" / "metadata.json"
    before = json.loads(file.read_text(encoding="utf-8"))
    name_fitted(bundle, "rts", "ab" * 32)
    after = json.loads(file.read_text(encoding="utf-8"))
    assert after["skinaudit"].pop("interpreters") == {"rts": "ab" * 32}
    assert after == before


def test_files_of_fitted_interpreters_lie_in_the_bundle_or_beside_the_weights(tmp_path: Path) -> None:
    bundle = read_bundle(make_bundle(tmp_path / "tiny"))
    assert bundle.fitted_file("rts") == tmp_path / "tiny" / "interpreters" / "rts.safetensors"
    assert bundle.ignored == read_bundle(bundle.path).ignored
    plain = dataclasses.replace(bundle, fitted=None, calibration=tmp_path / "net.pt.calibration-12.json")
    assert plain.fitted_file("rts") == tmp_path / "net.pt.calibration-12.rts.safetensors"
