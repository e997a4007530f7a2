"""``skinaudit calibrate`` as a user runs it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from skinaudit.calibration.thresholds import read_thresholds
from skinaudit.classifier.classifier import load_classifier
from skinaudit.cli import main


def test_limits_are_stored_in_the_bundle_and_shown(
    bundle: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = Path(shutil.copytree(bundle, tmp_path / "model"))
    assert main(["calibrate", str(model), str(photos), "--threads", "1"]) == 0
    printed = capsys.readouterr()
    assert "cam: only 4 images" in printed.err
    stored = read_thresholds(model / "skinaudit" / "calibration.json", load_classifier(model).digest)
    assert set(stored) == {"cam", "grad"}
    assert stored["cam"].images == 4
    assert f"{stored['cam'].l1:.4f}" in printed.out
    assert main(["models", "show", str(model)]) == 0
    assert f"cam: L1 at most {stored['cam'].l1:.4f}" in capsys.readouterr().out


def test_a_dry_run_stores_nothing(bundle: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["calibrate", str(bundle), str(photos), "--interpreters", "cam", "--dry-run", "--json"]
    assert main(command) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["stored"] is None
    assert [row["interpreter"] for row in document["thresholds"]] == ["cam"]
    assert not (bundle / "skinaudit").exists()


def test_images_without_labels_where_labels_are_given_are_unusable(
    bundle: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("image,dx\nelsewhere,mel\n")
    assert main(["calibrate", str(bundle), str(photos), "--labels", str(labels)]) == 3
    assert "none of 6 files is readable and labelled" in capsys.readouterr().err
