from __future__ import annotations

import numpy as np
import pytest
import torch

from skinaudit.attacks.controls import HARMLESS, harmless
from skinaudit.attacks.judge import Judge
from skinaudit.audit.session import interpreters_for
from skinaudit.calibration.drift import CalibrationError, CalibrationImage, measure_drift
from skinaudit.classifier.classifier import Classifier, load_classifier
from tests.audit.tiny_audit import photograph
from tests.bundles import make_bundle

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Classifier:
    return load_classifier(make_bundle(tmp_path_factory.mktemp("drift") / "bundle"))


def judge_of(classifier: Classifier) -> Judge:
    return Judge(classifier, interpreters_for(classifier, ["cam", "grad"], CPU), 4, CPU)


def images(classifier: Classifier, count: int) -> list[CalibrationImage]:
    return [CalibrationImage(classifier.preprocess.shown(photograph(n)), n) for n in range(count)]


def test_threshold_is_the_percentile_of_distances_computed_one_by_one(classifier: Classifier) -> None:
    judge = judge_of(classifier)
    found = measure_drift(judge, classifier.preprocess, ["cam"], images(classifier, 6), "digest", batch=4)[0]
    interpreter = interpreters_for(classifier, ["cam"], CPU)["cam"]
    distances = []
    for number in range(6):
        picture = photograph(number)
        x = classifier.preprocess.shown(picture)[None].float() / 255
        source = classifier(x).argmax(1)
        for change in HARMLESS:
            moved = classifier.preprocess.shown(harmless(change, picture, number))[None].float() / 255
            if classifier(moved).argmax(1) == source:
                both = interpreter.explain(torch.cat([x, moved]), torch.cat([source, source]))
                distances.append(float((both[0] - both[1]).abs().mean()))
    assert found.pairs == len(distances)
    assert found.l1 == pytest.approx(np.percentile(distances, 95), rel=1e-3)
    assert found.images == 6
    assert sum(count for _, count in found.by_change.values()) == found.pairs


def test_batch_shape_of_reading_does_not_matter(classifier: Classifier) -> None:
    judge = judge_of(classifier)
    few, many = (
        measure_drift(judge, classifier.preprocess, ["grad"], images(classifier, 5), "digest", batch=size)[0]
        for size in (2, 5)
    )
    assert few == many


def test_misclassified_images_do_not_count(classifier: Classifier) -> None:
    wrong = [
        CalibrationImage(
            image.shown, image.seed, label=(int(classifier(image.shown[None].float() / 255).argmax()) + 1) % 3
        )
        for image in images(classifier, 3)
    ]
    with pytest.raises(CalibrationError, match="gets none of them right"):
        measure_drift(judge_of(classifier), classifier.preprocess, ["cam"], wrong, "digest")
