from __future__ import annotations

import monai.transforms
import pytest
import torch
from torch import Tensor, nn

from skinaudit.classifier.intensity import Normalise, PixelRange, ScaleToRange


@pytest.mark.parametrize("value", [0.0, 127.0, 255.0])
@pytest.mark.parametrize("minv", [0.0, -1.0, None])
def test_a_constant_image_is_scaled_as_monai_does(value: float, minv: float | None) -> None:
    image = torch.full((3, 4, 4), value)
    oracle = monai.transforms.ScaleIntensity(minv=minv, maxv=1.0)(image)
    torch.testing.assert_close(ScaleToRange(minv, 1.0, channel_wise=False)(image[None])[0], torch.as_tensor(oracle))


@pytest.mark.parametrize(
    "layer", [ScaleToRange(0.0, 1.0, channel_wise=True), Normalise(None, None, channel_wise=False)]
)
def test_the_gradient_of_a_constant_image_is_finite(layer: nn.Module) -> None:
    x = torch.full((2, 3, 4, 4), 0.5, requires_grad=True)
    output: Tensor = layer(x)
    (gradient,) = torch.autograd.grad(output.square().sum(), x)
    assert output.isfinite().all()
    assert gradient.isfinite().all()


def test_a_divisor_of_zero_divides_by_one_as_in_monai() -> None:
    image = torch.rand(3, 4, 4, generator=torch.Generator().manual_seed(0))
    arguments = {"subtrahend": [0.1, 0.2, 0.3], "divisor": [0.0, 2.0, 0.0], "channel_wise": True}
    oracle = monai.transforms.NormalizeIntensity(**arguments)(image.clone())
    ours = Normalise((0.1, 0.2, 0.3), (0.0, 2.0, 0.0), channel_wise=True)(image[None])[0]
    torch.testing.assert_close(ours, torch.as_tensor(oracle))


def test_every_eight_bit_value_comes_back_from_the_unit_range() -> None:
    levels = torch.arange(256, dtype=torch.float32)
    assert torch.equal(PixelRange()(levels / 255).round(), levels)
    assert (PixelRange()(levels / 255) - levels).abs().max() < 2e-5
