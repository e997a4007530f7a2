"""``skinaudit predict`` as a user runs it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from skinaudit.cli import main
from tests.images.dicom_files import write_dicom


def test_every_file_is_accounted_for_and_scored(
    bundle: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "predictions.csv"
    assert main(["predict", str(bundle), str(photos), "--out", str(table), "--threads", "1"]) == 0
    printed = capsys.readouterr().out
    assert "6 files, 5 predicted, 1 not readable" in printed
    assert "Accuracy 0.800 (4 of 5)" in printed
    assert printed.splitlines()[-1] == str(table)
    rows = list(csv.DictReader(table.open(encoding="utf-8")))
    assert [row["file"] for row in rows] == [
        "deep/lesion1.png",
        "deep/lesion3.png",
        "lesion0.png",
        "lesion2.png",
        "lesion4.png",
        "torn.png",
    ]
    assert [row["status"] for row in rows] == ["predicted"] * 5 + ["unreadable"]
    for row in rows[:5]:
        assert sum(float(row[f"p_{name}"]) for name in ("mel", "nv", "bkl")) == pytest.approx(1, abs=1e-4)


def test_json_has_the_same_numbers(bundle: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", str(bundle), str(photos), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["exit_code"] == 0
    assert document["score"]["accuracy"] == 0.8
    assert [one["status"] for one in document["files"]].count("predicted") == 5


def test_a_folder_in_which_nothing_can_be_read_is_unusable(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    assert main(["predict", str(bundle), str(tmp_path)]) == 3
    assert "none of 1 files can be read" in capsys.readouterr().err


def test_a_frame_and_burned_in_annotation_are_asked_for_by_name(
    bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 20, 20, 3), dtype=np.uint8)
    (tmp_path / "one").mkdir()
    write_dicom(tmp_path / "many.dcm", frames.reshape(60, 20, 3), Rows=20, NumberOfFrames=3)
    write_dicom(tmp_path / "marked.dcm", frames[0], BurnedInAnnotation="YES")
    write_dicom(tmp_path / "one" / "second.dcm", frames[1])

    def predicted(*more: str) -> dict[str, object]:
        assert main(["predict", str(bundle), str(tmp_path), "--json", *more]) == 0
        files = json.loads(capsys.readouterr().out)["files"]
        return {one["file"]: one["probabilities"] or one["reason"] for one in files}

    plain = predicted()
    assert "frame" in str(plain["many.dcm"])
    assert "BurnedInAnnotation" in str(plain["marked.dcm"])
    assert predicted("--frame", "2")["many.dcm"] == plain["one/second.dcm"]
    assert isinstance(predicted("--allow-burned-in")["marked.dcm"], dict)
