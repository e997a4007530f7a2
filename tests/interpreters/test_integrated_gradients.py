"""Oracles: captum's midpoint rule, completeness, scikit-image's pooling."""

from __future__ import annotations

import captum.attr
import numpy as np
import pytest
import torch
from skimage.measure import block_reduce
from torch import Tensor, nn

from skinaudit.interpreters.base import min_max
from skinaudit.interpreters.integrated_gradients import IntegratedGradients
from tests.interpreters.networks import network_named
from tests.small_networks import small_network

CLASSES = torch.tensor([1, 2])


def batch() -> Tensor:
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("baseline", [0.0, 0.5])
@pytest.mark.parametrize("name", ["torchvision resnet18", "timm efficientnet", "timm vit"])
def test_map_agrees_with_captum(name: str, baseline: float) -> None:
    network, x = network_named(name), batch()
    oracle = captum.attr.IntegratedGradients(network)
    attributions = oracle.attribute(x, baseline, CLASSES, n_steps=6, method="riemann_middle").detach().numpy()
    pooled = block_reduce(np.abs(attributions).sum(1), (1, 4, 4), np.mean)
    low, high = pooled.min((1, 2), keepdims=True), pooled.max((1, 2), keepdims=True)
    maps = IntegratedGradients(network, steps=6, baseline=baseline).explain(x, CLASSES)
    np.testing.assert_allclose(maps.numpy(), (pooled - low) / (high - low), atol=1e-4)


@pytest.mark.parametrize("baseline", [0.0, 1.0])
def test_attributions_add_up_to_what_the_logit_gains_on_the_way(baseline: float) -> None:
    network, x = small_network(nn.SiLU).double(), batch().double()
    integrated = IntegratedGradients(network, steps=50, baseline=baseline)
    points = integrated.points(x, searching=False)
    mean = torch.stack([integrated.gradient_at(point.of(x), CLASSES) for point in points]).mean(0)
    total = ((x - baseline) * mean).sum((1, 2, 3))
    gained = (network(x) - network(torch.full_like(x, baseline))).gather(1, CLASSES[:, None])[:, 0]
    torch.testing.assert_close(total, gained, rtol=1e-3, atol=1e-3)


def test_points_are_the_middles_of_equal_steps_from_the_baseline() -> None:
    x = batch()
    points = IntegratedGradients(small_network(), steps=2, baseline=0.5).points(x, searching=False)
    torch.testing.assert_close(points[0].of(x), 0.5 + 0.25 * (x - 0.5))
    torch.testing.assert_close(points[1].of(x), 0.5 + 0.75 * (x - 0.5))


def test_magnitudes_are_taken_before_channels_are_added() -> None:
    x = torch.ones(1, 3, 4, 8)
    mean = torch.zeros(1, 3, 4, 8)
    mean[0, :, :, :4] = torch.tensor([1.0, -1.0, 0.0]).view(3, 1, 1)
    mean[0, 0, :, 4:] = 1.0
    mean[0, 0, 0, 0] = 17.0
    # Cells: (15·2 + 18)/16 = 3 and 1.
    assert min_max(IntegratedGradients(small_network()).unscaled(mean, x)).tolist() == [[[1.0, 0.0]]]
