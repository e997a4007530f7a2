"""Maps beside unchanged photographs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from skinaudit.audit.session import interpreters_for
from skinaudit.classifier.classifier import load_classifier
from skinaudit.images.decoder import DirectDecoder
from skinaudit.report.explanations import explain_files
from tests.bundles import make_bundle
from tests.small_folder import write_images

CPU = torch.device("cpu")


def test_the_map_is_the_interpreter_s_and_the_photograph_lies_upright(tmp_path: Path) -> None:
    classifier = load_classifier(make_bundle(tmp_path / "tiny", classes=("mel", "nv / mole", "bkl")))
    (path,) = write_images(tmp_path / "images", 1)
    interpreters = interpreters_for(classifier, ["grad"], CPU)
    (found,) = explain_files(classifier, interpreters, tmp_path / "images", tmp_path / "out", CPU, DirectDecoder(), 1)
    assert found.pictures is not None
    assert found.maps is not None
    assert found.maps["grad"].name == "lesion0.png.grad.nv-mole.npy"

    with Image.open(path) as image:
        pixels = np.array(image)
    x = classifier.preprocess.shown(pixels)[None].float() / 255
    expected = classifier.preprocess.to_display(interpreters["grad"].explain(x, torch.tensor([1]))[0]).detach()
    assert np.load(found.maps["grad"]) == pytest.approx(expected.numpy(), abs=1e-6)

    with Image.open(found.pictures["grad"]) as picture:
        left = np.array(picture)[:, :32].astype(float)
    upright = np.array(Image.fromarray(pixels).resize((32, 32), Image.Resampling.BILINEAR)).astype(float)
    assert np.abs(left - upright).mean() < 6 < np.abs(left - upright.transpose(1, 0, 2)).mean()


def test_the_predicted_class_is_explained_unless_another_is_named(tmp_path: Path) -> None:
    classifier = load_classifier(make_bundle(tmp_path / "tiny"))
    write_images(tmp_path / "images", 2)
    (tmp_path / "images" / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    found = list(explain_files(classifier, {}, tmp_path / "images", tmp_path / "out", CPU, DirectDecoder()))
    assert [one.file_name for one in found] == ["deep/lesion1.png", "lesion0.png", "torn.png"]
    for one in found[:2]:
        assert one.explained == one.diagnosis
        assert one.explained_confidence == one.confidence >= 1 / 3
    assert found[2].reason
    (other,) = explain_files(
        classifier, {}, tmp_path / "images" / "lesion0.png", tmp_path / "out", CPU, DirectDecoder(), 2
    )
    assert other.explained == 2
