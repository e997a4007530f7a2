"""What maps of gradients at several points share: both forms, on any network; gradcheck in float64."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from skinaudit.interpreters.cam import Cam
from skinaudit.interpreters.grad import Grad
from skinaudit.interpreters.gradient_map import GradientMap, Point, SampledGradient
from skinaudit.interpreters.integrated_gradients import IntegratedGradients
from skinaudit.interpreters.smooth_grad import SmoothGrad
from tests.interpreters.networks import TOKENS, network_named
from tests.small_networks import small_network

CLASSES = torch.tensor([2, 3])
NETWORKS = ("torchvision densenet", "torchvision mobilenet_v3_small", "torchvision squeezenet1_1", *TOKENS)
KINDS: dict[str, Callable[[nn.Module], SampledGradient]] = {
    "smooth-grad": partial(SmoothGrad, samples=3, search_samples=2),
    "integrated-gradients": partial(IntegratedGradients, steps=3, search_steps=2, baseline=0.1),
}


def batch(side: int = 64) -> Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("kind", KINDS)
def test_both_forms_give_the_same_map_with_a_gradient_to_the_image(kind: str, name: str) -> None:
    network, x = network_named(name), batch()
    interpreter = KINDS[kind](network)
    shown = interpreter.explain(x, CLASSES)
    leaf = x.clone().requires_grad_()
    logits, maps = interpreter.differentiable(leaf, CLASSES)
    (gradient,) = torch.autograd.grad((maps - 0.2).square().sum(), leaf)
    assert interpreter.name == kind
    assert shown.shape == (2, 16, 16)
    assert not shown.requires_grad
    assert shown.amin((1, 2)).tolist() == [0, 0]
    assert shown.amax((1, 2)).tolist() == pytest.approx([1, 1])
    torch.testing.assert_close(logits, network(x), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(maps, shown, atol=1e-4, rtol=0)
    assert gradient.isfinite().all()
    assert (gradient.flatten(1).abs().amax(1) > 0).all()


@pytest.mark.parametrize("activation", [nn.SiLU, nn.Softplus])
@pytest.mark.parametrize("kind", KINDS)
def test_differentiable_map_of_a_smooth_network_passes_gradcheck(kind: str, activation: type[nn.Module]) -> None:
    interpreter = KINDS[kind](small_network(activation, classes=4).double())
    x = batch(12)[:1].double().requires_grad_()
    assert torch.autograd.gradcheck(lambda image: interpreter.differentiable(image, CLASSES[:1])[1], x, fast_mode=True)


@pytest.mark.parametrize("kind", KINDS)
def test_a_map_is_the_same_whenever_it_is_computed_and_whatever_lies_beside_it(kind: str) -> None:
    interpreter, x = KINDS[kind](small_network(classes=4)), batch(24)
    expected = interpreter.explain(x, CLASSES)
    torch.rand(5)
    assert torch.equal(interpreter.explain(x, CLASSES), expected)
    beside = interpreter.explain(torch.stack([x[0], 1 - x[1]]), CLASSES)
    assert torch.equal(beside[0], expected[0])
    swapped = interpreter.explain(x.flip(0), CLASSES.flip(0))
    torch.testing.assert_close(swapped.flip(0), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_are_computed_also_inside_no_grad(kind: str) -> None:
    interpreter, x = KINDS[kind](small_network(classes=4)), batch(24)
    expected = interpreter.explain(x, CLASSES)
    with torch.no_grad():
        assert torch.equal(interpreter.explain(x, CLASSES), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_gradient_at_pixels_is_that_of_each_images_own_logit(kind: str) -> None:
    network, x = small_network(classes=4), batch(24)
    found = KINDS[kind](network).gradient_at(x, CLASSES)
    for row in range(2):
        leaf = x[row : row + 1].clone().requires_grad_()
        (expected,) = torch.autograd.grad(network(leaf)[0, CLASSES[row]], leaf)
        torch.testing.assert_close(found[row], expected[0])
    assert not found.requires_grad


@pytest.mark.parametrize("kind", KINDS)
def test_a_search_visits_fewer_points(kind: str) -> None:
    interpreter, x = KINDS[kind](small_network(classes=4)), batch(24)
    assert len(interpreter.points(x, searching=False)) == 3
    assert len(interpreter.points(x, searching=True)) == 2


def test_points_are_affine_in_the_image() -> None:
    x, shift = batch(8), torch.rand(3, 8, 8)
    assert Point().of(x) is x
    assert Point().is_the_image
    torch.testing.assert_close(Point(0.25, shift).of(x), 0.25 * x + shift)
    assert not Point(shift=shift).is_the_image
    assert not Point(0.5).is_the_image


def test_maps_of_gradients_are_told_from_others() -> None:
    network = small_network(classes=4)
    assert isinstance(Grad(network), GradientMap)
    assert all(isinstance(kind(network), GradientMap) for kind in KINDS.values())
    assert not isinstance(Cam.for_network(network, batch(24)[:1]), GradientMap)
    assert Grad(network).points(batch(24), searching=True) == (Point(),)
