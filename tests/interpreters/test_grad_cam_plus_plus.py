"""Oracles: pytorch-grad-cam, and the quotient of the paper's equation 19 in float64."""

from __future__ import annotations

import pytest
import torch
from pytorch_grad_cam import GradCAMPlusPlus
from torch import Tensor

from skinaudit.interpreters.base import min_max
from skinaudit.interpreters.grad_cam_plus_plus import GradCamPlusPlus
from tests.interpreters.cam_oracle import NETWORKS, Steeper, oracle_maps
from tests.interpreters.networks import network_named
from tests.small_networks import small_network


def batch() -> Tensor:
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


def interpreter() -> GradCamPlusPlus:
    return GradCamPlusPlus(small_network())


#: Swin's features are signed and many: some meet the pole of the weights, which the oracle guards otherwise.
AWAY_FROM_THE_POLE = [name for name in NETWORKS if not name.endswith(" swin")]


@pytest.mark.parametrize("name", AWAY_FROM_THE_POLE)
def test_map_agrees_with_pytorch_grad_cam(name: str) -> None:
    """The oracle adds 1e-6 to a denominator of the size of squared gradients; large ones make that nothing."""
    network, chosen, x = Steeper(network_named(name)), torch.tensor([0, 1]), batch().double()
    maps = GradCamPlusPlus.for_network(network, x[:1]).explain(x, chosen)
    torch.testing.assert_close(maps, min_max(oracle_maps(GradCAMPlusPlus, network, x, chosen)), atol=1e-4, rtol=0)


def test_weights_are_those_of_the_paper() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.rand(2, 5, 3, 4, dtype=torch.float64, generator=generator)
    gradient = torch.randn(2, 5, 3, 4, dtype=torch.float64, generator=generator)
    total = features.sum((2, 3), keepdim=True)
    alpha = gradient**2 / (2 * gradient**2 + total * gradient**3)
    weights = (alpha * gradient.clamp(min=0)).sum((2, 3), keepdim=True)
    torch.testing.assert_close(interpreter().weighed(features, gradient), (weights * features).sum(1))


def test_tiny_gradients_weigh_as_the_formula_says_and_not_as_a_constant_would() -> None:
    features = torch.rand(1, 2, 2, 2, generator=torch.Generator().manual_seed(0))
    gradient = torch.tensor([1e-6, 2e-6]).view(1, 2, 1, 1).expand(1, 2, 2, 2)
    raw = interpreter().weighed(features, gradient)
    torch.testing.assert_close(raw, (features * torch.tensor([2e-6, 4e-6]).view(1, 2, 1, 1)).sum(1), rtol=1e-4, atol=0)


@pytest.mark.parametrize("gradient", [0.0, 1.0, 1.0 + 1e-7])
def test_the_pole_of_the_weights_is_guarded(gradient: float) -> None:
    features = torch.full((1, 1, 1, 2), -1.0)  # 2 + 1·(−2) = 0
    leaf = torch.full((1, 1, 1, 2), gradient).requires_grad_()
    raw = interpreter().weighed(features, leaf)
    (through,) = torch.autograd.grad(raw.sum(), leaf)
    assert raw.isfinite().all()
    assert through.isfinite().all()
