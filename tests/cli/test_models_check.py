"""``skinaudit models check`` as a user runs it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from skinaudit.classifier.finding import TITLES
from skinaudit.cli import main
from tests.bundles import change_config
from tests.classifier.faulty_models import CLASSES, pictures

STATED = (
    "--trust-code", "--classes", "mel,nv,bkl", "--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225",
    "--size", "32", "--device", "cpu", "--threads", "1",
)  # fmt: skip


@pytest.fixture(scope="module")
def lesions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 labelled pictures that the healthy network gets right."""
    folder = tmp_path_factory.mktemp("lesions")
    images, labels = pictures(24, seed=5)
    lines = ["image,dx"]
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        array = (image * 255).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(array).save(folder / f"lesion{number}.png")
        lines.append(f"lesion{number},{CLASSES[int(label)]}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_a_sound_model_raises_no_alarm(lesions: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "check", "tests.classifier.faulty_models:sound", "--images", str(lesions), *STATED]) == 0
    printed = capsys.readouterr().out
    for title in TITLES.values():
        assert title in printed
    assert "None of 9 checks raised an alarm." in printed
    assert "ALARM" not in printed


def test_a_model_that_mixes_images_raises_an_alarm_and_is_scored_one_at_a_time(
    lesions: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = "tests.classifier.faulty_models:mixing"
    assert main(["models", "check", model, "--images", str(lesions), "--json", *STATED]) == 1
    document = json.loads(capsys.readouterr().out)
    found = {one["check"]: one for one in document["checks"]}
    assert list(found) == list(TITLES)
    assert (document["exit_code"], document["alarms"]) == (1, 1)
    assert found["batch-dependence"]["level"] == "alarm"
    assert "24 of 24 labelled images are right, one image at a time" in found["accuracy"]["evidence"]


def test_at_80_columns_every_check_is_a_block_and_only_what_is_not_passed_is_explained(
    lesions: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    model = "tests.classifier.faulty_models:mixing"
    assert main(["models", "check", model, "--images", str(lesions), *STATED]) == 1
    printed = capsys.readouterr().out
    assert max(len(line) for line in printed.splitlines()) <= 80
    *blocks, last = printed.strip().split("\n\n")
    heads = [block.splitlines()[0].split(maxsplit=1) for block in blocks]
    assert [title for _, title in heads] == list(TITLES.values())
    for (mark, _), block in zip(heads, blocks, strict=True):
        assert (mark == "passed") is ("For an audit:" not in block)
        assert (mark == "passed") is ("What follows:" not in block)
        assert all(line.startswith(" " * 8) for line in block.splitlines()[1:])
    assert heads[0] == ["ALARM", "Each image on its own"]
    assert last == "1 of 9 checks raised an alarm: figures of an audit may mislead."


def test_a_bundle_without_labels(bundle: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "check", str(bundle), "--images", str(photos / "deep"), "--device", "cpu"]) == 0
    printed = capsys.readouterr()
    assert "No labels were given. The declared accuracy is 0.500." in printed.out
    assert "No labels" in printed.err


def test_an_accuracy_far_below_the_declared_one_raises_an_alarm(
    bundle: Path, lesions: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    boasting = Path(shutil.copytree(bundle, tmp_path / "boasting"))
    change_config(boasting, "metadata.json", {"skinaudit": {"measured": {"accuracy": 0.99}}})
    assert main(["models", "check", str(boasting), "--images", str(lesions), "--json", "--device", "cpu"]) == 1
    found = {one["check"]: one for one in json.loads(capsys.readouterr().out)["checks"]}
    assert found["accuracy"]["level"] == "alarm"
    assert "expected by what is declared: 0.990" in found["accuracy"]["evidence"]


def test_what_cannot_be_checked_is_refused(bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "check", str(bundle)]) == 2
    assert main(["models", "check", str(tmp_path), "--images", str(tmp_path)]) == 4
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    assert main(["models", "check", str(bundle), "--images", str(tmp_path), "--device", "cpu"]) == 3
    assert "none of 1 files" in capsys.readouterr().err
