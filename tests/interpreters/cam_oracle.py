"""pytorch-grad-cam on the layer that stands last in each network, at the resolution of that layer."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import timm
import torch
import torchvision.models as tv
from monai.networks.nets import DenseNet
from pytorch_grad_cam.base_cam import BaseCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from tests.interpreters.networks import TOKENS, MonaiVit

#: Networks of which it is known which module's output is the last feature map, or what the last attention reads.
NETWORKS = [
    "torchvision resnet18", "torchvision mobilenet_v2", "MONAI densenet", "torchvision mobilenet_v3_small",
    "torchvision vgg11", "timm efficientnet", *(name for name in TOKENS if name != "timm mixer"),
]  # fmt: skip


def last_layer(network: nn.Module) -> nn.Module:
    """The module whose output is weighed."""
    if isinstance(network, tv.ResNet):
        return network.layer4
    if isinstance(network, DenseNet):
        return network.class_layers.relu
    if isinstance(network, MonaiVit):
        return network.inner.blocks[-1].norm1
    if isinstance(network, tv.VisionTransformer):
        return network.encoder.layers[-1].ln_1
    if isinstance(network, tv.SwinTransformer):
        return network.features[-1][-1].norm1
    if isinstance(network, timm.models.SwinTransformer):
        return network.layers[-1].blocks[-1].norm1
    found = network.blocks[-1].norm1 if hasattr(network, "cls_token") else getattr(network, "features", None)
    layer = found if found is not None else network.bn2
    assert isinstance(layer, nn.Module)
    return layer


def reshape_of(network: nn.Module) -> Callable[[Tensor], Tensor] | None:
    """What makes (N,C,h,w) of the layer's output, as the oracle's documentation has it."""
    if isinstance(network, tv.SwinTransformer | timm.models.SwinTransformer):
        return lambda values: values.permute(0, 3, 1, 2)
    if hasattr(network, "cls_token") or isinstance(network, MonaiVit | tv.VisionTransformer):
        return lambda values: values[:, 1:].reshape(len(values), 4, 4, -1).permute(0, 3, 1, 2)
    return None


def oracle_maps(kind: type[BaseCAM], network: nn.Module, x: Tensor, classes: Tensor) -> Tensor:
    """Raw maps (N,h,w) of the oracle, after ReLU and before any scaling."""
    inner = network.inner if isinstance(network, Steeper) else network
    assert isinstance(inner, nn.Module)
    layer = last_layer(inner)
    targets = [ClassifierOutputTarget(int(label)) for label in classes]
    with kind(network, [layer], reshape_transform=reshape_of(inner)) as oracle:
        oracle(x.clone().requires_grad_(), targets)
        seen = oracle.activations_and_grads
        raw = oracle.get_cam_image(
            x, layer, targets, seen.activations[0].detach().numpy(), seen.gradients[0].numpy(), eigen_smooth=False
        )
    return torch.as_tensor(raw).relu()


class Steeper(nn.Module):
    """A network in double precision with larger logits, whose gradients stand far above the oracle's constants."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.inner = deepcopy(network).double()

    def forward(self, x: Tensor) -> Tensor:
        """A hundred thousand times the logits (N,K)."""
        logits: Tensor = 1e5 * self.inner(x)
        return logits
