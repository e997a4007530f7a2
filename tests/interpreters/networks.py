"""One small random network of every family that users bring; images of 64 × 64 pixels."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec

import timm
import torch
import torchvision.models as tv
from monai.networks.nets import DenseNet, ViT
from torch import Tensor, nn

from tests.small_networks import seeded

Build = Callable[[], nn.Module]


def narrow_vgg11() -> nn.Module:
    """VGG-11 whose two hidden layers have 32 instead of 4096 units."""
    with torch.device("meta"):
        network = tv.vgg11(num_classes=4, init_weights=False)
    network.features = tv.vgg.make_layers(tv.vgg.cfgs["A"])
    for place, (inputs, outputs) in {0: (25088, 32), 3: (32, 32), 6: (32, 4)}.items():
        network.classifier[place] = nn.Linear(inputs, outputs)
    return network


class MonaiVit(nn.Module):
    """MONAI's vision transformer; what it returns beside the logits is dropped, as the tool does."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = ViT(
            3, 64, 16, 24, 48, num_layers=2, num_heads=2, classification=True, num_classes=4, spatial_dims=2,
            post_activation="none",
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N,4)."""
        logits: Tensor = self.inner(x)[0]
        return logits


#: Pooling and one linear layer: CAM's weights are those of the layer.
AFFINE_HEADS: dict[str, Build] = {
    "timm efficientnet_lite0": lambda: timm.create_model("tf_efficientnet_lite0", num_classes=4),
    "timm efficientnet": lambda: timm.create_model("test_efficientnet", num_classes=4),
    "torchvision resnet18": lambda: tv.resnet18(num_classes=4),
    "torchvision densenet": lambda: tv.DenseNet(8, (2, 2, 2, 2), 16, num_classes=4),
    "MONAI densenet": lambda: DenseNet(2, 3, 4, init_features=16, growth_rate=8, block_config=(2, 2, 2, 2)),
    "torchvision mobilenet_v2": lambda: tv.mobilenet_v2(num_classes=4),
    "torchvision squeezenet1_1": lambda: tv.squeezenet1_1(num_classes=4),
}

#: Anything else after the last features: Grad-CAM's weights.
OTHER_HEADS: dict[str, Build] = {
    "torchvision vgg11": narrow_vgg11,
    "torchvision mobilenet_v3_small": lambda: tv.mobilenet_v3_small(num_classes=4),
    "timm convnext": lambda: timm.create_model("test_convnext", num_classes=4),
}

#: No last convolutional features at all.
TOKENS: dict[str, Build] = {
    "timm vit": lambda: timm.create_model("test_vit", num_classes=4, img_size=64),
    "torchvision vit": lambda: tv.VisionTransformer(64, 16, 2, 2, 32, 64, num_classes=4),
    "torchvision swin": lambda: tv.SwinTransformer([4, 4], 24, [1, 1], [2, 2], [4, 4], num_classes=4),
    "timm swin": lambda: timm.create_model(
        "swin_tiny_patch4_window7_224",
        num_classes=4,
        img_size=64,
        window_size=4,
        embed_dim=24,
        depths=(1, 2),
        num_heads=(1, 2),
    ),
    "timm mixer": lambda: timm.create_model("mixer_s32_224", num_classes=4, img_size=64),
}

if find_spec("einops") is not None:  # which MONAI needs for it, and does not bring along
    TOKENS["MONAI vit"] = MonaiVit

CONVOLUTIONAL = AFFINE_HEADS | OTHER_HEADS
EVERYTHING = CONVOLUTIONAL | TOKENS


@cache
def network_named(name: str) -> nn.Module:
    """One of them, frozen; built once. Heads that start as zeros and would have no gradient get random weights."""
    network = seeded(EVERYTHING[name])
    for module in network.modules():
        if isinstance(module, nn.Linear) and not module.weight.any():
            nn.init.normal_(module.weight, generator=torch.Generator().manual_seed(0))
    return network
