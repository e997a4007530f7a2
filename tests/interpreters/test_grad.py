"""Oracles: captum's saliency, scikit-image's pooling, closed forms and gradcheck."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as functional
from captum.attr import Saliency
from skimage.measure import block_reduce
from torch import Tensor, nn

from skinaudit.interpreters.base import min_max
from skinaudit.interpreters.grad import Grad
from skinaudit.interpreters.smooth import Smoothing
from tests.interpreters.networks import EVERYTHING, network_named
from tests.small_networks import small_network

CLASSES = torch.tensor([1, 2])


def batch(side: int = 64) -> Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("name", EVERYTHING)
def test_both_forms_work_on_any_architecture(name: str) -> None:
    network, x = network_named(name), batch()
    grad = Grad(network)
    shown = grad.explain(x, CLASSES)
    leaf = x.clone().requires_grad_()
    logits, maps = grad.differentiable(leaf, CLASSES)
    (gradient,) = torch.autograd.grad((maps - 0.2).square().sum(), leaf)
    assert shown.shape == maps.shape == (2, 16, 16)
    assert not shown.requires_grad
    assert shown.amin((1, 2)).tolist() == [0, 0]
    assert shown.amax((1, 2)).tolist() == pytest.approx([1, 1])
    torch.testing.assert_close(logits, network(x), atol=1e-5, rtol=1e-5)
    assert gradient.isfinite().all()
    assert (gradient.flatten(1).abs().amax(1) > 0).all()


@pytest.mark.parametrize("name", ["torchvision resnet18", "timm efficientnet", "torchvision vit"])
def test_map_agrees_with_captum_and_scikit_image(name: str) -> None:
    network, x = network_named(name), batch()

    def loss(images: Tensor) -> Tensor:
        return functional.cross_entropy(network(images), CLASSES, reduction="none")

    saliency = Saliency(loss).attribute(x.clone().requires_grad_(), abs=True).detach().numpy()
    pooled = block_reduce(saliency.max(1), (1, 4, 4), np.mean)
    low, high = pooled.min((1, 2), keepdims=True), pooled.max((1, 2), keepdims=True)
    np.testing.assert_allclose(Grad(network).explain(x, CLASSES).numpy(), (pooled - low) / (high - low), atol=1e-4)


def test_input_gradient_is_that_of_each_images_own_cross_entropy() -> None:
    network, x = small_network(), batch(24)
    logits, losses, gradient = Grad(network).input_gradient(x, CLASSES)
    for row in range(2):
        leaf = x[row : row + 1].clone().requires_grad_()
        loss = functional.cross_entropy(network(leaf), CLASSES[row : row + 1])
        loss.backward()
        torch.testing.assert_close(losses[row], loss.detach())
        torch.testing.assert_close(logits[row], network(leaf)[0].detach())
        torch.testing.assert_close(gradient[row], leaf.grad[0] if leaf.grad is not None else torch.empty(0))
    assert not any(tensor.requires_grad for tensor in (logits, losses, gradient))


def test_map_of_a_known_gradient() -> None:
    gradient = torch.zeros(1, 3, 4, 8)
    gradient[0, 1, 0, 0] = -16.0  # mean 1 over its 4 × 4 cell; magnitude counts, not sign
    gradient[0, 0, 0, 4] = 4.0
    gradient[0, 2, 0, 4] = -8.0  # the largest channel counts
    assert min_max(Grad(small_network()).unscaled(gradient)).tolist() == [[[1.0, 0.0]]]
    fine = min_max(Grad(small_network(), pool=2).unscaled(gradient))
    assert fine.tolist() == [[[1.0, 0.0, 0.5, 0.0], [0.0, 0.0, 0.0, 0.0]]]


@pytest.mark.parametrize("activation", [nn.SiLU, nn.Tanh, nn.Softplus])
def test_differentiable_map_of_a_smooth_network_passes_gradcheck(activation: type[nn.Module]) -> None:
    network = small_network(activation).double()
    grad, x = Grad(network), batch(12)[:1].double().requires_grad_()
    assert torch.autograd.gradcheck(lambda image: grad.differentiable(image, CLASSES[:1])[1], x, fast_mode=True)


def test_honest_map_knows_no_smoothing() -> None:
    network, x = small_network(), batch(24)
    plain = Grad(network).explain(x, CLASSES)
    assert torch.equal(plain, Grad(network, smoothing=Smoothing("softplus", beta=0.1)).explain(x, CLASSES))
    leaf = x.clone().requires_grad_()
    blurred = Grad(network, smoothing=Smoothing("softplus", beta=0.1)).differentiable(leaf, CLASSES)[1]
    sharp = Grad(network, smoothing=Smoothing(tau=1e-14)).differentiable(leaf, CLASSES)[1]
    assert (blurred - plain).abs().max() > 0.01
    torch.testing.assert_close(sharp.detach(), plain, atol=1e-3, rtol=0)


def test_a_rectifier_network_has_a_map_gradient_only_through_smoothing() -> None:
    network, x = small_network(), batch(24)
    leaf = x.clone().requires_grad_()
    logits, maps = Grad(network, smoothing=Smoothing(tau=1e-2)).differentiable(leaf, CLASSES)
    (smoothed,) = torch.autograd.grad((maps - 0.2).square().sum(), leaf)
    plain = functional.cross_entropy(network(leaf), CLASSES, reduction="sum")
    (gradient,) = torch.autograd.grad(plain, leaf, create_graph=True)
    (unsmoothed,) = torch.autograd.grad((min_max(Grad(network).unscaled(gradient)) - 0.2).square().sum(), leaf)
    assert torch.equal(logits, network(leaf))
    assert (smoothed - unsmoothed).abs().max() > 0.1 * smoothed.abs().max()


def test_gradients_are_computed_also_inside_no_grad() -> None:
    network, x = small_network(), batch(24)
    expected = Grad(network).explain(x, CLASSES)
    with torch.no_grad():
        assert torch.equal(Grad(network).explain(x, CLASSES), expected)
