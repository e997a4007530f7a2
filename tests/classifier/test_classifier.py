from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from skinaudit.audit.records import ModelCard
from skinaudit.classifier.bundle import read_bundle
from skinaudit.classifier.classifier import Classifier, find_models, load_classifier, shipped_models
from skinaudit.classifier.config_file import Value
from skinaudit.classifier.networks import build_network
from skinaudit.classifier.refusal import ModelRefused
from tests.bundles import change_config, make_bundle

TIMM: dict[str, Value] = {"_target_": "timm.create_model", "model_name": "test_resnet", "num_classes": 3}
SQUEEZENET: dict[str, Value] = {"_target_": "torchvision.models.squeezenet1_1", "num_classes": 3}


class Returning(nn.Module):
    """Gives a fixed structure around the logits."""

    def __init__(self, wrap: object) -> None:
        super().__init__()
        self.wrap = wrap

    def forward(self, x: Tensor) -> object:
        logits = x.mean((2, 3)).double()
        return {"tuple": (logits, [x]), "dict": {"pred": logits}, "text": "mel", "image": x, "none": {}}[str(self.wrap)]


@pytest.mark.parametrize("network", [None, TIMM, SQUEEZENET])
def test_pixels_become_logits(network: dict[str, Value] | None, tmp_path: Path) -> None:
    classifier = load_classifier(make_bundle(tmp_path / "tiny", network=network, size=64))
    x = torch.rand(2, 3, *classifier.input_size, requires_grad=True, generator=torch.Generator().manual_seed(0))
    logits = classifier(x)
    assert logits.shape == (2, 3)
    assert logits.dtype == torch.float32
    (gradient,) = torch.autograd.grad(logits[:, 0].sum(), x)
    assert (gradient.flatten(1).abs().sum(1) > 0).all()


def test_weights_are_those_of_the_bundle(tmp_path: Path) -> None:
    path = make_bundle(tmp_path / "tiny", seed=4)
    stored = load_file(path / "models" / "model.safetensors")
    loaded = load_classifier(path).network.state_dict()
    assert all(torch.equal(loaded[name], value) for name, value in stored.items())
    assert load_classifier(path).digest != load_classifier(make_bundle(tmp_path / "other", seed=5)).digest


def test_digest_does_not_depend_on_the_file(tmp_path: Path) -> None:
    path = make_bundle(tmp_path / "tiny")
    digest = load_classifier(path).digest
    stored = load_file(path / "models" / "model.safetensors")
    (path / "models" / "model.safetensors").unlink()
    torch.save({"state_dict": stored}, path / "models" / "model.pt")
    renamed = path.rename(tmp_path / "renamed")
    assert load_classifier(renamed).digest == digest


def test_the_object_under_audit_stays_frozen_and_in_evaluation_mode(tmp_path: Path) -> None:
    classifier = load_classifier(make_bundle(tmp_path / "tiny")).train()
    assert not any(module.training for module in classifier.modules())
    assert not any(parameter.requires_grad for parameter in classifier.parameters())


def test_row_of_a_batch_equals_the_image_alone(tmp_path: Path) -> None:
    classifier = load_classifier(make_bundle(tmp_path / "tiny"))
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    together = classifier(images)
    torch.testing.assert_close(together, torch.cat([classifier(image[None]) for image in images]), atol=1e-5, rtol=0)


def test_card_has_the_fields_of_a_records_model_card(tmp_path: Path) -> None:
    classifier = load_classifier(make_bundle(tmp_path / "tiny"))
    facts = dataclasses.asdict(classifier.card())
    card = ModelCard(**facts)
    assert card.parameters == sum(parameter.numel() for parameter in classifier.network.parameters())
    assert card.tensor_digest == classifier.digest
    assert card.network.startswith("monai.networks.nets.DenseNet(spatial_dims=2, ")
    assert card.classes == classifier.classes == ("mel", "nv", "bkl")
    assert card.class_titles == classifier.titles
    assert card.malignant == classifier.malignant == ("mel",)
    assert card.ignored == ("evaluator", "imports", "postprocessing")
    assert card.declared == {"accuracy": 0.5}


@pytest.mark.parametrize("wrap", ["tuple", "dict"])
def test_logits_are_taken_out_of_what_a_network_returns(wrap: str, tmp_path: Path) -> None:
    classifier = Classifier(read_bundle(make_bundle(tmp_path / "tiny")), Returning(wrap))
    logits = classifier(torch.zeros(2, 3, 32, 32))
    assert logits.shape == (2, 3)
    assert logits.dtype == torch.float32


@pytest.mark.parametrize("wrap", ["text", "image", "none"])
def test_a_network_without_logits_is_refused(wrap: str, tmp_path: Path) -> None:
    classifier = Classifier(read_bundle(make_bundle(tmp_path / "tiny")), Returning(wrap))
    with pytest.raises(ModelRefused, match=r"where logits \(N,K\) are expected"):
        classifier(torch.zeros(2, 3, 32, 32))


def test_outputs_and_classes_must_agree(tmp_path: Path) -> None:
    path = make_bundle(tmp_path / "tiny")
    channel_def: Value = {"0": "mel", "1": "nv"}
    changes: dict[str, Value] = {"network_data_format": {"outputs": {"pred": {"channel_def": channel_def}}}}
    change_config(path, "metadata.json", changes)
    with pytest.raises(ModelRefused, match=r"^tiny: the network has 3 outputs, but .* names 2 classes"):
        load_classifier(path)


def test_a_network_for_another_input_is_refused(tmp_path: Path) -> None:
    network: dict[str, Value] = {"_target_": "resnet10", "spatial_dims": 3, "n_input_channels": 3, "num_classes": 3}
    with pytest.raises(ModelRefused, match=r"the network cannot take a \(32, 32\) image"):
        load_classifier(make_bundle(tmp_path / "tiny", network={**network, "widen_factor": 0.1}))


def test_infinite_logits_are_refused(tmp_path: Path) -> None:
    path = make_bundle(tmp_path / "tiny")
    stored = load_file(path / "models" / "model.safetensors")
    save_file(
        {name: value * 1e30 if value.ndim > 1 else value for name, value in stored.items()},
        path / "models" / "model.safetensors",
    )
    with pytest.raises(ModelRefused, match="NaN or infinite logits"):
        load_classifier(path)


def test_a_target_that_is_a_command_is_refused_and_does_not_run(tmp_path: Path) -> None:
    path = make_bundle(tmp_path / "tiny")
    command: Value = {"_target_": "os.system", "command": f"touch {tmp_path / 'ran'}"}
    change_config(path, "inference.json", {"network_def": command})
    with pytest.raises(ModelRefused, match=r'^tiny: network_def: "os.system" is not on the list of networks'):
        load_classifier(path)
    assert not (tmp_path / "ran").exists()


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = make_bundle(tmp_path / "tiny")
    other = build_network("timm.create_model", {"model_name": "test_resnet", "num_classes": 3})
    save_file(other.state_dict(), path / "models" / "model.safetensors")
    with pytest.raises(ModelRefused, match=r"^tiny: model.safetensors: the weights do not belong to the network"):
        load_classifier(path)


def test_models_are_found_at_a_folder_and_directly_under_it(tmp_path: Path) -> None:
    first, second = make_bundle(tmp_path / "b"), make_bundle(tmp_path / "a")
    (tmp_path / "no bundle").mkdir()
    (tmp_path / "link").symlink_to(first)
    assert find_models(tmp_path) == [second, first]
    assert find_models(first) == [first]
    assert find_models(tmp_path / "nothing") == []


def test_shipped_models_stand_beside_the_package() -> None:
    shipped = shipped_models()
    beside = {path.name for path in find_models(Path(__file__).parents[2] / "models")}
    assert beside <= set(shipped)
    assert all((path / "configs" / "metadata.json").is_file() for path in shipped.values())
