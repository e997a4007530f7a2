from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torchvision.transforms import v2

from skinaudit.audit.records import ModelCard
from skinaudit.classifier.classifier import load_classifier
from skinaudit.classifier.refusal import ModelRefused
from tests.plain_models import CLASSES, IMAGENET, TINY, plain_source, tiny_network, tiny_weights


def test_logits_are_those_of_the_network_on_the_upright_image(tmp_path: Path) -> None:
    weights = tiny_weights(tmp_path)
    classifier = load_classifier(plain_source(weights, size=(32, 48)))
    pixels = np.random.default_rng(0).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    shown = v2.functional.normalize(
        v2.functional.to_dtype(v2.functional.to_image(Image.fromarray(pixels)), scale=True), *map(list, IMAGENET)
    )
    with torch.no_grad():
        expected = tiny_network(weights)(shown[None])
        found = classifier(classifier.preprocess.geometry(pixels)[None] / 255)
    assert torch.allclose(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("wrap", ["plain", "lightning", "parallel", "compiled ema"])
def test_the_digest_does_not_depend_on_container_or_prefix(wrap: str, tmp_path: Path) -> None:
    weights = tiny_weights(tmp_path)
    state = load_file(weights)
    content, key = {
        "plain": (state, None),
        "lightning": ({"state_dict": {f"net.{name}": value for name, value in state.items()}, "epoch": 3}, None),
        "parallel": ({"model": {f"module.{name}": value for name, value in state.items()}}, None),
        "compiled ema": ({"model": {}, "ema": {f"_orig_mod.{name}": value for name, value in state.items()}}, "ema"),
    }[wrap]
    torch.save(content, tmp_path / "other.pth")
    again = load_classifier(plain_source(tmp_path / "other.pth", weights_key=key))
    assert again.digest == again.tensor_digest == load_classifier(plain_source(weights)).digest


def test_the_card_says_what_it_is_and_what_was_assumed(tmp_path: Path) -> None:
    card = ModelCard(**dataclasses.asdict(load_classifier(plain_source(tiny_weights(tmp_path))).card()))
    assert (card.name, card.kind, card.trusted_code) == ("lesion.safetensors", "plain weights", "")
    assert card.network.startswith("monai.networks.nets.DenseNet(spatial_dims=2, in_channels=3, out_channels=3, init")
    assert (card.classes, card.malignant) == (CLASSES, ("mel",))
    assert card.assumed == ("malignant: mel: not stated, taken from the names of the classes",)


def test_malignant_classes_can_be_stated(tmp_path: Path) -> None:
    weights = tiny_weights(tmp_path)
    stated = load_classifier(plain_source(weights, malignant=("bkl", "mel"))).card()
    assert (stated.malignant, stated.assumed) == (("mel", "bkl"), ())
    assert load_classifier(plain_source(weights, malignant=())).card().malignant == ()
    with pytest.raises(ModelRefused, match="'scc' is not among the classes mel, nv, bkl"):
        load_classifier(plain_source(weights, malignant=("scc",)))


def test_whatever_changes_an_output_changes_the_configuration_digest(tmp_path: Path) -> None:
    weights = tiny_weights(tmp_path)
    changes: list[dict[str, object]] = [
        {}, {"mean": (0.5, 0.5, 0.5)}, {"std": (0.5, 0.5, 0.5)}, {"size": (48, 48)}, {"malignant": ("nv",)},
        {"classes": ("nv", "mel", "bkl")},
    ]  # fmt: skip
    loaded = [load_classifier(plain_source(weights, **change)) for change in changes]
    assert len({one.card().config_digest for one in loaded}) == len(changes)
    assert len({one.description.calibration for one in loaded}) == len(changes)
    assert len({one.digest for one in loaded}) == 1
    assert all(one.description.calibration.parent == tmp_path for one in loaded)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"network": None}, r"^lesion\.safetensors: plain weights do not say which network .* Give --network"),
        ({"classes": ()}, "Give --classes"),
        ({"classes": ("mel",)}, "--classes must hold at least two different"),
        ({"weights": Path("w.pt")}, "leave out --weights"),
        ({"network": "monai:DenseNet121"}, "the weights do not belong to the network; [0-9]+ missing: "),
        ({"network": "torchvision:nothing"}, "not on the list of networks"),
        (
            {"classes": ("a", "b", "c", "d")},
            r"Likely: the head of the weights has 3 outputs, but 4 classes are given\.",
        ),
        (
            {"network": TINY[:-1] + ", out_channels=3)", "classes": ("a", "b")},
            "has 3 outputs, but --classes names 2 classes",
        ),
        ({"mean": None}, "Give --mean"),
    ],
)
def test_what_was_not_said_or_does_not_fit_is_one_line(
    changes: dict[str, object], problem: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelRefused, match=problem):
        load_classifier(plain_source(tiny_weights(tmp_path), **changes))


def lightning(folder: Path, *prefixes: str) -> Path:
    """A checkpoint with the network behind each prefix, the weights of a loss and the state of a metric."""
    state = load_file(tiny_weights(folder))
    content = {f"{prefix}{name}": value for prefix in prefixes for name, value in state.items()}
    beside = {"criterion.weight": torch.tensor([1.0, float("nan")]), "accuracy.tp": torch.zeros(1, dtype=torch.int64)}
    torch.save({"state_dict": content | beside, "epoch": 3}, folder / "lightning.ckpt")
    return folder / "lightning.ckpt"


def test_extra_tensors_beside_the_network_are_left_out_by_its_prefix(tmp_path: Path) -> None:
    path = lightning(tmp_path, "model.")
    with pytest.raises(ModelRefused) as caught:
        load_classifier(plain_source(path))
    assert str(caught.value) == (
        "lightning.ckpt: the network's tensors stand there under 'model.', beside accuracy.tp, criterion.weight. To "
        "take only those, give --weights-prefix model."
    )
    card = load_classifier(plain_source(path, weights_prefix="model.")).card()
    assert card.tensor_digest == load_classifier(plain_source(tmp_path / "lesion.safetensors")).digest
    assert card.ignored == ("2 tensors outside model.: accuracy.tp, criterion.weight",)


def test_of_two_networks_in_one_file_none_is_guessed(tmp_path: Path) -> None:
    path = lightning(tmp_path, "student.body.", "teacher.")
    with pytest.raises(ModelRefused, match=r"2 times, under student\.body\., teacher\., beside .* --weights-prefix"):
        load_classifier(plain_source(path))
    with pytest.raises(ModelRefused, match=r"under 'student\.body\.'\. To .* give --weights-prefix student\.body\.$"):
        load_classifier(plain_source(path, weights_prefix="student"))
    load_classifier(plain_source(path, weights_prefix="teacher"))


def test_a_prefix_under_which_another_network_stands_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelRefused, match=r"the weights do not belong to the network; .* missing"):
        load_classifier(plain_source(lightning(tmp_path, "model."), weights_prefix="criterion"))
