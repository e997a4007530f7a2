"""The options that describe a model which is no bundle."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import typer

from skinaudit.classifier.source import ModelSource
from skinaudit.cli import main
from skinaudit.cli.model_options import read_size, read_source, takes_a_model

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_a_place_alone_says_nothing_more() -> None:
    assert read_source("models/tiny") == ModelSource(Path("models/tiny"))


def test_everything_that_can_be_said_is_read() -> None:
    read = read_source(
        "lesion.pt",
        "timm:resnet50",
        "mel, nv ,bkl",
        "mel",
        "0.5,.5,1",
        "1,1,2",
        "240x320",
        "ema",
        "model.",
        Path("w"),
        True,
    )
    assert read == ModelSource(
        Path("lesion.pt"), None, "timm:resnet50", "ema", "model.", ("mel", "nv", "bkl"), ("mel",), (0.5, 0.5, 1.0),
        (1.0, 1.0, 2.0), (240, 320), Path("w"), True,
    )  # fmt: skip


def test_a_function_is_told_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_source("clinic.networks:make").factory == "clinic.networks:make"
    monkeypatch.chdir(tmp_path)
    Path("lesion:pt").write_bytes(b"")
    assert read_source("lesion:pt").place == Path("lesion:pt")


def test_a_word_stands_for_mean_and_deviation_unless_one_is_given() -> None:
    for words in ({"mean": "imagenet"}, {"std": "ImageNet "}, {"mean": "imagenet", "std": "imagenet"}):
        read = read_source("a", **words)  # type: ignore[arg-type]
        assert (read.mean, read.std) == IMAGENET
    mixed = read_source("a", mean="none", std="0.5,0.5,0.5")
    assert (mixed.mean, mixed.std) == ((0.0, 0.0, 0.0), (0.5, 0.5, 0.5))
    assert read_source("a", mean="1,2,3").std is None


def test_no_class_may_be_malignant() -> None:
    assert read_source("a", malignant="none").malignant == ()
    assert read_source("a").malignant is None


@pytest.mark.parametrize("text", ["", "x", "224x", "1x2x3", "-224", "2.5"])
def test_what_is_no_size_is_a_usage_error(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is no size; write 224"):
        read_size(text)


@pytest.mark.parametrize("text", ["1,2", "a,b,c", "0.5", "imagenet2"])
def test_what_are_no_three_numbers_is_a_usage_error(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="neither three numbers"):
        read_source("a", std=text)


def test_a_command_gets_the_model_and_keeps_its_own_parameters() -> None:
    seen: list[tuple[ModelSource, int]] = []

    @takes_a_model
    def command(count: int, model: ModelSource) -> None:
        seen.append((model, count))

    names = list(inspect.signature(command).parameters)
    assert names[:3] == ["count", "model", "network"]
    assert names[-1] == "trust_code"
    described = dict.fromkeys(names[2:-1]) | {"size": "32", "trust_code": True}
    command(count=3, model="lesion.pt", **described)
    assert seen == [(ModelSource(Path("lesion.pt"), size=(32, 32), trust_code=True), 3)]


@pytest.mark.parametrize("command", ["audit", "predict", "explain", "calibrate", "models show", "models import"])
def test_every_command_with_a_model_explains_the_options(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command.split(), "--help"]) == 0
    printed = capsys.readouterr().out
    for option in inspect.signature(read_source).parameters:
        assert option == "model" or f"--{option.replace('_', '-')} " in printed
