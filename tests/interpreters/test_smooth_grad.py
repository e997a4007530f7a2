"""Oracles: captum's saliency at each noisy copy, its noise tunnel, scikit-image's pooling."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import NoiseTunnel, Saliency
from skimage.measure import block_reduce
from torch import Tensor

from skinaudit.interpreters.smooth_grad import SmoothGrad
from tests.interpreters.networks import network_named
from tests.small_networks import images, small_network

CLASSES = torch.tensor([1, 2])


def batch() -> Tensor:
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(2))


def shown(magnitude: Tensor) -> np.ndarray:
    """Strongest channel, pooled 4 × 4, min-max."""
    pooled = block_reduce(magnitude.detach().numpy().max(1), (1, 4, 4), np.mean)
    low, high = pooled.min((1, 2), keepdims=True), pooled.max((1, 2), keepdims=True)
    return np.asarray((pooled - low) / (high - low))


@pytest.mark.parametrize("name", ["torchvision resnet18", "timm efficientnet", "timm vit"])
def test_map_agrees_with_captum_at_each_noisy_copy(name: str) -> None:
    network, x = network_named(name), batch()
    smooth = SmoothGrad(network, samples=4, sigma=0.2)
    copies = [point.of(x) for point in smooth.points(x, searching=False)]
    saliency = Saliency(network)
    mean = torch.stack([saliency.attribute(copy.requires_grad_(), CLASSES, abs=True) for copy in copies]).mean(0)
    np.testing.assert_allclose(smooth.explain(x, CLASSES).numpy(), shown(mean), atol=1e-4)


def test_with_many_samples_it_approaches_captums_noise_tunnel() -> None:
    network, x = small_network(), images(2, height=32, width=32).float() / 255
    torch.manual_seed(0)
    tunnel = NoiseTunnel(Saliency(network)).attribute(
        x.clone().requires_grad_(), nt_type="smoothgrad", nt_samples=400, stdevs=0.15, target=CLASSES
    )
    maps = SmoothGrad(network, samples=400).explain(x, CLASSES).numpy()
    for one, other in zip(maps, shown(tunnel), strict=True):
        assert np.corrcoef(one.ravel(), other.ravel())[0, 1] > 0.97


def test_without_noise_it_is_the_saliency_of_the_logit() -> None:
    network, x = small_network(), batch()
    plain = Saliency(network).attribute(x.clone().requires_grad_(), CLASSES, abs=True)
    np.testing.assert_allclose(SmoothGrad(network, sigma=0.0, samples=3).explain(x, CLASSES), shown(plain), atol=1e-5)


def test_noise_is_normal_of_the_stated_size_the_same_for_all_images_and_changed_by_the_seed() -> None:
    smooth, x = SmoothGrad(small_network(), samples=20), batch()
    noise = torch.stack([point.of(x) - x for point in smooth.points(x, searching=False)])
    assert noise.std().item() == pytest.approx(0.15, rel=0.02)
    assert abs(noise.mean().item()) < 0.002
    torch.testing.assert_close(noise[:, 0], noise[:, 1], atol=1e-6, rtol=0)
    other = SmoothGrad(small_network(), samples=20, seed=1).points(x, searching=False)
    assert (other[0].of(x) - x - noise[0]).abs().max() > 0.1


def test_a_search_sees_the_first_of_the_same_noise() -> None:
    smooth, x = SmoothGrad(small_network(), samples=6, search_samples=2), batch()
    few, all_of_them = smooth.points(x, searching=True), smooth.points(x, searching=False)
    assert [torch.equal(a.of(x), b.of(x)) for a, b in zip(few, all_of_them, strict=False)] == [True, True]
    assert len(SmoothGrad(small_network(), samples=2, search_samples=5).points(x, searching=True)) == 2
