from __future__ import annotations

import pytest
import torch
from torch import nn

from skinaudit.classifier import sketch
from skinaudit.classifier.networks import build_network
from skinaudit.classifier.refusal import ModelRefused
from skinaudit.classifier.sketch import check_pass, sketch_network


def small() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))


@pytest.mark.parametrize(
    ("target", "arguments"),
    [
        ("monai.networks.nets.DenseNet121", {"spatial_dims": 2, "in_channels": 3, "out_channels": 3}),
        ("torchvision.models.regnet_y_400mf", {"num_classes": 3}),
        ("torchvision.models.swin_t", {"num_classes": 3}),
        ("timm.create_model", {"model_name": "efficientnet_lite0", "num_classes": 3}),
        ("timm.create_model", {"model_name": "test_vit", "num_classes": 3}),
    ],
)
def test_a_sketch_has_the_tensors_of_the_network_without_their_memory(
    target: str, arguments: dict[str, str | int]
) -> None:
    seen: list[nn.Module] = []
    network = build_network(target, arguments, seen.append)
    (sketched,) = seen
    assert not sketched.training
    drawn = sketched.state_dict()
    assert all(tensor.is_meta for tensor in drawn.values())
    assert {name: (value.shape, value.dtype) for name, value in drawn.items()} == {
        name: (value.shape, value.dtype) for name, value in network.state_dict().items()
    }
    check_pass(sketched, (160, 160))


def test_a_network_that_is_not_approved_is_not_built() -> None:
    built: list[str] = []

    def refuse(network: nn.Module) -> None:
        built.append(type(network).__name__)
        raise ModelRefused("no")

    with pytest.raises(ModelRefused, match=r"^no$"):
        build_network("torchvision.models.vgg11", {"num_classes": 3}, refuse)
    assert built == ["VGG"]


def test_a_network_beyond_the_cap_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = 4 * 3 * 9 + 4 + 4 * 4 + 4 * 2 + 2
    monkeypatch.setattr(sketch, "MAX_NETWORK_BYTES", 4 * parameters + 7)
    with pytest.raises(ModelRefused, match=f"takes {4 * parameters + 8} bytes"):
        sketch_network(small)
    monkeypatch.setattr(sketch, "MAX_NETWORK_BYTES", 4 * parameters + 8)  # with the counter of the batch norm
    sketch_network(small)


def test_operations_are_counted_as_torch_counts_them(monkeypatch: pytest.MonkeyPatch) -> None:
    operations = 2 * (30 * 30 * 4 * 27 + 4 * 2)
    monkeypatch.setattr(sketch, "MAX_OPERATIONS", operations - 1)
    with pytest.raises(ModelRefused, match="operations; use a smaller network or input"):
        check_pass(sketch_network(small), (32, 32))
    monkeypatch.setattr(sketch, "MAX_OPERATIONS", operations)
    check_pass(sketch_network(small), (32, 32))


@pytest.mark.parametrize("cap", ["MAX_RESULT_BYTES", "MAX_PASS_BYTES"])
def test_results_beyond_a_cap_are_refused(cap: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sketch, cap, 30 * 30 * 4 * 4 - 1)
    with pytest.raises(ModelRefused, match="bytes inside the network"):
        check_pass(sketch_network(small), (32, 32))


def test_an_image_that_the_network_cannot_take_is_refused() -> None:
    with pytest.raises(ModelRefused, match=r"the network cannot take a \(2, 2\) image"):
        check_pass(sketch_network(small), (2, 2))


def test_a_pass_through_a_sketch_takes_no_memory() -> None:
    huge = sketch_network(lambda: nn.Sequential(nn.Conv2d(3, 1024, 1), nn.AdaptiveAvgPool2d(1)))
    check_pass(huge, (500, 500))
    assert torch.get_default_device() == torch.device("cpu")
