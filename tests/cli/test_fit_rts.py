"""``skinaudit fit-rts`` as a user runs it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from skinaudit.cli import main
from tests.small_folder import write_images


@pytest.fixture
def model(bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle, tmp_path / "model"))


def command(model: Path, images: Path, *more: str) -> list[str]:
    return ["fit-rts", str(model), str(images), "--epochs", "1", "--batch", "4", "--threads", "1", *more]


def test_a_fitted_model_can_be_explained_with_rts(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_images(tmp_path / "images", 9)
    one = tmp_path / "images" / "lesion0.png"
    explain = ["explain", str(model), str(one), "--interpreters", "rts", "--out", str(tmp_path / "maps")]
    assert main(explain) == 4
    assert "run `skinaudit fit-rts MODEL IMAGES`" in capsys.readouterr().err
    assert main(command(model, tmp_path / "images")) == 0
    printed = capsys.readouterr()
    assert "Epoch 1: held-out loss" in printed.err
    assert "9, of which 1 held out" in printed.out
    assert [path.name for path in (model / "interpreters").iterdir()] == ["rts.safetensors"]
    assert main(explain) == 0
    assert any("rts" in path.name for path in (tmp_path / "maps").iterdir())


def test_the_same_command_goes_on_and_another_is_refused(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_images(tmp_path / "images", 9)
    state, out = tmp_path / "state", tmp_path / "rts.safetensors"
    given = command(model, tmp_path / "images", "--checkpoint", str(state), "--out", str(out))
    out.mkdir()  # so that the result cannot be written there
    assert main(given) == 3
    assert state.is_file()
    out.rmdir()
    capsys.readouterr()
    assert main([*given, "--seed", "1"]) == 6
    assert "belongs to a fit of other weights, images or settings" in capsys.readouterr().err
    assert main([*given, "--json"]) == 0
    printed = capsys.readouterr()
    assert "Going on from" in printed.err
    document = json.loads(printed.out)
    assert document["stored"] == str(out)
    assert document["images"] == 9
    assert len(document["epochs"]) == 1
    assert not state.exists()


def test_who_interrupts_it_is_told_where_the_state_is_and_goes_on(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_images(tmp_path / "images", 9)
    state = model / "interpreters" / "rts.unfinished"

    def interrupted(*_: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as during_the_first_epoch:
        during_the_first_epoch.setattr("skinaudit.cli.fit_rts._line", interrupted)
        assert main(command(model, tmp_path / "images")) == 5
    said = " ".join(capsys.readouterr().err.split())
    assert f"interrupted; what is done so far is kept in {state}, the model is as it was. The same command" in said
    assert main(command(model, tmp_path / "images")) == 0
    assert f"Going on from {state}" in " ".join(capsys.readouterr().err.split())
    assert not state.exists()


def test_too_few_images_are_unusable(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_images(tmp_path / "images", 3)
    assert main(command(model, tmp_path / "images")) == 3
    assert "3 images; RTS is fitted to 8 at least" in capsys.readouterr().err
    assert not (model / "interpreters" / "rts.safetensors").exists()
