"""Predictions as the deployed system makes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.transforms import Compose, EnsureChannelFirst, LoadImage, NormalizeIntensity, Resize, ScaleIntensityRange

from skinaudit.audit.predictions import FilePrediction, predict_files, predictions_table, score
from skinaudit.classifier.classifier import Classifier, load_classifier
from skinaudit.images.decoder import DirectDecoder
from tests.bundles import DEVIATION, MEAN, make_bundle
from tests.small_folder import write_images

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    return load_classifier(make_bundle(tmp_path_factory.mktemp("models") / "tiny"))


def test_probabilities_are_those_of_monai_itself(classifier: Classifier, tmp_path: Path) -> None:
    paths = write_images(tmp_path, 5)
    pipeline = Compose(
        [
            LoadImage(image_only=True),
            EnsureChannelFirst(),
            Resize((32, 32), mode="bilinear"),
            ScaleIntensityRange(0, 255, 0, 1),
            NormalizeIntensity(np.array(MEAN), np.array(DEVIATION), channel_wise=True),
        ]
    )
    told: list[tuple[int, int]] = []
    found = predict_files(
        classifier,
        tmp_path,
        {},
        DirectDecoder(),
        batch_size=2,
        device=CPU,
        advance=lambda done, total: told.append((done, total)),
    )
    by_name = {one.file_name: one for one in found}
    for path in paths:
        with torch.no_grad():
            logits = classifier.network(pipeline(str(path)).as_tensor()[None].float())[0]
        one = by_name[path.relative_to(tmp_path).as_posix()]
        assert one.predicted == int(logits.argmax())
        assert one.probabilities == pytest.approx(logits.softmax(0).tolist(), abs=1e-5)
    assert told == [(2, 5), (4, 5), (5, 5)]


def test_a_file_that_gives_no_pixels_keeps_its_place_and_reason(classifier: Classifier, tmp_path: Path) -> None:
    write_images(tmp_path, 3)
    (tmp_path / "lesion1.png").symlink_to(tmp_path / "deep" / "lesion1.png")
    (tmp_path / "torn.png").write_bytes(b"\x89PNG\r\n\x1a\nno more")
    found = predict_files(classifier, tmp_path, {"torn": "mel"}, DirectDecoder(), batch_size=2, device=CPU)
    assert [(one.file_name, one.status) for one in found] == [
        ("deep/lesion1.png", "predicted"),
        ("lesion0.png", "predicted"),
        ("lesion1.png", "refused"),
        ("lesion2.png", "predicted"),
        ("torn.png", "unreadable"),
    ]
    assert (found[2].reason, found[4].label) == ("symbolic link", "mel")


def prediction(label: str | None, predicted: int | None, name: str = "x.png") -> FilePrediction:
    if predicted is None:
        return FilePrediction(name, "unreadable", "damaged", label)
    return FilePrediction(name, "predicted", None, label, predicted, (0.25, 0.75) if predicted else (0.75, 0.25))


def test_score_counts_images_with_label_and_prediction() -> None:
    rows = [prediction("a", 0), prediction("a", 0), prediction("a", 1), prediction("b", 1), prediction(None, 1)]
    result = score([*rows, prediction("b", None)], ("a", "b"))
    assert result is not None
    assert (result.n, result.correct, result.accuracy) == (4, 3, 0.75)
    assert result.balanced_accuracy == pytest.approx((2 / 3 + 1) / 2)


def test_no_score_without_labels() -> None:
    assert score([prediction(None, 0), prediction("a", None)], ("a", "b")) is None


def test_the_table_is_harmless_to_a_spreadsheet() -> None:
    lines = predictions_table([prediction("a", 1, "=cmd.png"), prediction(None, None)], ("a", "b")).splitlines()
    assert lines == [
        "file,status,reason,label,predicted,confidence,p_a,p_b",
        "'=cmd.png,predicted,,a,b,0.75,0.25,0.75",
        "x.png,unreadable,damaged,,,,,",
    ]
