"""From a folder of clean images to stored thresholds."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from skinaudit.audit.calibrate import CalibrationRequest, calibrate, store
from skinaudit.calibration.drift import CalibrationError
from skinaudit.calibration.thresholds import read_thresholds
from skinaudit.classifier.classifier import load_classifier
from skinaudit.images.decoder import DirectDecoder
from tests.bundles import make_bundle
from tests.small_folder import predicted_class, write_images

CPU = torch.device("cpu")
KEY = b"k" * 32


def request(images: Path, labels: dict[str, str], *interpreters: str) -> CalibrationRequest:
    return CalibrationRequest(images, labels, interpreters, batch_size=2, seed=0, key=KEY)


def test_only_images_that_the_model_gets_right_count(tmp_path: Path) -> None:
    classifier = load_classifier(make_bundle(tmp_path / "tiny"))
    paths = write_images(tmp_path / "images", 5)
    labels = {path.stem: predicted_class(classifier, path) for path in paths[:4]}
    labels["lesion0"] = next(name for name in classifier.classes if name != labels["lesion0"])
    told: list[tuple[int, int]] = []
    (row,) = calibrate(
        classifier,
        request(tmp_path / "images", labels, "cam"),
        CPU,
        DirectDecoder(),
        measured=lambda done, total: told.append((done, total)),
    )
    assert row.images == 3  # one is labelled otherwise, one is not labelled at all
    assert told[-1] == (4, 4)
    (bare,) = calibrate(classifier, request(tmp_path / "images", {}, "cam"), CPU, DirectDecoder())
    assert bare.images == 5


def test_another_calibration_keeps_the_other_interpreter(tmp_path: Path) -> None:
    classifier = load_classifier(make_bundle(tmp_path / "tiny"))
    write_images(tmp_path / "images", 2)
    for name in ("grad", "cam"):
        file = store(classifier, calibrate(classifier, request(tmp_path / "images", {}, name), CPU, DirectDecoder()))
    assert set(read_thresholds(file, classifier.digest)) == {"cam", "grad"}


def test_thresholds_of_other_weights_are_replaced(tmp_path: Path) -> None:
    old = load_classifier(make_bundle(tmp_path / "tiny", seed=1))
    write_images(tmp_path / "images", 2)
    store(old, calibrate(old, request(tmp_path / "images", {}, "cam", "grad"), CPU, DirectDecoder()))
    new = load_classifier(make_bundle(tmp_path / "tiny", seed=2))
    file = store(new, calibrate(new, request(tmp_path / "images", {}, "cam"), CPU, DirectDecoder()))
    assert set(read_thresholds(file, new.digest)) == {"cam"}


def test_a_folder_without_a_usable_image_is_an_error(tmp_path: Path) -> None:
    classifier = load_classifier(make_bundle(tmp_path / "tiny"))
    write_images(tmp_path / "images", 2)
    with pytest.raises(CalibrationError, match="none of 2 files is readable and labelled"):
        calibrate(classifier, request(tmp_path / "images", {"elsewhere": "mel"}, "cam"), CPU, DirectDecoder())


def test_an_image_that_is_gone_by_then_is_left_out_with_its_reason(tmp_path: Path) -> None:
    classifier = load_classifier(make_bundle(tmp_path / "tiny"))
    paths = write_images(tmp_path / "images", 3)
    told: list[str] = []
    asked = request(tmp_path / "images", {}, "cam")

    def surveyed(done: int, total: int) -> None:
        if done == total:
            paths[0].unlink()

    (row,) = calibrate(classifier, asked, CPU, DirectDecoder(), surveyed=surveyed, left_out=told.append)
    assert row.images == 2
    assert told == ["could be read at first, but not later: the file is missing"]
