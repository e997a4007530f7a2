from __future__ import annotations

from pathlib import Path

import pytest

from skinaudit.classifier.opening import open_model
from skinaudit.classifier.refusal import ModelRefused
from skinaudit.classifier.source import ModelSource
from tests.bundles import make_bundle
from tests.plain_models import plain_source, tiny_weights


def test_a_folder_is_a_bundle_and_a_file_is_plain_weights(tmp_path: Path) -> None:
    assert open_model(ModelSource(make_bundle(tmp_path / "tiny")))[0].kind == "MONAI bundle"
    assert open_model(plain_source(tiny_weights(tmp_path)))[0].kind == "plain weights"


def test_what_a_bundle_says_itself_is_not_said_again(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match=r"^tiny: a bundle says itself .* leave out --network, --classes, --mean"):
        open_model(plain_source(make_bundle(tmp_path / "tiny")))


def test_trust_in_a_bundle_runs_no_code(tmp_path: Path) -> None:
    description, _ = open_model(ModelSource(make_bundle(tmp_path / "tiny"), trust_code=True))
    assert description.code is None


def test_nothing_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="no such bundle folder"):
        open_model(ModelSource(tmp_path / "nothing"))
