"""Oracles: pytorch-grad-cam; captum's gradient times activation."""

from __future__ import annotations

import pytest
import torch
from captum.attr import LayerActivation, LayerGradientXActivation
from pytorch_grad_cam import LayerCAM
from torch import Tensor

from skinaudit.interpreters.base import min_max
from skinaudit.interpreters.layer_cam import LayerCam
from tests.interpreters.cam_oracle import NETWORKS, last_layer, oracle_maps, reshape_of
from tests.interpreters.networks import network_named
from tests.small_networks import small_network


def batch() -> Tensor:
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", NETWORKS)
def test_map_agrees_with_pytorch_grad_cam(name: str) -> None:
    network, chosen = network_named(name), torch.tensor([0, 1])
    maps = LayerCam.for_network(network, batch()[:1]).explain(batch(), chosen)
    torch.testing.assert_close(maps, min_max(oracle_maps(LayerCAM, network, batch(), chosen)), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["torchvision resnet18", "MONAI densenet"])
def test_map_of_rectified_features_agrees_with_captum(name: str) -> None:
    network, chosen = network_named(name), torch.tensor([0, 1])
    layer = last_layer(network)
    assert reshape_of(network) is None
    assert LayerActivation(network, layer).attribute(batch()).min() >= 0  # so that only the gradient has a sign
    product = LayerGradientXActivation(network, layer).attribute(batch().requires_grad_(), chosen).detach()
    maps = LayerCam.for_network(network, batch()[:1]).explain(batch(), chosen)
    torch.testing.assert_close(maps, min_max(product.clamp(min=0).sum(1)), atol=1e-4, rtol=0)


def test_weighed_by_a_known_gradient() -> None:
    features = torch.tensor([[[[1.0, 2.0]], [[4.0, -1.0]]]])
    gradient = torch.tensor([[[[1.0, -2.0]], [[0.5, 3.0]]]])
    assert LayerCam(small_network()).weighed(features, gradient).tolist() == [[[3.0, -3.0]]]
