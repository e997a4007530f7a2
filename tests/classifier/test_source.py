from __future__ import annotations

from pathlib import Path

import pytest

from skinaudit.classifier.source import ModelSource, is_factory


def test_a_model_is_in_a_place_or_made_by_a_factory_but_not_both() -> None:
    with pytest.raises(ValueError, match="give one of them"):
        ModelSource()
    with pytest.raises(ValueError, match="give one of them"):
        ModelSource(Path("lesion.pt"), factory="zoo:make")


def test_a_name_holds_no_path_of_this_site(tmp_path: Path) -> None:
    assert ModelSource(tmp_path / "lesion.pt").name == "lesion.pt"
    assert ModelSource(Path()).name == Path.cwd().name
    assert ModelSource(factory="zoo:make").name == "zoo:make"


def test_options_can_be_written_again_without_paths(tmp_path: Path) -> None:
    source = ModelSource(
        factory="zoo:make",
        classes=("mel", "naevus, other"),
        malignant=(),
        mean=(0.5, 0.25, 0.1),
        std=(1.0, 1.0, 1.0),
        size=(240, 320),
        weights=tmp_path / "w.pt",
        trust_code=True,
        weights_prefix="model.",
    )
    assert " ".join(source.described()) == (
        "--weights-prefix model. --classes 'mel,naevus, other' --malignant none --mean 0.5,0.25,0.1 --std 1,1,1 "
        "--size 240x320 --weights WEIGHTS --trust-code"
    )
    assert ModelSource(tmp_path).described() == ()


@pytest.mark.parametrize("text", ["zoo:make", "clinic.networks:build_2", "_a._b:_c"])
def test_functions_are_told_from_other_names(text: str) -> None:
    assert is_factory(text)


@pytest.mark.parametrize(
    "text", ["zoo", "zoo:", ":make", "a/b:make", "zoo:make()", "1a:b", "zoo:make:x", "lesion.pt", "a b:c"]
)
def test_other_names_are_no_functions(text: str) -> None:
    assert not is_factory(text)
