"""``skinaudit explain`` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skinaudit.cli import main


def test_pictures_and_maps_are_written(
    bundle: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "maps"
    arguments = ["explain", str(bundle), str(photos / "lesion0.png"), "--class", "NV", "--out", str(out)]
    assert main([*arguments, "--threads", "1"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == str(out)
    assert sorted(path.name for path in out.iterdir()) == [
        f"lesion0.png.{name}.nv.{ending}" for name in ("cam", "grad") for ending in ("npy", "png")
    ]
    saliency = np.load(out / "lesion0.png.cam.nv.npy")
    assert saliency.dtype == np.float32
    assert 0 <= saliency.min() <= saliency.max() <= 1
    with Image.open(out / "lesion0.png.cam.nv.png") as picture:
        assert picture.size == (32 + 8 + 32, 32)


def test_json_lists_the_files(bundle: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["explain", str(bundle), str(photos), "--interpreters", "cam", "--out", str(tmp_path), "--json"]
    assert main(command) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert len(files) == 6
    for one in files:
        if one["file"] == "torn.png":
            assert one["reason"]
        else:
            assert Path(one["maps"]["cam"]).is_file()
            assert one["explained"] == one["diagnosis"]


def test_an_unknown_class_is_a_usage_error(bundle: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", str(bundle), str(photos), "--class", "wart"]) == 2
    assert "'wart' is not among the classes (mel, nv, bkl)" in capsys.readouterr().err


def test_one_damaged_image_is_unusable_input(
    bundle: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", str(bundle), str(photos / "torn.png"), "--out", str(tmp_path / "maps")]) == 3
    assert "no file can be read" in capsys.readouterr().err
    assert not (tmp_path / "maps").exists()
