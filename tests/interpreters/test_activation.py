"""What the activation family shares: both forms, tokens as well as convolutions, refusals; gradcheck in float64."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor, nn

from skinaudit.interpreters.activation import ActivationMap, class_gradient
from skinaudit.interpreters.base import InterpreterUnavailable
from skinaudit.interpreters.grad_cam import GradCam
from skinaudit.interpreters.grad_cam_plus_plus import GradCamPlusPlus
from skinaudit.interpreters.layer_cam import LayerCam
from tests.interpreters.networks import AFFINE_HEADS, EVERYTHING, network_named
from tests.small_networks import Bypass, seeded, small_network

CLASSES = torch.tensor([2, 3])
VARIED = ("torchvision densenet", "torchvision vgg11", "torchvision mobilenet_v3_small", "timm vit", "torchvision swin")
KINDS: tuple[type[ActivationMap], ...] = (GradCam, GradCamPlusPlus, LayerCam)


def batch(side: int = 64, count: int = 2) -> Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(1))


def target_like(maps: Tensor) -> Tensor:
    return torch.rand(maps.shape, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(
    ("kind", "name"), [(GradCam, name) for name in EVERYTHING] + list(product((GradCamPlusPlus, LayerCam), VARIED))
)
def test_both_forms_give_the_same_map_with_a_gradient_to_the_image(kind: type[ActivationMap], name: str) -> None:
    network, x = network_named(name), batch()
    interpreter = kind.for_network(network, x[:1])
    shown = interpreter.explain(x, CLASSES)
    leaf = x.clone().requires_grad_()
    logits, maps = interpreter.differentiable(leaf, CLASSES)
    (gradient,) = torch.autograd.grad((maps - target_like(maps)).square().sum(), leaf, retain_graph=True)
    assert torch.autograd.grad(logits.sum(), leaf)[0].isfinite().all()
    assert shown.dim() == 3
    assert min(shown.shape[1:]) > 1
    assert not shown.requires_grad
    assert shown.amin((1, 2)).tolist() == [0, 0]
    assert set(shown.amax((1, 2)).tolist()) <= {0.0, 1.0}  # 0: nothing speaks for the class
    torch.testing.assert_close(logits, network(leaf), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(maps, shown, atol=1e-4, rtol=0)
    assert gradient.isfinite().all()
    assert (gradient.flatten(1).abs().amax(1) > 0).all()


@pytest.mark.parametrize("name", EVERYTHING)
def test_only_pooling_and_linear_layers_make_a_head_affine(name: str) -> None:
    assert GradCam.for_network(network_named(name), batch()[:1]).head_is_affine == (name in AFFINE_HEADS)


@pytest.mark.parametrize("name", ["timm efficientnet", "torchvision mobilenet_v3_small", "timm vit"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_row_of_a_batch_equals_the_image_alone(kind: type[ActivationMap], name: str) -> None:
    network, x = network_named(name), batch()
    interpreter = kind.for_network(network, x[:1])
    together = interpreter.explain(x, CLASSES)
    for row in range(2):
        alone = interpreter.explain(x[row : row + 1], CLASSES[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-4, rtol=0)


def smooth_network_with_a_hidden_layer(classes: int = 4) -> nn.Module:
    """Nothing with a kink, so that second derivatives are exact."""
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 8), nn.Tanh(), nn.Linear(8, classes))
    return seeded(lambda: nn.Sequential(nn.Conv2d(3, 6, 3, 2), nn.Softplus(), *head)).double()


@pytest.mark.parametrize("kind", KINDS)
def test_the_map_of_a_smooth_network_passes_gradcheck(kind: type[ActivationMap]) -> None:
    network, x = smooth_network_with_a_hidden_layer(), batch(12, 1).double()
    interpreter = kind.for_network(network, x)
    assert not interpreter.head_is_affine

    def weighed(image: Tensor) -> Tensor:
        seen = class_gradient(network, image, CLASSES[:1], create_graph=True)
        return interpreter.weighed(seen.features, seen.gradient)

    assert torch.autograd.gradcheck(weighed, x.requires_grad_(), fast_mode=True)


def test_places_that_speak_against_the_class_have_a_gradient_but_no_brightness() -> None:
    network, x = small_network(classes=4), batch(24)
    interpreter = GradCam.for_network(network, x[:1])
    leaf = x.clone().requires_grad_()
    seen = class_gradient(network, leaf, CLASSES, create_graph=False)
    raw = interpreter.weighed(seen.features, seen.gradient)
    maps = interpreter.differentiable(leaf, CLASSES)[1]
    (gradient,) = torch.autograd.grad(maps[raw < 0].sum(), leaf)
    assert (raw < 0).any()
    assert not maps[raw < 0].any()
    assert gradient.any()


def test_a_map_that_is_dark_everywhere_can_be_lit_by_an_attack() -> None:
    network, x = small_network(classes=4), batch(24)
    assert isinstance(network, nn.Sequential)
    with torch.no_grad():
        network[-1].weight.copy_(-network[-1].weight.abs())
    interpreter = GradCam.for_network(network, x[:1])
    leaf = x.clone().requires_grad_()
    maps = interpreter.differentiable(leaf, CLASSES)[1]
    (gradient,) = torch.autograd.grad((maps - 1).square().mean(), leaf)
    brighter = leaf.detach() - 1e-3 * gradient.sign()

    def depth(image: Tensor) -> Tensor:
        seen = class_gradient(network, image.requires_grad_(), CLASSES, create_graph=False)
        return interpreter.weighed(seen.features, seen.gradient).detach()

    assert not interpreter.explain(x, CLASSES).any()
    assert not maps.any()
    assert depth(brighter).mean() > depth(x.clone()).mean()


def test_a_head_of_rectifiers_has_weights_whose_gradient_needs_smoothing() -> None:
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 4))
    network = seeded(lambda: nn.Sequential(nn.Conv2d(3, 6, 3, 2), nn.ReLU(), *head))
    interpreter = GradCam.for_network(network, batch()[:1])
    leaf = batch(16).requires_grad_()

    def second(found: Tensor) -> Tensor | None:
        return torch.autograd.grad(found.square().sum(), leaf, allow_unused=True)[0]

    smoothed = class_gradient(network, leaf, CLASSES, create_graph=True, smoothing=interpreter.smoothing)
    plain = class_gradient(network, leaf, CLASSES, create_graph=True)
    assert torch.equal(smoothed.logits, plain.logits)
    assert torch.equal(smoothed.gradient, plain.gradient)
    seen, unseen = second(smoothed.gradient), second(plain.gradient)
    assert seen is not None
    assert seen.any()
    assert unseen is None or not unseen.any()


def test_gradients_are_computed_also_inside_no_grad() -> None:
    network, x = small_network(classes=4), batch(24)
    interpreter = GradCam.for_network(network, x[:1])
    expected = interpreter.explain(x, CLASSES)
    with torch.no_grad():
        assert torch.equal(interpreter.explain(x, CLASSES), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_without_anything_spatial_is_refused_with_advice(kind: type[ActivationMap]) -> None:
    network = seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 3)))
    with pytest.raises(InterpreterUnavailable, match=r"--interpreters grad$"):
        kind.for_network(network, batch(8)[:1])


def test_logits_that_do_not_use_the_last_features_are_refused() -> None:
    with pytest.raises(InterpreterUnavailable, match="do not depend"):
        GradCam.for_network(seeded(Bypass), batch(16)[:1])
