"""Models that are no bundles, in every command that takes a model."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from skinaudit.cli import main
from skinaudit.report.twin import read_json
from tests.plain_models import DESCRIBED, STATED, exported, scripted, tiny_network, tiny_weights

QUICK = ("--preset", "quick", "--threads", "1", "--batch-size", "2")
FACTORY = """
from tests.plain_models import TINY_ARGUMENTS
from skinaudit.classifier.networks import build_network

def make():
    return build_network("monai.networks.nets.DenseNet", TINY_ARGUMENTS)
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def script(weights: Path) -> Path:
    return scripted(tiny_network(weights), weights.with_name("script.pt"))


@pytest.fixture(scope="module")
def program(weights: Path) -> Path:
    return exported(tiny_network(weights), weights.with_name("program.pt2"))


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.chdir(tmp_path)
    Path("zoo_of_the_clinic.py").write_text(FACTORY, encoding="utf-8")
    yield "zoo_of_the_clinic:make"
    sys.modules.pop("zoo_of_the_clinic", None)


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory, photos: Path) -> Path:
    """The photographs alone: these models see them upright, and so differ from the bundle behind the labels."""
    folder = tmp_path_factory.mktemp("unlabelled")
    for path in sorted(photos.rglob("lesion*.png")):
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, unlabelled: Path) -> Path:
    folder = tmp_path_factory.mktemp("two")
    for path in sorted(unlabelled.iterdir())[:2]:
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def predictions(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, object]]:
    assert main(["predict", *arguments, "--threads", "1", "--json"]) == 0
    found: list[dict[str, object]] = json.loads(capsys.readouterr().out)["files"]
    return found


def test_one_network_predicts_the_same_whatever_it_came_as(
    weights: Path, script: Path, program: Path, zoo: str, unlabelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    images = str(unlabelled)
    expected = predictions(capsys, str(weights), images, *DESCRIBED)
    for arguments in (
        (str(script), images, *STATED, "--trust-code"),
        (str(program), images, *STATED, "--trust-code"),
        (zoo, images, *STATED, "--weights", str(weights), "--trust-code"),
    ):
        for found, reference in zip(predictions(capsys, *arguments), expected, strict=True):
            assert (found["file"], found["predicted"]) == (reference["file"], reference["predicted"])
            assert found["probabilities"] == pytest.approx(reference["probabilities"], abs=1e-4)


def test_code_that_is_not_trusted_is_refused_in_one_line(
    script: Path, program: Path, zoo: str, unlabelled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for model, what in ((str(script), "TorchScript archive"), (str(program), "torch.export"), (zoo, "Python function")):
        assert main(["predict", model, str(unlabelled), *STATED]) == 4
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert what in said
        assert "add --trust-code" in said


def test_show_says_what_it_is_what_was_assumed_and_what_ran(
    weights: Path, script: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "show", str(weights), *DESCRIBED]) == 0
    shown = capsys.readouterr().out
    assert "Kind            plain weights" in shown
    assert "Trusted code    no" in shown
    assert main(["models", "show", str(script), *STATED, "--malignant", "none", "--trust-code", "--json"]) == 0
    printed = capsys.readouterr()
    assert "Trusted code was run: TorchScript archive script.pt, SHA-256 " in printed.err
    card = json.loads(printed.out)
    assert (card["kind"], card["assumed"]) == ("TorchScript archive", [])
    assert card["trusted_code"].startswith("TorchScript archive script.pt, SHA-256 ")


def test_limits_of_plain_weights_are_kept_beside_them_for_this_pre_processing_alone(
    weights: Path, unlabelled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "lesion.safetensors"
    own.write_bytes(weights.read_bytes())
    command = ["calibrate", str(own), str(unlabelled), *DESCRIBED, "--threads", "1", "--interpreters", "cam", "--json"]
    assert main(command) == 0
    stored = Path(json.loads(capsys.readouterr().out)["stored"])
    assert stored.parent == tmp_path
    assert stored.name.startswith("lesion.safetensors.calibration-")
    assert main(["models", "show", str(own), *DESCRIBED, "--json"]) == 0
    assert [row["interpreter"] for row in json.loads(capsys.readouterr().out)["thresholds"]] == ["cam"]
    assert main(["models", "show", str(own), *DESCRIBED, "--mean", "none", "--std", "none", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["thresholds"] == []


def test_maps_are_drawn_upright(weights: Path, unlabelled: Path, tmp_path: Path) -> None:
    image = str(unlabelled / "lesion0.png")
    command = ["explain", str(weights), image, *DESCRIBED[:-1], "32x64", "--out", str(tmp_path), "--threads", "1"]
    assert main([*command, "--interpreters", "grad"]) == 0
    import numpy as np

    (saved,) = tmp_path.rglob("*.npy")
    assert np.load(saved).shape == (8, 16)


def test_an_audit_of_trusted_code_says_so_everywhere(
    script: Path, two: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    command = [
        "audit",
        str(script),
        str(two),
        "--out",
        str(run),
        *QUICK,
        "--interpreters",
        "cam,grad",
        *STATED,
        "--trust-code",
    ]
    assert main(command) == 0
    printed = capsys.readouterr()
    assert "Trusted code was run: TorchScript archive script.pt" in printed.out
    assert "cam is skipped: " in printed.err
    report = read_json(run / "report.json")
    assert report.header.model.trusted_code.startswith("TorchScript archive script.pt, SHA-256 ")
    assert report.header.config.interpreters == ("grad",)
    assert any("Code of the model was executed (--trust-code)" in line for line in report.limitations)
    assert "--classes mel,nv,bkl --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 --size 32x32 --trust-code" in (
        report.header.command
    )
    assert main([*command, "--malignant", "none"]) == 6
    assert "the model's configuration (digest)" in capsys.readouterr().err


def test_an_audit_of_plain_weights_runs_and_its_object_is_named(
    weights: Path, two: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    command = ["audit", str(weights), str(two), "--out", str(run), *QUICK, "--interpreters", "cam", *DESCRIBED]
    assert main(command) == 0
    model = read_json(run / "report.json").header.model
    assert (model.kind, model.trusted_code) == ("plain weights", "")
    assert model.assumed == ("malignant: mel: not stated, taken from the names of the classes",)
    assert str(weights.parent) not in (run / "report.json").read_text(encoding="utf-8")
    assert "Assumed: malignant: mel" in capsys.readouterr().out
