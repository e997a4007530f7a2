"""Oracles: captum and pytorch-grad-cam, on the layer that stands last in each network."""

from __future__ import annotations

import pytest
import torch
from captum.attr import LayerGradCam
from pytorch_grad_cam import GradCAM
from torch import Tensor

from skinaudit.interpreters.base import min_max
from skinaudit.interpreters.cam import Cam
from skinaudit.interpreters.grad_cam import GradCam
from tests.interpreters.cam_oracle import NETWORKS, last_layer, oracle_maps, reshape_of
from tests.interpreters.networks import network_named
from tests.small_networks import small_network


def batch() -> Tensor:
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("classes", [(0, 1), (2, 3)])
@pytest.mark.parametrize("name", NETWORKS)
def test_map_agrees_with_pytorch_grad_cam(name: str, classes: tuple[int, int]) -> None:
    network, chosen = network_named(name), torch.tensor(classes)
    maps = GradCam.for_network(network, batch()[:1]).explain(batch(), chosen)
    torch.testing.assert_close(maps, min_max(oracle_maps(GradCAM, network, batch(), chosen)), atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", [name for name in NETWORKS if reshape_of(network_named(name)) is None])
def test_map_agrees_with_captum(name: str) -> None:
    network, chosen = network_named(name), torch.tensor([0, 1])
    captum = LayerGradCam(network, last_layer(network))
    raw = captum.attribute(batch().requires_grad_(), chosen, relu_attributions=True).detach()[:, 0]
    maps = GradCam.for_network(network, batch()[:1]).explain(batch(), chosen)
    torch.testing.assert_close(maps, min_max(raw), atol=1e-4, rtol=0)


def test_weighed_by_a_known_gradient() -> None:
    features = torch.tensor([[[[1.0, 2.0]], [[4.0, 1.0]]]])
    gradient = torch.tensor([[[[1.0, 2.0]], [[-0.5, 0.0]]]])
    assert GradCam(small_network()).weighed(features, gradient).tolist() == [[[3 - 2.0, 6 - 0.5]]]


def test_where_everything_speaks_for_the_class_it_is_cam() -> None:
    network = small_network(classes=4)
    with torch.no_grad():
        list(network.parameters())[-2].abs_()
    x, classes = batch(), torch.tensor([0, 1])
    torch.testing.assert_close(
        GradCam.for_network(network, x[:1]).explain(x, classes) > 0.999,
        Cam.for_network(network, x[:1]).explain(x, classes) > 0.999,
    )
