"""The shipped model on real dermoscopy; skipped, with a line that says so, where the images are not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.transforms import Compose, EnsureChannelFirst, LoadImage, NormalizeIntensity, Resize, ScaleIntensityRange

from skinaudit.attacks.judge import Judge, Question
from skinaudit.attacks.loop import Loop
from skinaudit.attacks.loop_settings import LoopSettings
from skinaudit.attacks.objectives import objective_for
from skinaudit.attacks.perturbation import LInf
from skinaudit.attacks.tasks import MapGoal, Task
from skinaudit.audit.session import interpreters_for
from skinaudit.calibration.thresholds import read_thresholds
from skinaudit.classifier.classifier import Classifier, load_classifier, shipped_models
from skinaudit.images.decode import decode
from skinaudit.images.folder import find_images, read_labels
from skinaudit.images.identity import image_id

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return load_classifier(shipped_models()["isic2018-efficientnet-lite0"])


@pytest.fixture(scope="module")
def melanomas(realdata: Path, classifier: Classifier) -> list[torch.Tensor]:
    """Eight melanomas of the test folder as the model is shown them."""
    folder = realdata / "isic2018-task3"
    labels = read_labels(folder / "ISIC2018_Task3_test_GroundTruth.csv", classifier.classes)
    files = [file for file in find_images(folder / "test") if labels.get(file.stem) == "mel"]
    return [classifier.preprocess.shown(decode(file.path).pixels) for file in files[:8]]


def test_both_label_files_of_isic_2018_say_the_same(realdata: Path, classifier: Classifier) -> None:
    folder = realdata / "isic2018-task3"
    one_hot = read_labels(folder / "ISIC2018_Task3_test_GroundTruth.csv", classifier.classes)
    own = read_labels(folder / "labels.csv", classifier.classes)
    assert len(one_hot) == 1229
    assert all(own[stem] == label for stem, label in one_hot.items())


def test_resampled_originals_give_the_logits_of_monai(realdata: Path, classifier: Classifier) -> None:
    pipeline = Compose(
        [
            LoadImage(),
            EnsureChannelFirst(),
            Resize([224, 224], mode="bilinear"),
            ScaleIntensityRange(0, 255, 0, 1),
            NormalizeIntensity([0.485, 0.456, 0.406], [0.229, 0.224, 0.225], channel_wise=True),
        ]
    )
    for file in find_images(realdata / "isic-archive-originals" / "images")[:3]:
        picture = decode(file.path).pixels
        assert picture.shape[0] < picture.shape[1]
        with torch.no_grad():
            expected = classifier.network(pipeline(file.path).as_tensor()[None])
            found = classifier(classifier.preprocess.geometry(picture)[None] / 255)
        assert torch.allclose(found, expected, atol=1e-4)


def test_ids_of_real_images_are_distinct(realdata: Path) -> None:
    files = find_images(realdata / "isic-archive-originals" / "images")
    ids = {image_id(decode(file.path).pixels, b"k" * 32) for file in files[:12]}
    assert len(ids) == 12


def test_melanomas_are_missed_while_the_cam_map_stays(classifier: Classifier, melanomas: list[torch.Tensor]) -> None:
    interpreters = interpreters_for(classifier, ["cam"], CPU)
    judge = Judge(classifier, interpreters, 4, CPU)
    limit = read_thresholds(classifier.description.calibration, classifier.digest)["cam"]
    mel, nv = classifier.classes.index("mel"), classifier.classes.index("nv")
    right = [
        (pixels, clean)
        for pixels, clean in zip(melanomas, judge.clean(melanomas), strict=True)
        if clean.predicted == mel
    ][:4]
    assert len(right) == 4
    tasks = [Task(str(place), pixels, nv, (MapGoal(clean.maps["cam"]),)) for place, (pixels, clean) in enumerate(right)]
    settings = LoopSettings.for_attack("activation", steps=30, warm_steps=5, early_stop=False)
    loop = Loop(objective_for("adv2", classifier, interpreters["cam"]), LInf(8), settings, 4, CPU)
    found = {outcome.key: outcome.candidates[0] for outcome in loop.run(tasks)}
    verdicts = judge.verdicts([Question(found[str(i)], clean, "cam") for i, (_, clean) in enumerate(right)])
    for (pixels, _), verdict in zip(right, verdicts, strict=True):
        assert verdict.predicted == nv
        assert int((verdict.pixels.int() - pixels.int()).abs().max()) <= 8
    kept = [limit.keeps(verdict.shown_distance.l1, verdict.shown_distance.iou20) for verdict in verdicts]
    assert np.mean(kept) >= 0.5
