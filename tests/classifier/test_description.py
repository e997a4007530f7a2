from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from skinaudit.classifier.bundle import read_bundle
from skinaudit.classifier.description import TrustedCode, checked_classes, malignant_by_name
from skinaudit.classifier.refusal import ModelRefused
from tests.bundles import make_bundle


def test_malignant_classes_are_known_by_name_in_any_case() -> None:
    assert malignant_by_name(("Melanoma", "naevus", " BCC ")) == ("Melanoma", " BCC ")


@pytest.mark.parametrize(
    "names", [("mel", "MEL"), ("mel",), ("mel", "mel"), ("mel", ""), ("mel", "n\nv"), ("mel", 3), ("mel", "x" * 101)]
)
def test_unusable_class_names_are_refused(names: tuple[object, ...]) -> None:
    with pytest.raises(ModelRefused, match=r"^here must hold at least two different, printable names"):
        checked_classes(names, "here")


def test_the_digest_changes_with_code_and_with_tensors(tmp_path: Path) -> None:
    plain = read_bundle(make_bundle(tmp_path / "tiny"))
    first = dataclasses.replace(plain, code=TrustedCode("Python function zoo:make", "aa"))
    second = dataclasses.replace(plain, code=TrustedCode("Python function zoo:make", "bb"))
    assert plain.digest("cc") == "cc"
    assert len({plain.digest("cc"), first.digest("cc"), first.digest("dd"), second.digest("cc")}) == 4
