from __future__ import annotations

import pytest
import torch
import torch.nn.functional as functional
import torchvision.models as tv
from monai.networks.nets import DenseNet
from torch import Tensor, nn

from skinaudit.classifier.features import FeaturesUnavailable, LastFeatureMap
from skinaudit.classifier.scales import FeatureScales
from tests.small_networks import seeded


def image(side: int = 64) -> Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))


def scales_of(network: nn.Module, x: Tensor) -> tuple[Tensor, ...]:
    with FeatureScales((x.shape[2] // 4, x.shape[3] // 4)) as capture:
        network(x)
    scales: tuple[Tensor, ...] = capture.scales
    return scales


def test_scales_of_a_resnet_are_the_outputs_of_its_layers() -> None:
    network = seeded(lambda: tv.resnet18(num_classes=3))
    assert isinstance(network, tv.ResNet)
    x = network.maxpool(network.relu(network.bn1(network.conv1(image()))))
    outputs = []
    for layer in (network.layer1, network.layer2, network.layer3, network.layer4):
        x = layer(x)
        outputs.append(x)
    # The last ReLU of a block works in place, so each scale is what the next layer reads.
    for found, expected in zip(scales_of(network, image()), reversed(outputs), strict=True):
        assert torch.equal(found, expected)


def test_scales_of_a_densenet_reach_from_its_last_relu_to_a_quarter_of_the_image() -> None:
    network = seeded(lambda: DenseNet(2, 3, 4, init_features=16, growth_rate=8, block_config=(2, 2, 2, 2)))
    found = scales_of(network, image())
    assert [one.shape[2] for one in found] == [2, 4, 8, 16]
    assert torch.equal(found[0], functional.relu(network.get_submodule("features")(image())))


def test_the_deepest_scale_is_the_last_feature_map() -> None:
    network = seeded(lambda: tv.mobilenet_v2(num_classes=3))
    with LastFeatureMap() as last:
        network(image())
    assert torch.equal(scales_of(network, image())[0], last.features)


def test_scales_keep_their_graph() -> None:
    x = image().requires_grad_()
    for one in scales_of(seeded(lambda: tv.resnet18(num_classes=3)), x):
        (gradient,) = torch.autograd.grad(one.square().sum(), x, retain_graph=True)
        assert gradient.abs().amax() > 0


def test_extents_that_hardly_differ_count_once_and_large_ones_not_at_all() -> None:
    def build() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.Conv2d(4, 5, 8, stride=4), nn.Conv2d(5, 6, 2), nn.Conv2d(6, 7, 3, 2)
        )

    assert [tuple(one.shape[1:]) for one in scales_of(seeded(build), image())] == [(7, 6, 6), (6, 13, 13)]


def test_a_network_of_tokens_is_refused() -> None:
    network = seeded(lambda: tv.VisionTransformer(64, 16, 2, 2, 32, 64, num_classes=4))
    with pytest.raises(FeaturesUnavailable):
        scales_of(network, image())
