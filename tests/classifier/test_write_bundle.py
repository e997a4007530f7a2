from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser, run, verify_metadata, verify_net_in_out
from PIL import Image

from skinaudit.classifier.classifier import Classifier, load_classifier
from skinaudit.classifier.refusal import ModelRefused
from skinaudit.classifier.write_bundle import BundleText, import_weights
from tests.plain_models import CLASSES, plain_source, scripted, tiny_network, tiny_weights

SCHEMA = Path(__file__).parents[1] / "models" / "metadata.schema.json"
SIZE = (32, 48)

pytestmark = [
    # MONAI says this whenever a bundle is run, whoever wrote it.
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_weights(tmp_path_factory.mktemp("weights"))


@pytest.fixture(scope="module")
def plain(weights: Path) -> Classifier:
    return load_classifier(plain_source(weights, size=SIZE))


@pytest.fixture(scope="module")
def bundle(weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bundles") / "deep" / "lesion"
    import_weights(plain_source(weights, size=SIZE, malignant=("mel", "bkl")), out, BundleText("Lesions", "CC-BY-4.0"))
    return out


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Photographs higher than wide, wider than high, and of the input's size."""
    folder = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(0)
    paths = []
    for number, (height, width) in enumerate([(90, 50), (41, 77), SIZE]):
        coarse = Image.fromarray(generator.integers(0, 256, (5, 6, 3), dtype=np.uint8))
        coarse.resize((width, height), Image.Resampling.BICUBIC).save(folder / f"{number}.png")
        paths.append(folder / f"{number}.png")
    return paths


def logits(classifier: Classifier, path: Path) -> torch.Tensor:
    with Image.open(path) as image, torch.no_grad():
        return classifier(classifier.preprocess.geometry(np.array(image))[None] / 255)[0]


def test_logits_of_the_bundle_are_those_of_the_plain_model(
    plain: Classifier, bundle: Path, photographs: list[Path]
) -> None:
    imported = load_classifier(bundle)
    assert imported.digest == plain.digest
    assert imported.input_size == SIZE
    for path in photographs:
        assert torch.equal(logits(imported, path), logits(plain, path))


def test_the_transforms_as_monai_composes_them_give_our_logits(
    weights: Path, bundle: Path, photographs: list[Path]
) -> None:
    parser = ConfigParser()
    parser.read_config(str(bundle / "configs" / "inference.json"))
    compose = parser.get_parsed_content("preprocessing")
    network, imported = tiny_network(weights), load_classifier(bundle)
    for path in photographs:
        with torch.no_grad():
            theirs = network(compose({"image": str(path)})["image"].as_tensor()[None])[0]
        assert torch.allclose(theirs, logits(imported, path), atol=1e-4, rtol=0)


def test_bundle_run_gives_our_probabilities(bundle: Path, photographs: list[Path], tmp_path: Path) -> None:
    run(
        config_file=str(bundle / "configs" / "inference.json"),
        bundle_root=str(bundle),
        dataset_dir=str(photographs[0].parent),
        output_dir=str(tmp_path / "out"),
        device="$torch.device('cpu')",
    )
    with (tmp_path / "out" / "probabilities.csv").open(newline="") as file:
        rows = {Path(name).name: torch.tensor([float(cell) for cell in cells]) for name, *cells in csv.reader(file)}
    assert set(rows) == {path.name for path in photographs}
    imported = load_classifier(bundle)
    for path in photographs:
        assert torch.allclose(rows[path.name], logits(imported, path).softmax(0), atol=1e-4, rtol=0)


def test_whoever_may_read_the_rest_of_the_bundle_may_read_its_weights(bundle: Path) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in bundle.rglob("*") if path.is_file()}
    assert modes["model.safetensors"] == modes["metadata.json"]


def test_the_bundle_says_what_the_command_said(bundle: Path) -> None:
    card = load_classifier(bundle).card()
    assert (card.name, card.version, card.licence, card.kind) == ("Lesions", "0.1.0", "CC-BY-4.0", "MONAI bundle")
    assert (card.classes, card.malignant, card.assumed) == (CLASSES, ("mel", "bkl"), ())
    assert (bundle / "LICENSE").read_text(encoding="utf-8") == "CC-BY-4.0\n"
    assert "mel, nv, bkl" in (bundle / "docs" / "README.md").read_text(encoding="utf-8")


def test_metadata_holds_against_the_schema_of_shipped_bundles(bundle: Path, tmp_path: Path) -> None:
    # Two of its rules are about the models that ship: a certain licence, and timm for each of them.
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    schema["properties"]["skinaudit"]["properties"]["licence"].pop("pattern", None)
    schema["properties"]["required_packages_version"]["required"] = ["safetensors"]
    (tmp_path / "schema.json").write_text(json.dumps(schema), encoding="utf-8")
    verify_metadata(meta_file=str(bundle / "configs" / "metadata.json"), filepath=str(tmp_path / "schema.json"))


def test_network_takes_and_gives_what_the_metadata_says(bundle: Path) -> None:
    verify_net_in_out(
        net_id="network_def",
        meta_file=str(bundle / "configs" / "metadata.json"),
        config_file=str(bundle / "configs" / "inference.json"),
        device="cpu",
    )


def test_what_nobody_stated_is_written_as_such(weights: Path, tmp_path: Path) -> None:
    imported = import_weights(plain_source(weights), tmp_path / "lesion", BundleText())
    assert imported.card().assumed == ("malignant: mel: not stated, taken from the names of the classes",)
    card = load_classifier(tmp_path / "lesion").card()
    assert (card.name, card.licence) == ("lesion", "not stated")
    assert card.assumed == imported.card().assumed
    assert "Licence not stated" in (tmp_path / "lesion" / "LICENSE").read_text(encoding="utf-8")
    assert "Assumed at import: malignant: mel" in (tmp_path / "lesion" / "docs" / "README.md").read_text("utf-8")


def test_a_network_of_timm_declines_its_weights_and_names_its_package(tmp_path: Path) -> None:
    import timm

    torch.save(timm.create_model("test_resnet", num_classes=3).state_dict(), tmp_path / "lesion.pt")
    source = plain_source(tmp_path / "lesion.pt", network="timm:test_resnet", mean=None, std=None, size=(64, 64))
    import_weights(source, tmp_path / "out", BundleText())
    config = json.loads((tmp_path / "out" / "configs" / "inference.json").read_text(encoding="utf-8"))
    assert config["network_def"] == {
        "_target_": "timm.create_model", "model_name": "test_resnet", "num_classes": 3, "pretrained": False,
    }  # fmt: skip
    metadata = json.loads((tmp_path / "out" / "configs" / "metadata.json").read_text(encoding="utf-8"))
    assert set(metadata["required_packages_version"]) == {"safetensors", "timm", "pytorch-ignite"}
    assert load_classifier(tmp_path / "out").digest == load_classifier(source).digest


def test_what_timm_was_asked_for_is_no_better_known_in_the_bundle(tmp_path: Path) -> None:
    import timm

    torch.save(timm.create_model("test_resnet", num_classes=3).state_dict(), tmp_path / "lesion.pt")
    source = plain_source(tmp_path / "lesion.pt", network="timm:test_resnet", mean=None, std=None, size=None)
    import_weights(source, tmp_path / "out", BundleText())
    size_and_statistics, malignant = load_classifier(tmp_path / "out").card().assumed
    assert size_and_statistics.startswith(
        "size 160x160, mean 0.5,0.5,0.5, std 0.5,0.5,0.5: not stated, taken from timm"
    )
    assert malignant.startswith("malignant: mel: not stated")


@pytest.mark.parametrize("kind", ["folder", "empty folder", "file", "broken link"])
def test_nothing_is_overwritten(kind: str, weights: Path, bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    if kind == "folder":
        shutil.copytree(bundle, out)
    elif kind == "empty folder":
        out.mkdir()
    elif kind == "file":
        out.write_text("mine")
    else:
        out.symlink_to(tmp_path / "nowhere")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(FileExistsError, match="is there already, and nothing is overwritten"):
        import_weights(plain_source(weights), out, BundleText())
    assert sorted(tmp_path.rglob("*")) == before


def test_a_refused_model_leaves_nothing_behind(weights: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match="do not belong to the network"):
        import_weights(plain_source(weights, network="torchvision:resnet18"), tmp_path / "out", BundleText())
    assert list(tmp_path.iterdir()) == []


def test_programs_and_folders_do_not_become_bundles(weights: Path, bundle: Path, tmp_path: Path) -> None:
    script = scripted(tiny_network(weights), tmp_path / "script.pt")
    with pytest.raises(ModelRefused, match="is a TorchScript archive; a bundle is data and cannot hold a program"):
        import_weights(plain_source(script, trust_code=True), tmp_path / "out", BundleText())
    with pytest.raises(ModelRefused, match="only a file of plain weights"):
        import_weights(plain_source(bundle), tmp_path / "out", BundleText())
