"""Oracles: captum, pytorch-grad-cam and MONAI, on the layers that stand last in each network."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torchvision.models as tv
from captum.attr import LayerGradCam
from monai import visualize
from monai.networks.nets import DenseNet
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from skinaudit.interpreters.base import InterpreterUnavailable, min_max
from skinaudit.interpreters.cam import Cam
from tests.interpreters.networks import AFFINE_HEADS, CONVOLUTIONAL, OTHER_HEADS, TOKENS, network_named
from tests.small_networks import Bypass, seeded, small_network

CLASSES = torch.tensor([2, 3])


def batch(side: int = 64) -> Tensor:
    return torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(1))


def assert_is_a_map(maps: Tensor) -> None:
    assert maps.dim() == 3
    assert maps.amin((1, 2)).tolist() == [0, 0]
    assert maps.amax((1, 2)).tolist() == pytest.approx([1, 1])


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_both_forms_give_the_same_map_with_a_gradient_to_the_image(name: str) -> None:
    network, x = network_named(name), batch()
    cam = Cam.for_network(network, x[:1])
    shown = cam.explain(x, CLASSES)
    leaf = x.clone().requires_grad_()
    logits, maps = cam.differentiable(leaf, CLASSES)
    (gradient,) = torch.autograd.grad((maps - 0.2).square().sum(), leaf)
    assert_is_a_map(shown)
    assert shown.shape[2] > 1
    assert not shown.requires_grad
    assert torch.equal(logits, network(leaf))
    torch.testing.assert_close(maps, shown, atol=1e-4, rtol=0)
    assert gradient.isfinite().all()
    assert (gradient.flatten(1).abs().amax(1) > 0).all()


@pytest.mark.parametrize("name", AFFINE_HEADS)
def test_a_pooled_linear_head_gives_fixed_weights(name: str) -> None:
    network = network_named(name)
    weights = Cam.for_network(network, batch()[:1]).weights
    assert weights is not None
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
    if linear:
        torch.testing.assert_close(weights, linear[-1].weight, atol=1e-5, rtol=1e-4)
    else:  # SqueezeNet: its last convolution has one channel a class
        torch.testing.assert_close(weights, torch.eye(4))


@pytest.mark.parametrize("name", OTHER_HEADS)
def test_any_other_head_gives_weights_per_image(name: str) -> None:
    assert Cam.for_network(network_named(name), batch()[:1]).weights is None


def test_a_head_with_an_activation_is_never_taken_for_linear() -> None:
    def build() -> nn.Module:
        head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3)]
        network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), *head)
        nn.init.constant_(head[2].bias, 100.0)  # every probe lies on one linear piece
        return network

    assert Cam.for_network(seeded(build), batch(16)[:1]).weights is None


def test_grad_cam_weights_equal_cam_up_to_scale_on_a_pooled_linear_head() -> None:
    network, x = small_network(classes=4), batch()
    cam = Cam.for_network(network, x[:1])
    assert cam.weights is not None
    torch.testing.assert_close(Cam(network, None).explain(x, CLASSES), cam.explain(x, CLASSES))


@pytest.mark.parametrize("name", TOKENS)
def test_a_network_of_tokens_is_refused_with_advice(name: str) -> None:
    with pytest.raises(InterpreterUnavailable, match=r"--interpreters grad-cam, .* or with --interpreters grad"):
        Cam.for_network(network_named(name), batch()[:1])


def test_logits_that_do_not_use_the_last_features_are_refused() -> None:
    with pytest.raises(InterpreterUnavailable, match="do not depend"):
        Cam.for_network(seeded(Bypass), batch(16)[:1])


def test_a_row_of_a_batch_equals_the_image_alone() -> None:
    network, x = network_named("torchvision mobilenet_v3_small"), batch()
    for cam in (Cam.for_network(network, x[:1]), Cam.for_network(small_network(classes=4), x[:1])):
        together = cam.explain(x, CLASSES)
        for row in range(2):
            alone = cam.explain(x[row : row + 1], CLASSES[row : row + 1])
            torch.testing.assert_close(together[row : row + 1], alone, atol=1e-4, rtol=0)


# --- oracles ----------------------------------------------------------------------------------------------------------


def last_layer(network: nn.Module) -> nn.Module:
    if isinstance(network, tv.ResNet):
        return network.layer4
    if isinstance(network, DenseNet):
        return network.class_layers.relu
    features = network.features
    assert isinstance(features, nn.Module)
    return features


ORACLE_NETWORKS = [
    "torchvision resnet18", "torchvision mobilenet_v2", "MONAI densenet", "torchvision mobilenet_v3_small",
    "torchvision vgg11",
]  # fmt: skip


@pytest.mark.parametrize("name", ORACLE_NETWORKS)
def test_map_agrees_with_captum_and_pytorch_grad_cam(name: str) -> None:
    network, x = network_named(name), batch(96)
    maps = Cam.for_network(network, x[:1]).explain(x, CLASSES)
    layer = last_layer(network)

    captum = LayerGradCam(network, layer).attribute(x.clone().requires_grad_(), CLASSES)
    torch.testing.assert_close(maps, min_max(captum.detach()[:, 0]), atol=1e-3, rtol=0)

    targets = [ClassifierOutputTarget(int(label)) for label in CLASSES]
    with GradCAM(network, [layer]) as oracle:
        oracle(x.clone().requires_grad_(), targets)
        hooks = oracle.activations_and_grads
        raw = oracle.get_cam_image(x, layer, targets, hooks.activations[0].detach().numpy(), hooks.gradients[0].numpy())
    torch.testing.assert_close(maps, min_max(torch.as_tensor(raw)), atol=1e-3, rtol=0)


def identity(maps: Tensor) -> Tensor:
    return maps


def test_map_agrees_with_monai_up_to_scale() -> None:
    network, x = seeded(AFFINE_HEADS["MONAI densenet"]), batch(96)  # its own: MONAI leaves hooks behind
    maps = Cam.for_network(network, x[:1]).explain(x, CLASSES)
    cam = visualize.CAM(network, "class_layers.relu", fc_layers="class_layers.out", upsampler=identity)
    grad_cam = visualize.GradCAM(network, "class_layers.relu")
    for row in range(2):
        image, label = x[row : row + 1], CLASSES[row : row + 1]
        raw = cam.compute_map(image, label)[:, 0].detach()
        torch.testing.assert_close(maps[row : row + 1], min_max(raw), atol=1e-3, rtol=0)

        rectified = grad_cam.compute_map(image.clone().requires_grad_(), label)[0, 0].detach().numpy()
        ours, positive = maps[row].numpy(), rectified > 0
        assert ours[~positive].max(initial=0.0) <= ours[positive].min(initial=1.0)
        if positive.sum() > 2:
            assert np.corrcoef(ours[positive], rectified[positive])[0, 1] > 0.9999
