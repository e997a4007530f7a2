"""How the text of options is read."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from skinaudit.classifier.classifier import shipped_models
from skinaudit.classifier.refusal import ModelRefused
from skinaudit.classifier.source import ModelSource
from skinaudit.cli.console import Console
from skinaudit.cli.options import (
    default_run_folder,
    find_model,
    labels_for,
    read_interpreters,
    read_subgroups,
    thread_count,
)


def test_interpreters_are_a_list_with_commas() -> None:
    assert read_interpreters("grad, CAM,grad,") == ("grad", "cam")


@pytest.mark.parametrize("text", ["cam,lime", "", ","])
def test_an_unknown_interpreter_or_none_is_a_usage_error(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="there are cam, grad"):
        read_interpreters(text)


def test_subgroups_are_named_once_each_or_not_at_all() -> None:
    assert read_subgroups(["Sex", " age ", "sex"]) == ("sex", "age")
    assert read_subgroups(["NONE"]) == ()
    assert read_subgroups(None) is None
    assert read_subgroups([]) is None


@pytest.mark.parametrize("columns", [["none", "sex"], [""], ["sex", " "]])
def test_none_beside_a_column_and_a_column_without_a_name_are_usage_errors(columns: list[str]) -> None:
    with pytest.raises(typer.BadParameter):
        read_subgroups(columns)


def test_a_model_is_a_place_or_a_function_or_a_shipped_name(bundle: Path) -> None:
    for source in (ModelSource(bundle), ModelSource(factory="zoo:make")):
        assert find_model(source) == source
    for name, path in shipped_models().items():
        assert find_model(ModelSource(Path(name))) == ModelSource(path)
    with pytest.raises(ModelRefused, match="no such bundle folder or file"):
        find_model(ModelSource(Path("no-such-model")))


def test_labels_in_the_folder_are_found_and_said(photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert labels_for(photos, None, Console()) == photos / "labels.csv"
    assert "labels.csv" in capsys.readouterr().err
    assert labels_for(photos, Path("other.csv"), Console()) == Path("other.csv")


def test_missing_labels_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert labels_for(tmp_path, None, Console()) is None
    assert "No labels" in capsys.readouterr().err


def test_the_default_run_folder_depends_on_model_and_images_alone() -> None:
    assert default_run_folder(ModelSource(Path("a/m.pt")), Path("b/photos/")) == Path("skinaudit-runs/m.pt-photos")
    made = ModelSource(factory="zoo.nets:make")
    assert default_run_folder(made, Path("photos")) == Path("skinaudit-runs/zoo.nets.make-photos")


def test_threads_default_to_the_processors_that_may_be_used() -> None:
    assert thread_count(3) == 3
    assert thread_count(None) >= 1
