"""``skinaudit models`` as a user runs it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from skinaudit.cli import main
from tests.bundles import change_config
from tests.plain_models import DESCRIBED, tiny_weights


def test_list_names_good_bundles_and_says_why_others_are_refused(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(bundle, tmp_path / "good")
    change_config(Path(shutil.copytree(bundle, tmp_path / "nameless")), "metadata.json", {"network_data_format": {}})
    assert main(["models", "list", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].startswith("good")
    assert "mel, nv, bkl" in lines[1]
    assert lines[2].startswith("nameless  refused")
    assert "no class names" in lines[2]


def test_list_without_a_model_or_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list", str(tmp_path)]) == 0
    assert "No model found" in capsys.readouterr().out
    assert main(["models", "list", str(tmp_path / "nowhere")]) == 3


def test_show_tells_what_a_model_is(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "show", str(bundle)]) == 0
    printed = capsys.readouterr().out
    for words in ("monai.networks.nets.DenseNet", "mel: title of mel (malignant)", "ScaleIntensityRange", "evaluator"):
        assert words in printed


def test_show_says_what_is_not_stated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "show", str(tiny_weights(tmp_path)), *DESCRIBED]) == 0
    printed = capsys.readouterr().out
    assert "lesion.safetensors, version not stated" in printed
    assert "lesion.safetensors not stated" not in printed


def test_show_as_json(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "show", str(bundle), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["classes"] == ["mel", "nv", "bkl"]
    assert document["malignant"] == ["mel"]
    assert document["declared"] == {"accuracy": 0.5}
    assert document["thresholds"] == []


def test_a_model_without_classes_is_refused(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nameless = change_config(
        Path(shutil.copytree(bundle, tmp_path / "nameless")), "metadata.json", {"network_data_format": {}}
    )
    assert main(["models", "show", str(nameless)]) == 4
    assert "no class names" in capsys.readouterr().err
