from __future__ import annotations

import pytest
import timm
import torch
import torch.nn.functional as functional
import torchvision.models as tv
from torch import Tensor, nn
from torch.overrides import _get_current_function_mode_stack

from skinaudit.classifier.features import FeaturesUnavailable, LastFeatureMap
from tests.small_networks import seeded, small_network


def image(side: int = 32) -> Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))


def test_features_are_what_stands_before_pooling() -> None:
    network = small_network()
    assert isinstance(network, nn.Sequential)
    with LastFeatureMap() as capture:
        logits = network(image())
    assert torch.equal(capture.features, network[:4](image()))
    assert torch.equal(network[4:](capture.features), logits)
    assert capture.head_is_affine


def test_functions_called_in_forward_are_seen() -> None:
    """torchvision's DenseNet ends with F.relu, which is no module."""
    network = seeded(lambda: tv.DenseNet(8, (2, 2, 2, 2), 16, num_classes=3))
    with LastFeatureMap() as capture:
        network(image(64))
    expected = functional.relu(network.features(image(64)))
    assert torch.equal(capture.features, expected)
    assert capture.head_is_affine


def test_features_after_an_in_place_activation_keep_their_graph() -> None:
    network = seeded(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(3600, 2)))
    x = image().requires_grad_()
    with LastFeatureMap() as capture:
        logits = network(x)
    (to_features,) = torch.autograd.grad(logits[:, 0].sum(), capture.features, retain_graph=True)
    assert torch.equal(to_features, network[3].weight[0].view(1, 4, 30, 30).expand(2, -1, -1, -1))
    assert torch.autograd.grad(capture.features.sum(), x)[0].any()


def test_squeeze_and_excitation_is_not_taken_for_features() -> None:
    network = seeded(lambda: timm.create_model("test_efficientnet", num_classes=3))
    with LastFeatureMap() as capture:
        network(image(64))
    assert torch.equal(capture.features, network.forward_features(image(64)))


def test_a_norm_after_pooling_is_not_taken_for_features() -> None:
    """ConvNeXt normalises pooled features as (N,1,1,C), which is no map of 1 × C pixels."""
    network = seeded(lambda: timm.create_model("test_convnext", num_classes=3))
    with LastFeatureMap() as capture:
        network(image(64))
    assert torch.equal(capture.features, network.forward_features(image(64)))


def test_pixels_that_pooling_repeats_are_not_taken_for_features() -> None:
    network = seeded(
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3, 4), nn.AdaptiveAvgPool2d(16), nn.Flatten(), nn.Linear(1024, 2))
    )
    with LastFeatureMap() as capture:
        network(image())
    assert capture.features.shape == (2, 4, 8, 8)


def test_attention_before_the_last_convolution_is_no_obstacle() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.head = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            features = self.first(x)
            logits: Tensor = self.head(self.second(features * features.softmax(1)).mean((2, 3)))
            return logits

    with LastFeatureMap() as capture:
        seeded(Gated)(image())
    assert capture.features.shape == (2, 4, 28, 28)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 8, 8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        mixed: Tensor = self.attention(tokens, tokens, tokens)[0]
        return mixed.mean(1)


@pytest.mark.parametrize(
    "network",
    [
        pytest.param(lambda: nn.Sequential(nn.Flatten(), nn.Linear(3072, 2)), id="no convolution"),
        pytest.param(lambda: nn.Sequential(nn.Conv2d(3, 2, 32), nn.Flatten()), id="nothing spatial"),
        pytest.param(Attention, id="multi-head attention"),
        pytest.param(lambda: timm.create_model("test_vit", num_classes=2, img_size=32), id="transformer"),
    ],
)
def test_a_network_without_a_last_feature_map_is_refused(network: type[nn.Module]) -> None:
    with LastFeatureMap() as capture:
        seeded(network)(image())
    with pytest.raises(FeaturesUnavailable, match="--interpreters grad"):
        _ = capture.features


def test_an_activation_in_the_head_makes_it_not_affine() -> None:
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    with LastFeatureMap() as capture:
        seeded(lambda: nn.Sequential(nn.Conv2d(3, 4, 3), *head))(image())
    assert not capture.head_is_affine


def test_looking_changes_no_logit_and_is_gone_after_the_block() -> None:
    network = small_network()
    expected = network(image())
    with LastFeatureMap() as capture:
        seen = network(image())
    features = capture.features
    network(image() * 0)
    assert torch.equal(seen, expected)
    assert capture.features is features
    assert not _get_current_function_mode_stack()


def test_looking_is_gone_after_an_exception() -> None:
    with pytest.raises(RuntimeError), LastFeatureMap():
        small_network()(torch.rand(1, 5, 32, 32))
    assert not _get_current_function_mode_stack()
