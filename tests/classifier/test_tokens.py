from __future__ import annotations

from collections.abc import Callable

import pytest
import timm
import torch
import torchvision.models as tv
from timm.models import mvitv2
from torch import Tensor, nn

from skinaudit.classifier.features import FeaturesUnavailable, LastFeatureMap
from skinaudit.classifier.tokens import LastSpatialFeatures, SpatialFeatures
from tests.small_networks import seeded, small_network


def image(height: int = 32, width: int = 32) -> Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(0))


def located(network: nn.Module, x: Tensor) -> SpatialFeatures:
    with LastSpatialFeatures() as capture:
        network(x)
    return capture.located(x)


def vit(**arguments: object) -> nn.Module:
    return seeded(lambda: timm.create_model("test_vit", num_classes=3, **arguments))


def test_a_convolutional_network_gives_what_its_last_feature_map_is() -> None:
    network = small_network()
    with LastFeatureMap() as capture:
        network(image())
    found = located(network, image())
    assert found.layout == "channels first"
    assert found.size == (7, 7)
    assert torch.equal(found.on_grid(found.values), capture.features)


def hooked(module: nn.Module, network: nn.Module, x: Tensor) -> Tensor:
    """What a module puts out during a forward pass."""
    seen: list[Tensor] = []
    handle = module.register_forward_hook(lambda _module, _inputs, result: seen.append(result))
    network(x)
    handle.remove()
    return seen[-1]


Case = tuple[Callable[[], nn.Module], Callable[[nn.Module], nn.Module], tuple[int, int], int]
CASES: dict[str, Case] = {
    "timm": (lambda: vit(img_size=32), lambda net: net.blocks[-1].norm1, (32, 32), 1),
    "timm, not square": (lambda: vit(img_size=(32, 64)), lambda net: net.blocks[-1].norm1, (32, 64), 1),
    "timm, registers": (lambda: vit(img_size=32, reg_tokens=4), lambda net: net.blocks[-1].norm1, (32, 32), 5),
    "timm, no class token": (
        lambda: vit(img_size=32, class_token=False, global_pool="avg"), lambda net: net.blocks[-1].norm1, (32, 32), 0,
    ),
    "timm, normalised queries": (
        lambda: vit(img_size=32, qk_norm=True), lambda net: net.blocks[-1].norm1, (32, 32), 1,
    ),
    "torchvision": (
        lambda: seeded(lambda: tv.VisionTransformer(32, 16, 2, 2, 32, 64, num_classes=3)),
        lambda net: net.encoder.layers[-1].ln_1, (32, 32), 1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_tokens_that_the_last_attention_reads_are_laid_out_as_their_patches_lie(case: Case) -> None:
    build, layer, (height, width), prefix = case
    network, x = build(), image(height, width)
    found = located(network, x)
    tokens = hooked(layer(network), network, x)
    rows, columns = height // 16, width // 16
    assert found.size == (rows, columns)
    torch.testing.assert_close(found.values, tokens)
    grid = found.on_grid(tokens)
    for row in range(rows):
        for column in range(columns):
            assert torch.equal(grid[:, :, row, column], tokens[:, prefix + row * columns + column])


SWIN = {"num_classes": 3, "img_size": 64, "embed_dim": 24, "depths": (1, 2), "num_heads": (1, 2)}
WINDOWS = {
    "torchvision": (
        lambda: tv.SwinTransformer([4, 4], 24, [1, 1], [2, 2], [4, 4], num_classes=3),
        lambda net: net.features[-1][-1].norm1,
    ),
    "timm": (
        lambda: timm.create_model("swin_tiny_patch4_window7_224", **SWIN, window_size=4),
        lambda net: net.layers[-1].blocks[-1].norm1,
    ),
}


@pytest.mark.parametrize("build", WINDOWS)
def test_the_last_features_of_a_network_of_windows_are_channels_last(build: str) -> None:
    network = seeded(WINDOWS[build][0])
    found = located(network, image(64, 64))
    assert found.layout == "channels last"
    normalised = hooked(WINDOWS[build][1](network), network, image(64, 64))
    assert torch.equal(found.on_grid(found.values), normalised.permute(0, 3, 1, 2))


def test_tokens_that_are_normalised_behind_attention_count_with_what_they_are_added_to() -> None:
    network = seeded(lambda: timm.create_model("swinv2_tiny_window8_256", **SWIN, window_size=4))
    for block in (block for layer in network.layers for block in layer.blocks):
        nn.init.ones_(block.norm1.weight)  # zero as they are drawn, which would make a block no change
        nn.init.ones_(block.norm2.weight)
    found = located(network, image(64, 64))
    read = hooked(network.layers[-1].blocks[-2], network, image(64, 64))
    torch.testing.assert_close(found.on_grid(found.values), read.permute(0, 3, 1, 2))


def test_values_that_are_normalised_head_by_head_are_no_features() -> None:
    sizes = mvitv2.MultiScaleVitCfg(depths=(1, 1), embed_dim=16, num_heads=2)
    network = seeded(lambda: mvitv2.MultiScaleVit(sizes, img_size=(64, 64), num_classes=3))
    found = located(network, image(64, 64))
    assert (found.layout, found.size) == ("tokens", (8, 8))
    assert torch.equal(found.values, hooked(network.norm, network, image(64, 64)))


def test_without_attention_the_last_normalised_tokens_count() -> None:
    network = seeded(lambda: timm.create_model("mixer_s32_224", num_classes=3, img_size=64))
    found = located(network, image(64, 64))
    assert found.size == (2, 2)
    assert torch.equal(found.values, hooked(network.norm, network, image(64, 64)))


class Perceptron(nn.Module):
    """Patches cut out by reshaping, not by a convolution; ``extra`` tokens before them."""

    def __init__(self, extra: int) -> None:
        super().__init__()
        self.extra, self.embed, self.norm, self.head = extra, nn.Linear(192, 8), nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        patches = x.unfold(2, 8, 8).unfold(3, 8, 8).permute(0, 2, 3, 1, 4, 5).flatten(1, 2).flatten(2)
        tokens = nn.functional.pad(self.embed(patches), (0, 0, self.extra, 0))
        tokens = self.norm(tokens)
        logits: Tensor = self.head((tokens @ tokens.transpose(1, 2)).softmax(2).matmul(tokens).mean(1))
        return logits


@pytest.mark.parametrize("extra", [0, 1, 5])
def test_without_a_convolution_a_square_image_has_a_square_grid(extra: int) -> None:
    found = located(seeded(lambda: Perceptron(extra)), image())
    assert found.size == (4, 4)
    assert found.on_grid(found.values).shape == (2, 8, 4, 4)


def test_probabilities_at_the_end_are_not_taken_for_attention() -> None:
    network = nn.Sequential(vit(img_size=32), nn.Softmax(1))
    assert torch.equal(located(network, image()).values, located(network[0], image()).values)


@pytest.mark.parametrize("size", [(32, 64), (64, 16)])
def test_tokens_whose_grid_cannot_be_known_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(FeaturesUnavailable, match=r"make up no grid of patches.*--interpreters grad$"):
        located(seeded(lambda: Perceptron(0)), image(*size))


def test_a_network_without_anything_spatial_is_refused() -> None:
    with pytest.raises(FeaturesUnavailable, match=r"--interpreters grad$"):
        located(seeded(lambda: nn.Sequential(nn.Flatten(), nn.Linear(3072, 2))), image())


def test_a_network_that_takes_its_images_in_parts_is_refused() -> None:
    class Parts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = vit(img_size=32)

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([self.inner(x[:1]), self.inner(x[1:])])

    with pytest.raises(FeaturesUnavailable, match="in parts"):
        located(Parts(), image())


def test_tokens_before_a_last_convolution_are_no_obstacle() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.norm, self.mix = nn.Conv2d(3, 4, 4, 4), nn.LayerNorm(4), nn.Linear(4, 4)
            self.last, self.head = nn.Conv2d(4, 6, 3), nn.Linear(6, 2)

        def forward(self, x: Tensor) -> Tensor:
            tokens = self.mix(self.norm(self.first(x).flatten(2).transpose(1, 2)))
            features = self.last(tokens.transpose(1, 2).unflatten(2, (8, 8)))
            logits: Tensor = self.head(features.mean((2, 3)))
            return logits

    found = located(seeded(Mixed), image())
    assert found.layout == "channels first"
    assert found.size == (6, 6)
