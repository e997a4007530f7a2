"""The bundles that ship with the project, for our loader and for MONAI's own tools."""

from __future__ import annotations

import csv
import json
import math
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import run, verify_metadata, verify_net_in_out

from skinaudit.calibration.thresholds import read_thresholds
from skinaudit.classifier.classifier import Classifier, load_classifier
from skinaudit.images.decode import decode
from skinaudit.interpreters.registry import family_of

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = Path(__file__).with_name("metadata.schema.json")


@dataclass(frozen=True)
class Expected:
    """What is asked of a shipped bundle."""

    name: str
    classes: tuple[str, ...]
    malignant: tuple[str, ...]
    network: str
    licence: str
    condition: tuple[str, ...]  # words of the licence file
    most_bytes: float
    test_images: int
    balanced_accuracy: float
    macro_auc: float
    recall: float

    @property
    def path(self) -> Path:
        return ROOT / "models" / self.name


BUNDLES = (
    Expected(
        name="isic2018-efficientnet-lite0",
        classes=("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc"),
        malignant=("akiec", "bcc", "mel"),
        network="timm.create_model(model_name=tf_efficientnet_lite0",
        licence="NC",
        condition=("non-commercial", "Tschandl", "Apache License"),
        most_bytes=30e6,
        test_images=1000,
        balanced_accuracy=0.60,
        macro_auc=0.90,
        recall=0.0,
    ),
    Expected(
        name="isic2017-densenet121",
        classes=("melanoma", "seborrheic_keratosis", "nevus"),
        malignant=("melanoma",),
        network="monai.networks.nets.DenseNet121(",
        licence="CC-0",
        condition=("CC-0", "Codella", "Apache License"),
        most_bytes=20e6,
        test_images=450,
        balanced_accuracy=0.50,
        macro_auc=0.75,
        recall=0.2,
    ),
)

pytestmark = [
    # MONAI says this whenever a bundle is run, whoever wrote it.
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(scope="module", params=BUNDLES, ids=lambda expected: expected.name)
def expected(request: pytest.FixtureRequest) -> Expected:
    found: Expected = request.param
    return found


@pytest.fixture(scope="module")
def classifier(expected: Expected) -> Classifier:
    return load_classifier(expected.path)


@pytest.fixture(scope="module")
def metadata(expected: Expected) -> dict[str, object]:
    content: dict[str, object] = json.loads((expected.path / "configs" / "metadata.json").read_text(encoding="utf-8"))
    return content


@pytest.fixture
def photographs(tmp_path: Path) -> list[Path]:
    folder = tmp_path / "images"
    folder.mkdir()
    chosen = sorted((ROOT / "sample_data").glob("*.jpg"))[::5][:3]
    return [Path(shutil.copy(path, folder)) for path in chosen]


def test_our_loader_reads_the_bundle(classifier: Classifier, expected: Expected) -> None:
    assert classifier.classes == expected.classes
    assert classifier.malignant == expected.malignant
    assert classifier.input_size == (224, 224)
    assert expected.licence in classifier.card().licence
    assert classifier.card().network.startswith(expected.network)


def test_a_photograph_of_224_pixels_passes_unchanged(classifier: Classifier) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    shown = classifier.preprocess.geometry(pixels)
    assert torch.equal(shown, torch.from_numpy(pixels).permute(2, 1, 0).float())


def test_the_bundle_is_small_and_complete(expected: Expected) -> None:
    folder = expected.path
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    assert {"LICENSE", "docs/README.md", "configs/metadata.json", "configs/inference.json"} <= set(sizes)
    assert "models/model.safetensors" in sizes
    assert sum(sizes.values()) < expected.most_bytes


def test_the_licence_passes_the_condition_of_the_data_on(expected: Expected) -> None:
    text = (expected.path / "LICENSE").read_text(encoding="utf-8")
    assert all(words in text for words in expected.condition)


def test_the_bundle_carries_drift_thresholds_of_its_own_weights(classifier: Classifier) -> None:
    thresholds = read_thresholds(classifier.description.calibration, classifier.digest)
    assert {"cam", "grad"} <= set(thresholds)
    # One map of MASK costs hundreds of passes, so its limits come from fewer images.
    least = {name: 30 if family_of(name) == "perturbation" else 100 for name in thresholds}
    assert all(thresholds[name].images >= least[name] for name in thresholds)


def test_metadata_holds_against_the_schema(expected: Expected, tmp_path: Path) -> None:
    # MONAI does not fetch a schema whose file is there already.
    schema = Path(shutil.copy(SCHEMA, tmp_path / "schema.json"))
    verify_metadata(meta_file=str(expected.path / "configs" / "metadata.json"), filepath=str(schema))


def test_the_schema_refuses_metadata_without_classes(tmp_path: Path, metadata: dict[str, object]) -> None:
    broken = tmp_path / "metadata.json"
    broken.write_text(json.dumps({**metadata, "network_data_format": {"inputs": {}, "outputs": {}}}))
    schema = Path(shutil.copy(SCHEMA, tmp_path / "schema.json"))
    with pytest.raises(ValueError, match="required property"):
        verify_metadata(meta_file=str(broken), filepath=str(schema))


def test_measured_figures_meet_what_is_asked_of_the_model(classifier: Classifier, expected: Expected) -> None:
    measured = classifier.description.declared
    assert measured["test_images"] >= expected.test_images
    assert measured["test_balanced_accuracy"] >= expected.balanced_accuracy
    assert measured["test_macro_auc"] >= expected.macro_auc
    assert measured["jpeg90_class_changes"] <= 0.10
    assert measured["noise2_class_changes"] <= 0.05
    recalls = [measured[f"test_recall_{name}"] for name in expected.classes]
    assert min(recalls) > expected.recall
    assert math.isclose(float(np.mean(recalls)), measured["test_balanced_accuracy"], abs_tol=1e-5)


def test_the_model_card_states_the_measured_figures(classifier: Classifier, expected: Expected) -> None:
    card = (expected.path / "docs" / "README.md").read_text(encoding="utf-8")
    measured = classifier.description.declared
    assert f"| accuracy | {measured['test_accuracy']:.4f} |" in card
    assert f"n = {measured['test_images']:.0f} images" in card


def test_network_takes_and_gives_what_the_metadata_says(expected: Expected) -> None:
    verify_net_in_out(
        net_id="network_def",
        meta_file=str(expected.path / "configs" / "metadata.json"),
        config_file=str(expected.path / "configs" / "inference.json"),
        device="cpu",
    )


def test_bundle_run_gives_our_probabilities(
    classifier: Classifier, expected: Expected, photographs: list[Path], tmp_path: Path
) -> None:
    run(
        config_file=str(expected.path / "configs" / "inference.json"),
        bundle_root=str(expected.path),
        dataset_dir=str(tmp_path / "images"),
        output_dir=str(tmp_path / "out"),
        device="$torch.device('cpu')",
    )
    with (tmp_path / "out" / "probabilities.csv").open(newline="") as file:
        rows = {Path(name).name: [float(cell) for cell in cells] for name, *cells in csv.reader(file)}
    assert set(rows) == {path.name for path in photographs}
    for path in photographs:
        pixels = classifier.preprocess.geometry(decode(path).pixels)[None] / 255
        with torch.no_grad():
            ours = classifier(pixels).softmax(1)[0]
        assert torch.allclose(torch.tensor(rows[path.name]), ours, atol=1e-5, rtol=0)
